"""The contract of a driver, over every driver there is."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydantic
import pytest

from outstation import plugins
from outstation.core.readings import Value
from outstation.devices.lines.simulated import SimulatedChip
from outstation.errors import DeviceError, OutstationError
from outstation.plugins import ActuatorDriver, Place, SensorDriver, WatchingDriver

RECORDING = "when,temperature\n1970-01-01T00:00:00Z,20.5\n1970-01-01T01:00:00Z,21.5\n"

SENSORS: list[tuple[str, dict[str, Any], type]] = [
    ("gpio", {"pin": 27, "simulate": True}, bool),
    ("gpio", {"pin": 27, "simulate": True, "active_low": True, "pull": "up", "debounce": "0s"}, bool),
    ("system", {"quantity": "cpu_temp"}, float),
    ("system", {"quantity": "cpu_load"}, float),
    ("system", {"quantity": "memory_used"}, float),
    ("system", {"quantity": "disk_used"}, float),
    ("system", {"quantity": "uptime"}, int),
    ("recorded", {"file": "room.csv", "column": "temperature"}, float),
    ("python", {"file": "co2.py"}, int),
]

# Options that are understood, for hardware or files that are not there.
BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("gpio", {"pin": 27, "chip": "/dev/gpiochip99"}),
    ("gpio", {"pin": 900, "simulate": True}),
    ("system", {"quantity": "disk_used", "path": "/nowhere/at/all"}),
    ("recorded", {"file": "nowhere.csv", "column": "temperature"}),
    ("python", {"file": "nowhere.py"}),
]

Make = Callable[[str, dict[str, Any]], SensorDriver]
each_sensor = pytest.mark.parametrize(("driver", "options", "kind"), SENSORS)


@pytest.fixture
def make(place: Place, chip: SimulatedChip) -> Make:
    (place.base / "room.csv").write_text(RECORDING)
    (place.base / "co2.py").write_text("def read():\n    return 415\n")

    def make_driver(name: str, options: dict[str, Any]) -> SensorDriver:
        kind = plugins.load("sensors", name)
        driver = kind("it", kind.Options.model_validate(options), place)
        assert isinstance(driver, SensorDriver)
        return driver

    return make_driver


@pytest.fixture
def relay(place: Place, chip: SimulatedChip) -> ActuatorDriver:
    kind = plugins.load("actuators", "gpio")
    driver = kind("relay", kind.Options.model_validate({"pin": 17, "simulate": True}), place)
    assert isinstance(driver, ActuatorDriver)
    return driver


def test_the_contract_is_run_over_every_driver() -> None:
    assert {name for name, _, _ in SENSORS} == set(plugins.names("sensors"))
    assert set(plugins.names("actuators")) == {"gpio"}


@each_sensor
def test_a_sensor_opens_reads_and_closes(make: Make, driver: str, options: dict[str, Any], kind: type) -> None:
    sensor = make(driver, options)
    sensor.open()
    value = sensor.read()
    sensor.close()
    assert type(value) is kind
    assert plugins.checked(value) == value


@each_sensor
def test_close_comes_before_open_and_twice(make: Make, driver: str, options: dict[str, Any], kind: type) -> None:
    sensor = make(driver, options)
    sensor.close()
    sensor.open()
    sensor.close()
    sensor.close()


@each_sensor
def test_a_sensor_opens_again(make: Make, driver: str, options: dict[str, Any], kind: type) -> None:
    sensor = make(driver, options)
    sensor.open()
    sensor.open()
    assert type(sensor.read()) is kind
    sensor.close()


@each_sensor
def test_two_sensors_share_nothing(make: Make, driver: str, options: dict[str, Any], kind: type) -> None:
    """Except for a pin, which has one holder."""
    first, second = make(driver, options), make(driver, options)
    first.open()
    if driver == "gpio":
        with pytest.raises(DeviceError, match="held by"):
            second.open()
    else:
        second.open()
        second.close()
    assert type(first.read()) is kind
    first.close()


@each_sensor
def test_an_unknown_key_is_refused(make: Make, driver: str, options: dict[str, Any], kind: type) -> None:
    with pytest.raises(pydantic.ValidationError, match="simulte"):
        make(driver, options | {"simulte": True})


@pytest.mark.parametrize(("driver", "options", "kind"), [row for row in SENSORS if row[0] != "system"])
def test_a_sensor_that_is_not_open_says_so(make: Make, driver: str, options: dict[str, Any], kind: type) -> None:
    """Except for the computer itself, which is always open."""
    sensor = make(driver, options)
    with pytest.raises(DeviceError, match="not open"):
        sensor.read()


@each_sensor
def test_only_simulated_sensors_are_moved(make: Make, driver: str, options: dict[str, Any], kind: type) -> None:
    sensor = make(driver, options)
    wanted: Value = True if kind is bool else 31.5
    sensor.open()
    if sensor.simulated:
        sensor.simulate(wanted)
        assert _comes(sensor, wanted)
        sensor.simulate(None)
    else:
        with pytest.raises(OutstationError, match="not simulated"):
            sensor.simulate(wanted)
    sensor.close()


@pytest.mark.parametrize(("driver", "options", "kind"), [row for row in SENSORS if row[0] == "gpio"])
def test_a_watch_ends_when_its_driver_is_closed(make: Make, driver: str, options: dict[str, Any], kind: type) -> None:
    sensor = make(driver, options)
    assert isinstance(sensor, WatchingDriver)
    sensor.open()
    watching = threading.Thread(target=sensor.watch, args=(lambda _value, _at_ns: None,))
    watching.start()
    sensor.close()
    watching.join(1)
    assert not watching.is_alive()


@pytest.mark.parametrize(("driver", "options"), BROKEN)
def test_whatever_is_missing_is_a_device_error(make: Make, driver: str, options: dict[str, Any]) -> None:
    sensor = make(driver, options)
    with pytest.raises(DeviceError, match=r"nowhere|gpiochip99|900"):
        _open_and_read(sensor)
    sensor.close()


def test_an_output_opens_at_its_level_is_set_and_closes_twice(relay: ActuatorDriver, chip: SimulatedChip) -> None:
    relay.close()
    relay.open(True)
    assert chip.level(17) is True
    relay.set(False)
    assert chip.level(17) is False
    relay.close()
    relay.close()
    with pytest.raises(DeviceError, match="not open"):
        relay.set(True)


def test_an_output_is_never_low_on_its_way_to_high(relay: ActuatorDriver, chip: SimulatedChip) -> None:
    relay.open(True)
    assert [change.level for change in chip.changes(17)] == [True]
    relay.close()


@pytest.mark.parametrize("value", [20.5, 0, -(2**63), 2**63 - 1, True, "", "ü" * 127])
def test_a_value(value: Value) -> None:
    assert plugins.checked(value) == value
    assert type(plugins.checked(value)) is type(value)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, 2**63, -(2**63) - 1, "ü" * 128, "\ud800", b"", [1], 1j])
def test_no_value(value: object) -> None:
    with pytest.raises(DeviceError, match="The driver returned"):
        plugins.checked(value)


def _open_and_read(sensor: SensorDriver) -> Value:
    sensor.open()
    return sensor.read()


def _comes(sensor: SensorDriver, wanted: Value) -> bool:
    """Read until it is there: a debounced input takes its time."""
    for _ in range(200):
        if sensor.read() == wanted:
            return True
        threading.Event().wait(0.005)
    return False


def test_the_files_of_a_sensor_start_at_the_folder_of_the_config(tmp_path: Path) -> None:
    (tmp_path / "sensors").mkdir()
    (tmp_path / "sensors" / "co2.py").write_text("def read():\n    return 415\n")
    kind = plugins.load("sensors", "python")
    sensor = kind("co2", kind.Options(file="sensors/co2.py"), Place(data=tmp_path / "data", base=tmp_path))
    sensor.open()
    assert sensor.read() == 415
