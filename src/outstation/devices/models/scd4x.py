"""SCD41, a meter for carbon dioxide: Sensirion's data sheet of the SCD4x, version 1.3.

Commands and times: table 9; sequences and checksums: sections 3.3 and 3.11; formulas: section 3.5.2.
"""

from __future__ import annotations

from typing import ClassVar

from outstation.devices.models.checksum import checked_words, counts, crc8
from outstation.devices.models.model import Nak
from outstation.devices.models.timed import Timed

_START, _START_SLOWLY, _STOP, _ONCE = 0x21B1, 0x21AC, 0x3F86, 0x219D
_IS_READY, _READ, _SERIAL = 0xE4B8, 0xEC05, 0x3682
_PERIOD_S = {_START: 5.0, _START_SLOWLY: 30.0}
_SETTINGS = {0x2318: 0x241D, 0x2322: 0x2427, 0x2313: 0x2416, 0xE000: 0xE000}
"""What reads a setting, and what writes it: temperature offset, altitude, self-calibration, pressure."""

_AS_SOLD = {0x241D: 1498, 0x2427: 0, 0x2416: 1, 0xE000: 1013}
_OTHERS_S = {0x3646: 0.03, 0x3615: 0.8, 0x3632: 1.2}
"""reinit, persist_settings, perform_factory_reset: how long they take."""

_WHILE_MEASURING = {_READ, _STOP, _IS_READY, 0xE000}


class Scd4x(Timed):
    """Idle, or measures for itself every 5 or 30 s; what it measured can be read once."""

    addresses = (0x62,)
    quantities: ClassVar = {"co2": 620.0, "temperature": 21.5, "humidity": 48.0}

    def __init__(self) -> None:
        super().__init__()
        self._settings = dict(_AS_SOLD)
        self._period = self._began = 0.0
        self._rest()

    def power_on(self) -> None:
        self._rest()

    def write(self, data: bytes) -> None:
        if self._is_busy() or len(data) not in (2, 5):
            raise Nak
        command = int.from_bytes(data[:2])
        if self._period and command not in _WHILE_MEASURING:
            raise Nak
        self._answer = b""
        if len(data) == 5:
            self._set(command, data[2:])
        elif command in _PERIOD_S:
            self._period, self._began = _PERIOD_S[command], self.clock()
        elif command == _ONCE:
            self._works_for(5.0)
            self._period, self._began = 0.0, self.clock()
            self._unread = True
        elif command == _STOP:
            self._rest()
            self._works_for(0.5)
        elif command in _OTHERS_S:
            self._works_for(_OTHERS_S[command])
        else:
            self._ask(command)

    def read(self, count: int) -> bytes:
        if self._is_busy() or not self._answer:
            raise Nak
        answer, self._answer = self._answer, b""
        return answer[:count].ljust(count, b"\xff")

    def _rest(self) -> None:
        self._period, self._taken = 0.0, 0
        self._unread, self._answer = False, b""

    def _set(self, command: int, word: bytes) -> None:
        if command not in _SETTINGS.values() or crc8(word[:2]) != word[2]:
            raise Nak
        self._settings[command] = int.from_bytes(word[:2])

    def _ask(self, command: int) -> None:
        """Prepare the answer to a command that has one; nothing is prepared where there is nothing to read."""
        if command == _IS_READY:
            self._answer = checked_words(0x8006 if self._has_news() else 0x8000)
        elif command == _READ:
            self._answer = self._measured()
        elif command == _SERIAL:
            self._answer = checked_words(0xF896, 0x31AB, 0x3B0E)
        elif command in _SETTINGS:
            self._answer = checked_words(self._settings[_SETTINGS[command]])
        else:
            raise Nak

    def _has_news(self) -> bool:
        """Look whether a measurement is done that was not read. Eleven bits of the status say so (section 3.8.2)."""
        done = int((self.clock() - self._began) / self._period) if self._period else 0
        return self._unread or done > self._taken

    def _measured(self) -> bytes:
        if not self._has_news():
            return b""
        self._unread = False
        self._taken = int((self.clock() - self._began) / self._period) if self._period else 0
        co2 = counts(self.values["co2"] / 0xFFFF)
        temperature = counts((self.values["temperature"] + 45) / 175)
        return checked_words(co2, temperature, counts(self.values["humidity"] / 100))
