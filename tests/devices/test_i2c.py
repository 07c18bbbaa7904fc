"""Sensors on an I2C bus: the real libraries, and chips that answer as their data sheets say."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from outstation.config import load
from outstation.devices.i2c import I2cOptions, I2cSensor
from outstation.devices.models import bmp280, world
from outstation.devices.models.bmp280 import Bmp280
from outstation.devices.models.mcp9808 import Mcp9808
from outstation.devices.models.model import SimulatedI2C
from outstation.devices.wiring import shared
from outstation.devices.wiring.i2c_kernel import KernelI2C
from outstation.errors import ConfigError, DeviceError, MissingDeviceError, RefusedError
from outstation.plugins import Place

Make = Callable[..., I2cSensor]

FLOOR = {"module": "adafruit_mcp9808", "class": "MCP9808", "address": 0x18}
"""A chip as it is named where it is not in the table."""


@pytest.fixture
def make(place: Place) -> Iterator[Make]:
    made: list[I2cSensor] = []

    def make_sensor(name: str = "it", **options: Any) -> I2cSensor:
        made.append(I2cSensor(name, I2cOptions.model_validate({"simulate": True} | options), place))
        return made[-1]

    yield make_sensor
    for sensor in made:
        sensor.close()


@pytest.fixture
def bus(place: Place) -> SimulatedI2C:
    return world.i2c(place.data, 1)


@pytest.mark.parametrize(
    ("chip", "quantity", "values", "step"),
    [
        ("mcp9808", "temperature", (-40.0, -0.0625, 0.0, 21.5, 125.0), 0.0),
        ("bmp280", "temperature", (-40.0, 25.08, 85.0), 0.01),
        ("bmp280", "pressure", (300.0, 1006.53, 1100.0), 0.01),
        ("bme280", "temperature", (-40.0, 85.0), 0.01),
        ("bme280", "humidity", (0.0, 48.0, 100.0), 0.01),
        ("bme280", "pressure", (300.0, 1100.0), 0.01),
        ("sht31d", "temperature", (-40.0, 125.0), 0.002),
        ("sht31d", "humidity", (0.0, 48.0, 100.0), 0.002),
        ("ads1115", "a0", (-0.3, 0.0, 1.65, 4.095), 0.0001),
        ("ads1115", "a2_a3", (-1.0, 2.0), 0.0001),
    ],
)
def test_what_a_chip_measures_is_what_its_library_says(
    make: Make, chip: str, quantity: str, values: tuple[float, ...], step: float
) -> None:
    sensor = make(chip=chip, quantity=quantity)
    sensor.open()
    for value in values:
        sensor.simulate(value)
        assert sensor.read() == pytest.approx(value, abs=step)


def test_the_barometers_model_agrees_with_the_example_of_its_data_sheet() -> None:
    assert bmp280.fine(519_888) / 5_120 == pytest.approx(25.08, abs=0.005)
    assert bmp280.hectopascal(415_148, bmp280.fine(519_888)) == pytest.approx(1006.5327, abs=0.0001)


def test_sensors_of_one_chip_share_a_reading_and_take_it_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    air = {quantity: make(quantity, chip="bme280", quantity=quantity) for quantity in ("temperature", "humidity")}
    assert {sensor.bus for sensor in air.values()} == {"simulated i2c:1"}
    for sensor in air.values():
        sensor.open()
    air["temperature"].read()
    air["humidity"].model().set("humidity", 90.0)
    assert air["humidity"].read() == pytest.approx(48.0, abs=0.01), "as it was when both were taken"
    assert air["humidity"].read() == pytest.approx(90.0, abs=0.01), "that one had been taken: a new one"
    air["humidity"].model().set("temperature", 30.0)
    monkeypatch.setattr(shared, "FRESH_S", 0.0)
    assert air["temperature"].read() == pytest.approx(30.0, abs=0.01), "older than a second: a new one"


def test_a_chip_that_is_unplugged_is_silent_and_is_set_up_again_when_it_is_back(make: Make, bus: SimulatedI2C) -> None:
    sensor = make(chip="bme280", quantity="humidity", settings={"overscan_humidity": 5})
    sensor.open()
    away = bus.unplug(0x77)
    with pytest.raises(DeviceError, match=r"The bme280 at 0x77 on simulated /dev/i2c-1 does not answer .*EREMOTEIO"):
        sensor.read()
    sensor.close()
    with pytest.raises(DeviceError, match=r"Nobody answers at 0x77 .* where the bme280 should be\. Look at its wiring"):
        sensor.open()
    assert isinstance(away, Bmp280)
    away.power_on()
    bus.plug(0x77, away)
    sensor.open()
    assert sensor.read() == pytest.approx(48.0, abs=0.01)


def test_a_chip_that_was_away_is_set_up_again_for_all_who_share_it(make: Make, bus: SimulatedI2C) -> None:
    options = {**FLOOR, "settings": {"resolution": 0}}
    first, second = make("first", **options, quantity="temperature"), make("second", **options, quantity="resolution")
    first.open()
    second.open()
    bus.unplug(0x18)
    for sensor in (first, second):
        with pytest.raises(DeviceError, match="does not answer"):
            sensor.read()
    bus.plug(0x18, Mcp9808())
    assert second.read() == 0


def test_what_is_no_bus_is_let_go_of_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again for years: a descriptor that stays open each time would be the end of the node."""
    opened = os.open
    monkeypatch.setattr(os, "open", lambda _, flags: opened("/dev/null", flags))
    before = len([*Path("/proc/self/fd").iterdir()])
    for _ in range(3):
        with pytest.raises(OSError, match="Inappropriate ioctl"):
            KernelI2C(1)
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_a_chip_at_its_other_address_is_found_and_named(make: Make, bus: SimulatedI2C) -> None:
    sensor = make(chip="bmp280", quantity="pressure")
    bus.plug(0x76, bus.unplug(0x77))
    with pytest.raises(DeviceError, match="set address = 0x76"):
        sensor.open()


