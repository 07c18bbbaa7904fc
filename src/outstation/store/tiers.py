"""What sensors said in each window, as rows: read, written with a number, and made anew from what is stored.

The law of this file: what is the same as before is not written again, and each row that is written has a higher
number than all before it. What has lost its readings, or its parts, to retention is not made anew from the rest.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter

import apsw
import msgspec

from outstation import clock
from outstation.core.readings import Millis
from outstation.core.summaries import Summary, encode, summary, total
from outstation.core.summing import LONGEST_REACH, summarised
from outstation.core.windows import FIVE_MINUTES, Offset, Tier, Window, parts
from outstation.store import days, packs, raw


class Views(msgspec.Struct, frozen=True):
    """What summaries need to know beside readings: local time, how long a reading of a sensor speaks, and UTC.

    are_known: False where nobody knows the first two, since the node does not run: it makes what is out of date later.
    """

    offset: Offset
    reach: Callable[[str], Millis]
    at: Callable[[], Millis] = clock.at
    are_known: bool = True


def rows(connection: apsw.Connection, sensor: int, tier: Tier, start: Millis, end: Millis) -> Iterator[Summary]:
    """Return the summaries of a sensor (by its id) whose windows begin from `start` until before `end`, in order."""
    found = packs.stored(connection, sensor, tier, start, end)
    return (summary(Window(start, width), row) for start, width, row in found)


class Tiers:
    """The rows of all sensors, for the one that writes. All inside a transaction."""

    def __init__(self, connection: apsw.Connection, offset: Offset) -> None:
        self._connection, self._offset = connection, offset
        self._number: int = connection.execute("SELECT number FROM sequence").get
        self._saved = self._number

    def put(self, sensor: int, summary: Summary) -> bool:
        """Write a summary where it is another than before; tell whether it is."""
        key, body = (sensor, int(summary.window.tier), summary.start), encode(summary)
        before = self._before(sensor, summary.window)
        if before == (summary.width, body) or (before is None and summary.is_empty):
            return False
        self._number += 1
        self._connection.execute(
            "INSERT OR REPLACE INTO summaries (sensor, tier, start, width, number, body) VALUES (?, ?, ?, ?, ?, ?)",
            (*key, summary.width, self._number, body),
        )
        return True

    def add(self, closed: Iterable[tuple[int, Summary]]) -> None:
        """Write summaries of five minutes that most likely are new: none of them is in a pack, as it is now."""
        rows = []
        for sensor, found in closed:
            if found.is_empty:
                self.put(sensor, found)
                continue
            self._number += 1
            rows.append((sensor, int(Tier.FIVE_MINUTES), found.start, found.width, self._number, encode(found)))
        self._connection.executemany(_ADD, rows)

    def make(self, sensor: int, run: Sequence[Window], reach: Millis) -> list[Summary]:
        """Make windows anew, which follow on one another and are of one tier; return those that are other than before.

        Raises apsw.Error, msgspec.DecodeError, StoreError.
        """
        run = self._remembered(sensor, run)
        if not run:
            return []
        fresh = self._from_readings(sensor, run, reach) if run[0].width == FIVE_MINUTES else self._merged(sensor, run)
        return [summary for summary in fresh if self.put(sensor, summary)]

    def save(self) -> None:
        """Write the last number that was given."""
        if self._number != self._saved:
            self._connection.execute("UPDATE sequence SET number = ?", (self._number,))
            self._saved = self._number

    def _before(self, sensor: int, window: Window) -> tuple[Millis, bytes] | None:
        """Return the width and the body that a window has."""
        found: tuple[Millis, bytes] | None = self._connection.execute(
            "SELECT width, body FROM summaries WHERE sensor = ? AND tier = ? AND start = ?",
            (sensor, int(window.tier), window.start),
        ).fetchone()
        packed = None if found else packs.one(self._connection, sensor, window)
        return (window.width, packed) if packed else found

    def _from_readings(self, sensor: int, run: Sequence[Window], reach: Millis) -> Iterator[Summary]:
        start = run[0].start
        said = raw.said(self._connection, sensor, start - min(reach, LONGEST_REACH), run[-1].end)
        first = bisect_left(said, start, key=itemgetter(0))
        return summarised(run, said[first:], reach, said[first - 1] if first else None)

    def _merged(self, sensor: int, run: Sequence[Window]) -> Iterator[Summary]:
        for window in run:
            if not days.is_right(window, self._offset):
                yield from self._gone(sensor, window)
                continue
            pieces = parts(window, self._offset)
            found = [rows(self._connection, sensor, piece.tier, piece.start, piece.end) for piece in pieces]
            yield total(window, chain.from_iterable(found))

    def _gone(self, sensor: int, window: Window) -> Iterator[Summary]:
        """Return what is left of a day of another zone: nothing, where it is a row."""
        before = self._before(sensor, window)
        if before and before[0] == window.width:
            yield total(window, ())

    def _remembered(self, sensor: int, run: Sequence[Window]) -> Sequence[Window]:
        """Return the windows of which neither the summary nor what it is made from was deleted."""
        tier = run[0].tier
        finest = min(piece.tier for piece in parts(run[0], self._offset))
        forgotten = self._connection.execute(
            "SELECT max(until) FROM forgotten WHERE sensor = ? AND tier BETWEEN ? AND ?", (sensor, finest, int(tier))
        ).get
        return run if forgotten is None else [window for window in run if window.start >= forgotten]


_ADD = """
INSERT INTO summaries (sensor, tier, start, width, number, body) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET width = excluded.width, number = excluded.number, body = excluded.body
WHERE width != excluded.width OR body != excluded.body
"""
