"""Own readings that are in memory alone, as a part of every answer: they wait for a commit, or are in one.

The law of this file: none is missing and none is there twice, whenever its commit is done. So what is in memory is
looked at before the data file; and what the file has by then in rows that are new since counts as saved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import apsw
import msgspec

from outstation.core.readings import Millis, Reading, Value
from outstation.store import boots
from outstation.store.rows import SENT, UNFIT, is_fit, packed, unpack
from outstation.store.segments import IN_MEMORY, Segment

Kept = tuple[str, Value | None, Millis, Millis, Millis, int]
"""Sensor, value, at, now, arrived, quality."""


class Unsaved(msgspec.Struct, frozen=True, array_like=True):
    """The readings in memory, as they came in. after: none of them is in a row of the log up to this one."""

    after: int = 0
    readings: Sequence[Kept] = ()


class Waiting(msgspec.Struct, frozen=True):
    """Those that a snapshot of the file has not. numbers: of their sensors; one that the file knows not is below 0."""

    numbers: dict[str, int]
    boot: int
    offset: Millis
    readings: list[tuple[int, Millis, Value | None, int]]

    def segments(self) -> dict[int, Segment]:
        """Return them by sensor, in order."""
        by_sensor: dict[int, list[tuple[int, Millis, Value | None, int]]] = {}
        for reading in sorted(self.readings, key=itemgetter(1)):
            by_sensor.setdefault(reading[0], []).append(reading)
        return {sensor: self._segment(readings) for sensor, readings in by_sensor.items()}

    def _segment(self, readings: list[tuple[int, Millis, Value | None, int]]) -> Segment:
        at = [time + self.offset for _, time, _, _ in readings]
        _, _, values, flags = zip(*readings, strict=True)
        return Segment(IN_MEMORY, False, at, values, bytes(flags))


def unsaved(after: int, readings: Sequence[Reading]) -> Unsaved:
    """Return readings as they can be sent to other processes; one that cannot be stored is none."""
    kept = [_kept(one) for one in readings]
    try:
        msgspec.msgpack.encode(kept)
    except UNFIT:
        kept = [_kept(one) for one in readings if is_fit([one])]
    return Unsaved(after, kept)


def waiting(connection: apsw.Connection, memory: Unsaved) -> Waiting | None:
    """Return what of this is not in the file; None: nothing. Raises apsw.Error, msgspec.DecodeError."""
    if not memory.readings:
        return None
    boot = boots.newest(connection)
    assert boot is not None  # it is entered before anything else is written
    numbers = _numbers(connection, {reading[0] for reading in memory.readings})
    saved = _saved(connection, memory.after)
    found = []
    for sensor, value, at, now, arrived, quality in memory.readings:
        time = boots.boot_time(at, now, arrived, boot.offset)
        key = numbers[sensor], time, packed(value), quality
        if saved[key]:
            saved[key] -= 1
        else:
            found.append((numbers[sensor], time, value, quality))
    return Waiting(numbers, boot.id, boot.offset, found) if found else None


def _kept(reading: Reading) -> Kept:
    return reading.sensor, reading.value, reading.at, reading.now, reading.arrived, int(reading.quality)


def _numbers(connection: apsw.Connection, names: set[str]) -> dict[str, int]:
    wanted = msgspec.json.encode(list(names)).decode()
    found = connection.execute("SELECT name, id FROM sensors WHERE name IN (SELECT value FROM json_each(?))", (wanted,))
    known: dict[str, int] = dict(found)
    return {name: known.get(name, -place) for place, name in enumerate(sorted(names), 1)}


def _saved(connection: apsw.Connection, after: int) -> Counter[tuple[int, Millis, bytes, int]]:
    """Return the own readings in the rows of the log after one, and how many of each there are."""
    saved: Counter[tuple[int, Millis, bytes, int]] = Counter()
    rows: Any = connection.execute("SELECT body FROM log WHERE id > ?", (after,))
    for (body,) in rows:
        columns = unpack(body)
        for sensor, time, value, flag in zip(
            columns.sensors, columns.times, columns.values, columns.each_flag(), strict=True
        ):
            if not flag & SENT:
                saved[sensor, time, packed(value), flag] += 1
    return saved
