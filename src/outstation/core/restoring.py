"""Giving back to the decisions what was kept of them, one row at a time.

The law of this file: a row that cannot be read takes nothing else with it; and what is not given
back is noted, above all a lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

import msgspec

from outstation.core import restarts, rules
from outstation.core.alerts import Standing
from outstation.core.readings import Effect, Keep, Note
from outstation.core.restarts import Saved, Snapshot, Stamp
from outstation.core.rules import SavedRule
from outstation.core.settings import SavedSetting, out_of_bounds

if TYPE_CHECKING:
    from outstation.core.decisions import Decisions

T = TypeVar("T")

Kept = Mapping[tuple[str, str], bytes]
"""What was kept of each rule, output, setting and alert: by kind and name, as JSON."""


def restore(decisions: Decisions, kept: Kept, then: Stamp, here: Stamp) -> list[Effect]:
    """Give back what was kept; return everything that is kept from now on, and what of the old is not."""
    read = _Reader(kept, here)
    settings, outputs = read.all("setting", SavedSetting), read.all("output", Saved)
    saved, stood = read.all("rule", SavedRule), read.all("alert", Standing)
    way = restarts.passage(then, here)
    for name, setting in settings.items():
        _setting(decisions, name, setting, read)
    for name in saved.keys() & decisions.rules.keys():
        rules.restore(decisions.rules[name], saved[name], way.shift, known=way.known)
    decisions.alerts.restore(stood.values(), way.shift)
    for name in outputs.keys() - decisions.actuators.keys():
        if lock := outputs[name].lock:
            read.note(name, f"it was locked by {lock.who}, and is not in the config any more")
    notes = restarts.restore(decisions.actuators, Snapshot(then, outputs), here, decisions.wants())
    return [*_all(decisions, kept), *read.notes, *notes]


class _Reader:
    """Reads rows by kind, and notes what cannot be read or used."""

    def __init__(self, kept: Kept, here: Stamp) -> None:
        self._kept, self._here = kept, here
        self.notes: list[Note] = []

    def all(self, kind: str, type_: type[T]) -> dict[str, T]:
        """Return what was kept of one kind, by name."""
        found: dict[str, T] = {}
        for (one, name), body in self._kept.items():
            if one == kind:
                try:
                    found[name] = msgspec.json.decode(body, type=type_)
                except msgspec.DecodeError as error:
                    self.note(name, f"what was kept of this {kind} cannot be read: {error}")
        return found

    def note(self, subject: str, text: str) -> None:
        """Note that something is not given back."""
        self.notes.append(Note("not restored", subject, text, self._here.at))


def _setting(decisions: Decisions, name: str, saved: SavedSetting, read: _Reader) -> None:
    spec = decisions.setting_specs.get(name)
    if spec is None:
        return
    if reason := out_of_bounds(spec, saved.value):
        read.note(name, f"{saved.who} had set it to {saved.value:g}, but now {reason} It is {spec.default:g}.")
        return
    decisions.settings[name], decisions.set_by[name] = saved.value, saved


def _all(decisions: Decisions, before: Kept) -> list[Effect]:
    """Return everything that is kept from now on, and that nothing else of what was is."""
    effects: list[Effect] = list(decisions.alerts.kept())
    for name, rule in decisions.rules.items():
        effects += decisions.keep("rule", name, rules.saved(rule))
    for name, saved in decisions.set_by.items():
        effects += decisions.keep("setting", name, saved)
    for name, state in decisions.actuators.items():
        effects += decisions.keep("output", name, restarts.saved(state))
    known = {(effect.kind, effect.name) for effect in effects if isinstance(effect, Keep)}
    return [*effects, *(Keep(kind, name, None) for kind, name in before if (kind, name) not in known)]
