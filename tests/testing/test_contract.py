"""The suite that authors of drivers inherit finds what a driver must not do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from outstation.core.readings import Level, Value
from outstation.errors import DeviceError
from outstation.plugins import ActuatorDriver, DriverOptions, Place, Report, SensorDriver, WatchingDriver
from outstation.testing import ActuatorContract, SensorContract


class Well(SensorDriver):
    def read(self) -> Value:
        return 21.5


class Nothing(Well):
    def read(self) -> Any:
        return None


class Careless(Well):
    def read(self) -> Value:
        raise ValueError


class OfNoBus(Well):
    def __init__(self, name: str, options: Any, place: Place) -> None:
        super().__init__(name, options, place)
        self.bus = ""


class InNobodysUnit(Well):
    unit = "furlong"


class OfTheMainThread(Well):
    def read(self) -> Value:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError
        return 1


class OpenOnce(Well):
    is_open = False

    def open(self) -> None:
        if self.is_open:
            raise DeviceError("It is open.")
        self.is_open = True


class ClosedOnce(OpenOnce):
    def close(self) -> None:
        if not self.is_open:
            raise RuntimeError
        self.is_open = False


class Unmoved(Well):
    simulated = True


class Moved(Well):
    def simulate(self, value: Value | None) -> None:
        pass


class Endless(WatchingDriver, Well):
    def watch(self, report: Report) -> None:
        threading.Event().wait()


class Lamp(ActuatorDriver):
    is_open = False

    def open(self, level: Level) -> None:
        self.is_open = True

    def set(self, level: Level) -> None:
        if not self.is_open:
            raise DeviceError("It is not open.")

    def close(self) -> None:
        self.is_open = False


class Unopened(Lamp):
    def set(self, level: Level) -> None:
        pass


class NotForDimming(Lamp):
    dimmable = True

    def set(self, level: Level) -> None:
        super().set(level)
        if level not in (True, False):
            raise ValueError


SENSOR, ACTUATOR = SensorContract(), ActuatorContract()
SENSORS: list[Callable[[Any], None]] = [
    SENSOR.test_it_is_a_driver,
    SENSOR.test_it_loads_opens_reads_and_closes,
    SENSOR.test_close_comes_before_open_and_twice,
    SENSOR.test_it_opens_again,
    SENSOR.test_where_it_is_not_open_it_reads_or_says_so,
    SENSOR.test_only_what_is_simulated_is_moved,
    SENSOR.test_a_watch_ends_when_it_is_closed,
]
ACTUATORS: list[Callable[[Any], None]] = [
    ACTUATOR.test_it_is_a_driver,
    ACTUATOR.test_it_opens_at_each_level_and_is_set_to_each,
    ACTUATOR.test_close_comes_before_open_and_twice,
    ACTUATOR.test_what_is_not_open_is_not_set,
]


def found(driver: Any, tests: list[Callable[[Any], None]]) -> set[str]:
    """Return the names of the tests that a driver fails."""
    failed = set()
    for test in tests:
        try:
            test(driver)
        except (Exception, pytest.fail.Exception):  # noqa: BLE001 - what the driver raised, or the suite about it
            failed.add(test.__name__)
    return failed


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (Well, None),
        (Nothing, SENSOR.test_it_loads_opens_reads_and_closes),
        (Careless, SENSOR.test_where_it_is_not_open_it_reads_or_says_so),
        (OfNoBus, SENSOR.test_it_is_a_driver),
        (InNobodysUnit, SENSOR.test_it_is_a_driver),
        (OfTheMainThread, SENSOR.test_it_loads_opens_reads_and_closes),
        (OpenOnce, SENSOR.test_it_opens_again),
        (ClosedOnce, SENSOR.test_close_comes_before_open_and_twice),
        (Unmoved, SENSOR.test_only_what_is_simulated_is_moved),
        (Moved, SENSOR.test_only_what_is_simulated_is_moved),
        (Endless, SENSOR.test_a_watch_ends_when_it_is_closed),
    ],
)
def test_a_sensor_is_found_out(kind: type[SensorDriver], test: Callable[[Any], None] | None, place: Place) -> None:
    failed = found(kind("it", DriverOptions(), place), SENSORS)
    assert failed == set() if test is None else test.__name__ in failed


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (Lamp, None),
        (Unopened, ACTUATOR.test_what_is_not_open_is_not_set),
        (NotForDimming, ACTUATOR.test_it_opens_at_each_level_and_is_set_to_each),
    ],
)
def test_an_actuator_is_found_out(kind: type[ActuatorDriver], test: Callable[[Any], None] | None, place: Place) -> None:
    failed = found(kind("it", DriverOptions(), place), ACTUATORS)
    assert failed == set() if test is None else test.__name__ in failed
