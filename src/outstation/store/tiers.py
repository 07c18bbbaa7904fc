"""What sensors said in each window, as rows: read, written with a number, and made anew from what is stored.

The law of this file: what is the same as before is not written again, and each row that is written has a higher
number than all before it. What has lost its readings, or its parts, to retention is not made anew from the rest; but
what came after that, into windows that say nothing yet, is summed up as anything else.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from operator import gt, itemgetter

import apsw
import msgspec

from outstation import clock
from outstation.core.readings import Millis
from outstation.core.summaries import Numbers, Summary, encode, summary, total
from outstation.core.summing import LONGEST_REACH, Running, summarised
from outstation.core.windows import FIVE_MINUTES, Offset, Tier, Window, parts
from outstation.store import days, packs, raw
from outstation.store.chunks import HIGHEST

MOST = 20_000
"""Readings that are read at once: some megabytes, and some milliseconds. A window of more is made step by step."""

LOOKED_THROUGH = 16_384
"""Readings of the log, of all its sensors, that are looked through at once for those of one: some 10 ms. A minute of
busy sensors has more."""

SHORTEST: Millis = 2_000
"""A step in a window may be so long in any case: where one late reading makes a chunk of the log as long as a day, no
step is short enough."""

FEW = 200
"""A sensor with no more in a window is read in runs of windows again."""


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


class _Dense(msgspec.Struct):
    """A window with so many readings that it is made in some steps.

    running: it has heard all until `upto`. step: how far to read at once.
    """

    sensor: int
    running: Running
    upto: Millis
    step: Millis


class Tiers:
    """The rows of all sensors, for the one that writes. All inside a transaction."""

    def __init__(self, connection: apsw.Connection, offset: Offset) -> None:
        self._connection, self._offset = connection, offset
        self._number: int = connection.execute("SELECT number FROM sequence").get
        self._saved = self._number
        self._dense: _Dense | None = None

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

    def keep_whole(self, hours: Iterable[tuple[int, Millis]]) -> None:
        """Know hours, by sensor id and start, that say more than their parts: some of these never came."""
        self._connection.executemany("INSERT OR IGNORE INTO whole_hours (sensor, start) VALUES (?, ?)", hours)

    def make(self, sensor: int, run: Sequence[Window], reach: Millis) -> int:
        """Make windows anew, which follow on one another and are of one tier; return how many of them are done.

        Where readings are dense that is one, or none: it takes some calls. Raises apsw.Error, msgspec.DecodeError,
        StoreError.
        """
        is_finest = run[0].width == FIVE_MINUTES
        fresh = self._from_readings(sensor, run, reach) if is_finest else list(self._merged(sensor, run))
        for each in self._remembered(sensor, run, fresh):
            self.put(sensor, each)
        return len(fresh) if is_finest else len(run)

    @property
    def unfinished(self) -> tuple[int, Millis, Millis] | None:
        """The sensor, the width and the start of a window of which some readings are summed up, and not yet all."""
        dense = self._dense
        return (dense.sensor, FIVE_MINUTES, dense.running.window.start) if dense and dense.running.is_open else None

    def begin_again(self) -> None:
        """Forget what was heard of a window that is not finished: its readings have changed."""
        self._dense = None

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

    def _from_readings(self, sensor: int, run: Sequence[Window], reach: Millis) -> list[Summary]:
        """Return the summaries of these windows; of the first, or of none, where there is too much to read."""
        if self._dense and self._dense.sensor == sensor:
            return self._stepped(self._dense, run[0], reach)
        start, reach = run[0].start, min(reach, LONGEST_REACH)
        while (is_much := self._is_much(sensor, start - reach, run[-1].end)) and len(run) > 1:
            run = run[: len(run) // 2]
        said = [] if is_much else raw.said(self._connection, sensor, start - reach, run[-1].end, most=MOST)
        if is_much or len(said) > MOST:
            step = FIVE_MINUTES if is_much else 1 + (said[-1][0] - said[0][0]) * 4 // 5
            self._dense = _Dense(sensor, self._running(sensor, run[0], reach), start, step)
            return []
        first = bisect_left(said, start, key=itemgetter(0))
        return list(summarised(run, said[first:], reach, said[first - 1] if first else None))

    def _is_much(self, sensor: int, start: Millis, end: Millis) -> bool:
        return raw.looked_through(self._connection, sensor, start, end) > LOOKED_THROUGH

    def _running(self, sensor: int, window: Window, reach: Millis) -> Running:
        running = Running(window, reach)
        for before in raw.said(self._connection, sensor, window.start - running.reach, window.start, most=1)[-1:]:
            running.hear_before(*before)
        return running

    def _stepped(self, dense: _Dense, window: Window, reach: Millis) -> list[Summary]:
        """Take one step more; return the summary when it was the last one."""
        if dense.running.window != window or not dense.running.is_open:
            dense.running, dense.upto = self._running(dense.sensor, window, reach), window.start
        end = min(dense.upto + dense.step, window.end)
        if end - dense.upto > SHORTEST and self._is_much(dense.sensor, dense.upto, end):
            dense.step = (end - dense.upto) // 2
            return []
        most = MOST if end - dense.upto > 1 else HIGHEST
        said = raw.said(self._connection, dense.sensor, dense.upto, end, most=most)
        if len(said) > most:
            dense.step = (end - dense.upto) // 2
            return []
        for each in said:
            dense.running.add(*each)
        is_sparse = dense.upto == window.start and len(said) < FEW
        dense.upto = end
        if len(said) <= MOST // 4:
            dense.step = min(2 * dense.step, LONGEST_REACH)
        if end < window.end:
            return []
        if is_sparse:
            self._dense = None
        return [dense.running.close()]

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

    def _remembered(self, sensor: int, run: Sequence[Window], fresh: Iterable[Summary]) -> Iterable[Summary]:
        """Leave out what would say less than what is stored, which was made from more than is left."""
        tier, first = run[0].tier, run[0].start
        finest = min(piece.tier for piece in parts(run[0], self._offset))
        asked = {"sensor": sensor, "finest": int(finest), "tier": int(tier), "first": first}
        forgotten: Millis | None = self._connection.execute(_FORGOTTEN, asked).get
        if forgotten is None or first >= forgotten:
            return fresh
        # From two widths before: a day of another zone may reach into the first.
        before = 2 * run[0].width
        stored = [row for row in rows(self._connection, sensor, tier, first - before, run[-1].end) if not row.is_empty]
        starts = [row.start for row in stored]

        def is_lost(each: Summary) -> bool:
            near = slice(bisect_left(starts, each.start - before), bisect_left(starts, each.start + each.width))
            return each.start < forgotten and any(_is_less(each, old) for old in stored[near])

        return [each for each in fresh if not is_lost(each)]


def _is_less(new: Summary, old: Summary) -> bool:
    """Say whether a summary, in the place of what is stored, would lose some of that."""
    if old.window.end <= new.start or new.window.end <= old.start:
        return False
    if old.window != new.window or old.texts > new.texts or any(map(gt, old.bad, new.bad)):
        return True
    if old.numbers is None:
        return not new.has_readings and new.heard < old.heard
    return new.numbers is None or not _contains(new.numbers, old.numbers)


def _contains(whole: Numbers, part: Numbers) -> bool:
    """Say whether these may be the same readings and more; what came late is alone, or lies on one side of them."""
    return whole.count >= part.count and whole.first_at <= part.first_at and part.last_at <= whole.last_at


_FORGOTTEN = """
SELECT max(until) FROM (
    SELECT until FROM forgotten WHERE sensor = :sensor AND tier BETWEEN :finest AND :tier
    UNION ALL SELECT start + 1 FROM whole_hours WHERE sensor = :sensor AND start = :first AND :tier = 2)
"""

_ADD = """
INSERT INTO summaries (sensor, tier, start, width, number, body) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET width = excluded.width, number = excluded.number, body = excluded.body
WHERE width != excluded.width OR body != excluded.body
"""
