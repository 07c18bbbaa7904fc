"""Packs summaries that are settled, many into one row: a tenth of the room, and a year's lie in few pages.

The law of this file: packing changes no answer, at no moment. What is packed is read and packed in a thread of its
own, and swapped in a short transaction, if it is still as it was read. What was changed meanwhile waits for the next
time; so does what is out of date, what is not over for a day, and what an uplink has not had: that goes out in the
order of its numbers, and a pack has one place in it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Protocol, TypeVar

import apsw

from outstation import clock
from outstation.core.readings import Millis
from outstation.core.windows import DAY, WIDTHS, Tier
from outstation.errors import StoreError
from outstation.store import packs, unsent
from outstation.store.packs import SPANS, Change

T = TypeVar("T")

SETTLED: Millis = DAY
"""So long after its end a span is packed: most of what comes late has come by then."""

_TOGETHER_NS = 50_000_000
"""So long may it take to pack what is written in one transaction."""

_SLICE_NS = 5_000_000
"""So long may one transaction take: requests that arrive meanwhile wait for it."""

_LONGEST_PAUSE_NS = 20_000_000

Place = tuple[int, int, Millis]
"""A sensor, a tier, and where a window begins: in this order the rows are looked through."""

_BEFORE_ALL: Place = (-1, 0, 0)


class Keeper(Protocol):
    """What packing needs of the store."""

    @property
    def closed(self) -> bool:
        """Whether nothing can be done any more."""

    def read(self) -> AbstractContextManager[apsw.Connection]:
        """Lend a connection that reads."""

    def write(self, work: Callable[[apsw.Connection], T]) -> Awaitable[T]:
        """Do something in the writer's thread."""


class Packer:
    """Packs for one store."""

    def __init__(self, store: Keeper) -> None:
        self._store = store
        self._busy = asyncio.Lock()

    async def pack(self, at: Millis) -> int:
        """Pack what is settled at this time; return how many rows are packed now. Raises StoreError."""
        total = 0
        place: Place | None = _BEFORE_ALL
        async with self._busy:
            while place is not None:
                changes, place = await asyncio.to_thread(self._some, place, at)
                while changes:
                    done, rows = await self._store.write(partial(_swap, changes=changes))
                    changes, total = changes[done:], total + rows
        return total

    def _some(self, place: Place, at: Millis) -> tuple[list[Change], Place | None]:
        """Return some changes, and where to go on; None: there are no more."""
        changes: list[Change] = []
        begun = clock.monotonic_ns()
        with self._store.read() as connection:
            for found in _due(connection, place, at):
                sensor, tier, start = found
                changes.append(packs.change(connection, sensor, Tier(tier), start))
                if clock.monotonic_ns() - begun > _TOGETHER_NS:
                    break
            else:
                return changes, None
        self._pause(begun)
        return changes, (sensor, tier, start + SPANS[Tier(tier)])

    def _pause(self, begun: int) -> None:
        """Leave some time to others. Raises StoreError when the store is closed."""
        if self._store.closed:
            raise StoreError("The store was closed while it was being packed.", cure="It goes on after the next start.")
        time.sleep(min(clock.monotonic_ns() - begun, _LONGEST_PAUSE_NS) / 1e9)


def _due(connection: apsw.Connection, place: Place, at: Millis) -> Iterator[Place]:
    """Return the spans that have rows and are settled, from a place on. The newest row of each tier stays one."""
    while row := connection.execute(_NEXT, place).fetchone():
        sensor, tier, start = row
        if tier not in SPANS:
            place = sensor + 1, 0, 0
            continue
        tier, newest = Tier(tier), connection.execute(_NEWEST, (sensor, tier)).get
        start -= start % SPANS[tier]
        place = sensor, tier, start + SPANS[tier]
        if start + SPANS[tier] > min(at - SETTLED, newest):
            place = sensor, tier + 1, 0
        elif not (
            connection.execute(_UNMADE, (sensor, WIDTHS[tier], start, start + SPANS[tier])).get
            or (tier is Tier.FIVE_MINUTES and unsent.is_any(connection, sensor, start, start + SPANS[tier]))
        ):
            yield sensor, tier, start


def _swap(connection: apsw.Connection, changes: list[Change]) -> tuple[int, int]:
    """Swap as many as a slice of time allows, at least one; return how many were looked at, and their rows."""
    begun = clock.monotonic_ns()
    rows = 0
    for done, change in enumerate(changes, 1):
        rows += len(change.rows) if packs.swap(connection, change) else 0
        if clock.monotonic_ns() - begun > _SLICE_NS:
            return done, rows
    return len(changes), rows


_NEXT = """
SELECT sensor, tier, start FROM summaries WHERE (sensor, tier, start) >= (?, ?, ?) ORDER BY sensor, tier, start LIMIT 1
"""

_NEWEST = "SELECT start FROM summaries WHERE sensor = ? AND tier = ? ORDER BY start DESC LIMIT 1"

_UNMADE = "SELECT count(*) FROM unmade WHERE sensor = ? AND width = ? AND start >= ? AND start < ?"
