"""When the windows of five minutes are closed, and which windows have to be made anew.

The law of this file: what cannot be had from readings in order is not mended here: its window is named `Stale`, and
made from what is stored. So the summary of a window that readings reached out of order, twice, or before this
program started is right, only later. A window is closed by the first reading of a later one, since what a
sensor measures comes in order and nothing is gained by waiting; or GRACE after its end, since a sensor may
fall silent. Readings that come later revise it. An hour and a day are always made from the
stored summaries of their parts: one way, the first time or the fifth.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

import msgspec

from outstation.core.readings import Millis, Reading
from outstation.core.summaries import Summary
from outstation.core.summing import Running
from outstation.core.windows import FIVE_MINUTES, Offset, Tier, Window, touched, window

GRACE: Millis = 10_000
"""For readings underway: a busy bus, a packet sent again. And so long late ones are gathered before their windows are
made anew: a backlog of twelve hours comes within seconds."""

AT_ONCE = 500
"""Windows handled in one Tick, some milliseconds' worth: on a hub those of 20,000 sensors end together."""

MOST_WAITING = 10_000
"""Windows that wait, a few megabytes: a sender that makes up times must not fill the memory."""


class Closed(msgspec.Struct, frozen=True, gc=False):
    """An effect: keep this summary of five minutes, all of whose readings were heard in order."""

    sensor: str
    summary: Summary


class Stale(msgspec.Struct, frozen=True, gc=False):
    """An effect: make this summary anew: of five minutes from the stored readings, of more from the summaries in it."""

    sensor: str
    window: Window


Made = Closed | Stale


def closed_until(tier: Tier, at: Millis, offset: Offset) -> Millis:
    """Return the end of the last window of a tier, other than RAW, that is closed by now."""
    return window(tier, at - GRACE, offset).start


