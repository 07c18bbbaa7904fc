"""The sampler: on the grid, each bus by itself, and failures are said once."""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from outstation import clock
from outstation.core.calibration import Calibration
from outstation.core.readings import Failed, Reading, Value
from outstation.engine import sampler as engine
from outstation.engine.sampler import Backoff, Sampled, Sampler
from outstation.errors import DeviceError, MissingDeviceError, UnpluggedError
from tests.engine.sampling import EVERY, SLACK, Hanging, Heard, Scripted, sampling


def test_readings_come_on_the_grid_of_the_wall_clock() -> None:
    with sampling(Scripted(20.5)) as heard:
        heard.values(6)
        assert heard.wait(lambda: _soonest(heard.readings()[1:]) < 10), "in time, not just counted right"
    _, *others = heard.readings()[:6]
    assert [reading.at % EVERY for reading in others] == [0] * 5
    assert min(_steps(others)) == EVERY
    assert others[-1].at - others[0].at < 4 * EVERY + SLACK


def test_the_first_question_is_asked_at_once_with_one_time_for_all() -> None:
    sensors = [Sampled(name, Scripted(1, bus=name[0]), 3_600_000) for name in ("a1", "a2", "b1")]
    before = clock.at()
    with sampling(*sensors) as heard:
        assert heard.wait(lambda: len(heard.events) == 3)
    assert len({event.at for event in heard.events}) == 1
    assert before <= heard.events[0].at <= clock.at()


def test_a_driver_that_is_slower_than_its_grid_skips_points_and_repeats_none() -> None:
    with sampling(Scripted(1, takes=1.5 * EVERY / 1000)) as heard:
        heard.values(5)
    assert min(_steps(heard.readings()[1:5])) == 2 * EVERY


def test_a_clock_that_is_set_back_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with sampling(Scripted(1)) as heard, _stepped(monkeypatch, -7_200_000) as step:
        heard.values(2)
        step()
        later = len(heard.events) + 3
        started = time.monotonic()
        assert heard.wait(lambda: len(heard.events) >= later)
        assert time.monotonic() - started < 1
    assert heard.events[-1].at % EVERY == 0
    assert heard.events[-1].at < heard.events[0].at


def test_a_clock_that_is_set_forward_or_a_machine_that_slept_makes_up_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with sampling(Scripted(1)) as heard, _stepped(monkeypatch, 7_200_000) as step:
        heard.values(2)
        step()
        before, started = len(heard.events), time.monotonic()
        heard.values(before + 4)
        took = time.monotonic() - started
    # 144,000 grid points were slept through; four readings take the time of three points still.
    assert took > 2 * EVERY / 1000
    assert {reading.at % EVERY for reading in heard.readings()[1:]} == {0}
    assert all(0 <= reading.arrived - reading.at < SLACK for reading in heard.readings()[before:])


def test_one_that_hangs_for_a_minute_delays_no_other_bus_and_not_the_end() -> None:
    hanging = Hanging()
    heard = Heard()
    sampler = Sampler([Sampled("hanging", hanging, EVERY), Sampled("it", Scripted(1), EVERY)], heard.report)
    sampler.start()
    assert hanging.asked.wait(1)
    heard.values(5)
    times = [reading.at for reading in heard.readings()[1:5]]
    assert times[-1] - times[0] < 3 * EVERY + SLACK
    started = time.monotonic()
    sampler.close()
    assert time.monotonic() - started < 1
    said = len(heard.events)
    hanging.let_go.set()
    time.sleep(0.02)
    assert len(heard.events) == said, "what comes after the end is not reported"


def test_two_on_one_bus_never_run_at_once() -> None:
    running: list[int] = [0, 0]

    class Exclusive(Scripted):
        def read(self) -> Value:
            running[0] += 1
            running[1] = max(running)
            time.sleep(0.005)
            running[0] -= 1
            return 1

    sensors = [Sampled(str(number), Exclusive(1, bus="i2c-1"), EVERY) for number in range(3)]
    with sampling(*sensors) as heard:
        assert heard.wait(lambda: len(heard.events) >= 9)
    assert running == [0, 1]


def test_a_failure_is_said_once_and_so_is_its_end(impatient: None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    loose = DeviceError("The wire is loose.", cure="Push it in.")
    driver = Scripted(loose, loose, loose, 20.5)
    with sampling(driver) as heard:
        assert heard.errors(1) == ["The wire is loose. Push it in."]
        assert heard.values(2) == [20.5, 20.5]
    assert [record.message for record in caplog.records] == [
        "it failed: The wire is loose. Push it in.",
        "it answers again.",
    ]
    assert driver.opened == 4


def test_a_sensor_that_keeps_failing_is_left_alone_longer_each_time() -> None:
    assert (engine.FIRST_BACKOFF, engine.LONGEST_BACKOFF) == (1, 60)
    backoff, error = Backoff(), DeviceError("The wire is loose.")
    waits = [backoff.after(error) for _ in range(9)]
    for wait, expected in zip(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60], strict=True):
        assert 0.75 * expected <= wait <= expected
    assert len(set(waits[-3:])) == 3, "sensors that failed together do not come back together"
    backoff.reset()
    assert backoff.after(error) <= 1


