"""One chip for all sensors that are on it: opened by the first, asked for all at once, let go by the last.

The law of this file: a sensor takes each joint reading once, and none that is older than a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from typing import ClassVar

from outstation.core.readings import Value
from outstation.devices.wiring.library import Device, Wanted, Wire
from outstation.errors import DeviceError, MissingDeviceError
from outstation.plugins import SensorDriver, checked

FRESH_S = 1.0


class SharedChip:
    """A chip where a wire ends. Its sensors are called in one thread; the lock is for those who are not."""

    _there: ClassVar[dict[Hashable, SharedChip]] = {}
    _joining = threading.Lock()

    def __init__(self, wanted: Wanted, wire: Wire) -> None:
        self._wanted, self._wire = wanted, wire
        self._device: Device | None = None
        self._sensors: dict[SensorDriver, str] = {}
        self._taken: dict[SensorDriver, Value | DeviceError] = {}
        self._taken_at = 0.0
        self._lock = threading.Lock()

    @classmethod
    def join(cls, key: Hashable, wanted: Wanted, wire: Wire, sensor: SensorDriver, quantity: str) -> SharedChip:
        """Return the chip that is there, with one more sensor on it. Raises DeviceError: there is another one."""
        with cls._joining:
            chip = cls._there.setdefault(key, cls(wanted, wire))
            chip.admit(wanted, sensor, quantity)
        return chip

    def admit(self, wanted: Wanted, sensor: SensorDriver, quantity: str) -> None:
        """Let a sensor read this chip, unless another chip is read here. Raises DeviceError."""
        if self._sensors and self._wanted != wanted:
            raise self._taken_by(wanted, sensor)
        self._wanted = wanted
        self._sensors[sensor] = quantity

    def leave(self, sensor: SensorDriver) -> None:
        """Let go of it; whoever is the last closes it."""
        with self._joining:
            self._sensors.pop(sensor, None)
        with self._lock:
            self._taken.pop(sensor, None)
            if not self._sensors:
                self._drop()

    def open(self) -> None:
        """Get hold of the chip. Raises DeviceError."""
        with self._lock:
            self._ready()

    def read(self, sensor: SensorDriver) -> Value:
        """Return what the chip measures for that sensor. Raises DeviceError."""
        with self._lock:
            if sensor not in self._taken or time.monotonic() - self._taken_at > FRESH_S:
                self._take()
            found = self._taken.pop(sensor)
        if isinstance(found, DeviceError):
            raise found
        return found

    def forget(self) -> None:
        """Count no more what was taken before now."""
        with self._lock:
            self._taken.clear()

    def _take(self) -> None:
        """Ask the chip for all that its sensors want. A chip that is lost, or fails altogether, is set up anew."""
        device, sensors = self._ready(), dict(self._sensors)
        found: dict[str, Value | DeviceError] = {}
        lost: DeviceError | None = None
        for quantity in sensors.values():
            if quantity not in found:
                found[quantity] = each = lost or _taken(device, quantity)
                lost = each if isinstance(each, DeviceError) and isinstance(each.__cause__, OSError) else lost
        self._taken = {sensor: found[quantity] for sensor, quantity in sensors.items()}
        self._taken_at = time.monotonic()
        if lost or all(isinstance(each, DeviceError) for each in found.values()):
            self._drop()

    def _ready(self) -> Device:
        if self._device is None:
            try:
                self._device = Device(self._wanted, self._wire)
            except DeviceError:
                self._drop()
                raise
        return self._device

    def _drop(self) -> None:
        self._device = None
        self._wire.close()

    def _taken_by(self, wanted: Wanted, sensor: SensorDriver) -> MissingDeviceError:
        there = f'"{next(iter(self._sensors)).name}" reads a {self._wanted.name}'
        what = "with other `settings`" if wanted.name == self._wanted.name else f"as a {wanted.name}"
        return MissingDeviceError(
            f'{self._wire.where} is taken: {there} there, and "{sensor.name}" would read it {what}.',
            cure="Two chips cannot share an address: mend one of the two tables.",
        )


def _taken(device: Device, quantity: str) -> Value | DeviceError:
    try:
        return checked(device.take(quantity))
    except DeviceError as error:
        return error
