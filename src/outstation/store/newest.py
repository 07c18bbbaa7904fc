"""The newest of each sensor: what a start needs, and by what a reading is known to be new.

A reading whose time its sender gave is one with (sensor, at). Newer than the newest, or inside a
span that is known to be empty, it is new for certain, without a look at the disk: so a live board
costs nothing, and so does a backlog that fills the hole it left.
Our own are in order of (boot, boot time), which is the true order whatever the clock said.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from heapq import nlargest
from itertools import islice
from operator import sub

import apsw
import msgspec

from outstation.core.readings import Millis, Value
from outstation.store.rows import SENT, Columns, packed, unpack

BEFORE_ALL: Millis = -(1 << 62)
"""Where the empty span before the first reading of a sensor begins."""

_GAPS_KEPT = 4
_GAP_AT_LEAST: Millis = 60_000
"""A pause shorter than a minute holds no backlog worth remembering."""

Own = tuple[int, Millis, Value | None, int]
"""Row of `boots`, boot time, value, flag."""

Sent = tuple[Millis, Value | None, int]
"""UTC, value, flag."""

Gap = tuple[Millis, Millis]
"""A span with no reading strictly inside."""


class Verdict(enum.Enum):
    """What a sender's reading is. DOUBTFUL: only the disk can tell."""

    NEW = 0
    REPEATED = 1
    CORRECTED = 2
    DOUBTFUL = 3


class Newest(msgspec.Struct, array_like=True):
    """By sensor id: the newest of our own, the newest of a sender's, and the empty spans among the latter."""

    own: dict[int, Own] = msgspec.field(default_factory=dict)
    sent: dict[int, Sent] = msgspec.field(default_factory=dict)
    gaps: dict[int, list[Gap]] = msgspec.field(default_factory=dict)

    def learn(self, boot: int, columns: Columns) -> None:
        """Take in the readings of one row that is on disk."""
        offset = columns.offset
        for sensor, time, value, flag in zip(
            columns.sensors, columns.times, columns.values, columns.each_flag(), strict=True
        ):
            if not flag & SENT:
                self.learn_own(sensor, (boot, time, value, flag))
            else:
                self.judge(sensor, (time + offset, value, flag))

    def learn_own(self, sensor: int, own: Own) -> None:
        """Take in a reading of our own."""
        known = self.own.get(sensor)
        if known is None or own[:2] >= known[:2]:
            self.own[sensor] = own

    def judge(self, sensor: int, sent: Sent) -> Verdict:
        """Say what a sender's reading is, and take it in unless that is doubtful."""
        known = self.sent.get(sensor)
        at = sent[0]
        if known is None:
            self.gaps[sensor] = [(BEFORE_ALL, at)]
        elif at < known[0]:
            return Verdict.NEW if self._fill(sensor, at) else Verdict.DOUBTFUL
        elif at == known[0]:
            if packed(known[1]) == packed(sent[1]):
                return Verdict.REPEATED
            self.sent[sensor] = sent
            return Verdict.DOUBTFUL  # what it corrects may have been deleted, and then it is new
        elif at - known[0] > _GAP_AT_LEAST:
            self._remember(sensor, (known[0], at))
        self.sent[sensor] = sent
        return Verdict.NEW

    def judge_all(self, sensor: int, times: Sequence[Millis], last: Sent) -> bool:
        """Tell whether a sender's readings, in order of time, are all new for certain; then take them in.

        last: the last of them.
        """
        known = self.sent.get(sensor)
        if known is None:
            self.gaps[sensor] = [(BEFORE_ALL, times[0])]
        elif times[0] > known[0]:
            self._remember(sensor, (known[0], times[0]))
        elif (gap := self._gap_around(sensor, times)) is not None:
            self.gaps[sensor].remove(gap)
            self._remember(sensor, (gap[0], times[0]))
            self._remember(sensor, (times[-1], gap[1]))
        else:
            return False
        steps = list(map(sub, islice(times, 1, None), times))
        if max(steps, default=0) > _GAP_AT_LEAST:
            for place in nlargest(_GAPS_KEPT, range(len(steps)), steps.__getitem__):
                self._remember(sensor, (times[place], times[place + 1]))
        if known is None or times[0] > known[0]:
            self.sent[sensor] = last
        return True

    def _gap_around(self, sensor: int, times: Sequence[Millis]) -> Gap | None:
        return next((gap for gap in self.gaps.get(sensor, ()) if gap[0] < times[0] and times[-1] < gap[1]), None)

    def _fill(self, sensor: int, at: Millis) -> bool:
        for gap in self.gaps.get(sensor, ()):
            if gap[0] < at < gap[1]:
                self.gaps[sensor].remove(gap)
                self._remember(sensor, (gap[0], at))
                self._remember(sensor, (at, gap[1]))
                return True
        return False

    def _remember(self, sensor: int, gap: Gap) -> None:
        if gap[1] - gap[0] <= _GAP_AT_LEAST:
            return
        gaps = self.gaps.setdefault(sensor, [])
        gaps.append(gap)
        if len(gaps) > _GAPS_KEPT:
            gaps.remove(min(gaps, key=lambda one: one[1] - one[0]))


_decoder = msgspec.msgpack.Decoder(Newest)


def load(connection: apsw.Connection) -> tuple[Newest, int]:
    """Return what was last written of it, and the last row of the log that is in it."""
    row = connection.execute("SELECT log_id, body FROM newest").fetchone()
    return (_decoder.decode(row[1]), row[0]) if row else (Newest(), 0)


def save(connection: apsw.Connection, newest: Newest, log_id: int) -> None:
    """Write it, as of row `log_id` of the log."""
    body = msgspec.msgpack.encode(newest)
    connection.execute("INSERT OR REPLACE INTO newest (id, log_id, body) VALUES (1, ?, ?)", (log_id, body))


def replay(connection: apsw.Connection, newest: Newest, after: int) -> Iterator[tuple[int, int, Columns]]:
    """Take in all rows of the log after row `after`, and return each: id, count, columns."""
    for row, boot, count, body in connection.execute(
        "SELECT id, boot, count, body FROM log WHERE id > ? ORDER BY id", (after,)
    ):
        columns = unpack(body)
        newest.learn(boot, columns)
        yield row, count, columns
