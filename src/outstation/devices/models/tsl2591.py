"""TSL2591, a light meter with two diodes: the data sheet of ams, version 2-04.

Register map and command byte: figures 14 and 15; the channels' answer to white light: figure 8. The data sheet has
no formula for lux: ams leaves that to its customers, and all go by the one in the Arduino library of Adafruit.
"""

from __future__ import annotations

from typing import ClassVar

from outstation.devices.models.model import Nak
from outstation.devices.models.timed import Timed

_ENABLE, _CONTROL, _PACKAGE, _ID, _STATUS, _DATA = 0x00, 0x01, 0x11, 0x12, 0x13, 0x14
_POWER_ON, _ALS_ENABLE, _RESET = 0x01, 0x02, 0x80

_GAINS = (1.0, 25.0, 428.0, 9876.0)
_MOST_IN_100_MS, _MOST = 36_863, 65_535
_INFRARED = 34.9 / 264.1
"""Counts of channel 1 for one of channel 0, both for the same white light."""

_LUX_A_COUNT, _INFRARED_WEIGHS = 408.0, 1.64


class Tsl2591(Timed):
    """Adds up light for 100 to 600 ms, again and again while it is enabled; dark until the first time is over."""

    addresses = (0x29,)
    quantities: ClassVar = {"lux": 250.0}

    def __init__(self) -> None:
        super().__init__()
        self._registers, self._pointer = bytearray(0x18), 0
        self._registers[_ID] = 0x50

    def power_on(self) -> None:
        self._registers[:_PACKAGE] = bytes(_PACKAGE)
        self._pointer = 0

    def write(self, data: bytes) -> None:
        if data[0] & 0xE0 != 0xA0:  # a special function, of its interrupts; or no command at all
            return
        self._pointer = data[0] & 0x1F
        for byte in data[1:]:
            self._set(self._pointer, byte)
            self._pointer += 1

    def read(self, count: int) -> bytes:
        if self._pointer >= len(self._registers):
            raise Nak
        self._registers[_STATUS] = self._is_valid()
        self._registers[_DATA:] = b"".join(channel.to_bytes(2, "little") for channel in self._channels())
        answer = bytes(self._registers[self._pointer : self._pointer + count])
        self._pointer += count
        return answer.ljust(count, b"\xff")

    def _set(self, register: int, byte: int) -> None:
        if register == _CONTROL and byte & _RESET:
            self.power_on()
        elif register < _PACKAGE:
            self._registers[register] = byte
            self._works_for(0.1 * self._hundreds())

    def _is_valid(self) -> bool:
        enabled = self._registers[_ENABLE] & 3 == _POWER_ON | _ALS_ENABLE
        return enabled and not self._is_busy()

    def _hundreds(self) -> int:
        return (self._registers[_CONTROL] & 0x07) + 1

    def _channels(self) -> tuple[int, int]:
        """Return what both diodes counted: lux = (c0 - 1.64 c1) / (ms x gain / 408), to the end of the counter."""
        if not self._is_valid():
            return 0, 0
        gain = _GAINS[self._registers[_CONTROL] >> 4 & 3]
        a_lux = 100 * self._hundreds() * gain / _LUX_A_COUNT
        full = self.values["lux"] * a_lux / (1 - _INFRARED_WEIGHS * _INFRARED)
        most = _MOST_IN_100_MS if self._hundreds() == 1 else _MOST
        return min(round(full), most), min(round(full * _INFRARED), most)
