"""ADS1115, a converter with four inputs: Texas Instruments' data sheet SBAS444E, section 8.1 (registers)."""

from __future__ import annotations

from typing import ClassVar

from outstation.devices.models.converter import Inputs
from outstation.devices.models.timed import Timed

_CONVERSION, _CONFIG = 0, 1
_START, _SINGLE = 0x8000, 0x0100

_PAIRS = (("a0", "a1"), ("a0", "a3"), ("a1", "a3"), ("a2", "a3"), ("a0",), ("a1",), ("a2",), ("a3",))
"""By the three bits of MUX: an input against another one, or against ground."""

_RANGES = (6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256)
"""Volts up and down, by the three bits of PGA."""

_RATES = (8, 16, 32, 64, 128, 250, 475, 860)
"""Conversions a second, by the three bits of DR."""


class Ads1115(Inputs, Timed):
    """Sleeps; converts once when it is told to, and says that it is busy meanwhile; or goes on converting."""

    addresses = (0x48, 0x49, 0x4A, 0x4B)
    quantities: ClassVar = {"a0": 1.65, "a1": 0.5, "a2": 2.5, "a3": 0.0}

    def __init__(self) -> None:
        super().__init__()
        self._pointer = 0
        self._words = {_CONVERSION: 0, _CONFIG: 0x0583, 2: 0x8000, 3: 0x7FFF}

    def write(self, data: bytes) -> None:
        self._pointer = data[0] & 0b11
        if len(data) < 3 or self._pointer == _CONVERSION:
            return
        word = int.from_bytes(data[1:3])
        self._words[self._pointer] = word & ~_START if self._pointer == _CONFIG else word
        if self._pointer == _CONFIG and (word & _START or not word & _SINGLE):
            self._works_for(1 / _RATES[word >> 5 & 0b111])
            self._words[_CONVERSION] = self._converted(word)

    def read(self, count: int) -> bytes:
        word = self._words[self._pointer]
        if self._pointer == _CONFIG and not self._is_busy():
            word |= _START
        return word.to_bytes(2)[:count].ljust(count, b"\xff")

    def _converted(self, config: int) -> int:
        """Return 16 bits, two's complement; beyond its range the converter stays at the end of it."""
        plus, *minus = _PAIRS[config >> 12 & 0b111]
        volts = self.values[plus] - sum(self.values[name] for name in minus)
        steps = round(volts / _RANGES[config >> 9 & 0b111] * 32_768)
        return min(max(steps, -32_768), 32_767) & 0xFFFF
