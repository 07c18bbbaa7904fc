"""BMP280, a thermometer and barometer: Bosch's data sheet BST-BMP280-DS001, revision 1.26.

Memory map: section 4.2; formulas (floating point): appendix 8.1; times: section 3.8. Its calibration is that of the
data sheet's own example (section 3.12), where 519888 and 415148 mean 25.08 °C and 1006.53 hPa.
What the converters say is found from the formulas, by halving.
"""

from __future__ import annotations

import struct
from typing import ClassVar

from outstation.devices.models.converter import halved
from outstation.devices.models.timed import Timed

_CALIBRATION, _ID, _RESET, _STATUS, _CTRL_MEAS, _CONFIG, _DATA = 0x88, 0xD0, 0xE0, 0xF3, 0xF4, 0xF5, 0xF7
_RESET_WORD, _MEASURING, _SLEEP, _NORMAL = 0xB6, 0x08, 0b00, 0b11

T1, T2, T3 = 27_504, 26_435, -1_000
P1, P2, P3, P4, P5, P6, P7, P8, P9 = 36_477, -10_685, 3_024, 2_855, 140, -7, 15_500, -14_600, 6_000
"""What was burnt into the chip, by the data sheet's names."""

CYCLES = (0, 1, 2, 4, 8, 16, 16, 16)
"""How often is measured, by the three bits that say so."""


class Bmp280(Timed):
    """Sleeps, measures once when it is forced to, or goes on measuring."""

    addresses = (0x77, 0x76)
    quantities: ClassVar = {"temperature": 21.5, "pressure": 1013.25}
    chip_id = 0x58

    def __init__(self) -> None:
        super().__init__()
        self._memory, self._pointer = bytearray(256), 0
        self.power_on()

    def power_on(self) -> None:
        """Begin as after switching on: asleep, with nothing measured."""
        self._memory[:] = bytes(256)
        self._memory[_ID] = self.chip_id
        burnt = struct.pack("<HhhHhhhhhhhh", T1, T2, T3, P1, P2, P3, P4, P5, P6, P7, P8, P9)
        self._memory[_CALIBRATION : _CALIBRATION + len(burnt)] = burnt
        self._memory[_DATA : _DATA + 6] = b"\x80\0\0\x80\0\0"

    def write(self, data: bytes) -> None:
        """Take an address to read from, or pairs of an address and a byte (section 5.2.1)."""
        self._pointer = data[0]
        for register, byte in zip(data[::2], data[1::2], strict=False):
            self._register(register, byte)

    def read(self, count: int) -> bytes:
        self._memory[_STATUS] = _MEASURING if self._is_busy() else 0
        if self._memory[_CTRL_MEAS] & 0b11 == _NORMAL:
            self._measure()
        elif not self._is_busy():
            self._memory[_CTRL_MEAS] &= ~0b11
        return bytes(self._memory[self._pointer : self._pointer + count]).ljust(count, b"\xff")

    def _register(self, register: int, byte: int) -> None:
        if register == _RESET and byte == _RESET_WORD:
            self.power_on()
        elif register in (_CTRL_MEAS, _CONFIG):
            self._memory[register] = byte
            if register == _CTRL_MEAS and byte & 0b11 != _SLEEP:
                self._works_for(self._takes())
                self._measure()

    def _takes(self) -> float:
        """Return the typical seconds of one measurement."""
        control = self._memory[_CTRL_MEAS]
        temperature, pressure = CYCLES[control >> 5], CYCLES[control >> 2 & 0b111]
        return (1 + 2 * temperature + (2 * pressure + 0.5) * bool(pressure)) / 1000

    def _measure(self) -> None:
        control = self._memory[_CTRL_MEAS]
        temperature = halved(fine, self.values["temperature"] * 5_120, 20)
        pressure = halved(lambda raw: hectopascal(raw, fine(temperature)), self.values["pressure"], 20)
        # What is not measured has the value after a reset.
        raw = (pressure if control >> 2 & 0b111 else 0x80000, temperature if control >> 5 else 0x80000)
        self._memory[_DATA : _DATA + 6] = b"".join((each << 4).to_bytes(3) for each in raw)


def fine(raw: int) -> float:
    """Return the temperature in 1/5120 K."""
    first = (raw / 16_384 - T1 / 1_024) * T2
    return first + (raw / 131_072 - T1 / 8_192) ** 2 * T3


def hectopascal(raw: int, fine: float) -> float:
    """Return the pressure at a temperature that fine() gave."""
    first = fine / 2 - 64_000
    second = (first * first * P6 / 32_768 + first * P5 * 2) / 4 + P4 * 65_536
    first = (1 + (P3 * first * first / 524_288 + P2 * first) / 524_288 / 32_768) * P1
    pascal = (1_048_576 - raw - second / 4_096) * 6_250 / first
    return (pascal + (P9 * pascal * pascal / 2_147_483_648 + pascal * P8 / 32_768 + P7) / 16) / 100
