"""Asks the node's own sensors: on the grid of the wall clock, each bus in a thread of its own.

The law of this file: a sensor's turn is the first grid point that is still to come, so a late
one is skipped, never made up for; between two turns only the monotonic clock counts; and a
driver that fails or hangs costs nobody else a turn.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from outstation import clock
from outstation.core.calibration import Calibration
from outstation.core.readings import Failed, Millis, Reading, Value
from outstation.engine.absent import Absent
from outstation.engine.bus import NEXT, Buses
from outstation.errors import DeviceError, MissingDeviceError, OutstationError, UnpluggedError
from outstation.plugins import SensorDriver, WatchingDriver, checked

log = logging.getLogger(__name__)

Report = Callable[[Reading | Failed], None]
"""Called in the sensors' threads; the one who gives it carries the event into the loop."""

LONGEST_WAIT: Millis = 5_000
"""A step of the wall clock is noticed this soon: nothing wakes a thread when the clock is set."""

FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 60.0
"""Seconds until a second attempt, doubled each time up to the longest; that at once when a person must act first."""

PLUGGED_IN_SEEN_S = 4.0
"""Seconds between two looks for what is not plugged in: who plugs it in waits no longer before the page."""

HANGS_FIRST, HANGS, HANGS_LONG = 8.0, 30.0, 300.0
"""Seconds without an answer until a driver is said to hang: before its first value; then for as long as that is not
stale, three times `every` and at least so many; and so many at most."""

_CLOSE_S = 0.8
_AND_SOME = 1.25
"""A driver that ends by itself may be late."""


class Sampled(msgspec.Struct, frozen=True):
    """A sensor as the sampler sees it: read `every` milliseconds, and what it says calibrated."""

    name: str
    driver: SensorDriver
    every: Millis
    calibration: Calibration = Calibration()


def worth(sensor: Sampled, raw: Any) -> Value:
    """Return what a driver read as it is stored. Raises DeviceError."""
    value = checked(raw)
    if isinstance(value, bool | str):
        return value
    true = sensor.calibration.true(value)
    if not math.isfinite(true):
        raise DeviceError(
            f"The value {value} is out of bounds once calibrated.", cure="Mend `scale`, `offset` or `points`."
        )
    return true


def said(error: BaseException) -> str:
    """Return what people are told of a driver's error: one line that can be printed, whatever the error says itself."""
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - how a stranger's error shows itself is a stranger's code as well
        text = ""
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: 2 * _SAID_MOST]).split())
    line = line if len(line) <= _SAID_MOST else f"{line[:_SAID_MOST]} ..."
    if isinstance(error, OutstationError):
        return line
    name = type(error).__name__
    return f"{name}: {line}{_where(error)}" if line else f"{name}{_where(error)}"


_SAID_MOST = 500
"""Characters of an error: somebody reads them on a page."""


def _where(error: BaseException) -> str:
    """Return where a driver raised what no driver should, and what to do."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{where}. Its driver does not say what to do: look at the wiring, and tell its author."


class Sampler:
    """Runs the sensors' drivers and reports what they say. `close()` may be called twice."""

    def __init__(self, sensors: Sequence[Sampled], report: Report, buses: Buses | None = None) -> None:
        self._buses = Buses() if buses is None else buses
        self._owned = self._buses if buses is None else None
        self._turns = [_Turns(sensor, self._buses, report) for sensor in sensors]

    def start(self) -> None:
        """Ask every sensor once, now, and from then on at its grid points."""
        started = clock.at()
        for turns in self._turns:
            turns.start(started)

    def look(self) -> None:
        """Say which drivers hang, and who on their buses waits for them. Now and then; in any thread."""
        hanging = {turns.bus.name: turns.name for turns in self._turns if turns.hangs()}
        for turns in self._turns:
            if turns.bus.name in hanging:
                turns.waits_for(hanging[turns.bus.name])

    def close(self) -> None:
        """Report nothing more and close the drivers; one that hangs is left to its fate after a moment."""
        for turns in self._turns:
            turns.stop()
        until = time.monotonic() + _CLOSE_S
        for turns in self._turns:
            turns.ended.wait(max(0, until - time.monotonic()))
        if self._owned is not None:
            self._owned.close()


