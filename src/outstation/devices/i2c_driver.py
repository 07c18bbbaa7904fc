"""For a chip on I2C whose driver knows its bytes: everything but those.

Public, for drivers of other packages: docs/how-to/write-a-driver.md.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from outstation.devices.i2c import FIRST_ADDRESS, LAST_ADDRESS, unopened
from outstation.devices.models import world
from outstation.devices.wiring import faults
from outstation.devices.wiring.i2c import I2C
from outstation.devices.wiring.i2c_kernel import KernelI2C
from outstation.errors import DeviceError
from outstation.plugins import DriverOptions, Place, SensorDriver


class I2cDriverOptions(DriverOptions):
    """Where the chip is. simulate: on a bus of the node's own, where a test plugs in what it likes."""

    bus: Annotated[int, Field(ge=0, le=1023)] = 1
    address: int
    simulate: bool = False

    @field_validator("address")
    @classmethod
    def _possible(cls, address: int) -> int:
        if not FIRST_ADDRESS <= address <= LAST_ADDRESS:
            raise ValueError(f"expected an address from 0x{FIRST_ADDRESS:02x} to 0x{LAST_ADDRESS:02x}")
        return address


class I2cDriver(SensorDriver):
    """Fill in read(), by `ask`; give `address` its default in Options. What the bus refuses is said with its cure."""

    Options = I2cDriverOptions
    options: I2cDriverOptions

    def __init__(self, name: str, options: Any, place: Place) -> None:
        super().__init__(name, options, place)
        simulated = "simulated " * self.options.simulate
        self.bus = f"{simulated}i2c:{self.options.bus}"
        self.where = f"0x{self.options.address:02x} on {simulated}/dev/i2c-{self.options.bus}"
        self._chip = type(self).__name__
        self._i2c: I2C | None = None

    def open(self) -> None:
        """Get to the bus, and see that somebody answers there."""
        self.close()
        number = self.options.bus
        try:
            self._i2c = world.i2c(self.place.data, number) if self.options.simulate else KernelI2C(number)
        except OSError as error:
            raise unopened(number, error) from error
        try:
            answers = self._i2c.answers(self.options.address)
        except OSError as error:
            raise faults.refused(self._chip, self.where, error) from error
        if not answers:
            raise faults.silent(self._chip, self.where, [])

    def ask(self, out: bytes, count: int = 0) -> bytes:
        """Write `out`, then read `count` bytes; either may be nothing. Raises DeviceError."""
        if self._i2c is None:
            raise DeviceError(f"The {self._chip} at {self.where} is not open.")
        try:
            return self._i2c.transfer(self.options.address, out, count)
        except OSError as error:
            raise faults.refused(self._chip, self.where, error) from error

    def close(self) -> None:
        """Let go."""
        i2c, self._i2c = self._i2c, None
        if i2c is not None:
            i2c.close()