def test_what_a_person_must_mend_is_tried_once_a_minute() -> None:
    assert Backoff().after(MissingDeviceError("There is no such pin.")) == 60


def test_what_may_be_plugged_in_at_any_moment_is_looked_for_every_few_seconds() -> None:
    backoff = Backoff()
    assert [backoff.after(UnpluggedError("There is no such port.")) for _ in range(3)] == [4, 4, 4]


def test_one_that_works_in_between_is_tried_again_soon(impatient: None) -> None:
    loose = DeviceError("The wire is loose.")
    driver = Scripted(*[loose] * 5, 20.5, loose, 20.5)
    with sampling(driver) as heard:
        assert heard.errors(2) == ["The wire is loose."] * 2
        failed_again = time.monotonic()
        heard.values(2)
    assert time.monotonic() - failed_again < 0.3, "not the 0.5 s of a sixth failure in a row"


def test_another_reason_is_said_too(impatient: None) -> None:
    with sampling(Scripted(DeviceError("one"), DeviceError("two"))) as heard:
        assert heard.errors(2) == ["one", "two"]


@pytest.mark.parametrize("value", [None, math.nan, -math.inf, 2**63, "x" * 256, b"20", [20]])
def test_what_is_no_value_is_a_failure(value: object) -> None:
    with sampling(Scripted(value)) as heard:
        [error] = heard.errors(1)
    assert error.startswith("The driver returned ")
    assert heard.readings() == []


@pytest.mark.parametrize("broken", ["open", "read", "close"])
def test_a_strangers_mistake_is_a_failure_and_the_others_go_on(broken: str) -> None:
    class Broken(Scripted):
        def open(self) -> None:
            if broken == "open":
                raise KeyError("voltage")

        def read(self) -> Value:
            raise KeyError("voltage")

        def close(self) -> None:
            if broken == "close":
                raise KeyError("current")

    with sampling(
        Sampled("broken", Broken(1, bus="i2c-1"), EVERY), Sampled("it", Scripted(1, bus="i2c-1"), EVERY)
    ) as heard:
        assert heard.errors(1)[0].startswith("KeyError: 'voltage' (test_sampler.py, line ")
        assert heard.values(3) == [1, 1, 1]


@pytest.mark.parametrize(("raw", "expected"), [(512, 5.0), (20.5, -4.83), (True, True), ("fine", "fine")])
def test_numbers_are_scaled(raw: Value, expected: Value) -> None:
    with sampling(Sampled("it", Scripted(raw), EVERY, Calibration(0.02, -5.24))) as heard:
        [value] = heard.values(1)
    assert value == (expected if isinstance(expected, bool | str) else pytest.approx(expected))
    assert type(value) is type(expected)


def test_whole_numbers_stay_whole_without_scale() -> None:
    with sampling(Scripted(2**62 + 1)) as heard:
        assert heard.values(1) == [2**62 + 1]


def test_what_overflows_when_scaled_is_a_failure() -> None:
    with sampling(Sampled("it", Scripted(1e308), EVERY, Calibration(1e308))) as heard:
        assert "out of bounds once calibrated" in heard.errors(1)[0]


def test_one_who_cannot_listen_once_is_told_again(caplog: pytest.LogCaptureFixture) -> None:
    heard = Heard()

    def report(event: Reading | Failed) -> None:
        heard.report(event)
        if len(heard.events) == 1:
            raise RuntimeError("Event loop is closed")

    sampler = Sampler([Sampled("it", Scripted(1), EVERY)], report)
    sampler.start()
    assert heard.values(3) == [1, 1, 1]
    sampler.close()
    assert "work failed" in caplog.text


def test_the_end_closes_every_driver_and_may_come_twice() -> None:
    drivers = [Scripted(1), Scripted(DeviceError("loose"))]
    heard = Heard()
    sampler = Sampler([Sampled(str(number), driver, EVERY) for number, driver in enumerate(drivers)], heard.report)
    sampler.start()
    assert heard.wait(lambda: len(heard.events) >= 2)
    sampler.close()
    closed = [driver.closed for driver in drivers]
    said = len(heard.events)
    assert min(closed) >= 1
    sampler.close()
    time.sleep(2 * EVERY / 1000)
    assert len(heard.events) == said


def _soonest(readings: list[Reading]) -> int:
    """Return how late the one was that was least late, in milliseconds."""
    return min(reading.arrived - reading.at for reading in readings)


def _steps(readings: list[Reading]) -> list[int]:
    return [later.at - earlier.at for earlier, later in itertools.pairwise(readings)]


@contextmanager
def _stepped(monkeypatch: pytest.MonkeyPatch, by: int) -> Iterator[Callable[[], None]]:
    """A wall clock that is set by so many milliseconds when told to."""
    offset = [0]
    with monkeypatch.context() as patched:
        patched.setattr(clock, "at", lambda: time.time_ns() // 1_000_000 + offset[0])
        yield lambda: offset.__setitem__(0, by)
