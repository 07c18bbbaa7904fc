"""Chips on an I2C bus, by their CircuitPython libraries over a bus of the kernel, or a simulated one."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from outstation.devices import chips
from outstation.devices.lines import kernel
from outstation.devices.models import world
from outstation.devices.models.model import Model
from outstation.devices.wiring import faults
from outstation.devices.wiring.i2c import I2C
from outstation.devices.wiring.i2c_kernel import KernelI2C, numbers
from outstation.devices.wiring.library import Wire
from outstation.devices.wiring.sensor import ChipOptions, ChipSensor
from outstation.errors import DeviceError
from outstation.plugins import Place

FIRST_ADDRESS, LAST_ADDRESS = 0x08, 0x77
"""Those of seven bits that are a chip's own; the others mean something to all (UM10204, section 3.1.12)."""


class I2cOptions(ChipOptions):
    """Where the chip is: the bus' number, and its address, by default the one that its library takes."""

    table: ClassVar = chips.I2C
    bus: Annotated[int, Field(ge=0, le=1023)] = 1
    address: int | None = Field(default=None, validate_default=True)

    @field_validator("address")
    @classmethod
    def _addressed(cls, address: int | None, info: ValidationInfo) -> int | None:
        """Raises ValueError: no address, or none that a chip can have."""
        if address is not None and not FIRST_ADDRESS <= address <= LAST_ADDRESS:
            raise ValueError(f"expected an address from 0x{FIRST_ADDRESS:02x} to 0x{LAST_ADDRESS:02x}")
        if address is None and info.data.get("module"):
            raise ValueError("expected the chip's address, such as address = 0x76")
        return address

    @property
    def found_at(self) -> int:
        """The address."""
        return next(iter(self.row.addresses), 0) if self.address is None else self.address

    @property
    def wired_to(self) -> str:
        if not self.found_at:
            return ""
        return f"0x{self.found_at:02x} on {'simulated ' * self.simulate}/dev/i2c-{self.bus}"


class I2cSensor(ChipSensor):
    """One quantity of a chip on an I2C bus."""

    Options = I2cOptions
    options: I2cOptions

    def __init__(self, name: str, options: I2cOptions, place: Place) -> None:
        super().__init__(name, options, place, f"{'simulated ' * options.simulate}i2c:{options.bus}")

    def wire(self) -> Wire:
        return I2cWire(self.options, self._bus)

    def model(self) -> Model:
        options = self.options
        return world.i2c_chip(self.place.data, options.bus, options.found_at, options.row.model)

    def _bus(self) -> I2C:
        if self.options.simulate:
            return world.i2c(self.place.data, self.options.bus)
        return KernelI2C(self.options.bus)


class I2cWire(Wire):
    """The way to one address of a bus."""

    def __init__(self, options: I2cOptions, bus: Callable[[], I2C]) -> None:
        self.where = options.wired_to
        self._options, self._make_bus = options, bus
        self._bus: I2C | None = None

    def open(self, chip: str) -> None:
        self.close()
        address = self._options.found_at
        try:
            self._bus = bus = self._make_bus()
        except OSError as error:
            raise unopened(self._options.bus, error) from error
        try:
            if bus.answers(address):
                return
        except OSError as error:
            raise self.fault(chip, error) from error
        others = [each for each in self._options.row.addresses if each != address and _answers(bus, each)]
        raise faults.silent(chip, self.where, others)

    def ends_by(self, until: float) -> None:
        if self._bus is not None:
            self._bus.until = until

    def make(self, kind: Callable[..., object], settings: Mapping[str, Any]) -> object:
        """Return the chip's object: the address is called `address` by most libraries, `addr` by INA219's."""
        known = inspect.signature(kind).parameters
        address = {name: self._options.found_at for name in ("address", "addr", "device_address") if name in known}
        return kind(self._bus, **address, **settings)

    def fault(self, chip: str, error: OSError) -> DeviceError:
        return faults.refused(chip, self.where, error)

    def close(self) -> None:
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.close()


def _answers(bus: I2C, address: int) -> bool:
    with contextlib.suppress(OSError):  # it is another address that somebody asked for
        return bus.answers(address)
    return False


def unopened(number: int, error: OSError) -> DeviceError:
    """Return why a bus cannot be had."""
    inner = _PI_INNER_BUS if kernel.board().startswith("Raspberry Pi") else None
    others = [f"/dev/i2c-{each}" for each in numbers() if inner is None or each < inner]
    return faults.unopened(f"/dev/i2c-{number}", error, enable=_ENABLE, others=others, key="`bus`, the number")


_PI_INNER_BUS = 10
"""On a Raspberry Pi buses from here on are those of cameras and monitors (bcm2712 and bcm2711 device trees)."""

_ENABLE = (
    "On a Raspberry Pi: sudo raspi-config nonint do_i2c 0 (which writes dtparam=i2c_arm=on into"
    " /boot/firmware/config.txt and i2c-dev into /etc/modules), then reboot. Elsewhere: sudo modprobe i2c-dev."
)
