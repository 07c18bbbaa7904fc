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

REFUSED_AT_ONCE, MAX_REFUSED = 50, 1_000
"""Connections above the most that are told so, which takes up to some seconds each; more are just cut. The first holds
where descriptors are few, the second where there are enough; 1,000 cost 10 MB."""

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
    return Verdict.CUT if excess > newcomer.most_refused else Verdict.REFUSED


def _made_room(newcomer: Protocol, connections: Collection[object]) -> bool:
    kind = type(newcomer)
    if clock.now() - kind.was_full_at < _FULL_FOR:
        return False
    idle = [other for other in connections if isinstance(other, kind) and other is not newcomer and other.is_idle]
    if not idle:
        kind.was_full_at = clock.now()
    for other in heapq.nsmallest(_TOGETHER, idle, key=lambda other: other.patience):
        other.transport.close()
    return bool(idle)
