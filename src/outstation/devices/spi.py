"""Chips on an SPI bus, by their CircuitPython libraries over a bus of the kernel, or a simulated one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from outstation.devices import chips
from outstation.devices.models import world
from outstation.devices.models.model import SpiModel
from outstation.devices.wiring import faults
from outstation.devices.wiring.library import Wire
from outstation.devices.wiring.sensor import ChipOptions, ChipSensor
from outstation.devices.wiring.spi import ChipSelect, Spi
from outstation.devices.wiring.spi_kernel import KernelSpi, names
from outstation.errors import DeviceError
from outstation.plugins import Place


class SpiOptions(ChipOptions):
    """Where the chip is: the bus' number, and which of its select lines."""

    table: ClassVar = chips.SPI
    bus: Annotated[int, Field(ge=0, le=255)] = 0
    select: Annotated[int, Field(ge=0, le=255)] = 0

    @property
    def wired_to(self) -> str:
        return f"{'simulated ' * self.simulate}/dev/spidev{self.bus}.{self.select}"


class SpiSensor(ChipSensor):
    """One quantity of a chip on an SPI bus."""

    Options = SpiOptions
    options: SpiOptions

    def __init__(self, name: str, options: SpiOptions, place: Place) -> None:
        super().__init__(name, options, place, f"{'simulated ' * options.simulate}spi:{options.bus}")

    def wire(self) -> Wire:
        return SpiWire(self.options, self._bus)

    def model(self) -> SpiModel:
        options = self.options
        return world.spi_chip(self.place.data, options.bus, options.select, options.row.model)

    def _bus(self) -> Spi:
        options = self.options
        if options.simulate:
            return world.spi(self.place.data, options.bus, options.select)
        return KernelSpi(options.bus, options.select)


class SpiWire(Wire):
    """The way to one chip select. Whether somebody is there, SPI cannot tell: a missing chip reads as all ones."""

    def __init__(self, options: SpiOptions, bus: Callable[[], Spi]) -> None:
        self.where = options.wired_to
        self._make_bus = bus
        self._bus: Spi | None = None

    def open(self, chip: str) -> None:
        self.close()
        try:
            self._bus = self._make_bus()
        except OSError as error:
            others = [f"/dev/{name}" for name in names()]
            raise faults.unopened(self.where, error, enable=_ENABLE, others=others, key="`bus` and `select`") from error

    def make(self, kind: Callable[..., object], settings: Mapping[str, Any]) -> object:
        return kind(self._bus, ChipSelect(), **settings)

    def fault(self, chip: str, error: OSError) -> DeviceError:
        return faults.refused(chip, self.where, error)

    def close(self) -> None:
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.close()


_ENABLE = "On a Raspberry Pi add the line dtparam=spi=on to /boot/firmware/config.txt and reboot."
