"""What drivers of other packages build on, for chips on I2C: everything but a chip's own bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from outstation.core.readings import Value
from outstation.devices import i2c
from outstation.devices.i2c_driver import I2cDriver, I2cDriverOptions
from outstation.devices.lines import kernel
from outstation.devices.models.mcp9808 import Mcp9808
from outstation.errors import DeviceError, MissingDeviceError
from outstation.plugins import Place
from outstation.testing import SimulatedI2C


class Manufacturer(I2cDriver):
    """Reads the number of an MCP9808's maker, register 6 (its data sheet, chapter 5.2.4)."""

    def read(self) -> Value:
        return int.from_bytes(self.ask(b"\x06", 2))


def sensor(place: Place, *, address: int = 0x18, bus: int = 1, simulate: bool = True) -> Manufacturer:
    return Manufacturer("maker", I2cDriverOptions(bus=bus, address=address, simulate=simulate), place)


def test_it_asks_a_chip(place: Place, i2c_bus: SimulatedI2C) -> None:
    i2c_bus.plug(0x18, Mcp9808())
    driver = sensor(place)
    driver.open()
    assert driver.read() == 0x54
    assert driver.bus == "simulated i2c:1"


def test_each_fault_says_where_and_what_to_do(place: Place, i2c_bus: SimulatedI2C) -> None:
    driver = sensor(place)
    with pytest.raises(DeviceError, match="Manufacturer at 0x18 on simulated /dev/i2c-1 is not open"):
        driver.read()
    with pytest.raises(DeviceError, match=r"Nobody answers at 0x18 .* Look at its wiring"):
        driver.open()
    i2c_bus.plug(0x18, Mcp9808())
    driver.open()
    i2c_bus.unplug(0x18)
    with pytest.raises(DeviceError, match=r"0x18 on simulated /dev/i2c-1 does not answer .* a wire may be loose"):
        driver.read()


def test_without_a_bus_it_says_how_to_have_one(place: Place) -> None:
    with pytest.raises(MissingDeviceError, match="There is no /dev/i2c-99"):
        sensor(place, bus=99, simulate=False).open()


def test_a_new_pi_is_not_sent_to_the_buses_of_its_monitors(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(i2c, "numbers", lambda: [20, 21])
    with pytest.raises(MissingDeviceError, match="There are /dev/i2c-20, /dev/i2c-21: set `bus`"):
        sensor(place, bus=99, simulate=False).open()
    (tmp_path / "model").write_text("Raspberry Pi 4 Model B Rev 1.5\0")
    monkeypatch.setattr(kernel, "_MODEL", tmp_path / "model")
    with pytest.raises(MissingDeviceError, match="raspi-config nonint do_i2c 0"):
        sensor(place, bus=99, simulate=False).open()


def test_an_address_that_no_chip_has_is_a_mistake() -> None:
    class Options(I2cDriverOptions):
        address: int = 0x48

    assert Options().address == 0x48
    with pytest.raises(ValidationError, match="expected an address from 0x08 to 0x77"):
        Options(address=0x78)