class Closing:
    """The open windows of all sensors, and those that wait to be made anew.

    offset: of local time. reach: how long a reading of a sensor speaks now; asked once a window.
    All times are UTC; `at` is this node's, which has nothing to do with a sender's.
    """

    def __init__(self, offset: Offset, reach: Callable[[str], Millis]) -> None:
        self._offset, self._reach = offset, reach
        self._running: dict[str, Running] = {}
        # Names in the order they came: a replay makes the same in the same order.
        self._waiting: dict[Window, dict[str, None]] = {}
        self._heap: list[tuple[Millis, Millis, Window]] = []
        self.put_off: set[tuple[str, Window]] = set()  # what was found to be out of date, since this was last emptied

    def reading(self, reading: Reading) -> Sequence[Made]:
        """Take in a reading that is stored; return what is to be done."""
        running = self._running.get(reading.sensor)
        at = reading.at
        if running is None or at >= running.end:
            return self._onward(running, reading)
        if at <= running.since and (at < running.since or (reading.sender_stamped and running.has_readings)):
            return self._late(running, reading)
        running.add(at, reading.value, reading.quality)
        return ()

    def tick(self, at: Millis) -> list[Made]:
        """Close what is due; return what is to be done. If that is much, next_due() is still in the past."""
        made: list[Made] = []
        while (due := self.next_due()) is not None and due <= at and len(made) < AT_ONCE:
            window_ = self._heap[0][2]
            made += self._due(self._waiting[window_].popitem()[0], window_, at)
        return made

    def next_due(self) -> Millis | None:
        """Return the UTC at which a tick is wanted; None: not before a reading comes."""
        heap = self._heap
        while heap and not self._waiting[heap[0][2]]:
            del self._waiting[heapq.heappop(heap)[2]]
        return heap[0][0] if heap else None

    def waits_for(self, sensor: str, window_: Window) -> bool:
        """Tell whether a window is going to be closed or made anew by a tick."""
        return sensor in self._waiting.get(window_, ())

    def learn(self, sensor: str, newest: Millis, at: Millis) -> list[Made]:
        """Begin anew with a sensor whose newest stored reading is that old: after a start, or after a new stamp.

        The windows that it speaks in are made anew. Others that may not have been made are to be named by touch().
        """
        running = self._running.get(sensor)
        if running is not None and running.is_open:
            self.put_off.add((sensor, running.window))
        self._begin(sensor, newest)
        return self.touch(sensor, newest, newest, at)

    def touch(self, sensor: str, start: Millis, end: Millis, at: Millis) -> list[Made]:
        """Have the windows made anew that readings from `start` to `end` (included) change: they came, or went."""
        return self.anew(sensor, touched(start, end, self._reach(sensor)), at)

    def anew(self, sensor: str, windows: list[Window], at: Millis) -> list[Made]:
        """Have windows made anew: the open one when it closes, the others when they are over, after GRACE."""
        running = self._running.get(sensor)
        made: list[Made] = []
        for window_ in windows:
            if running is not None and running.is_open and running.window == window_:
                running.clean = False
            elif len(self._waiting) < MOST_WAITING:
                self._wait(sensor, window_, at)
                self.put_off.add((sensor, window_))
            else:
                made += self._renew(sensor, window_, at)
        return made

    def _due(self, sensor: str, window_: Window, at: Millis) -> list[Made]:
        running = self._running.get(sensor)
        if running is None or window_.width != FIVE_MINUTES:
            return self._renew(sensor, window_, at)
        if running.is_open and running.window == window_:
            return self._close(sensor, running, at)
        made: list[Made] = []
        while running.is_open and running.window.end <= window_.start:
            # Its turn came first because others wait for it.
            self._waiting[running.window].pop(sensor)
            made += self._close(sensor, running, at)
        if not running.is_open:
            running.pass_over(window_.end)
        return [*made, *self._renew(sensor, window_, at)]

    def _onward(self, running: Running | None, reading: Reading) -> list[Made]:
        """Go on to the window of a reading that is later than the open one, if there is one."""
        sensor, at, here = reading.sensor, reading.at, reading.arrived
        if running is not None and at == running.newest and reading.sender_stamped and not running.is_open:
            return self.learn(sensor, at, here)  # the newest once more: see _late
        made: list[Made] = []
        while running is not None and running.is_open and running.window.end <= at:
            self._waiting[running.window].pop(sensor)
            made += self._close(sensor, running, here)
        if running is None:
            running = self._begin(sensor, at)
        if not running.is_open:
            self._open(sensor, running, _five_minutes(at), here)
        running.add(at, reading.value, reading.quality)
        return made

    def _begin(self, sensor: str, newest: Millis) -> Running:
        running = self._running[sensor] = Running(_five_minutes(newest), self._reach(sensor))
        # What came before, into the first window or to speak in it, is in the store alone.
        running.begin_after(newest)
        return running

    def _late(self, running: Running, reading: Reading) -> list[Made]:
        sensor, at, here = reading.sensor, reading.at, reading.arrived
        if at >= running.newest:
            # The newest once more, corrected, or in a window that is closed: what holds from now on, the store knows.
            return self.learn(sensor, at, here)
        # It speaks until the next one at the latest, and that is no later than the newest.
        return self.anew(sensor, touched(at, at, min(running.reach, running.newest - at)), here)

    def _open(self, sensor: str, running: Running, window_: Window, at: Millis) -> None:
        running.open(window_, self._reach(sensor))
        self._wait(sensor, window_, at)

    def _close(self, sensor: str, running: Running, at: Millis) -> list[Made]:
        """Close a window, and open the next if what was said last still holds there."""
        window_, clean, summary = running.window, running.clean, running.close()
        running.clean = True
        if running.goes_on:
            self._open(sensor, running, Window(window_.end, window_.width), at)
        made: Made = Closed(sensor, summary) if clean else Stale(sensor, window_)
        return [made, *self._coarser(sensor, window_, at)]

    def _renew(self, sensor: str, window_: Window, at: Millis) -> list[Made]:
        return [Stale(sensor, window_), *self._coarser(sensor, window_, at)]

    def _coarser(self, sensor: str, window_: Window, at: Millis) -> list[Made]:
        """Have the hour or day made that a window is in: or both days, where these begin at half past the hour."""
        if window_.tier is Tier.DAY:
            return []
        tier = Tier(window_.tier + 1)
        windows = [window(tier, window_.start, self._offset)]
        if windows[0].end < window_.end:
            windows.append(window(tier, window_.end - 1, self._offset))
        return self.anew(sensor, windows, at)

    def _wait(self, sensor: str, window_: Window, at: Millis) -> None:
        names = self._waiting.get(window_)
        if names is None:
            names = self._waiting[window_] = {}
            heapq.heappush(self._heap, (max(window_.end, at) + GRACE, window_.width, window_))
        names[sensor] = None


def _five_minutes(at: Millis) -> Window:
    return Window(at - at % FIVE_MINUTES, FIVE_MINUTES)
