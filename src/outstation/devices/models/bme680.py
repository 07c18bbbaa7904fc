"""BME680, a thermometer, hygrometer, barometer and nose: Bosch's data sheet BST-BME680-DS001.

Memory map: section 5.2; formulas (floating point) and where their coefficients stand: section 3.3; times: 3.3.2; the
gas resistance and its tables: section 3.4. What the converters say is found from the formulas, by halving.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import ClassVar

from outstation.devices.models.timed import Timed

_ID, _RESET, _RESET_WORD = 0xD0, 0xE0, 0xB6
_STATUS, _DATA, _GAS_DATA = 0x1D, 0x1F, 0x2A
_GAS_WAIT, _CTRL_GAS, _CTRL_HUM, _CTRL_MEAS = 0x64, 0x71, 0x72, 0x74
_NEW, _MEASURING, _RUN_GAS = 0x80, 0x20, 0x10
_GAS_VALID, _HEAT_STABLE = 0x20, 0x10

_CYCLES = (0, 1, 2, 4, 8, 16, 16, 16)
"""How often is measured, by the three bits that say so."""

_CYCLE_S, _SWITCHING_S = 0.001963, 0.000477

T1, T2, T3 = 26_203, 26_496, 3
P1, P2, P3, P4, P5, P6, P7, P8, P9, P10 = 36_873, -10_414, 88, 6_897, -134, 30, 32, -2_470, -2_360, 30
H1, H2, H3, H4, H5, H6, H7 = 720, 1_023, 0, 45, 20, 120, -100
G1, G2, G3 = -30, -5_969, 18
"""What was burnt into one chip, by the data sheet's names; the heater's and the switch's corrections are 0."""

_FIRST = struct.pack("<hbxHhbxhhbbxxhhB", T2, T3, P1, P2, P3, P4, P5, P7, P6, P8, P9, P10)
_SHARED = (H2 & 0xF) << 4 | H1 & 0xF
_SECOND = struct.pack("<BBBbbbBbHhbb", H2 >> 4, _SHARED, H1 >> 4, H3, H4, H5, H6, H7, T1, G2, G1, G3)
"""From 0x8A, and from 0xE1 on; h1 and h2 have a half of 0xE2 each, the lower one is h1's."""

_GAS_1 = (1.0, 1.0, 1.0, 1.0, 1.0, 0.99, 1.0, 0.992, 1.0, 1.0, 0.998, 0.995, 1.0, 0.99, 1.0, 1.0)
_GAS_2 = (
    *(8e6, 4e6, 2e6, 1e6, 499_500.4995, 248_262.1648, 125_000.0, 63_004.03226),
    *(31_281.28128, 15_625.0, 7_812.5, 3_906.25, 1_953.125, 976.5625, 488.28125, 244.140625),
)


