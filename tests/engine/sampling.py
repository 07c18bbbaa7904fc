"""Sensors and an ear for tests of the sampler."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from outstation.core.readings import Failed, Reading, Value
from outstation.engine.sampler import Sampled, Sampler
from outstation.plugins import DriverOptions, Place, Report, SensorDriver, WatchingDriver

HERE = Place(Path(), Path())
EVERY = 50
"""Milliseconds: short, so that the tests are."""

SLACK = 500
"""Milliseconds that a busy machine may take away from us."""


class Scripted(SensorDriver):
    """Says what it is told, the last for ever; raises what is an error."""

    def __init__(self, *script: Any, bus: str = "", takes: float = 0) -> None:
        super().__init__("it", DriverOptions(), HERE)
        self.bus = bus or f"bus {id(self)}"
        self.opened = self.closed = 0
        self._script, self._takes = list(script), takes

    def open(self) -> None:
        self.opened += 1

    def read(self) -> Value:
        time.sleep(self._takes)
        said = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if isinstance(said, BaseException):
            raise said
        return said  # type: ignore[no-any-return] # what a stranger's driver returns may be anything

    def close(self) -> None:
        self.closed += 1


class Hanging(SensorDriver):
    """Hangs until it is let go."""

    def __init__(self) -> None:
        super().__init__("hanging", DriverOptions(), HERE)
        self.let_go = threading.Event()
        self.asked = threading.Event()

    def read(self) -> Value:
        self.asked.set()
        self.let_go.wait(60)
        return 1


class Pressed(WatchingDriver):
    """A button under the test's thumb."""

    def __init__(self) -> None:
        super().__init__("pressed", DriverOptions(), HERE)
        self.level = False
        self.opened = 0
        self.edges: queue.Queue[tuple[Value, int] | Exception | None] = queue.Queue()
        self.before_answer: Callable[[], None] = lambda: None

    def open(self) -> None:
        self.opened += 1

    def read(self) -> Value:
        level = self.level
        self.before_answer()
        return level

    def watch(self, report: Report) -> None:
        while (edge := self.edges.get()) is not None:
            if isinstance(edge, Exception):
                raise edge
            report(*edge)

    def close(self) -> None:
        self.edges.put(None)


class Heard:
    """What the sampler reported."""

    def __init__(self) -> None:
        self.events: list[Reading | Failed] = []
        self._news = threading.Condition()

    def report(self, event: Reading | Failed) -> None:
        with self._news:
            self.events.append(event)
            self._news.notify()

    def wait(self, true: Callable[[], bool]) -> bool:
        with self._news:
            return self._news.wait_for(true, 3)

    def readings(self, sensor: str = "it") -> list[Reading]:
        return [event for event in self.events if isinstance(event, Reading) and event.sensor == sensor]

    def values(self, count: int, sensor: str = "it") -> list[Value | None]:
        assert self.wait(lambda: len(self.readings(sensor)) >= count), self.events
        return [reading.value for reading in self.readings(sensor)[:count]]

    def errors(self, count: int) -> list[str]:
        assert self.wait(lambda: len(self._failed()) >= count), self.events
        return [event.error for event in self._failed()]

    def _failed(self) -> list[Failed]:
        return [event for event in self.events if isinstance(event, Failed)]


@contextmanager
def sampling(*sensors: Sampled | SensorDriver) -> Iterator[Heard]:
    heard = Heard()
    sampled = [one if isinstance(one, Sampled) else Sampled("it", one, EVERY) for one in sensors]
    sampler = Sampler(sampled, heard.report)
    sampler.start()
    try:
        yield heard
    finally:
        sampler.close()
