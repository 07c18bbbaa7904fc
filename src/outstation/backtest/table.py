"""A recording in a CSV file: a column of times, and one column for each sensor."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import gzip
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import msgspec

from outstation.core.readings import Millis, Reading, Value
from outstation.errors import OutstationError

MILLIS_FROM = 1e11
"""A bare number this large is milliseconds (1973 on), a smaller one seconds (until 5138)."""


class TableError(OutstationError):
    """The recording cannot be read as it was asked for."""


class Layout(msgspec.Struct, frozen=True):
    """How to read a table. time: the column of times; None: the first.

    sensors: columns by the names of their sensors; empty: each other column is a sensor of its name.
    where: only rows with these texts in these columns.
    """

    time: str | None = None
    sensors: Mapping[str, str] = {}
    where: Mapping[str, str] = {}


class Table:
    """A recording, read anew by each `readings`. left_out: rows that went back in time."""

    def __init__(self, path: Path, layout: Layout) -> None:
        """Look at the heading. Raises TableError."""
        self._path, self._layout = path, layout
        self.left_out = 0
        with self._lines() as lines:
            self._header: list[str] = next(lines, [])
        self._time = 0 if layout.time is None else self._column(layout.time)
        self._where = [(self._column(name), text) for name, text in layout.where.items()]
        self.columns = self._columns()

    @property
    def names(self) -> list[str]:
        """The sensors in it."""
        return list(self.columns)

    def readings(self, start: Millis, end: Millis, sensors: Collection[str]) -> Iterator[Reading]:
        """Return the readings of these sensors from `start` until before `end`. Raises TableError."""
        columns = [(name, self.columns[name]) for name in self.names if name in sensors]
        self.left_out, last = 0, start
        for at, cells, line in self._rows():
            if at < last:
                self.left_out += at >= start
                continue
            if at >= end:
                return
            last = at
            for name, column in columns:
                if text := cells[column]:
                    yield Reading(name, self._value(text, line), at, at, at)

    def _rows(self) -> Iterator[tuple[Millis, list[str], int]]:
        """Return each row that is asked for: when it was measured, its cells, the number of its line."""
        width = max([self._time, *self.columns.values(), *(column for column, _ in self._where)]) + 1
        with self._lines() as lines:
            next(lines, None)
            for cells in lines:
                if len(cells) < width:
                    if not any(cells):
                        continue
                    raise self._wrong(lines.line_num, f"expected {width} columns, found {len(cells)}")
                if any(cells[column] != text for column, text in self._where):
                    continue
                try:
                    at = moment(cells[self._time])
                except (ValueError, OverflowError):
                    raise self._wrong(lines.line_num, f"expected a time, found {cells[self._time]!r}") from None
                yield at, cells, lines.line_num

    def _value(self, text: str, line: int) -> Value:
        """Return what a cell says. Raises TableError."""
        try:
            return float(text)
        except ValueError:
            word = text.strip().lower()
        if word in ("true", "false"):
            return word == "true"
        raise self._wrong(line, f"expected a number, true or false, found {text!r}")

    def _columns(self) -> dict[str, int]:
        """Return where each sensor's column is."""
        if self._layout.sensors:
            return {name: self._column(column) for name, column in self._layout.sensors.items()}
        used = {self._time, *(column for column, _ in self._where)}
        return {name: place for place, name in enumerate(self._header) if place not in used}

    def _column(self, name: str) -> int:
        try:
            return self._header.index(name)
        except ValueError:
            known = ", ".join(self._header) or "none: the file is empty"
            raise TableError(f'{self._path} has no column "{name}".', cure=f"Its columns: {known}.") from None

    @contextlib.contextmanager
    def _lines(self) -> Iterator[Any]:
        try:
            with _opened(self._path) as file:
                yield csv.reader(file)
        except (OSError, EOFError, zlib.error, csv.Error, UnicodeDecodeError) as error:
            raise TableError(f"{self._path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error

    def _wrong(self, line: int, sentence: str) -> TableError:
        return TableError(f"{self._path}, line {line}: {sentence}.")


def moment(text: str) -> Millis:
    """Return a time: ISO 8601, in UTC where it says nothing else, or a number of Unix seconds or milliseconds.

    Raises ValueError, OverflowError.
    """
    try:
        number = float(text)
    except ValueError:
        found = dt.datetime.fromisoformat(text.strip())
        zoned = found if found.tzinfo else found.replace(tzinfo=dt.UTC)
        return round(zoned.timestamp() * 1000)
    return round(number if abs(number) >= MILLIS_FROM else number * 1000)


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")
