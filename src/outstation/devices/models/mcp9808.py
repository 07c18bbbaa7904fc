"""MCP9808, a thermometer: Microchip's data sheet DS25095A, chapter 5."""

from __future__ import annotations

from typing import ClassVar

from outstation.devices.models.model import Model

_CONFIG, _AMBIENT, _MANUFACTURER, _DEVICE, _RESOLUTION = 0x01, 0x05, 0x06, 0x07, 0x08

_STEPS = (0.5, 0.25, 0.125, 0.0625)
"""Kelvin a step, by the resolution register."""


class Mcp9808(Model):
    """Registers of 16 bits, but for the resolution's 8. The temperature has 13 bits, its sign the highest of them."""

    addresses = tuple(range(0x18, 0x20))
    quantities: ClassVar = {"temperature": 21.5}

    def __init__(self) -> None:
        super().__init__()
        self._pointer = 0
        self._words = {_CONFIG: 0, 0x02: 0, 0x03: 0, 0x04: 0, _MANUFACTURER: 0x0054, _DEVICE: 0x0400}
        self._resolution = 0b11

    def write(self, data: bytes) -> None:
        self._pointer = data[0] & 0x0F
        if self._pointer == _RESOLUTION and len(data) == 2:
            self._resolution = data[1] & 0b11
        elif self._pointer in (0x01, 0x02, 0x03, 0x04) and len(data) == 3:
            self._words[self._pointer] = int.from_bytes(data[1:])

    def read(self, count: int) -> bytes:
        if self._pointer == _RESOLUTION:
            answer = bytes([self._resolution])
        elif self._pointer == _AMBIENT:
            answer = self._ambient().to_bytes(2)
        else:
            answer = self._words.get(self._pointer, 0).to_bytes(2)
        return answer[:count].ljust(count, b"\xff")

    def _ambient(self) -> int:
        """Return register 5: three alarm bits (above critical, above upper, below lower), then 1/16 K steps."""
        celsius = min(max(self.values["temperature"], -40.0), 125.0)
        step = _STEPS[self._resolution]
        celsius = round(celsius / step) * step
        upper, lower, critical = (_celsius(self._words[register]) for register in (0x02, 0x03, 0x04))
        alarms = (celsius >= critical) << 15 | (celsius > upper) << 14 | (celsius < lower) << 13
        return alarms | round(celsius * 16) & 0x1FFF


def _celsius(word: int) -> float:
    """Return the temperature in a register of 13 bits, two's complement, 1/16 K each."""
    bits = word & 0x1FFF
    return (bits - 0x2000 if bits & 0x1000 else bits) / 16