def test_a_chip_that_is_another_chip_is_a_fault_that_names_both(make: Make, bus: SimulatedI2C) -> None:
    bus.plug(0x77, Bmp280())
    with pytest.raises(DeviceError, match=r"at 0x77 on .* is no bme280 .* Chip ID 0x58"):
        make(chip="bme280", quantity="humidity").open()


def test_wrong_bits_are_one_readings_fault(make: Make, bus: SimulatedI2C) -> None:
    sensor = make(chip="sht31d", quantity="humidity")
    sensor.open()
    bus.noise = lambda _, heard: heard[:-1] + bytes([heard[-1] ^ 1])
    with pytest.raises(DeviceError, match=r"The sht31d at 0x44 on .* gives no humidity: RuntimeError: CRC mismatch"):
        sensor.read()
    bus.noise = None
    assert sensor.read() == pytest.approx(48.0, abs=0.01)


def test_two_chips_cannot_have_one_address(make: Make) -> None:
    make("air", chip="bme280", quantity="humidity").open()
    cellar = make("cellar", chip="bmp280", quantity="pressure")
    with pytest.raises(MissingDeviceError, match='"air" reads a bme280 there, and "cellar" would read it as a bmp280'):
        cellar.open()
    with pytest.raises(MissingDeviceError, match="other `settings`"):
        make("cellar", chip="bme280", quantity="pressure", settings={"mode": 1}).open()


def test_a_chip_that_is_not_in_the_table_is_named_by_module_and_class(make: Make) -> None:
    sensor = make(**FLOOR, quantity="temperature", settings={"resolution": 0})
    sensor.open()
    sensor.simulate(-3.2)
    assert sensor.read() == -3.0
    other = make(**FLOOR, quantity="humidity", settings={"resolution": 0})
    other.open()
    with pytest.raises(MissingDeviceError, match=r'has no "humidity"\. Its library has: .*temperature'):
        other.read()


def test_a_library_that_is_missing_comes_with_the_command_that_installs_it(make: Make) -> None:
    options = {"quantity": "x", "address": 0x40, "simulate": False}
    with pytest.raises(MissingDeviceError, match="pip install adafruit-circuitpython-nothing-like-it"):
        make(module="adafruit_nothing_like_it", **options, **{"class": "X"}).open()
    with pytest.raises(MissingDeviceError, match=r"adafruit_mcp9808 has no class Mcp\. Set `class`: MCP9808\."):
        make(module="adafruit_mcp9808", **options, **{"class": "Mcp"}).open()


