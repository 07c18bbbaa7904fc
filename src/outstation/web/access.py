"""The access log: who asked for what, and what came of it; and how often, for /metrics.

The law of this file: nothing that came in is written but what the table of routes knows: keys travel in URLs, and
escape sequences in names. And neither a crowd of boards nor one that is wrong once a second may wear out the card: of
requests in plenty only changes and refusals have a line, a refusal one a minute, and the rest is counted. Nor may one
who is wrong in a thousand ways, or from a thousand addresses: all refusals together have so many lines a minute.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict

from outstation import clock
from outstation.http import Request, harmless
from outstation.routes import Route, Table

log = logging.getLogger(__name__)

QUIET_FOR = 60_000
_REMEMBERED = 1_024

_LOOKS = 60
"""Looks, one a second, between two lines with counts."""

_SHOWN = 8
"""Kinds of requests that such a line names."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""The parser knows thirty more: a stranger would make a thousand series of them in /metrics."""

_REFUSED = 400

REFUSALS = 60
"""Lines for refusals in a minute, whoever was refused: a stranger has addresses and paths in plenty. Or, where more
lines are wished for, six seconds' worth of those."""

Kind = tuple[str, str, int]
"""Method, path as in the table of routes, status."""


class Access:
    """Told of every answer; `look` once a second. lines: up to so many requests a second have a line each."""

    def __init__(self, table: Table, lines: int) -> None:
        self.answered: Counter[Kind] = Counter()
        self._table, self._lines = table, lines
        self._told: OrderedDict[tuple[str, Kind], int] = OrderedDict()
        self._accounted: Counter[Kind] = Counter()  # those of `answered` that have a line, or were in one with counts
        self._this_second = self._looks = self._refusals = 0
        self._busy = lines == 0

    def note(self, request: Request, status: int, route: Route | None = None) -> None:
        """Count an answer, and write its line, if it is to have one. route: None: it is looked up."""
        if route is None:
            route = self._route(request)
        method = request.method if request.method in _METHODS or not request.method else "another method"
        kind = method, route.path if route else "", status
        self.answered[kind] += 1
        self._this_second += 1
        if status >= _REFUSED:
            if self._refusals >= max(REFUSALS, 6 * self._lines) or not self._is_news(request, kind):
                return
            self._refusals += 1
        elif self._busy and not (route and route.changes and route.method == request.method):
            return
        self._accounted[kind] += 1
        _write(request, kind)
        if self._this_second >= self._lines:
            self._busy = True

    def look(self) -> None:
        """A second is over."""
        self._busy = self._this_second > self._lines or self._lines == 0
        self._this_second = 0
        self._looks += 1
        if self._looks >= _LOOKS:
            self._looks = self._refusals = 0
            self._write_counts()

    def _write_counts(self) -> None:
        unwritten = self.answered - self._accounted
        self._accounted = self.answered.copy()
        if not unwritten:
            return
        shown = unwritten.most_common(_SHOWN)
        words = [f"{_asked(kind)} {kind[2]}: {count}" for kind, count in shown]
        if rest := unwritten.total() - sum(count for _, count in shown):
            words.append(f"others: {rest}")
        log.info("in a minute, without a line each: %s", ", ".join(words))

    def _route(self, request: Request) -> Route | None:
        """Return the row of a path, whatever the method: what was refused may have none."""
        match = self._table.find(request.path)
        return (match.rows.get(request.method) or next(iter(match.rows.values()))) if match else None

    def _is_news(self, request: Request, kind: Kind) -> bool:
        """Tell whether the same was not refused to the same within the minute."""
        refusal, now = (request.peer.address, kind), clock.now()
        if now - self._told.get(refusal, -QUIET_FOR) < QUIET_FOR:
            return False
        self._told.pop(refusal, None)
        self._told[refusal] = now
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        return True


def _write(request: Request, kind: Kind) -> None:
    address = request.peer.address or "the control socket"
    principal = getattr(request, "principal", None)  # who was refused has none
    name = f" ({harmless(principal.name)})" if principal and request.peer.address and principal.scopes else ""
    log.info("%s%s: %s was answered %d", address, name, _asked(kind), kind[2])


def _asked(kind: Kind) -> str:
    method, path, _ = kind
    return f"{method or 'a request'} {path or 'an unknown path'}"
