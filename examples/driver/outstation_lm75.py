"""LM75, a thermometer on I2C (Texas Instruments' data sheet SNIS153): °C in register 0, two bytes, signed, 0.5 °C."""

from outstation.core.readings import Value
from outstation.devices.i2c_driver import I2cDriver, I2cDriverOptions


class Lm75Options(I2cDriverOptions):
    """The keys of its table: bus, address, simulate."""

    address: int = 0x48


class Lm75(I2cDriver):
    """One thermometer."""

    Options = Lm75Options
    unit = "°C"

    def read(self) -> Value:
        """Return the temperature now: what `ask` raises says what is wrong, and the node tells it."""
        return int.from_bytes(self.ask(b"\x00", 2), signed=True) / 256