class Bme680(Timed):
    """Sleeps; measures once when it is forced to, and sleeps again."""

    addresses = (0x77, 0x76)
    quantities: ClassVar = {"temperature": 21.5, "pressure": 1_013.0, "humidity": 48.0, "gas": 52_000.0}

    def __init__(self) -> None:
        super().__init__()
        self._memory, self._pointer = bytearray(256), 0
        self._is_fresh = False
        self.power_on()

    def power_on(self) -> None:
        self._memory[:] = bytes(256)
        self._memory[_ID] = 0x61
        self._memory[0x8A : 0x8A + len(_FIRST)] = _FIRST
        self._memory[0xE1 : 0xE1 + len(_SECOND)] = _SECOND
        self._memory[_DATA : _DATA + 8] = b"\x80\0\0\x80\0\0\x80\0"
        self._is_fresh = False

    def write(self, data: bytes) -> None:
        """Take an address to read from, or pairs of an address and a byte (section 6.2.1)."""
        self._pointer = data[0]
        for register, byte in zip(data[::2], data[1::2], strict=False):
            if register == _RESET and byte == _RESET_WORD:
                self.power_on()
            elif 0x50 <= register < 0x80:
                self._memory[register] = byte
            if register == _CTRL_MEAS and byte & 0b01:
                self._measure()

    def read(self, count: int) -> bytes:
        if self._is_busy():
            self._memory[_STATUS] = _MEASURING
        else:
            self._memory[_STATUS] = _NEW if self._is_fresh else 0
            self._memory[_CTRL_MEAS] &= 0xFC
        answer = bytes(self._memory[self._pointer : self._pointer + count])
        if self._pointer <= _DATA < self._pointer + count and not self._is_busy():
            self._is_fresh = False
        return answer.ljust(count, b"\xff")

    def _measure(self) -> None:
        memory = self._memory
        cycles = (
            _CYCLES[memory[_CTRL_MEAS] >> 5] + _CYCLES[memory[_CTRL_MEAS] >> 2 & 7] + _CYCLES[memory[_CTRL_HUM] & 7]
        )
        takes = cycles * _CYCLE_S + 4 * _SWITCHING_S
        memory[_DATA : _DATA + 8] = self._converted()
        memory[_GAS_DATA : _GAS_DATA + 2] = bytes(2)
        if memory[_CTRL_GAS] & _RUN_GAS:
            wait = memory[_GAS_WAIT]
            takes += 5 * _SWITCHING_S + (wait & 0x3F) * 4 ** (wait >> 6) / 1000
            memory[_GAS_DATA : _GAS_DATA + 2] = _gas(self.values["gas"])
        self._is_fresh = True
        self._works_for(takes)

    def _converted(self) -> bytes:
        temperature = _halved(_fine, self.values["temperature"] * 5_120, 20)
        fine = _fine(temperature)
        pressure = _halved(lambda adc: _pascals(adc, fine), self.values["pressure"] * 100, 20)
        humidity = _halved(lambda adc: _percent(adc, fine / 5_120), self.values["humidity"], 16)
        return (pressure << 4).to_bytes(3) + (temperature << 4).to_bytes(3) + humidity.to_bytes(2)


def _halved(formula: Callable[[int], float], wanted: float, bits: int) -> int:
    """Return what a converter of so many bits says where its formula gives `wanted`, or is as near as it gets."""
    low, high = 0, (1 << bits) - 1
    rises = formula(high) > formula(low)
    while high - low > 1:
        middle = (low + high) // 2
        if (formula(middle) < wanted) == rises:
            low = middle
        else:
            high = middle
    return min(low, high, key=lambda adc: abs(formula(adc) - wanted))


def _fine(adc: int) -> float:
    """Return the temperature, in 1/5120 K."""
    first = (adc / 16_384 - T1 / 1_024) * T2
    return first + (adc / 131_072 - T1 / 8_192) ** 2 * T3 * 16


def _pascals(adc: int, fine: float) -> float:
    first = fine / 2 - 64_000
    second = (first * first * P6 / 131_072 + first * P5 * 2) / 4 + P4 * 65_536
    first = (1 + (P3 * first * first / 16_384 + P2 * first) / 524_288 / 32_768) * P1
    pressure = (1_048_576 - adc - second / 4_096) * 6_250 / first
    ninth, eighth = P9 * pressure * pressure / 2_147_483_648, pressure * P8 / 32_768
    return pressure + (ninth + eighth + (pressure / 256) ** 3 * P10 / 131_072 + P7 * 128) / 16


def _percent(adc: int, celsius: float) -> float:
    first = adc - (H1 * 16 + H3 / 2 * celsius)
    second = first * (H2 / 262_144 * (1 + H4 / 16_384 * celsius + H5 / 1_048_576 * celsius * celsius))
    return second + (H6 / 16_384 + H7 / 2_097_152 * celsius) * second * second


def _gas(ohms: float) -> bytes:
    """Return ten bits of a resistance, and in which of 16 ranges: the one with the converter nearest to its middle."""
    seen = [
        (1_340 * one * two / ohms - 1_340 * one + 512, number)
        for number, (one, two) in enumerate(zip(_GAS_1, _GAS_2, strict=True))
    ]
    adc, number = min(seen, key=lambda each: abs(each[0] - 512))
    return (min(max(round(adc), 0), 1_023) << 6 | _GAS_VALID | _HEAT_STABLE | number).to_bytes(2)
