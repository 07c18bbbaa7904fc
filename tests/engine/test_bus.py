"""A bus: one thread, and a calendar."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import pytest

from outstation.engine.bus import AHEAD, NEXT, Bus, Buses


def test_work_is_done_in_the_order_of_its_time_then_of_asking() -> None:
    bus = Bus("i2c-1")
    done: list[str] = []
    busy, end = threading.Event(), threading.Event()
    bus.at(NEXT, _until(busy))
    now = time.monotonic()
    bus.at(now + 0.02, end.set)
    bus.at(now + 0.01, lambda: done.append("later"))
    bus.at(NEXT, lambda: done.append("first"))
    bus.at(NEXT, lambda: done.append("second"))
    bus.at(AHEAD, lambda: done.append("ahead"))
    busy.set()
    assert end.wait(1)
    assert done == ["ahead", "first", "second", "later"]
    bus.close()


def test_work_is_not_done_before_its_time() -> None:
    bus = Bus("i2c-1")
    done = threading.Event()
    asked = time.monotonic()
    bus.at(asked + 0.05, done.set)
    assert done.wait(1)
    assert time.monotonic() - asked >= 0.05
    bus.close()


@pytest.mark.parametrize("error", [KeyError("voltage"), SystemExit(3), KeyboardInterrupt()])
def test_work_that_fails_is_logged_and_the_rest_is_done(caplog: pytest.LogCaptureFixture, error: BaseException) -> None:
    bus = Bus("i2c-1")
    done = threading.Event()

    def fail() -> None:
        raise error

    bus.at(NEXT, fail)
    bus.at(NEXT, done.set)
    assert done.wait(1)
    bus.close()
    assert [(record.levelno, record.message) for record in caplog.records] == [
        (logging.ERROR, "Bus i2c-1: work failed.")
    ]


def test_a_closed_bus_does_what_is_due_and_ends_its_thread() -> None:
    buses = Buses()
    done: list[str] = []
    busy = threading.Event()
    buses["closing"].at(NEXT, _until(busy))
    buses["closing"].at(NEXT, lambda: done.append("due"))
    buses["closing"].at(time.monotonic() + 60, lambda: done.append("never"))
    buses.close()
    buses.close()
    busy.set()
    until = time.monotonic() + 1
    while _threads("bus closing") and time.monotonic() < until:
        time.sleep(0.002)
    assert _threads("bus closing") == 0
    assert done == ["due"]


def test_the_threads_do_not_keep_the_program_from_ending() -> None:
    bus = Bus("i2c-1")
    found: list[bool] = []
    end = threading.Event()

    def look() -> None:
        found.append(threading.current_thread().daemon)
        end.set()

    bus.at(NEXT, look)
    assert end.wait(1)
    assert found == [True]
    bus.close()


def _until(event: threading.Event) -> Callable[[], None]:
    def wait() -> None:
        event.wait(1)

    return wait


def _threads(name: str) -> int:
    return sum(thread.name == name for thread in threading.enumerate())


def test_a_thread_that_could_not_be_started_is_tried_again_and_nothing_is_lost() -> None:
    bus = Bus("i2c-1")
    done: list[str] = []
    end = threading.Event()
    before = threading.stack_size(1 << 46)  # more than there are addresses: pthread_create(3) fails with EAGAIN
    try:
        bus.at(NEXT, lambda: done.append("first"))
    finally:
        threading.stack_size(before)
    bus.at(NEXT, end.set)
    assert end.wait(1)
    assert done == ["first"]
    bus.close()
