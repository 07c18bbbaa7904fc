"""Moves readings from the log into blocks, where they take a fifth of the room.

The law of this file: sealing changes no answer, at no moment. A part of the log, from its beginning, is packed sensor
by sensor; the blocks of some sensors, and the mark that from now on theirs are the ones that count, are one
transaction. When all are in, the part is deleted. What was killed in between goes on where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from itertools import compress
from typing import Any, Protocol, TypeVar

import apsw
import msgspec

from outstation import clock
from outstation.core.readings import Millis, Value
from outstation.errors import StoreError
from outstation.store import blocks, chunks, merging
from outstation.store.blocks import SENT_BOOT
from outstation.store.chunks import HIGHEST, LOWEST
from outstation.store.log import Log
from outstation.store.merging import BLOCK_READINGS, Change
from outstation.store.rows import SENT, Columns, unpack
from outstation.store.segments import Segment

T = TypeVar("T")

OLD: Millis = 86_400_000
"""A part of the log is sealed at this age, however few readings it has: they take a fifth of the room then."""

LOG_READINGS = 1_000_000
"""So many in the log are sealed, however few they are of each sensor: about 15 MB. And more are not sealed at once."""

TOGETHER = 50_000
"""Readings that are gathered together: 2 MB of memory. Of no sensor a part of the log has many more."""

SENSORS_TOGETHER = 50
"""Sensors that are sealed in one transaction: it takes about 10 ms."""

_SLICE_NS = 8_000_000
"""So long may one transaction delete: requests that arrive meanwhile wait for it."""

_WORKED_NS = 5_000_000
"""So long it works, in time of the processor, before it pauses: each time costs a snapshot, and a thread's waking."""

_LONGEST_PAUSE_NS = 20_000_000

ALL_SENSORS = HIGHEST


class Keeper(Protocol):
    """What sealing needs of the store."""

    @property
    def opened(self) -> int:
        """How often the file was opened."""

    @property
    def closed(self) -> bool:
        """Whether nothing can be done any more."""

    @property
    def log(self) -> Log:
        """What the writer knows, for use in its thread."""

    def read(self) -> AbstractContextManager[apsw.Connection]:
        """Lend a connection that reads."""

    def write(self, work: Callable[[apsw.Connection], T]) -> Awaitable[T]:
        """Do something in the writer's thread."""


class _Chunk(msgspec.Struct, frozen=True):
    first: int
    last: int
    boot: int
    count: int
    highest: Millis
    sensors: int


class _Part(msgspec.Struct, frozen=True):
    """What is to be sealed. groups: sensors in the order of their ids, so many as are gathered together."""

    opened: int
    chunks: list[_Chunk]
    last: int
    groups: list[list[int]]


class _Gathered(msgspec.Struct, gc=False):
    """Readings of one sensor on one clock, in the order of their arrival."""

    times: array[Millis]
    values: list[Value | None]
    flags: bytearray


_BySensor = dict[int, dict[int, _Gathered]]
"""By sensor, then by boot: 0 has what senders stamped."""


class _ChangedError(StoreError):
    """Somebody else has changed blocks since they were read."""


