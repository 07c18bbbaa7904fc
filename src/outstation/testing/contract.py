"""What every driver keeps to, as tests to inherit: `class TestMine(SensorContract): driver = "mine"`.

The law of this file: an assertion says itself what was expected, since nobody rewrites it for those who import it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from outstation import plugins
from outstation.config.values import UNITS
from outstation.core.readings import Level, Value
from outstation.errors import DeviceError, OutstationError
from outstation.plugins import ActuatorDriver, Place, SensorDriver, WatchingDriver

_ENDS_WITHIN_S = 1.0

MakeSensor = Callable[..., SensorDriver]
MakeActuator = Callable[..., ActuatorDriver]
Broken = Sequence[Mapping[str, Any]]
"""Options that are understood, for hardware that is not there."""


class SensorContract:
    """driver: its name in a config. options: its keys there. missing: keys beside these, for what is not there."""

    driver: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}
    missing: ClassVar[Broken] = ()

    @pytest.fixture
    def make(self, place: Place) -> MakeSensor:
        """Return what makes a driver as a node does; keys may be given beside `options`."""
        return lambda **keys: _made("sensors", self.driver, {**self.options, **keys}, place)

    @pytest.fixture
    def sensor(self, make: MakeSensor) -> Iterator[SensorDriver]:
        """A driver, not opened."""
        driver = make()
        yield driver
        driver.close()

    def test_it_is_a_driver(self, sensor: SensorDriver) -> None:
        assert isinstance(sensor, SensorDriver), "a driver is a SensorDriver (outstation.plugins)"
        assert isinstance(sensor.bus, str), "`bus` is a text"
        assert sensor.bus, "`bus` names what no two drivers may use at once"
        assert sensor.unit in ("", *UNITS), f"`unit` is one that others know, or empty: {sensor.unit!r}"

    def test_it_loads_opens_reads_and_closes(self, sensor: SensorDriver) -> None:
        """All that in a thread of its own, as in a node."""
        with ThreadPoolExecutor(1) as bus:
            for step in (sensor.load, sensor.load, sensor.open):
                bus.submit(step).result()
            _assert_value(bus.submit(sensor.read).result())
            bus.submit(sensor.close).result()

    def test_close_comes_before_open_and_twice(self, sensor: SensorDriver) -> None:
        sensor.close()
        sensor.open()
        sensor.close()
        sensor.close()

    def test_it_opens_again(self, sensor: SensorDriver) -> None:
        """After a fault, with or without a close()."""
        for step in (sensor.open, sensor.open, sensor.close, sensor.open):
            step()
        _assert_value(sensor.read())

    def test_where_it_is_not_open_it_reads_or_says_so(self, sensor: SensorDriver) -> None:
        _reads_or_says_why(sensor)
        sensor.open()
        sensor.close()
        _reads_or_says_why(sensor)

    def test_an_unknown_key_is_refused(self, make: MakeSensor) -> None:
        with pytest.raises(ValidationError):
            make(no_such_key=True)

    def test_what_is_missing_is_a_device_error(self, make: MakeSensor) -> None:
        for keys in self.missing:
            sensor = make(**keys)
            with pytest.raises(DeviceError):
                _open_and_read(sensor)
            sensor.close()

    def test_only_what_is_simulated_is_moved(self, sensor: SensorDriver) -> None:
        sensor.open()
        value = sensor.read()
        if not sensor.simulated:
            with pytest.raises(OutstationError, match="not simulated"):
                sensor.simulate(value)
            return
        sensor.simulate(value)
        sensor.simulate(None)
        _assert_value(sensor.read())

    def test_a_watch_ends_when_it_is_closed(self, sensor: SensorDriver) -> None:
        if not isinstance(sensor, WatchingDriver):
            return
        sensor.open()
        watching = threading.Thread(target=sensor.watch, args=(lambda _value, _at_ns: None,), daemon=True)
        watching.start()
        sensor.close()
        watching.join(_ENDS_WITHIN_S)
        assert not watching.is_alive(), "watch() returns once close() was called in another thread"


class ActuatorContract:
    """driver: its name in a config. options: its keys there. missing: keys beside these, for what is not there."""

    driver: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}
    missing: ClassVar[Broken] = ()

    @pytest.fixture
    def make(self, place: Place) -> MakeActuator:
        """Return what makes a driver as a node does; keys may be given beside `options`."""
        return lambda **keys: _made("actuators", self.driver, {**self.options, **keys}, place)

    @pytest.fixture
    def actuator(self, make: MakeActuator) -> Iterator[ActuatorDriver]:
        """A driver, not opened."""
        driver = make()
        yield driver
        driver.close()

    def test_it_is_a_driver(self, actuator: ActuatorDriver) -> None:
        assert isinstance(actuator, ActuatorDriver), "a driver is an ActuatorDriver (outstation.plugins)"
        assert isinstance(actuator.bus, str), "`bus` is a text"
        assert actuator.bus, "`bus` names what no two drivers may use at once"

    def test_it_opens_at_each_level_and_is_set_to_each(self, actuator: ActuatorDriver) -> None:
        levels: list[Level] = [True, False, *([0.5, 0.0, 1.0] if actuator.dimmable else [])]
        with ThreadPoolExecutor(1) as bus:
            for first in levels:
                bus.submit(actuator.open, first).result()
                for level in levels:
                    bus.submit(actuator.set, level).result()
                bus.submit(actuator.close).result()

    def test_close_comes_before_open_and_twice(self, actuator: ActuatorDriver) -> None:
        actuator.close()
        actuator.open(False)
        actuator.close()
        actuator.close()

    def test_what_is_not_open_is_not_set(self, actuator: ActuatorDriver) -> None:
        with pytest.raises(DeviceError):
            actuator.set(False)
        actuator.open(False)
        actuator.close()
        with pytest.raises(DeviceError):
            actuator.set(False)

    def test_an_unknown_key_is_refused(self, make: MakeActuator) -> None:
        with pytest.raises(ValidationError):
            make(no_such_key=True)

    def test_what_is_missing_is_a_device_error(self, make: MakeActuator) -> None:
        for keys in self.missing:
            actuator = make(**keys)
            with pytest.raises(DeviceError):
                actuator.open(False)
            actuator.close()


def _made(group: str, name: str, keys: Mapping[str, Any], place: Place) -> Any:
    kind = plugins.load(group, name)
    return kind("it", kind.Options.model_validate(keys, context={"base": place.base}), place)


def _open_and_read(sensor: SensorDriver) -> Value:
    sensor.open()
    return sensor.read()


def _assert_value(value: object) -> None:
    """Raise AssertionError with the words that a node would have for it."""
    try:
        plugins.checked(value)
    except DeviceError as error:
        raise AssertionError(str(error)) from None


def _reads_or_says_why(sensor: SensorDriver) -> None:
    try:
        value = sensor.read()
    except DeviceError:
        return
    _assert_value(value)
