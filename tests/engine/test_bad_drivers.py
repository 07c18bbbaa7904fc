"""What strangers' drivers do wrong is one sensor's fault, in words; the others are asked as ever."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from outstation.core.readings import Failed, Value
from outstation.engine import sampler as engine
from outstation.engine.absent import Absent, Coming
from outstation.engine.sampler import Sampled, Sampler
from outstation.errors import DeviceError, MissingDeviceError
from outstation.plugins import SensorDriver
from tests.engine.sampling import EVERY, Hanging, Heard, Scripted, sampling


class Mute(Exception):  # noqa: N818 - a stranger's name
    """An error that cannot even be shown."""

    def __str__(self) -> str:
        raise self.args[0]


@pytest.mark.parametrize(
    ("does", "says"),
    [
        (SystemExit(3), "SystemExit: 3"),
        (asyncio.CancelledError(), "CancelledError"),
        (GeneratorExit("over"), "GeneratorExit: over"),
        (Mute(ValueError("no words")), "Mute"),
        (Mute(KeyboardInterrupt()), "Mute"),
        (RecursionError("too deep"), "RecursionError: too deep"),
        (ValueError("one\n\x1b[2Jtwo\0"), "ValueError: one [2Jtwo"),
        (ValueError("x" * 1_000_000), "ValueError: " + "x" * 500 + " ... (sampling.py, line "),
        (None, "The driver returned None. Expected a finite number"),
        (float("nan"), "The driver returned nan."),
        (2**63, "The driver returned a whole number beyond 64 bits."),
        ("x" * 10_000_000, "The driver returned a text of 10000000 characters."),
        (b"21.5", "The driver returned a value of type bytes."),
        ([21.5], "The driver returned a value of type list."),
    ],
)
def test_whatever_a_driver_does_is_told_in_one_line_and_its_bus_goes_on(does: Any, says: str) -> None:
    wild = Sampled("wild", Scripted(does, bus="one"), EVERY)
    good = Sampled("it", Scripted(1, bus="one"), EVERY)
    with sampling(wild, good) as heard:
        assert heard.values(3) == [1, 1, 1]
        (error,) = heard.errors(1)
    assert error.startswith(says), error
    assert error.isprintable()
    assert len(error) <= 640


def test_one_that_comes_back_after_such_a_thing_answers_again(impatient: None) -> None:
    with sampling(Scripted(SystemExit(), asyncio.CancelledError(), 20.5)) as heard:
        assert heard.values(1) == [20.5]


def test_one_that_hangs_is_named_and_so_is_who_waits_for_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(engine, "HANGS_FIRST", 0.1)
    hanging, heard = Hanging(), Heard()
    hanging.bus = "i2c:1"
    sensors = [Sampled("hanging", hanging, EVERY), Sampled("it", Scripted(1, bus="i2c:1"), EVERY)]
    sampler = Sampler(sensors, heard.report)
    sampler.start()
    assert hanging.asked.wait(1)
    sampler.look()
    assert heard.events == [], "it has only just been asked"
    time.sleep(0.12)
    for _ in range(3):
        sampler.look()
    assert heard.errors(2) == [
        "Its driver has not come back from read() in 0.1 s. " + engine._ALONE,
        'It waits for "hanging", whose driver holds up i2c:1. Mend or unplug that one.',
    ]
    hanging.let_go.set()
    assert heard.values(2) == [1, 1]
    assert heard.values(1, "hanging") == [1]
    sampler.look()
    assert len([event for event in heard.events if isinstance(event, Failed)]) == 2
    assert "hanging answers again." in [record.message for record in caplog.records]
    sampler.close()


def test_one_that_answers_late_now_and_then_does_not_hang_before_it_is_stale() -> None:
    hanging, heard = Hanging(), Heard()
    hanging.let_go.set()
    sampler = Sampler([Sampled("hanging", hanging, 20_000)], heard.report)
    sampler.start()
    assert heard.values(1, "hanging") == [1]
    (turns,) = sampler._turns
    assert turns._patience() == 60, "three times as long as it is asked"
    sampler.close()


def test_one_that_ends_by_itself_does_not_hang_before_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would be said to hang, then what it says itself, at each attempt."""
    monkeypatch.setattr(engine, "HANGS_FIRST", 0.01)
    hanging, heard = Hanging(), Heard()
    hanging.answers_within = 60.0
    sampler = Sampler([Sampled("hanging", hanging, EVERY)], heard.report)
    sampler.start()
    assert hanging.asked.wait(1)
    time.sleep(0.05)
    sampler.look()
    hanging.let_go.set()
    assert heard.values(1, "hanging") == [1]
    assert [event for event in heard.events if isinstance(event, Failed)] == []
    sampler.close()


