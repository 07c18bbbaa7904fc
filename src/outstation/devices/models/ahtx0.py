"""AHT20, a thermometer and hygrometer: ASAIR's data sheet, version 1.0.

Commands, status and times: sections 5.3 and 5.4; the checksum: section 5.4, step 4; formulas: section 6.
"""

from __future__ import annotations

from typing import ClassVar

from outstation.devices.models.checksum import counts, crc8
from outstation.devices.models.model import Nak
from outstation.devices.models.timed import Timed

_CALIBRATE, _MEASURE, _RESET = b"\xbe\x08\x00", b"\xac\x33\x00", b"\xba"
_BUSY, _ENABLED, _CALIBRATED = 0x80, 0x10, 0x08
_CALIBRATING_S, _MEASURING_S, _RESETTING_S = 0.01, 0.08, 0.02


class Ahtx0(Timed):
    """Says in the first byte of whatever is read whether it is busy. Commands of the older AHT10 it does not know."""

    addresses = (0x38,)
    quantities: ClassVar = {"temperature": 21.5, "humidity": 48.0}

    def __init__(self) -> None:
        super().__init__()
        self._status, self._measured = _ENABLED, bytes(5)

    def power_on(self) -> None:
        self._status, self._measured = _ENABLED, bytes(5)

    def write(self, data: bytes) -> None:
        if data == _RESET:
            self._works_for(_RESETTING_S)
        elif self._is_busy():
            raise Nak
        elif data == _CALIBRATE:
            self._status |= _CALIBRATED
            self._works_for(_CALIBRATING_S)
        elif data == _MEASURE:
            self._measured = self._five_bytes()
            self._works_for(_MEASURING_S)
        else:
            raise Nak

    def read(self, count: int) -> bytes:
        status = self._status | (_BUSY if self._is_busy() else 0)
        answer = bytes([status]) + self._measured
        return (answer + bytes([crc8(answer)]))[:count].ljust(count, b"\xff")

    def _five_bytes(self) -> bytes:
        """Return 20 bits of humidity, then 20 of temperature, each a share of 2 to the 20th."""
        humidity = counts(self.values["humidity"] / 100, 0xFFFFF)
        temperature = counts((self.values["temperature"] + 50) / 200, 0xFFFFF)
        return (humidity << 20 | temperature).to_bytes(5)
