"""Who has to go when there are too many connections: one that is idle, before anybody is refused."""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outstation.web.connection import Protocol

MAX_CONNECTIONS = 1_000

_REFUSED_AT_ONCE = 50
"""Connections above the most that are told so, which takes seconds each; more are just cut: descriptors are few."""


class Verdict(enum.Enum):
    """What becomes of a newcomer."""

    WELCOME = enum.auto()
    REFUSED = enum.auto()
    CUT = enum.auto()


def verdict(newcomer: Protocol, connections: Collection[object], most: int) -> Verdict:
    """Make room for a newcomer if there is need and it can be had; say what becomes of it."""
    excess = len(connections) - most
    if excess <= 0:
        return Verdict.WELCOME
    kind = type(newcomer)
    idle = [other for other in connections if isinstance(other, kind) and other is not newcomer and other.is_idle]
    if idle:
        min(idle, key=lambda other: other.patience).transport.close()
        return Verdict.WELCOME
    return Verdict.CUT if excess > _REFUSED_AT_ONCE else Verdict.REFUSED
