"""MCP9808, a thermometer on the I2C bus. Registers and sums: Microchip, data sheet DS25095A."""

from machine import I2C

_TEMPERATURE, _MAKER, _DEVICE = 0x05, 0x06, 0x07  # table 5-1
_MICROCHIP = b"\x00\x54"  # register 5-6
_IS_MCP9808 = 0x04  # register 5-7, its upper byte; the lower one is the revision


class MCP9808:
    """One thermometer. Raises OSError where it does not answer, or something else does."""

    def __init__(self, bus: I2C, address: int = 0x18) -> None:
        self._bus, self._address, self._is_known = bus, address, False

    def temperature(self) -> float:
        """Return degrees Celsius, in steps of 1/16."""
        if not self._is_known:
            self._look()
        upper, lower = self._read(_TEMPERATURE)
        sixteenths = (upper & 0x0F) << 8 | lower  # above are three flags of limits, and the sign
        return (sixteenths - 4096 if upper & 0x10 else sixteenths) / 16

    def _look(self) -> None:
        """See who answers: not at the start, for a wire that is loose then must not end the program."""
        if self._read(_MAKER) != _MICROCHIP or self._read(_DEVICE)[0] != _IS_MCP9808:
            raise OSError(f"what answers at 0x{self._address:02x} is no MCP9808")
        self._is_known = True

    def _read(self, register: int) -> bytes:
        return self._bus.readfrom_mem(self._address, register, 2)
