"""The contract of a driver, over every driver there is."""

from __future__ import annotations

import math
import os
import pty
import threading
import tty
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from outstation import plugins
from outstation.core.readings import Value
from outstation.devices.lines.simulated import SimulatedChip
from outstation.errors import DeviceError
from outstation.plugins import ActuatorDriver, Place, SensorDriver
from outstation.testing import ActuatorContract, SensorContract
from outstation.testing.contract import MakeActuator, MakeSensor

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
    ("command", {"command": ["echo", "21.5"]}, float),
    ("http", {"url": "PAGE"}, float),
    ("serial", {"port": "PORT"}, float),
    ("i2c", {"chip": "mcp9808", "simulate": True}, float),
    ("onewire", {"simulate": True}, float),
    ("counter", {"pin": 6, "simulate": True}, int),
    ("counter", {"pin": 6, "simulate": True, "quantity": "rate"}, float),
    ("dht", {"pin": 4, "quantity": "humidity", "simulate": True}, float),
    ("gpiozero", {"device": "MotionSensor", "arguments": {"pin": 5}, "simulate": True}, int),
    ("spi", {"chip": "mcp3008", "quantity": "ch0", "simulate": True}, float),
]

# Options that are understood, for hardware or files that are not there.
BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("gpio", {"pin": 27, "chip": "/dev/gpiochip99"}),
    ("gpio", {"pin": 900, "simulate": True}),
    ("system", {"quantity": "disk_used", "path": "/nowhere/at/all"}),
    ("recorded", {"file": "nowhere.csv", "column": "temperature"}),
    ("python", {"file": "nowhere.py"}),
    ("command", {"command": ["/nowhere/meter"]}),
    ("http", {"url": "http://127.0.0.1:9/nowhere"}),
    ("serial", {"port": "/dev/nowhere"}),
    ("onewire", {"id": "28-000000000099"}),
    ("counter", {"file": "nowhere"}),
    ("counter", {"pin": 6, "chip": "/dev/gpiochip99"}),
    ("dht", {"pin": 4, "quantity": "humidity", "chip": "/dev/gpiochip99"}),
    ("gpiozero", {"device": "Nowhere"}),
    ("i2c", {"chip": "mcp9808", "bus": 99}),
    ("spi", {"chip": "mcp3008", "quantity": "ch3", "bus": 99}),
]

ACTUATORS: list[tuple[str, dict[str, Any]]] = [
    ("gpio", {"pin": 17, "simulate": True}),
    ("pwm", {"channel": 0, "simulate": True}),
]

Make = Callable[[str, dict[str, Any]], SensorDriver]
each_sensor = pytest.mark.parametrize(("driver", "options", "kind"), SENSORS)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[dict[str, str]]:
    """A page, and a meter on a serial port that says the same again and again."""
    meter, device = pty.openpty()
    tty.setraw(device)
    silent = threading.Event()

    def talk() -> None:
        while not silent.wait(0.01):
            os.write(meter, b"21.5\n")

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n21.5")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the parent's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        talking = threading.Thread(target=talk)
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        talking.start()
        yield {"PAGE": f"http://127.0.0.1:{server.server_port}/", "PORT": os.ttyname(device)}
        silent.set()
        server.shutdown()
        talking.join()
    for end in (meter, device):
        os.close(end)


@pytest.fixture
def drivers(place: Place, elsewhere: dict[str, str], request: pytest.FixtureRequest) -> Make:
    (place.base / "room.csv").write_text(RECORDING)
    (place.base / "co2.py").write_text("def read():\n    return 415\n")

    def make_driver(name: str, options: dict[str, Any]) -> SensorDriver:
        if "pin" in options:
            request.getfixturevalue("chip")
        kind = plugins.load("sensors", name)
        found = {key: elsewhere.get(str(value), value) for key, value in options.items()}
        driver = kind("it", kind.Options.model_validate(found), place)
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
    never_read = {"derived"}  # the core works it out
    assert {name for name, _, _ in SENSORS} | never_read == set(plugins.names("sensors"))
    assert {name for name, _ in ACTUATORS} == set(plugins.names("actuators"))


@pytest.mark.parametrize(("name", "keys"), [row[:2] for row in SENSORS])
class TestEverySensor(SensorContract):
    @pytest.fixture
    def make(self, drivers: Make, name: str, keys: dict[str, Any]) -> MakeSensor:
        return lambda **more: drivers(name, keys | more)


@pytest.mark.parametrize(("name", "keys"), ACTUATORS)
class TestEveryActuator(ActuatorContract):
    @pytest.fixture
    def make(self, place: Place, chip: SimulatedChip, name: str, keys: dict[str, Any]) -> MakeActuator:
        kind = plugins.load("actuators", name)
        return lambda **more: kind("it", kind.Options.model_validate(keys | more), place)


@each_sensor
def test_a_sensor_reads_its_kind_of_value(drivers: Make, driver: str, options: dict[str, Any], kind: type) -> None:
    sensor = drivers(driver, options)
    sensor.open()
    assert type(sensor.read()) is kind
    sensor.close()


@each_sensor
def test_two_sensors_share_nothing(drivers: Make, driver: str, options: dict[str, Any], kind: type) -> None:
    """Except for a pin, which has one holder."""
    first, second = drivers(driver, options), drivers(driver, options)
    first.open()
    if driver == "gpio":
        with pytest.raises(DeviceError, match="held by"):
            second.open()
    else:
        second.open()
        second.close()
    assert type(first.read()) is kind
    first.close()


@pytest.mark.parametrize(("driver", "options", "kind"), [row for row in SENSORS if row[0] != "system"])
def test_a_sensor_that_is_not_open_says_so(drivers: Make, driver: str, options: dict[str, Any], kind: type) -> None:
    """Except for the computer itself, which is always open."""
    sensor = drivers(driver, options)
    with pytest.raises(DeviceError, match="not open"):
        sensor.read()


@each_sensor
def test_what_is_simulated_reads_what_it_is_moved_to(
    drivers: Make, driver: str, options: dict[str, Any], kind: type
) -> None:
    sensor = drivers(driver, options)
    wanted: Value = True if kind is bool else 0.0
    sensor.open()
    if sensor.simulated:
        sensor.simulate(wanted)
        assert _comes(sensor, wanted)
    sensor.close()


@pytest.mark.parametrize(("driver", "options"), BROKEN)
def test_whatever_is_missing_is_a_device_error(drivers: Make, driver: str, options: dict[str, Any]) -> None:
    sensor = drivers(driver, options)
    with pytest.raises(DeviceError, match=r"[Nn]owhere|gpiochip99|900|i2c-99|spidev99|1-Wire"):
        _open_and_read(sensor)
    sensor.close()


def test_an_output_is_driven_to_what_it_is_told(relay: ActuatorDriver, chip: SimulatedChip) -> None:
    relay.open(True)
    assert chip.level(17) is True
    relay.set(False)
    assert chip.level(17) is False
    relay.close()


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
