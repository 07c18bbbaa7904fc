"""The first line of a table of readings: which column is what, and the names of the sensors."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from outstation.config.values import DEVICE_NAME, NAME
from outstation.core.readings import Millis
from outstation.errors import OutstationError
from outstation.store.exporting import LONG, TIME

_FULL_NAME = re.compile(f"{DEVICE_NAME}/{NAME}")
_TOLD_AT_MOST = 5

FOREVER: Millis = 1 << 53


class TableError(OutstationError):
    """The file cannot be read as it was asked for."""


class Layout(msgspec.Struct, frozen=True):
    """How a table is to be read. time: the column of times; None: `timestamp`, or the first. zone: of local times.

    sensors: columns by the names of their sensors; empty: each other column is a sensor. device: whose the sensors
    are that name none. latest: what is later is a mistake. skip_bad: mistakes are counted, and left out.
    """

    time: str | None = None
    sensors: Mapping[str, str] = {}
    device: str | None = None
    zone: dt.tzinfo | None = None
    latest: Millis = FOREVER
    skip_bad: bool = False


class Heading:
    """What is where. columns: of a wide table, by sensor; sensors: the other way round."""

    def __init__(self, path: Path, cells: list[str], layout: Layout) -> None:
        """Raises TableError."""
        self._path, self._layout = path, layout
        self.names = names = [cell.strip() for cell in cells]
        self._refuse_no_table()
        self.is_long = {*LONG[1:3]} <= {*names} and not layout.sensors
        by_name = names.index(TIME) if TIME in names else 0
        self.time = by_name if layout.time is None else self._place(layout.time)
        self.sensor, self.value = (names.index(name) for name in LONG[1:3]) if self.is_long else (-1, -1)
        self.quality = names.index(LONG[4]) if LONG[4] in names else None
        self.columns = {} if self.is_long else self._named()
        self.sensors = {place: name for name, place in self.columns.items()}
        self._known: dict[str, str] = {}

    def full_name(self, name: str) -> str:
        """Return the full name of a sensor in a long table. Raises ValueError."""
        if (known := self._known.get(name)) is None:
            if (problem := self._problem(name)) is not None:
                raise ValueError(problem)
            known = self._known[name] = self._full(name)
        return known

    def _refuse_no_table(self) -> None:
        if len(self.names) < 2:
            found = ",".join(self.names)[:80]
            cure = f'Its first line is "{found}"; it must name the columns: {TIME},device/sensor,...'
            raise TableError(f"{self._path} has no columns that are separated by commas.", cure=cure)
        if len(set(self.names)) < len(self.names):
            double = next(name for name in self.names if self.names.count(name) > 1)
            raise TableError(f'{self._path}, line 1: two columns are called "{double[:80]}".', cure="Rename one.")

    def _named(self) -> dict[str, int]:
        if self._layout.sensors:
            chosen = [(name, self._place(column)) for name, column in self._layout.sensors.items()]
        else:
            chosen = [(name, place) for place, name in enumerate(self.names) if place != self.time]
        wrong = [
            f"{self._path}, line 1, column {place + 1}: {problem}"
            for name, place in chosen
            if (problem := self._problem(name)) is not None
        ]
        if wrong:
            raise TableError("\n".join(wrong[:_TOLD_AT_MOST]))
        return {self._full(name): place for name, place in chosen}

    def _place(self, column: str) -> int:
        if column not in self.names:
            known = ", ".join(self.names)
            raise TableError(f'{self._path} has no column "{column[:80]}".', cure=f"Its columns: {known[:500]}.")
        return self.names.index(column)

    def _full(self, name: str) -> str:
        return f"{self._layout.device}/{name}" if self._layout.device and "/" not in name else name

    def _problem(self, name: str) -> str | None:
        """Return what is wrong with a name, and what to do about it; None: nothing is."""
        if _FULL_NAME.fullmatch(self._full(name)):
            return None
        if re.fullmatch(NAME, name):
            return f'"{name}" does not say which device it is of. --device porch makes it porch/{name}'
        fitting = re.sub(r"\W+", "_", name.lower(), flags=re.ASCII).strip("_0123456789")[:64] or "value"
        cure = f'--sensor {self._layout.device or "porch"}/{fitting}="{name[:80]}" makes it one'
        return f'"{name[:80]}" is no name of a sensor (device/name, in small letters, digits and _). {cure}'
