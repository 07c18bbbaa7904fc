"""SHT4x, a thermometer and hygrometer: Sensirion's data sheet, version 6.

Commands and times: table 8 and section 4.5; words and checksums: sections 4.3 and 4.4; formulas: section 4.6.
"""

from __future__ import annotations

from typing import ClassVar

from outstation.devices.models.checksum import checked_words, counts
from outstation.devices.models.model import Nak
from outstation.devices.models.timed import Timed

_RESET, _SERIAL = 0x94, 0x89

_MEASURE = {
    0xFD: 0.0083,
    0xF6: 0.0045,
    0xE0: 0.0016,
    0x39: 1.1,
    0x2F: 1.1,
    0x1E: 1.1,
    0x32: 0.11,
    0x24: 0.11,
    0x15: 0.11,
}
"""Seconds at most, by command: three precisions, then the heater for long and for short."""

_NUMBER = (0x0EE5, 0x2A7C)


class Sht4x(Timed):
    """Measures when it is told to, and acknowledges nothing before it is done."""

    addresses = (0x44, 0x45, 0x46)
    quantities: ClassVar = {"temperature": 21.5, "humidity": 48.0}

    def __init__(self) -> None:
        super().__init__()
        self._answer = b""

    def power_on(self) -> None:
        self._answer = b""

    def write(self, data: bytes) -> None:
        if self._is_busy():
            raise Nak
        self._answer = b""
        command = data[0]
        if command in _MEASURE:
            self._works_for(_MEASURE[command])
            self._answer = self._measured()
        elif command == _SERIAL:
            self._answer = checked_words(*_NUMBER)
        elif command == _RESET:
            self._works_for(0.001)
        else:
            raise Nak

    def read(self, count: int) -> bytes:
        if self._is_busy() or not self._answer:
            raise Nak
        answer, self._answer = self._answer, b""
        return answer[:count].ljust(count, b"\xff")

    def _measured(self) -> bytes:
        temperature = counts((self.values["temperature"] + 45) / 175)
        return checked_words(temperature, counts((self.values["humidity"] + 6) / 125))
