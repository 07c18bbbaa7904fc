"""VEML7700, a light meter: Vishay's data sheet 84286, revision 1.8, and its application note 84323.

Registers, low byte first: the data sheet's tables 1 to 8; lux of a count: the table "Resolution and maximum detection
range", 0.0042 at the highest gain and the longest time (earlier revisions said 0.0036).
"""

from __future__ import annotations

from typing import ClassVar

from outstation.devices.models.timed import Timed

_CONFIG, _LIGHT, _WHITE, _ID = 0x00, 0x04, 0x05, 0x07
_SHUT_DOWN = 0x0001
_GAINS = (1.0, 2.0, 0.125, 0.25)
_TIMES_MS = {0b1100: 25, 0b1000: 50, 0b0000: 100, 0b0001: 200, 0b0010: 400, 0b0011: 800}
_FINEST, _HIGHEST_GAIN, _LONGEST_MS = 0.0042, 2.0, 800
_WAKES_IN_S = 0.0025


class Veml7700(Timed):
    """Off when it gets power; then counts light for 25 to 800 ms, again and again. Too much light is 65535 counts."""

    addresses = (0x10,)
    quantities: ClassVar = {"lux": 250.0, "white": 500.0}

    def __init__(self) -> None:
        super().__init__()
        self._pointer, self._words = 0, {_CONFIG: _SHUT_DOWN}

    def power_on(self) -> None:
        self._pointer, self._words = 0, {_CONFIG: _SHUT_DOWN}

    def write(self, data: bytes) -> None:
        self._pointer = data[0]
        if len(data) == 3 and self._pointer < _LIGHT:
            self._words[self._pointer] = int.from_bytes(data[1:], "little")
            self._works_for(_WAKES_IN_S + self._time_ms() / 1000)

    def read(self, count: int) -> bytes:
        return self._word().to_bytes(2, "little")[:count].ljust(count, b"\xff")

    def _word(self) -> int:
        match self._pointer:
            case 0x04:
                return self._counted(self.values["lux"])
            case 0x05:
                return self._counted(self.values["white"])
            case 0x07:
                return 0xC481
        return self._words.get(self._pointer, 0)

    def _counted(self, lux: float) -> int:
        if self._words[_CONFIG] & _SHUT_DOWN or self._is_busy():
            return 0
        gain = _GAINS[self._words[_CONFIG] >> 11 & 3]
        lux_a_count = _FINEST * (_LONGEST_MS / self._time_ms()) * (_HIGHEST_GAIN / gain)
        return min(round(lux / lux_a_count), 0xFFFF)

    def _time_ms(self) -> int:
        return _TIMES_MS.get(self._words[_CONFIG] >> 6 & 0xF, 100)
