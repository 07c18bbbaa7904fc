"""Thermometers on 1-Wire, in folders as the kernel shows them, read by the real library."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outstation.devices import onewire
from outstation.devices.onewire import OneWireOptions, OneWireSensor
from outstation.errors import DeviceError, MissingDeviceError, RefusedError, UnpluggedError
from outstation.plugins import Place

FIRST, SECOND = "28-0316a2795dff", "28-00000abcdef0"

WARM = "72 01 4b 46 7f ff 0e 10 57 : crc=57 YES\n72 01 4b 46 7f ff 0e 10 57 t=23125\n"
FROST = "5e ff 4b 46 7f ff 02 10 b6 : crc=b6 YES\n5e ff 4b 46 7f ff 02 10 b6 t=-10125\n"
POWER_ON = "50 05 4b 46 7f ff 0c 10 1c : crc=1c YES\n50 05 4b 46 7f ff 0c 10 1c t=85000\n"
GARBLED = "72 01 4b 46 7f ff 0e 10 00 : crc=57 NO\n72 01 4b 46 7f ff 0e 10 00 t=23125\n"
ALL_ZERO = "00 00 00 00 00 00 00 00 00 : crc=00 YES\n00 00 00 00 00 00 00 00 00 t=0\n"
"""A data line that lies on ground: nine zeros have the right checksum."""


class Bus:
    """A folder as the kernel shows its bus."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        (folder / "w1_bus_master1").mkdir()

    def says(self, text: str, thermometer: str = FIRST) -> None:
        (self.folder / thermometer).mkdir(exist_ok=True)
        (self.folder / thermometer / "w1_slave").write_text(text)

    def unplug(self, thermometer: str = FIRST) -> None:
        (self.folder / thermometer / "w1_slave").unlink()
        (self.folder / thermometer).rmdir()


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bus:
    bus = Bus(tmp_path / "w1")
    monkeypatch.setattr(OneWireSensor, "folder", bus.folder)
    return bus


def thermometer(place: Place, **options: Any) -> OneWireSensor:
    return OneWireSensor("water", OneWireOptions.model_validate(options), place)


def test_a_thermometer_says_its_temperature(place: Place, bus: Bus) -> None:
    bus.says(WARM)
    sensor = thermometer(place)
    sensor.open()
    assert sensor.read() == 23.125
    bus.says(FROST)
    assert sensor.read() == -10.125
    assert sensor.unit == "°C"


def test_of_several_one_is_named(place: Place, bus: Bus) -> None:
    bus.says(WARM)
    bus.says(FROST, SECOND)
    with pytest.raises(DeviceError, match=f"There are 2 thermometers on 1-Wire. Set `id`: {SECOND}, {FIRST}"):
        thermometer(place).open()
    sensor = thermometer(place, id=SECOND)
    sensor.open()
    assert sensor.read() == -10.125


def test_two_on_one_bus_wait_for_each_other_in_no_thread(place: Place) -> None:
    """A conversion takes 750 ms, and the kernel lets the next one begin meanwhile."""
    assert thermometer(place, id=FIRST).bus != thermometer(place, id=SECOND).bus


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (POWER_ON, "exactly 85 °C: so it does after power-on"),
        (onewire.as_the_kernel_says(85.0), "exactly 85 °C"),
        (onewire.as_the_kernel_says(-127.0), "says -127 °C: it has not measured"),
        (onewire.as_the_kernel_says(127.9375), "says 127.938 °C: it has not measured"),
        (GARBLED, "garbled"),
        (ALL_ZERO, "garbled"),
        ("", "garbled"),
        ("72 01 YES\nt=none\n", "could not be read"),
    ],
)
def test_what_is_no_temperature_is_a_fault_with_its_cure(place: Place, bus: Bus, text: str, words: str) -> None:
    bus.says(text)
    sensor = thermometer(place)
    sensor.open()
    with pytest.raises(DeviceError, match=f"{FIRST}.*{words}.+4.7 kΩ"):
        sensor.read()


def test_a_boiler_may_pass_85_degrees_but_not_by_losing_its_supply(place: Place, bus: Bus) -> None:
    sensor = thermometer(place)
    bus.says(onewire.as_the_kernel_says(84.5))
    sensor.open()
    assert sensor.read() == 84.5
    bus.says(onewire.as_the_kernel_says(85.0))
    assert sensor.read() == 85.0
    bus.says(POWER_ON)
    with pytest.raises(DeviceError, match="power-on"):
        sensor.read()


def test_unplugged_it_is_a_fault_and_plugged_in_again_it_is_well(place: Place, bus: Bus) -> None:
    bus.says(WARM)
    bus.says(FROST, SECOND)
    sensor = thermometer(place, id=FIRST)
    sensor.open()
    bus.unplug()
    with pytest.raises(UnpluggedError, match=f"{FIRST} does not answer. Those there: {SECOND}"):
        sensor.read()
    with pytest.raises(DeviceError, match="does not answer"):
        sensor.open()
    bus.says(WARM)
    sensor.open()
    assert sensor.read() == 23.125


def test_without_a_bus_the_cure_is_the_line_of_config_txt(place: Place, bus: Bus) -> None:
    with pytest.raises(UnpluggedError, match=r"No thermometer answers on 1-Wire.+4\.7 kΩ"):
        thermometer(place).open()
    (bus.folder / "w1_bus_master1").rmdir()
    bus.folder.rmdir()
    for options in ({}, {"id": FIRST}):
        with pytest.raises(MissingDeviceError, match="dtoverlay=w1-gpio"):
            thermometer(place, **options).open()
    assert onewire.found(bus.folder) == []


def test_without_the_library_the_cure_is_to_install_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "w1thermsensor", None)
    with pytest.raises(MissingDeviceError, match="pip install w1thermsensor"):
        thermometer(place, simulate=True).open()


def test_to_load_the_library_loads_no_kernel_module(place: Place) -> None:
    """It would call modprobe and wait for a second."""
    began = time.monotonic()
    for name in [name for name in sys.modules if name.startswith("w1thermsensor")]:
        del sys.modules[name]
    thermometer(place, simulate=True).open()
    assert time.monotonic() - began < 0.9


@settings(max_examples=50)
@given(raw=st.integers(min_value=-55 * 16, max_value=125 * 16 - 1).filter(lambda raw: raw != 85 * 16))
def test_the_simulated_chip_says_what_the_library_understands(
    tmp_path_factory: pytest.TempPathFactory, raw: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    sensor = thermometer(Place(folder, folder), simulate=True)
    sensor.open()
    assert sensor.read() == 21.0
    sensor.simulate(raw / 16)
    assert sensor.read() == raw / 16


def test_a_simulated_chip_fails_as_a_real_one_does(place: Place) -> None:
    sensor = thermometer(place, simulate=True)
    sensor.open()
    sensor.simulate(-127)
    with pytest.raises(DeviceError, match="it has not measured"):
        sensor.read()
    with pytest.raises(RefusedError, match="cannot measure hot"):
        sensor.simulate("hot")


def test_the_known_registers_are_those_of_the_model() -> None:
    assert onewire.as_the_kernel_says(23.125) == WARM
    assert onewire.crc8(bytes.fromhex("50054b467fff0c10")) == 0x1C
