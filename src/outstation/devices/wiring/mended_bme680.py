"""The library for the BME680, with the humidity's coefficients as Bosch has them.

The library (3.7.16) takes the half of 0xE2 that is h2's for h1, and the other way round: with some chips it says 3.4 %
too much at 90 %, with others as much too little. Bosch, in BME68x_SensorAPI: get_calib_data().
"""

from __future__ import annotations

from adafruit_bme680 import Adafruit_BME680_I2C  # type: ignore[import-untyped]

_FROM = 0xE1


class Bme680(Adafruit_BME680_I2C):  # type: ignore[misc]
    """What is right already stays as it is."""

    def _read_calibration(self) -> None:
        super()._read_calibration()
        second, shared, first = self._read(_FROM, 3)
        self._humidity_calibration[:2] = [float(first << 4 | shared & 0x0F), float(second << 4 | shared >> 4)]
