"""Sealed readings: one row a sensor and span, packed and in the order of time.

The law of this file: a block of boot 0 holds what senders stamped, in UTC; of a sensor each `at` is in one of them
once, and no two overlap. Every other block holds what this node stamped in that boot, in its boot time, so that it
moves with all else when the clock is set; of a sensor and boot, what arrived earlier is in the block with the lower id.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import apsw
import msgspec

from outstation.core.readings import Millis
from outstation.store import left_out
from outstation.store.rows import packed
from outstation.store.sealing import packing
from outstation.store.segments import Segment, rank_of_block, split

SENT_BOOT = 0
"""The boot of blocks in UTC."""


class Found(msgspec.Struct, frozen=True, gc=False):
    """A block that may hold what is looked for. low, high: UTC; bound: no older block of its clock is newer."""

    id: int
    sensor: int
    boot: int
    offset: Millis
    low: Millis
    high: Millis
    bound: Millis
    count: int

    def segments(self, connection: apsw.Connection) -> list[Segment]:
        """Return its readings; none if it is not there any more, or damaged: see left_out.py."""
        body = connection.execute(_BODY, (self.id, self.sensor, self.boot, self.count)).get
        if body is None:
            return []
        try:
            block = packing.unpack(body)
        except msgspec.DecodeError as error:
            left_out.note(connection, "blocks", self.id, error)
            return []
        rank = rank_of_block(self.boot, self.id)
        return list(split(rank, block.times, block.values, block.flags, self.offset, self.offset))


class Sealed(msgspec.Struct, frozen=True, gc=False):
    """A block on its way to the disk. start, end: its first and its last time, on the clock of its boot."""

    sensor: int
    boot: int
    start: Millis
    end: Millis
    count: int
    body: bytes


def sealed(sensor: int, boot: int, segment: Segment) -> Sealed:
    """Pack readings in order. Their times are those of the block: UTC for boot 0, else boot time."""
    try:
        body = packing.pack(packing.Block(segment.at, segment.values, segment.flags))
    except ValueError:  # a whole number that takes 64 bits without a sign: as near as a number can be
        values = [float(value) if type(value) is int and value > _MOST else value for value in segment.values]
        body = packing.pack(packing.Block(segment.at, values, segment.flags))
    return Sealed(sensor, boot, segment.at[0], segment.at[-1], len(segment.at), body)


def insert(connection: apsw.Connection, sealed: Iterable[Sealed]) -> None:
    """Write blocks. Inside a transaction, in which `closed` is kept right as well."""
    connection.executemany(
        "INSERT INTO blocks (sensor, boot, start, end, count, body) VALUES (?, ?, ?, ?, ?, ?)",
        ((one.sensor, one.boot, one.start, one.end, one.count, one.body) for one in sealed),
    )


def remove(connection: apsw.Connection, found: Found) -> bool:
    """Delete a block; say whether it was still as it was found. Inside a transaction."""
    connection.execute(
        "DELETE FROM blocks WHERE id = ? AND sensor = ? AND boot = ? AND start = ? AND end = ? AND count = ?",
        (
            found.id,
            found.sensor,
            found.boot,
            found.low - found.offset,
            found.high - found.offset,
            found.count,
        ),
    )
    return bool(connection.changes())


def of_sensor(connection: apsw.Connection, sensor: int, start: Millis, end: Millis) -> Iterator[Iterator[Found]]:
    """Return a sensor's blocks with readings from `start` until before `end`: by clock, the latest end first."""
    yield _found(connection.execute(_OF_SENSOR_SENT, (sensor, start, end)))
    yield _found(connection.execute(_OF_SENSOR_OWN, (sensor, start, end)))


def of_all(connection: apsw.Connection, start: Millis, end: Millis) -> Iterator[Iterator[Found]]:
    """Return the same of all sensors."""
    yield _found(connection.execute(_OF_ALL_SENT, (start, end)))
    yield _found(connection.execute(_OF_ALL_OWN, (start, end)))


def newest_of(connection: apsw.Connection, sensor: int, boot: int) -> Found | None:
    """Return the last block of a sensor and a boot, with its times as they are in it."""
    return next(_found(connection.execute(_NEWEST, (sensor, boot))), None)


def first_of(connection: apsw.Connection, sensor: int, boot: int) -> Millis | None:
    """Return the first time of a sensor's readings of a boot that is sealed, on its clock."""
    first: Millis | None = connection.execute(_FIRST, (sensor, boot)).get
    return first


def known(connection: apsw.Connection, wanted: Collection[tuple[int, Millis]]) -> dict[tuple[int, Millis], bytes]:
    """Return the packed value of each (sensor, at) among these that is sealed, as its sender stamped it."""
    by_sensor: dict[int, list[Millis]] = {}
    for sensor, at in wanted:
        by_sensor.setdefault(sensor, []).append(at)
    values: dict[tuple[int, Millis], bytes] = {}
    for sensor, times in by_sensor.items():
        for found in next(of_sensor(connection, sensor, min(times), max(times) + 1)):
            here = {at for at in times if found.low <= at <= found.high}
            for segment in found.segments(connection) if here else ():
                values |= {
                    (sensor, at): packed(value)
                    for at, value in zip(segment.at, segment.values, strict=True)
                    if at in here and segment.is_sent
                }
    return values


def _found(rows: Iterable[Any]) -> Iterator[Found]:
    for number, sensor, boot, offset, start, end, before, count in rows:
        high = end + offset
        yield Found(
            number, sensor, boot, offset, start + offset, high, high if before is None else max(high, before), count
        )


_BODY = "SELECT body FROM blocks WHERE id = ? AND sensor = ? AND boot = ? AND count = ?"

_OF_SENSOR_SENT = """
SELECT id, sensor, boot, 0, start, end, NULL, count FROM blocks
WHERE sensor = ?1 AND boot = 0 AND end >= ?2 AND start < ?3 ORDER BY end DESC
"""

_OF_SENSOR_OWN = """
SELECT k.id, k.sensor, k.boot, b.offset, k.start, k.end, b.bound, k.count
FROM boots b CROSS JOIN blocks k ON k.sensor = ?1 AND k.boot = b.id
WHERE k.end >= ?2 - b.offset AND k.start < ?3 - b.offset ORDER BY b.id DESC, k.end DESC
"""

_OF_ALL_SENT = """
SELECT id, sensor, boot, 0, start, end, NULL, count FROM blocks
WHERE boot = 0 AND end >= ?1 AND start < ?2 ORDER BY end DESC
"""

_OF_ALL_OWN = """
SELECT k.id, k.sensor, k.boot, b.offset, k.start, k.end, b.bound, k.count
FROM boots b CROSS JOIN blocks k ON k.boot = b.id
WHERE k.end >= ?1 - b.offset AND k.start < ?2 - b.offset ORDER BY b.id DESC, k.end DESC
"""

_FIRST = "SELECT min(start) FROM blocks WHERE sensor = ? AND boot = ?"

_NEWEST = """
SELECT id, sensor, boot, 0, start, end, NULL, count FROM blocks
WHERE id = (SELECT max(id) FROM blocks WHERE sensor = ? AND boot = ?)
"""

_MOST = (1 << 63) - 1
