"""The computer itself: temperature, load, memory, disk, uptime.

Real on every machine, except for the temperature of one that has no thermal zone (a virtual
one): that is simulated, and says so.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import ClassVar, Literal

from outstation import clock
from outstation.core.readings import Value
from outstation.errors import DeviceError
from outstation.plugins import DriverOptions, Place, SensorDriver

Quantity = Literal["cpu_temp", "cpu_load", "memory_used", "disk_used", "uptime"]

UNITS: dict[Quantity, str] = {"cpu_temp": "°C", "cpu_load": "%", "memory_used": "%", "disk_used": "%", "uptime": "s"}

_CPU_ZONES = ("cpu", "x86_pkg_temp", "soc", "acpitz")
"""What the zone of a processor is called, best first: Raspberry Pi "cpu-thermal", Intel "x86_pkg_temp",
other boards "soc-thermal"; "acpitz" is the mainboard's, better than none. A zone's name is its file `type`
(kernel documentation, driver-api/thermal/sysfs-api)."""

_IDLE_C, _BUSY_C = 42.0, 26.0
"""Simulated: a Raspberry Pi without a fan idles a little above 40 °C, and rises some 26 K under full load."""


class SystemOptions(DriverOptions):
    """`quantity`: what to read. `path`: for disk_used, any path on that disk (default: the node's data)."""

    quantity: Quantity
    path: str | None = None


class SystemSensor(SensorDriver):
    """One quantity of this computer.

    cpu_temp in °C. cpu_load: the kernel's one-minute load average as a percentage of all processors, so that 100 is
    all of them busy and more is work that waits. memory_used: what cannot be had without swapping, percent.
    disk_used: percent, as df(1) counts. uptime: seconds since boot, suspend included.
    """

    Options = SystemOptions
    options: SystemOptions
    zones: ClassVar[Path] = Path("/sys/class/thermal")

    def __init__(self, name: str, options: SystemOptions, place: Place) -> None:
        super().__init__(name, options, place)
        self.unit = UNITS[options.quantity]
        # A disk can be a share on a machine that is gone: statvfs then hangs, and only its own thread.
        self.bus = f"disk:{options.path}" if options.quantity == "disk_used" and options.path else "system"
        self._zone = self._cpu_zone() if options.quantity == "cpu_temp" else None
        self.simulated = options.quantity == "cpu_temp" and self._zone is None
        self._wished: Value | None = None

    def read(self) -> Value:
        """Return the quantity now."""
        read = {
            "cpu_temp": self._cpu_temp,
            "cpu_load": _cpu_load,
            "memory_used": _memory_used,
            "disk_used": self._disk_used,
            "uptime": _uptime,
        }[self.options.quantity]
        try:
            return read()
        except (OSError, ValueError) as error:
            raise DeviceError(f"{self.options.quantity} could not be read: {error}.") from error

    def simulate(self, value: Value | None) -> None:
        """Let a simulated temperature read `value`."""
        if not self.simulated:
            super().simulate(value)
        self._wished = value

    def _cpu_temp(self) -> Value:
        if self._wished is not None:
            return self._wished
        if self._zone is not None:
            return int((self._zone / "temp").read_text()) / 1000
        wobble = 0.4 * math.sin(clock.now() / 47_000)
        return round(_IDLE_C + _BUSY_C * min(_cpu_load(), 100) / 100 + wobble, 1)

    def _cpu_zone(self) -> Path | None:
        kinds = {zone: _kind(zone) for zone in sorted(self.zones.glob("thermal_zone*"))}
        for wanted in _CPU_ZONES:
            for zone, kind in kinds.items():
                if wanted in kind:
                    return zone
        return None

    def _disk_used(self) -> float:
        import psutil  # noqa: PLC0415

        return psutil.disk_usage(self.options.path or str(self.place.data)).percent


def _kind(zone: Path) -> str:
    try:
        return (zone / "type").read_text().strip().lower()
    except OSError:
        return ""


def _cpu_load() -> float:
    return round(100 * os.getloadavg()[0] / (os.cpu_count() or 1), 1)


def _memory_used() -> float:
    import psutil  # noqa: PLC0415

    return psutil.virtual_memory().percent


def _uptime() -> int:
    return clock.now() // 1_000
