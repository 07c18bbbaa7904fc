"""Own readings that are in memory alone, as a part of every answer: they wait for a commit, or are in one.

The law of this file: none is missing and none is there twice, whenever its commit is done. So what is in memory is
looked at before the data file; and what the file has by then in rows that are new since counts as saved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import apsw
import msgspec

from outstation.core.readings import Millis, Reading, Value
from outstation.store import boots, raw
from outstation.store.rows import SENT, packed, unpack
from outstation.store.segments import IN_MEMORY, Segment

Kept = tuple[str, Value | None, Millis, Millis, Millis, int]
"""Sensor, value, at, now, arrived, quality."""

Key = tuple[int, Millis, bytes, int]
"""Sensor, boot time, packed value, flag."""


class Unsaved(msgspec.Struct, frozen=True, array_like=True):
    """The readings in memory, as they came in. after: none of them is in a row of the log up to this one.

    offset: that of the boot which was in force. The clock may have been set since, when they were in the file already.
    """

    after: int = 0
    offset: Millis = 0
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


def unsaved(after: int, offset: Millis, readings: Sequence[Reading]) -> Unsaved:
    """Return readings as they can be sent to other processes."""
    kept = [(one.sensor, one.value, one.at, one.now, one.arrived, int(one.quality)) for one in readings]
    return Unsaved(after, offset, kept)


def waiting(connection: apsw.Connection, memory: Unsaved) -> Waiting | None:
    """Return what of this is not in the file; None: nothing. Raises apsw.Error, msgspec.DecodeError."""
    if not memory.readings:
        return None
    boot = boots.newest(connection)
    assert boot is not None  # it is entered before anything else is written
    numbers = _numbers(connection, {reading[0] for reading in memory.readings})
    offsets = (boot.offset,) if memory.offset == boot.offset else (boot.offset, memory.offset)
    saved = (_sealed if _is_sealed(connection, memory.after) else _saved)(connection, memory, numbers, boot.offset)
    found = []
    for sensor, value, at, now, arrived, quality in memory.readings:
        times = [boots.boot_time(at, now, arrived, offset) for offset in offsets]
        keys = [(numbers[sensor], time, packed(value), quality) for time in times]
        key = next((key for key in keys if saved[key]), None)
        if key:
            saved[key] -= 1
        else:
            found.append((numbers[sensor], times[0], value, quality))
    return Waiting(numbers, boot.id, boot.offset, found) if found else None


def _numbers(connection: apsw.Connection, names: set[str]) -> dict[str, int]:
    wanted = msgspec.json.encode(list(names)).decode()
    found = connection.execute("SELECT name, id FROM sensors WHERE name IN (SELECT value FROM json_each(?))", (wanted,))
    known: dict[str, int] = dict(found)
    return {name: known.get(name, -place) for place, name in enumerate(sorted(names), 1)}


def _is_sealed(connection: apsw.Connection, after: int) -> bool:
    """Tell whether rows of the log after one were sealed and deleted: never the last are."""
    first: int | None = connection.execute("SELECT min(id) FROM log").get
    return first is not None and first > after + 1


def _saved(connection: apsw.Connection, memory: Unsaved, _: Mapping[str, int], __: Millis) -> Counter[Key]:
    """Return the own readings in the rows of the log after those that are known, and how many of each there are."""
    saved: Counter[Key] = Counter()
    rows: Any = connection.execute("SELECT body FROM log WHERE id > ?", (memory.after,))
    for (body,) in rows:
        columns = unpack(body)
        for sensor, time, value, flag in zip(
            columns.sensors, columns.times, columns.values, columns.each_flag(), strict=True
        ):
            if not flag & SENT:
                saved[sensor, time, packed(value), flag] += 1
    return saved


def _sealed(connection: apsw.Connection, memory: Unsaved, numbers: Mapping[str, int], offset: Millis) -> Counter[Key]:
    """Return the same of all that the file has of this time: the question waited until its rows were in blocks."""
    spans: dict[int, list[Millis]] = {}
    for sensor, _, at, now, arrived, _ in memory.readings:
        spans.setdefault(numbers[sensor], []).append(boots.boot_time(at, now, arrived, offset) + offset)
    saved: Counter[Key] = Counter()
    for number, times in spans.items():
        said = raw.said(connection, number, min(times) - boots.STEP, max(times) + boots.STEP + 1)
        saved.update((number, time - offset, packed(said_), flag) for time, said_, flag in said)
    return saved
