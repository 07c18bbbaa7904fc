"""Sensors on an SPI bus: the real library, and a converter that answers as its data sheet says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from outstation.devices.models import world
from outstation.devices.models.mcp3008 import Mcp3008
from outstation.devices.spi import SpiOptions, SpiSensor
from outstation.errors import MissingDeviceError
from outstation.plugins import Place

STEP_V = 3.3 / 1024

Make = Callable[..., SpiSensor]


@pytest.fixture
def make(place: Place) -> Iterator[Make]:
    made: list[SpiSensor] = []

    def make_sensor(name: str = "it", **options: Any) -> SpiSensor:
        table = {"chip": "mcp3008", "simulate": True} | options
        made.append(SpiSensor(name, SpiOptions.model_validate(table), place))
        return made[-1]

    yield make_sensor
    for sensor in made:
        sensor.close()


@pytest.mark.parametrize(("quantity", "volts"), [("ch0", 0.0), ("ch3", 1.65), ("ch7", 3.3), ("ch5_ch4", 0.5)])
def test_what_an_input_has_is_what_the_library_says(make: Make, quantity: str, volts: float) -> None:
    sensor = make(quantity=quantity)
    sensor.open()
    sensor.simulate(volts)
    assert sensor.read() == pytest.approx(volts, abs=1.5 * STEP_V)


def test_the_reference_is_a_setting_and_all_inputs_are_one_chip(make: Make) -> None:
    """At a reference of 5 V the same share of it is more."""
    first, second = (make(name, quantity=name, settings={"ref_voltage": 5.0}) for name in ("ch0", "ch1"))
    assert first.bus == second.bus == "simulated spi:0"
    first.open()
    second.open()
    first.simulate(1.65)
    assert first.read() == pytest.approx(2.5, abs=0.01)
    assert second.read() == pytest.approx(0.65 / 3.3 * 5, abs=0.01)


def test_a_converter_that_is_not_there_reads_as_the_whole_reference(make: Make, place: Place) -> None:
    """SPI has no answer that says that somebody is there; the page of this driver says so."""
    sensor = make(quantity="ch0")
    world.spi(place.data, 0, 0).chip = None
    sensor.open()
    assert sensor.read() == pytest.approx(3.3)


def test_the_model_says_a_zero_before_its_ten_bits() -> None:
    """Figure 6-1 of the data sheet: a start bit last in the first byte, the result last; 0.25 V are 77 of 1024."""
    chip = Mcp3008()
    assert chip.exchange(bytes([0x01, 0x80, 0x00])) == bytes([0xFF, 0b1111_1000, 77])
    assert chip.exchange(bytes([0x00, 0x00, 0x00])) == b"\xff\xff\xff"


def test_a_bus_that_is_not_enabled_comes_with_the_line_that_enables_it(make: Make) -> None:
    with pytest.raises(MissingDeviceError, match="dtparam=spi=on"):
        make(quantity="ch0", simulate=False, bus=77).open()
