"""One commit in the making: which readings are new, which were here before, which correct one.

A reading that this node stamped is always new. One with its sender's time is (sensor, at): the
same value again is a duplicate and not stored; another value is a correction and is.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized

import msgspec

from outstation.core.readings import Millis, Reading, Value
from outstation.store import boots
from outstation.store.boots import Known
from outstation.store.columns import Column, is_rising
from outstation.store.ids import Ids
from outstation.store.newest import Newest, Sent, Verdict
from outstation.store.rows import ROW_AT_MOST, SENT, Columns, packed, thin

Identity = tuple[int, Millis]
"""Sensor id and UTC."""


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """What became of the readings of one call. corrected: another value for a reading that was here before."""

    stored: int
    duplicates: int = 0
    corrected: int = 0


class Row(msgspec.Struct, frozen=True, gc=False):
    """A row of the log on its way to the disk. count: its readings without corrections."""

    id: int
    count: int
    columns: Columns


class Draft:
    """The readings of one commit, sorted. What `newest` knows moves on with every reading taken.

    heard: those of calls that are written, in the order of the log, each with the time that it is stored with.
    """

    def __init__(self, sensors: Ids, newest: Newest, boot: Known) -> None:
        self._sensors, self._newest, self._boot, self._offset = sensors, newest, boot.id, boot.offset
        self._ids: list[int] = []
        self._times: list[Millis] = []
        self._values: list[Value | None] = []
        self._flags: list[int] = []
        self._corrections: list[int] = []
        self._changes: dict[int, tuple[int, int]] = {}
        self.doubtful: list[tuple[int, int, Sent, Reading | None]] = []
        self.heard: list[Reading] = []
        self.news: list[str] = []

    def take(self, number: int, reading: Reading) -> None:
        """Take in one reading of call `number`."""
        sensor = self._sensors.get(reading.sensor) or self._name(reading.sensor)
        value = reading.value
        if not reading.sender_stamped:
            time = self._boot_time(reading)
            if reading.at != time + self._offset:
                reading = msgspec.structs.replace(reading, at=time + self._offset)
            self._put(sensor, time, value, reading.quality)
            self.heard.append(reading)
            self._newest.learn_own(sensor, (self._boot, time, value, reading.quality))
            return
        self._take_sent(number, sensor, (reading.at, value, reading.quality | SENT), reading)

    def take_all(self, number: int, column: Column) -> None:
        """Take in a column of call `number`, as one where all of it is new for certain."""
        if not column.times:
            return
        sensor = self._sensors.get(column.sensor) or self._name(column.sensor)
        times, flags = column.times, [quality | SENT for quality in column.each_quality()]
        last = (times[-1], column.values[-1], flags[-1])
        if is_rising(times) and self._newest.judge_all(sensor, times, last):
            offset = self._offset
            self._ids += [sensor] * len(times)
            self._times += [at - offset for at in times]
            self._values += column.values
            self._flags += flags
            return
        for sent in zip(times, column.values, flags, strict=True):
            self._take_sent(number, sensor, sent)

    def _take_sent(self, number: int, sensor: int, sent: Sent, reading: Reading | None = None) -> None:
        verdict = self._newest.judge(sensor, sent)
        if verdict is Verdict.DOUBTFUL:
            self.doubtful.append((number, sensor, sent, reading))
        else:
            self._follow(verdict, number, sensor, sent, reading)

    def settle(self, known: dict[Identity, bytes]) -> None:
        """Sort the doubtful ones. known: the packed value on disk of each that is there."""
        for sensor, time, value, flag in zip(self._ids, self._times, self._values, self._flags, strict=True):
            if flag & SENT:
                known[sensor, time + self._offset] = packed(value)
        for number, sensor, sent, reading in self.doubtful:
            before, after = known.get((sensor, sent[0])), packed(sent[1])
            known[sensor, sent[0]] = after
            verdict = Verdict.NEW if before is None else Verdict.REPEATED if before == after else Verdict.CORRECTED
            self._follow(verdict, number, sensor, sent, reading)

    def rows(self, row: int) -> list[Row]:
        """Return the rows to be written, the first with id `row`."""
        return [
            self._row(row + number, slice(first, first + ROW_AT_MOST))
            for number, first in enumerate(range(0, len(self._ids), ROW_AT_MOST))
        ]

    def told(self, calls: Sequence[Sized]) -> dict[int, Recorded]:
        """Return what became of the calls of which not every reading was new, by their number."""
        return {
            number: Recorded(len(calls[number]) - repeated - corrected, repeated, corrected)
            for number, (repeated, corrected) in self._changes.items()
        }

    def _row(self, row: int, part: slice) -> Row:
        ids = self._ids[part]
        corrected = sum(part.start <= place < part.stop for place in self._corrections)
        columns = Columns(self._offset, ids, self._times[part], self._values[part], thin(self._flags[part]))
        return Row(row, len(ids) - corrected, columns)

    def _follow(self, verdict: Verdict, number: int, sensor: int, sent: Sent, reading: Reading | None) -> None:
        if verdict is not Verdict.NEW:
            repeated, corrected = self._changes.get(number, (0, 0))
            again = verdict is Verdict.REPEATED
            self._changes[number] = (repeated + again, corrected + (not again))
            if again:
                return
            self._corrections.append(len(self._ids))
        self._put(sensor, sent[0] - self._offset, sent[1], sent[2])
        if reading is not None:
            self.heard.append(reading)

    def _put(self, sensor: int, time: Millis, value: Value | None, flag: int) -> None:
        self._ids.append(sensor)
        self._times.append(time)
        self._values.append(value)
        self._flags.append(flag)

    def _name(self, name: str) -> int:
        self.news.append(name)
        return self._sensors.give(name)

    def _boot_time(self, reading: Reading) -> Millis:
        """Return when it was measured, in boot time."""
        return boots.boot_time(reading.at, reading.now, reading.arrived, self._offset)
