"""BME280, a BMP280 that is a hygrometer as well: Bosch's data sheet BST-BME280-DS002, revision 1.6.

Memory map: section 5.3; formula (floating point): appendix 8.1. What Bosch burns into a chip differs from one to the
next; these are of an ordinary one.
"""

from __future__ import annotations

import struct
from typing import ClassVar

from outstation.devices.models.bmp280 import CYCLES, Bmp280, fine
from outstation.devices.models.converter import halved

_CTRL_HUM, _CTRL_MEAS, _HUMIDITY, _TEMPERATURE = 0xF2, 0xF4, 0xFD, 0xFA

H1, H2, H3, H4, H5, H6 = 75, 363, 0, 313, 50, 30


class Bme280(Bmp280):
    """What ctrl_hum says counts from the next write to ctrl_meas on."""

    quantities: ClassVar = {**Bmp280.quantities, "humidity": 48.0}
    chip_id = 0x60

    def power_on(self) -> None:
        super().power_on()
        self._memory[0xA1] = H1
        # H4 and H5 have 12 bits each, and share a byte: section 4.2.2, table 16.
        self._memory[0xE1:0xE8] = struct.pack("<hBbBbb", H2, H3, H4 >> 4, H4 & 0xF | (H5 & 0xF) << 4, H5 >> 4, H6)
        self._memory[_HUMIDITY : _HUMIDITY + 2] = b"\x80\0"

    def _register(self, register: int, byte: int) -> None:
        if register == _CTRL_HUM:
            self._memory[register] = byte
        super()._register(register, byte)

    def _takes(self) -> float:
        humidity = CYCLES[self._memory[_CTRL_HUM] & 0b111]
        return super()._takes() + (2 * humidity + 0.5) * bool(humidity) / 1000

    def _measure(self) -> None:
        super()._measure()
        temperature = fine(int.from_bytes(self._memory[_TEMPERATURE : _TEMPERATURE + 3]) >> 4)
        humidity = halved(lambda raw: _percent(raw, temperature), self.values["humidity"], 16)
        measured = humidity if self._memory[_CTRL_HUM] & 0b111 else 0x8000
        self._memory[_HUMIDITY : _HUMIDITY + 2] = measured.to_bytes(2)


def _percent(raw: int, fine: float) -> float:
    heat = fine - 76_800
    first = raw - (H4 * 64 + H5 / 16_384 * heat)
    first *= H2 / 65_536 * (1 + H6 / 67_108_864 * heat * (1 + H3 / 67_108_864 * heat))
    return min(max(first * (1 - H1 * first / 524_288), 0), 100)
