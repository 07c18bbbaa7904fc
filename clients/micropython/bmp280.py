"""BMP280, barometer and thermometer on the I2C bus. Registers and sums: Bosch, data sheet BST-BMP280-DS001.

The sums are in whole numbers (section 3.11.3, with 64 bits for the pressure): a board's floats have too few digits.
"""

import struct
import time

from machine import I2C

_CALIBRATION, _CALIBRATION_FORMAT = 0x88, "<HhhHhhhhhhhh"  # table 17: T1 T2 T3, P1 to P9
_ID, _STATUS, _CONTROL, _DATA = 0xD0, 0xF3, 0xF4, 0xF7  # table 18
_CHIPS = (0x58, 0x60)  # 0x60: a BME280, whose pressure and temperature are read the same way
_MEASURING = 0x08
_ONCE = 1 << 5 | 3 << 2 | 1  # temperature once, pressure four times over (ultra low power is 1, table 7), forced mode
_PATIENCE_MS = 50  # at most 13.3 ms are needed for this (section 3.8.1)
_NOTHING = 0x80000  # what the data registers hold before the first measurement (section 4.3.6)


class BMP280:
    """One barometer: it measures when it is asked, and sleeps else. Raises OSError where it does not answer."""

    def __init__(self, bus: I2C, address: int = 0x77) -> None:
        self._bus, self._address, self._factory = bus, address, None

    def temperature(self) -> float:
        """Return degrees Celsius."""
        return (self._measure()[0] * 5 + 128 >> 8) / 100

    def pressure(self) -> float:
        """Return hectopascals, as it is here: not reduced to sea level."""
        fine, raw = self._measure()
        return self._pascals_256(fine, raw) / 25600

    def _measure(self) -> tuple:
        """Return the fine temperature of the data sheet, and the raw pressure."""
        if self._factory is None:
            self._look()
        self._bus.writeto_mem(self._address, _CONTROL, bytes((_ONCE,)))
        began = time.ticks_ms()
        time.sleep_ms(15)
        while self._read(_STATUS, 1)[0] & _MEASURING:
            if time.ticks_diff(time.ticks_ms(), began) > _PATIENCE_MS:
                raise OSError("the BMP280 does not finish measuring")
            time.sleep_ms(2)
        data = self._read(_DATA, 6)
        pressure, temperature = (data[i] << 12 | data[i + 1] << 4 | data[i + 2] >> 4 for i in (0, 3))
        if temperature == _NOTHING:
            raise OSError("the BMP280 has measured nothing")
        return self._fine(temperature), pressure

    def _look(self) -> None:
        """See who answers: not at the start, for a wire that is loose then must not end the program."""
        if self._read(_ID, 1)[0] not in _CHIPS:
            raise OSError(f"what answers at 0x{self._address:02x} is no BMP280")
        self._factory = struct.unpack(_CALIBRATION_FORMAT, self._read(_CALIBRATION, 24))

    def _fine(self, raw: int) -> int:
        t1, t2, t3 = self._factory[:3]
        offset = (raw >> 4) - t1
        return (((raw >> 3) - (t1 << 1)) * t2 >> 11) + ((offset * offset >> 12) * t3 >> 14)

    def _pascals_256(self, fine: int, raw: int) -> int:
        _, _, _, p1, p2, p3, p4, p5, p6, p7, p8, p9 = self._factory
        a = fine - 128000
        b = a * a * p6 + (a * p5 << 17) + (p4 << 35)
        a = (a * a * p3 >> 8) + (a * p2 << 12)
        a = ((1 << 47) + a) * p1 >> 33
        if not a:
            raise OSError("the BMP280 has no calibration")
        p = ((1048576 - raw << 31) - b) * 3125 // a
        a = p9 * (p >> 13) * (p >> 13) >> 25
        b = p8 * p >> 19
        return (p + a + b >> 8) + (p7 << 4)

    def _read(self, register: int, count: int) -> bytes:
        return self._bus.readfrom_mem(self._address, register, count)
