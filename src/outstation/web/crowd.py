"""Who has to go when there are too many connections: one that is idle, before anybody is refused."""

from __future__ import annotations

import enum
import heapq
from collections.abc import Collection
from typing import TYPE_CHECKING

from outstation import clock

if TYPE_CHECKING:
    from outstation.web.connection import Protocol

MAX_CONNECTIONS = 1_000

MAX_REFUSED = 1_000
"""Connections above the most that are told so, which takes up to some seconds each and 10 kB; more are just cut."""

_TOGETHER = 10
"""Idle ones that go at once: who they are is looked for among all, which takes half a millisecond."""

_FULL_FOR = 50
"""Milliseconds until idle ones are looked for again where there were none."""


class Verdict(enum.Enum):
    """What becomes of a newcomer."""

    WELCOME = enum.auto()
    REFUSED = enum.auto()
    CUT = enum.auto()


def verdict(newcomer: Protocol, connections: Collection[object]) -> Verdict:
    """Make room for a newcomer if there is need and it can be had; say what becomes of it."""
    excess = len(connections) - newcomer.most_connections
    if excess <= 0 or _made_room(newcomer, connections):
        return Verdict.WELCOME
    if excess <= newcomer.most_refused:
        return Verdict.REFUSED
    return Verdict.WELCOME if _cut_silent(newcomer, connections) else Verdict.CUT


def _made_room(newcomer: Protocol, connections: Collection[object]) -> bool:
    kind = type(newcomer)
    if clock.now() - kind.was_full_at < _FULL_FOR:
        return False
    idle = [other for other in _idle(newcomer, connections) if not other.has_just_come]
    if not idle:
        kind.was_full_at = clock.now()
    for other in heapq.nsmallest(_TOGETHER, idle, key=lambda other: other.patience):
        other.transport.close()
    return bool(idle)


def _cut_silent(newcomer: Protocol, connections: Collection[object]) -> bool:
    """Cut the one that has been silent longest, though it has just come: it is this one or the newcomer."""
    silent = min(_idle(newcomer, connections), key=lambda other: other.patience, default=None)
    if silent is not None:
        silent.transport.abort()
    return silent is not None


def _idle(newcomer: Protocol, connections: Collection[object]) -> list[Protocol]:
    kind = type(newcomer)
    return [other for other in connections if isinstance(other, kind) and other is not newcomer and other.is_idle]
