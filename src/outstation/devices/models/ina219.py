"""INA219, a meter for current and voltage: the data sheet SBOS448G of Texas Instruments.

Registers: section 8.6; current and power of shunt and bus voltage: section 8.5.1, equations 4 and 5.
"""

from __future__ import annotations

from typing import ClassVar

from outstation.devices.models.model import Model

_CONFIG, _SHUNT, _BUS, _POWER, _CURRENT, _CALIBRATION = range(6)
_AS_SOLD = 0x399F
_RESET = 0x8000
_READY, _OVERFLOW = 0b10, 0b01

SHUNT_OHM = 0.1
"""What is soldered to the boards that are sold with this chip: R100."""


class Ina219(Model):
    """Sixteen-bit registers, the high byte first. Knows a current only where it was told the calibration."""

    addresses = tuple(range(0x40, 0x50))
    quantities: ClassVar = {"voltage": 12.0, "current": 350.0}

    def __init__(self) -> None:
        super().__init__()
        self._pointer, self._config, self._calibration = 0, _AS_SOLD, 0

    def power_on(self) -> None:
        self._pointer, self._config, self._calibration = 0, _AS_SOLD, 0

    def write(self, data: bytes) -> None:
        self._pointer = data[0]
        if len(data) != 3:
            return
        word = int.from_bytes(data[1:])
        if self._pointer == _CONFIG:
            self._config = _AS_SOLD if word & _RESET else word
            self._calibration = 0 if word & _RESET else self._calibration
        elif self._pointer == _CALIBRATION:
            self._calibration = word & 0xFFFE  # its lowest bit is always 0

    def read(self, count: int) -> bytes:
        return (self._word() & 0xFFFF).to_bytes(2)[:count].ljust(count, b"\xff")

    def _word(self) -> int:
        match self._pointer:
            case 0:
                return self._config
            case 1:
                return self._shunt()
            case 2:
                beyond = abs(self._current()) > 0x7FFF or self._power() > 0xFFFF
                return self._bus() << 3 | _READY | (_OVERFLOW if beyond else 0)
            case 3:
                return self._power()
            case 4:
                return self._current()
            case 5:
                return self._calibration
        return 0

    def _shunt(self) -> int:
        """Return steps of 10 uV, with a sign, to the end of the range that the gain leaves: 40 to 320 mV."""
        most = 4_000 << (self._config >> 11 & 3)
        return min(max(round(self.values["current"] * SHUNT_OHM * 100), -most), most)

    def _bus(self) -> int:
        """Return steps of 4 mV; the register ends at 16 or 32 V."""
        most = 8_000 if self._config & 0x2000 else 4_000
        return min(max(round(self.values["voltage"] / 0.004), 0), most)

    def _current(self) -> int:
        return int(self._shunt() * self._calibration / 4_096)

    def _power(self) -> int:
        return int(abs(self._current()) * self._bus() / 5_000)
