"""In the place of a driver that another package brings: its module may take long to import, or fail to be.

The law of this file: nothing that such a package does keeps the node from starting, nor the others from being asked.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from outstation.core.readings import Value
from outstation.errors import MissingDeviceError
from outstation.plugins import DriverOptions, Place, SensorDriver

log = logging.getLogger(__name__)

PATIENCE_S = 0.5
"""A start waits so long for all of them together: a driver that is there by then can say its unit."""

Make = Callable[[], SensorDriver]
"""Imports a driver and makes it. May raise anything."""


class Coming:
    """A driver that is being made in a thread of its own."""

    def __init__(self, name: str, make: Make, *, has_unit: bool) -> None:
        self._name, self._make, self._has_unit = name, make, has_unit
        self._made: SensorDriver | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"load {name}", daemon=True)
        self._thread.start()

    def within(self, until: float) -> SensorDriver:
        """Return the driver, if it is there by then (time.monotonic()), else who stands for it."""
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._made is not None:
            return self._made
        return Absent(self._name, self._come, has_unit=self._has_unit)

    def _come(self) -> SensorDriver:
        """Wait for it; where it failed, try again: the package may have been mended meanwhile."""
        self._thread.join()
        made, error, self._error = self._made, self._error, None
        if made is None and error is None:
            return self._make()
        if made is None:
            assert error is not None
            raise error
        return made

    def _run(self) -> None:
        try:
            self._made = self._make()
        except BaseException as error:  # noqa: BLE001 - a stranger's module may raise anything; it is told by load()
            self._error = error


class Absent(SensorDriver):
    """Becomes the driver when that is there."""

    def __init__(self, name: str, come: Make, *, has_unit: bool) -> None:
        super().__init__(name, DriverOptions(), Place(Path(), Path()))
        self._come, self._has_unit = come, has_unit
        self.there: SensorDriver | None = None

    def load(self) -> None:
        """Wait until the driver is there. Raises DeviceError, or what the driver raised."""
        if self.there is None:
            driver = self._come()
            driver.load()
            self.there, self.bus, self.simulated = driver, driver.bus, driver.simulated
            if driver.unit and not self._has_unit:
                words = '%s: its driver came too late to say that its unit is %s. Set unit = "%s" in its table.'
                log.warning(words, self.name, driver.unit, driver.unit)

    def open(self) -> None:
        self.load()
        self._driver().open()

    def read(self) -> Value:
        return self._driver().read()

    def close(self) -> None:
        if self.there is not None:
            self.there.close()

    def simulate(self, value: Value | None) -> None:
        self._driver().simulate(value)

    def _driver(self) -> SensorDriver:
        if self.there is None:
            raise MissingDeviceError(f"The driver of {self.name} is not there yet.")
        return self.there