class Sealer:
    """Seals for one store, one part of its log after the other."""

    def __init__(self, store: Keeper) -> None:
        self._store = store
        self._busy = asyncio.Lock()
        self._begun = 0

    async def seal(self, at: Millis, *, everything: bool) -> int:
        """Seal what is due; return how many readings that were. everything: whatever is due. Raises StoreError."""
        total = 0
        async with self._busy:
            while (part := await asyncio.to_thread(self._next, at, everything)) is not None:
                for group in part.groups:
                    await self._seal(part, group)
                await self._store.write(partial(self._keep_newest, part))
                while await self._store.write(partial(self._delete, part)):
                    pass
                total += sum(chunk.count for chunk in part.chunks)
        return total

    async def _seal(self, part: _Part, group: list[int]) -> None:
        """Seal what a part has of some sensors, not many in one transaction."""
        gathered = await asyncio.to_thread(self._gathered, part, frozenset(group))
        for first in range(0, len(group), SENSORS_TOGETHER):
            some = group[first : first + SENSORS_TOGETHER]
            upto = ALL_SENSORS if some[-1] == part.groups[-1][-1] else some[-1]
            is_in = False
            while not is_in:
                changes = await asyncio.to_thread(self._packed, gathered, some)
                with contextlib.suppress(_ChangedError):
                    await self._store.write(partial(self._swap, part, changes, upto))
                    is_in = True

    def _next(self, at: Millis, everything: bool) -> _Part | None:
        """Return the part of the log that is to be sealed now, or that was begun."""
        self._begun = time.thread_time_ns()
        opened = self._store.opened
        with self._store.read() as connection:
            after, upto = chunks.sealed_until(connection)
            closed = [
                _Chunk(first, last, boot, count, highest, int.from_bytes(sensors, "little"))
                for first, last, boot, count, highest, sensors in connection.execute(_CLOSED, (LOWEST,))
            ]
        if upto:
            closed = [chunk for chunk in closed if chunk.last <= upto]
        elif not closed or not (everything or _is_due(closed, at)):
            return None
        counts: Counter[int] = Counter()
        part: list[_Chunk] = []
        for chunk in closed if after < ALL_SENSORS else ():
            part.append(chunk)
            for columns in self._rows(chunk):
                counts.update(columns.sensors)
            if not upto and (counts.total() >= LOG_READINGS or max(counts.values()) >= TOGETHER):
                break
        groups = list(_groups(counts, after))
        return _Part(opened, part or closed, upto or part[-1].last, groups)

    def _gathered(self, part: _Part, sensors: frozenset[int]) -> _BySensor:
        """Return what a part of the log has of these sensors."""
        self._begun = time.thread_time_ns()
        found: _BySensor = {sensor: {} for sensor in sensors}
        bits = sum(1 << sensor for sensor in sensors)
        for chunk in part.chunks:
            for row in self._rows(chunk) if chunk.sensors & bits else ():
                _gather(found, row, chunk.boot)
        return found

    def _packed(self, gathered: _BySensor, sensors: list[int]) -> list[Change]:
        """Return what becomes of the blocks of these sensors. A snapshot serves as many as there is time for."""
        self._begun = time.thread_time_ns()
        changes: list[Change] = []
        todo = [(sensor, boot) for sensor in sensors for boot in gathered[sensor]]
        while len(changes) < len(todo):
            with self._store.read() as connection:
                for sensor, boot in todo[len(changes) :]:
                    more = gathered[sensor][boot]
                    segment = Segment(0, boot == SENT_BOOT, more.times.tolist(), more.values, bytes(more.flags))
                    changes.append(merging.change(connection, sensor, boot, segment))
                    if self._is_tired():
                        break
            self._pause()
        return changes

    def _rows(self, chunk: _Chunk) -> Iterator[Columns]:
        """Return the rows of a chunk, with a pause after it."""
        with self._store.read() as connection:
            rows: Any = connection.execute(_ROWS, (chunk.first, chunk.last)).fetchall()
        for (body,) in rows:
            yield unpack(body)
        self._pause()

    def _is_tired(self) -> bool:
        return time.thread_time_ns() - self._begun >= _WORKED_NS

    def _pause(self) -> None:
        """Leave as much time to others as was worked. Raises StoreError when the store is closed."""
        if self._store.closed:
            raise StoreError("The store was closed while it was being sealed.", cure="It goes on after the next start.")
        if self._is_tired():
            time.sleep(min(time.thread_time_ns() - self._begun, _LONGEST_PAUSE_NS) / 1e9)
            self._begun = time.thread_time_ns()

    def _swap(self, part: _Part, changes: list[Change], upto: int, connection: apsw.Connection) -> None:
        """Have the blocks count from now on, and not the log. In the writer's thread, in a transaction."""
        self._check(part)
        for change in changes:
            if not connection.execute("SELECT count(*) FROM sensors WHERE id = ?", (change.sensor,)).get:
                continue  # it was deleted, and is not counted any more
            if not all(blocks.remove(connection, old) for old in change.old):
                raise _ChangedError("Blocks were changed while more was being sealed.")
            blocks.insert(connection, change.new)
        connection.execute("DELETE FROM sealed")
        connection.execute("INSERT INTO sealed (sensor, log_id) VALUES (?, ?)", (upto, part.last))

    def _keep_newest(self, part: _Part, _: apsw.Connection) -> None:
        """See that a start needs none of what is deleted. In the writer's thread, in a transaction."""
        self._check(part)
        self._store.log.keep_newest()

    def _delete(self, part: _Part, connection: apsw.Connection) -> bool:
        """Delete chunks that are sealed, the first written first, for some ms; say whether to go on. The same."""
        self._check(part)
        begun = clock.monotonic_ns()
        for first, last in connection.execute(_SEALED, (part.last,)).fetchall():
            connection.execute("DELETE FROM log_index WHERE last_id = ?", (last,))
            connection.execute("DELETE FROM log WHERE id BETWEEN ? AND ?", (first, last))
            if clock.monotonic_ns() - begun > _SLICE_NS:
                return True
        connection.execute("DELETE FROM sealed")
        return False

    def _check(self, part: _Part) -> None:
        if self._store.opened != part.opened:
            raise StoreError("The data file was opened anew while it was being sealed.", cure="It is tried again.")


def _is_due(closed: list[_Chunk], at: Millis) -> bool:
    readings, sensors = 0, 0
    for chunk in closed:
        readings += chunk.count
        sensors |= chunk.sensors
    return readings >= min(BLOCK_READINGS * sensors.bit_count(), LOG_READINGS) or closed[0].highest < at - OLD


def _groups(counts: Counter[int], after: int) -> Iterator[list[int]]:
    group: list[int] = []
    readings = 0
    for sensor in sorted(sensor for sensor in counts if sensor > after):
        if group and readings + counts[sensor] > TOGETHER:
            yield group
            group, readings = [], 0
        group.append(sensor)
        readings += counts[sensor]
    if group:
        yield group


def _gather(found: _BySensor, row: Columns, boot: int) -> None:
    """Put the readings of a row to those of their sensor and clock."""
    columns = zip(row.sensors, row.times, row.values, row.each_flag(), strict=True)
    for sensor, moment, value, flag in compress(columns, map(found.__contains__, row.sensors)):
        clock_, at = (SENT_BOOT, moment + row.offset) if flag & SENT else (boot, moment)
        gathered = found[sensor].get(clock_)
        if gathered is None:
            gathered = found[sensor][clock_] = _Gathered(array("q"), [], bytearray())
        gathered.times.append(at)
        gathered.values.append(value)
        gathered.flags.append(flag)


_ROWS = "SELECT body FROM log WHERE id BETWEEN ? AND ? ORDER BY id"

_CLOSED = """
SELECT i.first_id, i.last_id, i.boot, i.count,
       max(coalesce(i.own_max + b.offset, ?1), coalesce(i.sent_max, ?1)), i.sensors
FROM log_index i CROSS JOIN boots b ON b.id = i.boot
WHERE i.last_id < (SELECT max(last_id) FROM log_index) ORDER BY i.last_id
"""

_SEALED = "SELECT first_id, last_id FROM log_index WHERE last_id <= ? ORDER BY last_id"