def test_only_a_simulated_chip_can_be_moved_and_only_to_a_number(make: Make) -> None:
    with pytest.raises(RefusedError, match="is not simulated"):
        make(chip="mcp9808", simulate=False).simulate(20)
    with pytest.raises(RefusedError, match="measures no texts"):
        make(chip="mcp9808").simulate("warm")


def test_every_mistake_of_a_config_is_told_in_its_own_words(tmp_path: Path) -> None:
    tables = [
        'name = "a"\nchip = "bme280"',
        'name = "b"\nchip = "bme-280"\naddress = 0x80',
        'name = "c"\nmodule = "adafruit_x"\nclass = "X"\nquantity = "x"',
        'name = "d"\nclas = "X"',
        'name = "e"\nchip = "bme280"\nmodule = "x"\nquantity = "hum"',
        'name = "f"\nchip = "bme280"\nbus = 3\nquantities = ["temperature", "humidity"]',
        'name = "g"\nchip = "bmp280"\nbus = 3\nquantity = "pressure"',
        'name = "h"\nmodule = "adafruit_x"\nclass = "X"\nquantity = "x"\naddress = 0x10\nsimulate = true',
    ]
    file = tmp_path / "outstation.toml"
    file.write_text("\n".join(f'[[sensors]]\ndriver = "i2c"\n{table}' for table in tables))
    with pytest.raises(ConfigError) as found:
        load(file)
    told = [mistake.partition("[[sensors]] ")[2] for mistake in found.value.mistakes]
    assert told == [
        (
            '1 "a", key "quantity": expected what the chip measures, one of temperature, humidity, pressure,'
            " or several of these as `quantities`."
        ),
        (
            '2 "b", key "chip": expected a chip of the table, or `module` and `class` of its library, found "bme-280";'
            ' did you mean "bme280"?'
        ),
        '2 "b", key "address": expected an address from 0x08 to 0x77, found 128.',
        '3 "c", key "address": expected the chip\'s address, such as address = 0x76.',
        '4 "d", key "module": expected `chip`, or `module` and `class` of its CircuitPython library.',
        '4 "d", key "clas": nobody reads this key; did you mean "class"?',
        '5 "e", key "module": expected either `chip`, or `module` and `class`, found "x".',
        told[7],
        '7 "g", key "address": expected one of its own, found 0x77 on /dev/i2c-3, which [[sensors]] 6 "f" has.',
    ]
    assert told[7].startswith('8 "h": expected a chip that can be simulated, as these: mcp9808, bmp280')


@pytest.mark.parametrize("chip", ['chip = "mcp9809"', 'chipp = "mcp9808"', 'module = "adafruit_x"\nclass = "X"'])
def test_a_misspelt_simulated_chip_that_a_rule_looks_at_is_a_mistake_of_the_config(tmp_path: Path, chip: str) -> None:
    file = tmp_path / "outstation.toml"
    rule = '[[rules]]\nname = "warm"\nwhen = "air > 3"\nalert = { message = "warm" }\n'
    file.write_text(f'[[sensors]]\nname = "air"\ndriver = "i2c"\nsimulate = true\naddress = 0x18\n{chip}\n{rule}')
    with pytest.raises(ConfigError, match=r'\[\[sensors\]\] 1 "air"'):
        load(file)


def test_blinka_is_never_imported_and_its_stand_ins_are_gone(tmp_path: Path) -> None:
    story = """
import sys
from pathlib import Path
from outstation.devices.i2c import I2cOptions, I2cSensor
from outstation.plugins import Place
print([name for name in sys.modules if name.startswith("adafruit")])
options = I2cOptions.model_validate({"chip": "bme280", "quantity": "humidity", "simulate": True})
sensor = I2cSensor("air", options, Place(Path(sys.argv[1]), Path(sys.argv[1])))
sensor.open()
sensor.read()
print({"adafruit_bme280", "adafruit_blinka", "busio", "digitalio", "micropython"} & sys.modules.keys())
"""
    done = subprocess.run(
        [sys.executable, "-c", story, str(tmp_path)], capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout.splitlines() == ["[]", "{'adafruit_bme280'}"]
