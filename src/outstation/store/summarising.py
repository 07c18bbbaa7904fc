"""Summaries as they happen: what the writer's thread does for them in each commit.

The law of this file: when a commit is on disk, each window is summed up as its readings say, or has a row in `unmade`,
or is open: the newest reading of its sensor is in it, or speaks in it (or it is from before there were summaries: see
backlog.py). So a kill loses none. And nobody waits long for summaries: what there is no time for has its row, and is
made in the commits after.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apsw

from outstation import clock
from outstation.core.closing import AT_ONCE, GRACE, Closed, Closing, Made
from outstation.core.readings import Millis, Reading
from outstation.core.summaries import Summary
from outstation.core.summing import LONGEST_REACH
from outstation.core.windows import FIVE_MINUTES, HOUR, Tier, Window, touched, window
from outstation.store import backlog, blocks, chunks, days
from outstation.store.days import Days
from outstation.store.newest import Newest
from outstation.store.tiers import Tiers, Views

SLICE = 20_000_000
"""Nanoseconds of making anew in one commit, about: whoever waits for the commit waits so much longer."""

PAUSE: Millis = 20
"""Between two such slices, where there is much to do: for the others who want the processor."""

RUN_AT_FIRST, RUN_AT_MOST = 12, 500
"""Windows made anew from one look into the log: an hour of a sensor at one reading a second, days of a slow one."""

Due = tuple[int, Millis, Millis]
"""A window as `unmade` has it: sensor id, width, start. In this order the parts of a window come before it."""

_BEFORE_ALL: Due = (-1, 0, 0)


class Summarising:
    """What is known of windows that are open or out of date; thrown away and made anew with the log.

    doubted_until: windows that begin no later may hold readings of an earlier clock, which was ahead of this one.
    """

    def __init__(self, connection: apsw.Connection, sensors: dict[str, int], newest: Newest, views: Views) -> None:
        self._connection, self._sensors, self._newest, self._views = connection, sensors, newest, views
        self._names: dict[int, str] = {}
        self._tiers = Tiers(connection, views.offset)
        self._days = Days(connection, views.offset) if views.are_known else None
        self.doubted_until: Millis | None = None
        self._learn_at: Millis | None = 0  # not yet
        self._begin()

    def _begin(self) -> None:
        # Whoever knows how long readings speak is there a moment after the start.
        at = self._views.at() + (0 if self._learn_at is None else GRACE)
        self._closing = Closing(self._views.offset, self._views.reach)
        self._closed: list[Closed] = []
        self._stale: set[Due] = set()
        # Each is learnt before anything more of it is stored; those that are silent later.
        self._unlearnt = set(self._sensors)
        self._learn_at = at
        self._read_at: Millis | None = at
        self._read_after, self._read_on = _BEFORE_ALL, False
        self._run = RUN_AT_FIRST
        self._tiers.begin_again()

    def begin(self, names: Iterable[str]) -> None:
        """Find out where these sensors stand, before anything more of them is stored."""
        if self._unlearnt:
            for name in self._unlearnt.intersection(names):
                self._learn(name)

    def hear(self, readings: Sequence[Reading]) -> None:
        """Take in what is going to be stored. Writes nothing."""
        reading_ = self._closing.reading
        for reading in readings:
            if made := reading_(reading):
                self._take(made)

    def is_due(self) -> bool:
        """Tell whether there is something to write."""
        return bool(self._closed or self._stale or self._closing.put_off) or self.due_in() == 0

    def due_in(self) -> Millis | None:
        """Return in how long there is something to do; None: not before a reading comes."""
        closing = self._closing.next_due() if self._views.are_known else None  # else nobody closes what is due
        dues = [due for due in (self._learn_at, self._read_at, closing) if due is not None]
        return max(0, min(dues) - self._views.at()) if dues else None

    def work(self) -> None:
        """Write what is closed; make anew what is due, as far as there is time. Inside a transaction.

        Raises apsw.Error, msgspec.DecodeError, StoreError.
        """
        if not self._views.are_known:
            self._leave()
            return
        at, until = self._views.at(), clock.monotonic_ns() + SLICE
        if self._learn_at is not None and at >= self._learn_at:
            self._learn_some(until)
        if len(self._stale) > AT_ONCE:  # a sender with a backlog: more of it is underway
            self._put_off(at + GRACE)
        self._take(self._closing.tick(at))
        self._keep_closed()
        self._note_put_off()  # after that: it may name what was closed in this commit, and revised by a late reading
        self._stale = set(self._make_all(sorted(self._stale, key=_finest_first), until))
        if self._stale:
            self._put_off(at)
        while self._read_at is not None and self._read_at <= at and clock.monotonic_ns() < until:
            self._read_some(until)
        if self._read_at is not None and self._read_at <= at:
            self._read_at = self._views.at() + PAUSE
        self._tiers.save()

    def _leave(self) -> None:
        """Note what is out of date, and make nothing."""
        self._stale |= {(self._sensors[one.sensor], one.summary.width, one.summary.start) for one in self._closed}
        self._closed.clear()
        self._note(self._stale)
        self._stale.clear()
        self._note_put_off()
        self._learn_at = self._read_at = None

    def heard_elsewhere(self, name: str, times: Sequence[Millis]) -> None:
        """Have the windows made anew, later, of readings that did not come through `hear`. Inside a transaction."""
        if not times:
            return
        at, sensor = self._views.at(), self._sensors[name]
        reach = self._views.reach(name)
        self._note((sensor, FIVE_MINUTES, start) for start in _starts(sorted(times), reach))
        self._read_at = at + GRACE  # whoever brings so much brings more
        # What is open has not heard them: it is made anew with all else.
        self._take(self._closing.learn(name, self._newest_of(sensor) or times[-1], at))
        self._note(self._stale)
        self._note_put_off()

    def reported(self, five: Sequence[tuple[int, Summary]], hours: Sequence[tuple[int, Summary]]) -> None:
        """Write what others have summed up, by sensor id, and have the hours and days made of it. In a transaction."""
        self._tiers.add(five)
        for sensor, each in hours:
            self._tiers.put(sensor, each)
        self._tiers.save()
        coarser = {(sensor, HOUR, each.start - each.start % HOUR) for sensor, each in five}
        # What has come as an hour is not made of its parts: they are gone where it comes from.
        whole = [(sensor, HOUR, each.start) for sensor, each in hours]
        self._tiers.keep_whole((sensor, start) for sensor, _, start in whole)
        coarser |= {due for hour in whole for due in self._coarser(hour)}
        self._note(coarser)
        self._cross_off(whole)
        if coarser:
            self._make_by(min(start + width for _, width, start in coarser))

    def _make_by(self, over: Millis) -> None:
        """Look for what is noted when it is over, or soon, for whoever reports a backlog reports more of it."""
        at = self._views.at()
        due = max(at, over) + GRACE
        self._read_at = due if self._read_at is None else min(self._read_at, due)
        self._read_on |= over <= at

    def lost(self, sensor: int, width: Millis, starts: Iterable[Millis]) -> None:
        """Have windows made anew whose summaries were lost. Inside a transaction."""
        self._note((sensor, width, start) for start in starts)
        self._read_at, self._read_on = self._views.at(), True

    def stamped_anew(self, boot: int, before: Millis, after: Millis) -> None:
        """Have the windows made anew that the readings of a boot leave, and those that they come to.

        before, after: its offset, which is in force. Inside a transaction.
        """
        in_log = chunks.first_own(self._connection, boot)
        for sensor, (its, newest, _, _) in self._newest.own.items():
            if its == boot:
                sealed = blocks.first_of(self._connection, sensor, boot)
                first = min(at for at in (newest, in_log, sealed) if at is not None)
                self._note_touched(sensor, first + before, newest + before)
                self._note_touched(sensor, first + after, newest + after)
        self._begin()

    def clock_stepped(self) -> None:
        """Begin anew: what was measured last may be far from now."""
        self._begin()

    def _note_touched(self, sensor: int, start: Millis, end: Millis) -> None:
        # With what speaks for longer because it is no longer followed, or not yet: as far as a reading reaches.
        reach = min(self._views.reach(self._name(sensor)), LONGEST_REACH)
        self._note((sensor, each.width, each.start) for each in touched(start, end, reach))

    def _learn_some(self, until: int) -> None:
        """Begin with sensors that have been silent since the start, as many as there is time for."""
        while self._unlearnt and clock.monotonic_ns() < until:
            self._learn(next(iter(self._unlearnt)))
        self._learn_at = self._views.at() + PAUSE if self._unlearnt else None

    def _learn(self, name: str) -> None:
        """Begin with a sensor where it stands, and wait for what is not over yet."""
        self._unlearnt.remove(name)
        at, sensor = self._views.at(), self._sensors[name]
        if (newest := self._newest_of(sensor)) is not None:
            self._take(self._closing.learn(name, newest, at))
        windows = [Window(start, width) for width, start in self._connection.execute(_NOT_OVER, (sensor, at))]
        self._take(self._closing.anew(name, windows, at))

    def _newest_of(self, sensor: int) -> Millis | None:
        sent, own = self._newest.sent.get(sensor), self._newest.own.get(sensor)
        times = [sent[0]] if sent else []
        if own and (offset := self._connection.execute(_OFFSET, own[:1]).get) is not None:
            times.append(own[1] + offset)
        return max(times, default=None)

    def _take(self, made: Iterable[Made]) -> None:
        for each in made:
            if isinstance(each, Closed) and not self._is_doubtful(each):
                self._closed.append(each)
                continue
            window_ = each.summary.window if isinstance(each, Closed) else each.window
            self._stale.add(due := (self._sensors[each.sensor], window_.width, window_.start))
            if due == self._tiers.unfinished:
                self._tiers.begin_again()

    def _is_doubtful(self, closed: Closed) -> bool:
        return self.doubted_until is not None and closed.summary.start <= self.doubted_until

    def _make_all(self, todo: list[Due], until: int) -> list[Due]:
        """Make anew, in order, as many as there is time for; return the rest."""
        place, now = 0, clock.monotonic_ns()
        while place < len(todo) and now < until:
            began, run = now, _run(todo, place, self._run)
            done = self._make(todo[place][0], run)
            place, now = place + done, clock.monotonic_ns()
            self._adapt(len(run), now - began)
        return todo[place:]

    def _adapt(self, length: int, took: int) -> None:
        """Look for the longest run that takes a small part of a slice: one look costs as much as many readings."""
        if took > SLICE // 2:
            self._run = max(1, length // 2)
        elif length == self._run and took < SLICE // 4:
            self._run = min(RUN_AT_MOST, 2 * length)

    def _make(self, sensor: int, run: list[Window]) -> int:
        """Make windows anew, as many as one look is enough for; return how many: it may be none."""
        if name := self._name(sensor):
            run = run[: self._tiers.make(sensor, run, self._views.reach(name))]
            self._cut_anew(sensor, run)
        self._cross_off((sensor, each.width, each.start) for each in run)
        return len(run)

    def _cut_anew(self, sensor: int, run: Iterable[Window]) -> None:
        """Note the days that take the place of one of another zone."""
        offset = self._views.offset
        for old in run:
            if not days.is_right(old, offset):
                found = {window(Tier.DAY, at, offset) for at in (old.start, old.end - 1)}
                self._note((sensor, new.width, new.start) for new in found)
                self._read_at, self._read_on = self._views.at(), True

    def _read_some(self, until: int) -> None:
        """Make anew what `unmade` names next. What it is part of comes after it."""
        todo: Any = self._connection.execute(_NEXT, (*self._read_after, self._views.at(), AT_ONCE)).fetchall()
        if not todo:
            # Some may have been noted before the place that was read.
            self._read_at = self._read_at if self._read_on or self._find_more() else self._next_over()
            self._read_after, self._read_on = _BEFORE_ALL, False
            return
        mine = [due for due in todo if not self._closing.waits_for(self._name(due[0]), Window(due[2], due[1]))]
        left = self._make_all(mine, until)
        made = mine[: len(mine) - len(left)]
        self._note({coarser for due in made for coarser in self._coarser(due)})
        self._read_on |= bool(made)
        self._read_after = made[-1] if left and made else self._read_after if left else todo[-1]

    def _next_over(self) -> Millis | None:
        """Return when the next of those that are noted is to be made: a day that something late is in, this evening."""
        over: Millis | None = self._connection.execute(_NEXT_OVER, (self._views.at(),)).get
        return None if over is None else over + GRACE

    def _find_more(self) -> bool:
        """Note what is to be looked at for another reason than what comes in; say whether there was any."""
        if self._days and not self._days.are_right:
            if not self._days.note():
                self._days.settle()
            return True
        return backlog.note(self._connection, self._name, self._views.reach)

    def _coarser(self, due: Due) -> Iterator[Due]:
        sensor, width, start = due
        tier = Window(start, width).tier
        if tier is not Tier.DAY:
            for at in (start, start + width - 1):
                found = window(Tier(tier + 1), at, self._views.offset)
                yield sensor, found.width, found.start

    def _put_off(self, at: Millis) -> None:
        self._note(self._stale)
        self._stale.clear()
        self._read_at = at if self._read_at is None else min(at, self._read_at)

    def _keep_closed(self) -> None:
        self._tiers.add((self._sensors[one.sensor], one.summary) for one in self._closed)
        # One that a reading of before the start speaks in was noted, and is closed as any other.
        self._cross_off((self._sensors[one.sensor], one.summary.width, one.summary.start) for one in self._closed)
        self._closed.clear()

    def _note_put_off(self) -> None:
        self._note((self._sensors[name], each.width, each.start) for name, each in self._closing.put_off)
        self._closing.put_off.clear()

    def _cross_off(self, dues: Iterable[Due]) -> None:
        self._connection.executemany("DELETE FROM unmade WHERE sensor = ? AND width = ? AND start = ?", dues)

    def _note(self, dues: Iterable[Due]) -> None:
        if (unfinished := self._tiers.unfinished) and unfinished in (dues := list(dues)):
            self._tiers.begin_again()
        self._connection.executemany("INSERT OR IGNORE INTO unmade (sensor, width, start) VALUES (?, ?, ?)", dues)

    def _name(self, sensor: int) -> str:
        """Return the name of a sensor; "" when it is gone."""
        if sensor not in self._names and len(self._names) < len(self._sensors):
            self._names = {number: name for name, number in self._sensors.items()}
        return self._names.get(sensor, "")


_NEXT = """
SELECT sensor, width, start FROM unmade WHERE (sensor, width, start) > (?, ?, ?) AND start + width <= ?
ORDER BY sensor, width, start LIMIT ?
"""

_NOT_OVER = "SELECT width, start FROM unmade WHERE sensor = ? AND start + width > ?"

_NEXT_OVER = "SELECT min(start + width) FROM unmade WHERE start + width > ?"

_OFFSET = "SELECT offset FROM boots WHERE id = ?"


def _finest_first(due: Due) -> Due:
    return due[1], due[0], due[2]


def _run(todo: Sequence[Due], place: int, most: int) -> list[Window]:
    """Return the windows from this one on that follow on one another, and are of one sensor and width."""
    sensor, width, start = todo[place]
    run = [Window(start, width)]
    if width == FIVE_MINUTES:
        for due in todo[place + 1 : place + most]:
            start += width
            if due != (sensor, width, start):
                break
            run.append(Window(start, width))
    return run


def _starts(times: Sequence[Millis], reach: Millis) -> Iterator[Millis]:
    """Return where the windows begin that these readings are in, or speak in until the next."""
    place = 0
    while place < len(times):
        start = times[place] - times[place] % FIVE_MINUTES
        place = bisect_left(times, start + FIVE_MINUTES, place)
        end = times[place - 1] + max(reach, 1)
        yield from range(start, min(end, times[place]) if place < len(times) else end, FIVE_MINUTES)
