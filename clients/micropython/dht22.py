"""DHT22 (AM2302), thermometer and hygrometer on one wire: MicroPython's driver, asked no more often than it may be."""

import time

import dht
from machine import Pin

_PAUSE_MS = 2000  # between two measurements: Aosong, data sheet AM2302, section 7


class DHT22:
    """One sensor. Raises OSError where it does not answer, or its checksum is wrong."""

    def __init__(self, pin: Pin) -> None:
        self._sensor = dht.DHT22(pin)
        self._measured = None

    def temperature(self) -> float:
        """Return degrees Celsius."""
        self._measure()
        return self._sensor.temperature()

    def humidity(self) -> float:
        """Return percent of relative humidity."""
        self._measure()
        return self._sensor.humidity()

    def _measure(self) -> None:
        now = time.ticks_ms()
        if self._measured is not None and time.ticks_diff(now, self._measured) < _PAUSE_MS:
            return
        self._measured = None  # a failure is tried again at once, and nothing old is told as new
        try:
            self._sensor.measure()
        except Exception as error:  # MicroPython raises nothing better for a wrong checksum
            raise OSError(str(error)) from error
        self._measured = now
