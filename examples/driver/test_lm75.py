"""The driver keeps to what every driver keeps to, and reads what the chip says."""

import pytest
from outstation_lm75 import Lm75, Lm75Options

from outstation.errors import DeviceError
from outstation.plugins import Place
from outstation.testing import Model, SensorContract, SimulatedI2C


class Chip(Model):
    """What the data sheet says of register 0."""

    quantities = {"temperature": 25.0}

    def write(self, data: bytes) -> None:
        assert data == b"\x00"

    def read(self, count: int) -> bytes:
        return (round(self.values["temperature"] * 2) << 7).to_bytes(2, signed=True)[:count]


@pytest.fixture(autouse=True)
def chip(i2c_bus: SimulatedI2C) -> Chip:
    i2c_bus.plug(0x48, chip := Chip())
    return chip


class TestContract(SensorContract):
    driver, options, missing = "lm75", {"simulate": True}, [{"address": 0x4F}]


@pytest.mark.parametrize("celsius", [-55.0, -0.5, 0.0, 21.5, 125.0])
def test_it_reads_what_the_chip_measures(chip: Chip, place: Place, celsius: float) -> None:
    sensor = Lm75("cellar", Lm75Options(simulate=True), place)
    sensor.open()
    chip.set("temperature", celsius)
    assert sensor.read() == celsius


def test_a_chip_that_is_unplugged_is_a_fault(i2c_bus: SimulatedI2C, place: Place) -> None:
    sensor = Lm75("cellar", Lm75Options(simulate=True), place)
    sensor.open()
    i2c_bus.unplug(0x48)
    with pytest.raises(DeviceError, match="0x48 on simulated /dev/i2c-1 does not answer"):
        sensor.read()