class Library(Scripted):
    """A driver whose library takes long to import."""

    def __init__(self, *script: Any, bus: str, takes: Callable[[], None]) -> None:
        super().__init__(*script, bus=bus)
        self._import = takes
        self.threads: list[str] = []

    def load(self) -> None:
        self._import()

    def read(self) -> Value:
        self.threads.append(threading.current_thread().name)
        return super().read()


def _wait(event: threading.Event) -> None:
    event.wait(10)


def test_a_library_that_takes_long_to_import_holds_up_nobody_on_its_bus() -> None:
    imported = threading.Event()
    slow = Library(2, bus="i2c:1", takes=lambda: _wait(imported))
    with sampling(Sampled("slow", slow, EVERY), Sampled("it", Scripted(1, bus="i2c:1"), EVERY)) as heard:
        assert heard.values(3) == [1, 1, 1]
        assert heard.readings("slow") == []
        imported.set()
        assert heard.values(2, "slow") == [2, 2]
    assert set(slow.threads) == {"bus i2c:1"}, "it is asked where its bus is"
    assert slow.opened == 1


def test_a_library_that_cannot_be_imported_is_tried_again(impatient: None) -> None:
    errors = iter([DeviceError("it is not there"), None])

    def takes() -> None:
        if error := next(errors):
            raise error

    with sampling(Library(2, bus="i2c:1", takes=takes)) as heard:
        assert heard.errors(1) == ["it is not there"]
        assert heard.values(1) == [2]


def test_an_import_without_end_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "HANGS_FIRST", 0.05)
    imported, heard = threading.Event(), Heard()
    sampler = Sampler([Sampled("it", Library(2, bus="b", takes=lambda: _wait(imported)), EVERY)], heard.report)
    sampler.start()
    time.sleep(0.1)
    sampler.look()
    assert heard.errors(1) == [
        "Its driver could not be imported in 0.05 s. A large module takes long after a start; it alone waits for it."
    ]
    imported.set()
    assert heard.values(1) == [2]
    sampler.close()


def coming(make: Callable[[], SensorDriver], patience: float = 0.05, *, has_unit: bool = True) -> SensorDriver:
    return Coming("it", make, has_unit=has_unit).within(time.monotonic() + patience)


def test_a_strangers_driver_that_is_there_in_time_is_just_that() -> None:
    driver = Scripted(1)
    assert coming(lambda: driver) is driver


def test_one_that_comes_late_is_asked_on_its_own_bus_from_then_on(caplog: pytest.LogCaptureFixture) -> None:
    there = threading.Event()
    late = Scripted(2, bus="i2c:1")
    late.unit = "°C"

    def make() -> SensorDriver:
        there.wait(10)
        return late

    driver = coming(make, has_unit=False)
    assert isinstance(driver, Absent)
    with pytest.raises(DeviceError, match="is not there yet"):
        driver.simulate(3)
    with sampling(Sampled("late", driver, EVERY), Sampled("it", Scripted(1, bus="i2c:1"), EVERY)) as heard:
        assert heard.values(2) == [1, 1]
        there.set()
        assert heard.values(2, "late") == [2, 2]
    assert driver.bus == "i2c:1"
    assert 'Set unit = "°C" in its table.' in caplog.text


def test_a_module_that_ends_the_program_ends_nothing_and_may_be_mended_meanwhile(impatient: None) -> None:
    tries = iter([SystemExit("no such board"), None])

    def make() -> SensorDriver:
        if error := next(tries):
            raise error
        return Scripted(5)

    with sampling(coming(make)) as heard:
        assert heard.errors(1)[0].startswith("SystemExit: no such board (test_bad_drivers.py, line ")
        assert heard.values(1) == [5]


def test_a_missing_package_is_tried_once_a_minute() -> None:
    def make() -> SensorDriver:
        raise MissingDeviceError("It cannot be imported.", cure="Install it anew.")

    driver = coming(make)
    for _ in range(2):
        with pytest.raises(MissingDeviceError, match="Install it anew"):
            driver.load()
