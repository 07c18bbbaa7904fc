"""SHT3x, a thermometer and hygrometer: Sensirion's data sheet, version 7.

Commands: chapter 4; times: table 4; checksums: section 4.12; formulas: section 4.13.
"""

from __future__ import annotations

from typing import ClassVar

from outstation.devices.models.checksum import checked_words, counts
from outstation.devices.models.model import Nak
from outstation.devices.models.timed import Timed

_MEASURE = {0x2400: 0.015, 0x240B: 0.006, 0x2416: 0.004, 0x2C06: 0.015, 0x2C0D: 0.006, 0x2C10: 0.004}
"""Seconds at most, by command: single shot without and with clock stretching, from the finest to the coarsest."""

_STATUS, _CLEAR, _RESET, _BREAK, _HEAT, _COOL = 0xF32D, 0x3041, 0x30A2, 0x3093, 0x306D, 0x3066
_AFTER_RESET = 0x8010
"""Status: an alert is pending, and there was a reset."""


class Sht31d(Timed):
    """Measures when it is told to; without clock stretching it acknowledges no reading before it is done."""

    addresses = (0x44, 0x45)
    quantities: ClassVar = {"temperature": 21.5, "humidity": 48.0}

    def __init__(self) -> None:
        super().__init__()
        self._answer, self._status = b"", _AFTER_RESET

    def power_on(self) -> None:
        """Begin as after switching on."""
        self._answer, self._status = b"", _AFTER_RESET

    def write(self, data: bytes) -> None:
        command = int.from_bytes(data[:2])
        if len(data) < 2 or self._is_busy():
            raise Nak
        self._answer = b""
        if command in _MEASURE:
            self._works_for(0 if command >> 8 == 0x2C else _MEASURE[command])
            self._answer = self._measured()
        elif command == _STATUS:
            self._answer = checked_words(self._status)
        elif command == _RESET:
            self.power_on()
            self._works_for(0.001)
        elif command in (_CLEAR, _BREAK, _HEAT, _COOL):
            self._status = {_CLEAR: 0, _HEAT: 0x2000, _COOL: 0}.get(command, self._status)
        else:
            raise Nak

    def read(self, count: int) -> bytes:
        if self._is_busy() or not self._answer:
            raise Nak
        answer, self._answer = self._answer, b""
        return answer[:count].ljust(count, b"\xff")

    def _measured(self) -> bytes:
        temperature = counts((self.values["temperature"] + 45) / 175)
        return checked_words(temperature, counts(self.values["humidity"] / 100))