class Backoff:
    """How long to leave a failing sensor alone."""

    def __init__(self) -> None:
        self._failures = 0

    def after(self, error: BaseException) -> float:
        """Return the seconds until the next attempt: 1, 2, 4 ... 60, each within a quarter of it."""
        if isinstance(error, UnpluggedError):
            return PLUGGED_IN_SEEN_S
        if isinstance(error, MissingDeviceError):
            return LONGEST_BACKOFF
        seconds = min(FIRST_BACKOFF * 2.0 ** min(self._failures, 10), LONGEST_BACKOFF)
        self._failures += 1
        # Sensors that failed together must not come back together.
        return seconds * random.uniform(0.75, 1.0)  # noqa: S311

    def reset(self) -> None:
        """It works again."""
        self._failures = 0


class _Turns:
    """One sensor's turns. All but edges happens in the thread of its bus; what is loaded first, in one of its own.

    asked: what its driver was asked for, and when; None: nothing. planned_for: when its next turn is.
    """

    def __init__(self, sensor: Sampled, buses: Buses, report: Report) -> None:
        self.ended = threading.Event()
        self._sensor, self._buses, self._report = sensor, buses, report
        self._driver = sensor.driver
        self._loaded = type(self._driver).load is SensorDriver.load
        self.bus = buses[self._driver.bus if self._loaded else f"load {sensor.name}"]
        self._asked: tuple[float, str] | None = None
        self._planned_for = math.inf
        self._answered = False
        self._backoff = Backoff()
        self._due: Millis = 0
        self._retry_at: float | None = None
        self._planned = 0
        self._opened = 0
        self._is_open = False
        self._error = ""
        self._stopping = False
        self._reporting = threading.Lock()
        self._edge_ns = 0

    @property
    def name(self) -> str:
        return self._sensor.name

    def start(self, due: Millis) -> None:
        self._due = due
        self._plan(0)

    def stop(self) -> None:
        with self._reporting:
            self._stopping = True
        self.bus.at(NEXT, self._end)

    def hangs(self) -> bool:
        """Tell whether its driver was asked too long ago, and say so."""
        asked, patience = self._asked, self._patience()
        if asked is None or time.monotonic() - asked[0] < patience:
            return False
        words, cure = _HANGING[asked[1]]
        self._say(f"Its driver {words} in {patience:g} s. {cure}", lambda: self._asked is asked)
        return True

    def waits_for(self, other: str) -> None:
        """Say so, if its turn is long past."""
        planned_for = self._planned_for
        if time.monotonic() - planned_for >= self._patience():
            words = f'It waits for "{other}", whose driver holds up {self.bus.name}. Mend or unplug that one.'
            self._say(words, lambda: self._planned_for == planned_for)

    def _patience(self) -> float:
        usual = min(max(HANGS, 3 * self._sensor.every / 1000), HANGS_LONG) if self._answered else HANGS_FIRST
        return max(usual, _AND_SOME * self._driver.answers_within)

    def _end(self) -> None:
        self._close()
        self.ended.set()

    def _plan(self, wait: float) -> None:
        """Ask the bus for the next turn in `wait` milliseconds, or for a look at the clock before that.

        What was planned before counts no more.
        """
        self._planned += 1
        planned = self._planned
        self._planned_for = time.monotonic() + min(wait, LONGEST_WAIT) / 1000
        self.bus.at(self._planned_for, lambda: self._turn(planned))

    def _turn(self, planned: int) -> None:
        """Sample if it is time to."""
        if self._stopping or planned != self._planned:
            return
        self._planned_for = math.inf
        try:
            if self._wait() <= 0:
                self._sample()
        finally:
            # Whatever went wrong in reporting: there is a next turn.
            self._plan(self._wait())

    def _wait(self) -> float:
        """Return the milliseconds until the next turn, and see to it that there is one within `every`."""
        if self._retry_at is not None:
            return (self._retry_at - time.monotonic()) * 1000
        wall = clock.at()
        if self._due - wall > self._sensor.every:
            self._due = _grid_after(wall, self._sensor.every)  # The clock was set back.
        return self._due - wall

    def _sample(self) -> None:
        at = self._stamp()
        try:
            if not self._loaded:
                self._load()
                return  # The turn goes on in the thread of its bus.
            self._open()
            asked_ns = clock.monotonic_ns()
            self._asked = time.monotonic(), "read"
            value = worth(self._sensor, self._driver.read())
        except BaseException as error:  # noqa: BLE001 - a stranger's driver may raise anything; the others go on
            self._failed(error)
        else:
            self._worked(value, at, asked_ns)
        self._due = _grid_after(clock.at(), self._sensor.every)

    def _stamp(self) -> Millis:
        """Return the grid point whose turn it is; an attempt after a failure bears its own time."""
        wall = clock.at()
        if self._retry_at is not None:
            return wall
        late = wall - self._due
        return self._due if late < self._sensor.every else wall - wall % self._sensor.every

    def _load(self) -> None:
        """Have the driver import what it needs, then go on where its bus is."""
        self._asked = time.monotonic(), "load"
        self._driver.load()
        self._asked = None
        if isinstance(self._driver, Absent) and self._driver.there is not None:
            self._driver = self._driver.there
        self._loaded = True
        alone, self.bus = self.bus, self._buses[self._driver.bus]
        alone.close()

    def _open(self) -> None:
        if self._is_open:
            return
        driver = self._driver
        self._asked = time.monotonic(), "open"
        driver.open()
        self._is_open = True
        self._opened += 1
        if isinstance(driver, WatchingDriver):
            name = f"watch {self._sensor.name}"
            threading.Thread(target=self._watch, args=(driver, self._opened), name=name, daemon=True).start()

    def _worked(self, value: Value, at: Millis, asked_ns: int) -> None:
        self._backoff.reset()
        self._retry_at = None
        with self._reporting:
            self._asked, self._answered = None, True
            if self._error:
                log.info("%s answers again.", self._sensor.name)
                self._error = ""
            # An edge since the question is newer than the answer, and has been reported.
            if self._edge_ns < asked_ns:
                self._tell(Reading(self._sensor.name, value, at, clock.now(), clock.at()))

    def _failed(self, error: BaseException) -> None:
        """Close the driver, and say why."""
        self._say(said(error))
        self._close()
        self._retry_at = time.monotonic() + self._backoff.after(error)

    def _say(self, text: str, still: Callable[[], bool] = lambda: True) -> None:
        """Say what is wrong, if it is still so, and was not said before."""
        with self._reporting:
            if text == self._error or self._stopping or not still():
                return
            self._error = text
            log.warning("%s failed: %s", self._sensor.name, text)
            self._tell(Failed(self._sensor.name, text, *clock.moment()))

    def _close(self) -> None:
        self._is_open = False
        self._asked = time.monotonic(), "close"
        try:
            self._driver.close()
        except BaseException as error:  # noqa: BLE001 - as above; and what is to be closed may be what is broken
            log.debug("%s could not be closed: %s", self._sensor.name, said(error))
        self._asked = None

    def _watch(self, driver: WatchingDriver, opened: int) -> None:
        """Pass edges on, in a thread of their own, until the driver is closed."""
        try:
            driver.watch(self._edge)
            error: BaseException = DeviceError("The driver has stopped watching.")
        except BaseException as raised:  # noqa: BLE001 - a stranger's driver may raise anything
            error = raised
        self.bus.at(NEXT, lambda: self._watch_ended(error, opened))

    def _watch_ended(self, error: BaseException, opened: int) -> None:
        if self._is_open and opened == self._opened and not self._stopping:
            self._failed(error)
            self._plan(self._wait())

    def _edge(self, raw: Value, at_ns: int) -> None:
        value = worth(self._sensor, raw)
        with self._reporting:
            self._edge_ns = clock.monotonic_ns()
            moment = clock.moment()
            age = max(0, self._edge_ns - at_ns) // 1_000_000
            self._tell(Reading(self._sensor.name, value, moment.at - age, moment.now, moment.at))

    def _tell(self, event: Reading | Failed) -> None:
        if not self._stopping:
            self._report(event)


_ALONE = "Look at its wiring and its power; only what is on its bus waits for it."
_OPENING = "It may import something large; else look at its wiring and its power. Only what is on its bus waits for it."

_HANGING = {
    "load": ("could not be imported", "A large module takes long after a start; it alone waits for it."),
    "open": ("has not come back from open()", _OPENING),
    "read": ("has not come back from read()", _ALONE),
    "close": ("has not come back from close()", _ALONE),
}


def _grid_after(wall: Millis, every: Millis) -> Millis:
    """Return the first grid point after `wall`: multiples of `every` since the epoch, in UTC."""
    return wall - wall % every + every
