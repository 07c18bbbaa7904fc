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
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from outstation import clock
from outstation.core.readings import Failed, Millis, Reading, Value
from outstation.engine.bus import NEXT, Bus, Buses
from outstation.errors import DeviceError, MissingDeviceError, OutstationError
from outstation.plugins import SensorDriver, WatchingDriver, checked

log = logging.getLogger(__name__)

Report = Callable[[Reading | Failed], None]
"""Called in the sensors' threads; the one who gives it carries the event into the loop."""

LONGEST_WAIT: Millis = 5_000
"""A step of the wall clock is noticed this soon: nothing wakes a thread when the clock is set."""

FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 60.0
"""Seconds until a second attempt, doubled each time up to the longest; that at once when a person must act first."""

_CLOSE_S = 0.8


class Sampled(msgspec.Struct, frozen=True):
    """A sensor as the sampler sees it: read `every` milliseconds, the number times `scale` plus `offset`."""

    name: str
    driver: SensorDriver
    every: Millis
    scale: float = 1.0
    offset: float = 0.0


class Sampler:
    """Runs the sensors' drivers and reports what they say. `close()` may be called twice."""

    def __init__(self, sensors: Sequence[Sampled], report: Report, buses: Buses | None = None) -> None:
        self._buses = Buses() if buses is None else buses
        self._owned = self._buses if buses is None else None
        self._turns = [_Turns(sensor, self._buses[sensor.driver.bus], report) for sensor in sensors]

    def start(self) -> None:
        """Ask every sensor once, now, and from then on at its grid points."""
        started = clock.at()
        for turns in self._turns:
            turns.start(started)

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

    def after(self, error: Exception) -> float:
        """Return the seconds until the next attempt: 1, 2, 4 ... 60, each within a quarter of it."""
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
    """One sensor's turns. Everything but edges happens in the thread of its bus."""

    def __init__(self, sensor: Sampled, bus: Bus, report: Report) -> None:
        self.ended = threading.Event()
        self._sensor, self._bus, self._report = sensor, bus, report
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

    def start(self, due: Millis) -> None:
        self._due = due
        self._plan(0)

    def stop(self) -> None:
        with self._reporting:
            self._stopping = True
        self._bus.at(NEXT, self._end)

    def _end(self) -> None:
        self._close()
        self.ended.set()

    def _plan(self, wait: float) -> None:
        """Ask the bus for the next turn in `wait` milliseconds, or for a look at the clock before that.

        What was planned before counts no more.
        """
        self._planned += 1
        planned = self._planned
        self._bus.at(time.monotonic() + min(wait, LONGEST_WAIT) / 1000, lambda: self._turn(planned))

    def _turn(self, planned: int) -> None:
        """Sample if it is time to."""
        if self._stopping or planned != self._planned:
            return
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
            self._open()
            asked_ns = clock.monotonic_ns()
            value = self._worth(self._sensor.driver.read())
        except Exception as error:  # noqa: BLE001 - a stranger's driver may raise anything; the others go on
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

    def _open(self) -> None:
        if self._is_open:
            return
        driver = self._sensor.driver
        driver.open()
        self._is_open = True
        self._opened += 1
        if isinstance(driver, WatchingDriver):
            name = f"watch {self._sensor.name}"
            threading.Thread(target=self._watch, args=(driver, self._opened), name=name, daemon=True).start()

    def _worth(self, raw: Any) -> Value:
        value = checked(raw)
        scale, offset = self._sensor.scale, self._sensor.offset
        if isinstance(value, bool | str) or (scale == 1 and offset == 0):
            return value
        scaled = value * scale + offset
        if not math.isfinite(scaled):
            raise DeviceError(f"The value {value} is out of bounds once scaled.", cure="Mend `scale` and `offset`.")
        return scaled

    def _worked(self, value: Value, at: Millis, asked_ns: int) -> None:
        self._backoff.reset()
        self._retry_at = None
        if self._error:
            log.info("%s answers again.", self._sensor.name)
            self._error = ""
        with self._reporting:
            # An edge since the question is newer than the answer, and has been reported.
            if self._edge_ns < asked_ns:
                self._tell(Reading(self._sensor.name, value, at, clock.now(), clock.at()))

    def _failed(self, error: Exception) -> None:
        """Close the driver, and say why if it was not said before."""
        self._close()
        self._retry_at = time.monotonic() + self._backoff.after(error)
        text = str(error) if isinstance(error, OutstationError) else f"{type(error).__name__}: {error}"
        if text == self._error:
            return
        self._error = text
        log.warning("%s failed: %s", self._sensor.name, text)
        with self._reporting:
            self._tell(Failed(self._sensor.name, text, *clock.moment()))

    def _close(self) -> None:
        self._is_open = False
        try:
            self._sensor.driver.close()
        except Exception as error:  # noqa: BLE001 - as above; and what is to be closed may be what is broken
            log.debug("%s could not be closed: %s", self._sensor.name, error)

    def _watch(self, driver: WatchingDriver, opened: int) -> None:
        """Pass edges on, in a thread of their own, until the driver is closed."""
        try:
            driver.watch(self._edge)
            error: Exception = DeviceError("The driver has stopped watching.")
        except Exception as raised:  # noqa: BLE001 - a stranger's driver may raise anything
            error = raised
        self._bus.at(NEXT, lambda: self._watch_ended(error, opened))

    def _watch_ended(self, error: Exception, opened: int) -> None:
        if self._is_open and opened == self._opened and not self._stopping:
            self._failed(error)
            self._plan(self._wait())

    def _edge(self, raw: Value, at_ns: int) -> None:
        value = self._worth(raw)
        with self._reporting:
            self._edge_ns = clock.monotonic_ns()
            moment = clock.moment()
            age = max(0, self._edge_ns - at_ns) // 1_000_000
            self._tell(Reading(self._sensor.name, value, moment.at - age, moment.now, moment.at))

    def _tell(self, event: Reading | Failed) -> None:
        if not self._stopping:
            self._report(event)


def _grid_after(wall: Millis, every: Millis) -> Millis:
    """Return the first grid point after `wall`: multiples of `every` since the epoch, in UTC."""
    return wall - wall % every + every
