"""GET /api/rules/spells: from when to when rules fired, for whoever draws a plot of what they look at and move."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from outstation import clock
from outstation.core.conditions import actuators, sensors
from outstation.core.readings import Millis, Note
from outstation.core.rules import RuleSpec
from outstation.engine.site import Site
from outstation.store.journal import Journal

MOST = 1_000
"""Lines of the journal that an answer is made of: more spells than anybody tells apart."""

_FIRES, _CLEARS = "rule fires", "rule clears"


def document(site: Site, names: Sequence[str], start: Millis, end: Millis) -> bytes:
    """Return the spells between two times of rules that look at, or move, what is named. Blocks. Raises StoreError."""
    journal = Journal(site.store)
    rules = [state.spec.name for state in site.node.decisions.rules.values() if _is_about(state.spec, names)]
    lines = journal.between(rules, (_FIRES, _CLEARS), start, end, MOST)
    found = []
    for rule in rules:
        before, _ = journal.around(rule, (_FIRES, _CLEARS), start - 1)
        mine = [line for line in (before, *lines) if line is not None and line.subject == rule]
        found += [_spell(rule, *times) for times in _spells(mine) if times[1] is None or times[1] >= start]
    return msgspec.json.encode({"count": len(found), "spells": found})


def _is_about(rule: RuleSpec, names: Iterable[str]) -> bool:
    parts = [rule.when, rule.until] if rule.until else [rule.when]
    about = {*rule.claims}.union(*(sensors(part) | actuators(part) for part in parts))
    return not about.isdisjoint(names)


def _spells(lines: Iterable[Note]) -> Iterator[tuple[Millis | None, Millis | None]]:
    """Return each spell's beginning and end; None: before what the journal knows, and still."""
    since: Millis | None = None
    is_first = True
    for line in lines:
        if line.kind == _FIRES:
            since = line.at if since is None else since
        elif since is not None or is_first:
            yield since, line.at
            since = None
        is_first = False
    if since is not None:
        yield since, None


def _spell(rule: str, start: Millis | None, end: Millis | None) -> dict[str, str | None]:
    return {"rule": rule, "start": _iso(start), "end": _iso(end)}


def _iso(at: Millis | None) -> str | None:
    return None if at is None else clock.iso(at)
