"""Plays a recording: a CSV file, plain or compressed with gzip, as if it happened now.

The file is read as far as it is needed and no further: a recording may be larger than memory.
"""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import gzip
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import Annotated, TextIO

from pydantic import Field

from outstation import clock
from outstation.core.readings import Millis, Value
from outstation.errors import DeviceError, MissingDeviceError
from outstation.plugins import DriverOptions, Place, SensorDriver

_MILLIS_FROM = 1e11
"""A bare number this large is milliseconds (1973 on), a smaller one seconds (until 5138)."""

_ONE_ROW: Millis = 1_000
"""How long a recording of a single row lasts: it has no rhythm that would say."""

Row = tuple[Millis, Value]
"""When, in milliseconds of the recording's own time, and the value from then on."""


class RecordedOptions(DriverOptions):
    """The recording: its file, one column of it, and the column of times (default: the first).

    where: only rows with these texts in these columns. speed: how much faster than it was. loop: from the start again.
    """

    file: str
    column: str
    time_column: str | None = None
    where: dict[str, str] = Field(default_factory=dict)
    speed: Annotated[float, Field(gt=0, le=1_000_000)] = 1.0
    loop: bool = False


class RecordedSensor(SensorDriver):
    """One column of a recording: the value that was current at as much time after its start as has passed now.

    The last row counts as long as the one before it did; then the recording begins again, or is a fault.
    """

    Options = RecordedOptions
    options: RecordedOptions
    simulated = True

    def __init__(self, name: str, options: RecordedOptions, place: Place) -> None:
        super().__init__(name, options, place)
        self._path = place.base / options.file
        self.bus = f"recorded:{self._path}"
        self._started: Millis | None = None
        self._rows: Generator[tuple[Millis, Value | None]] | None = None
        self._next: tuple[Millis, Value | None] = (0, None)
        self._current: Value | None = None
        self._wished: Value | None = None

    def open(self) -> None:
        """Go to the first row; when opened again, on from where the recording would be by now."""
        self.close()
        self._rows = _played(self._path, self.options)
        if self._started is None:
            self._started = clock.now()
        self._next = next(self._rows)

    def read(self) -> Value:
        """Return the value of the last row whose time has come."""
        if self._rows is None or self._started is None:
            raise DeviceError(f"The recording {self._path} is not open.")
        elapsed = (clock.now() - self._started) * self.options.speed
        while self._next[0] <= elapsed:
            self._current = self._next[1]
            if self._current is None:
                break
            self._next = next(self._rows)
        if self._wished is not None:
            return self._wished
        if self._current is None:
            raise DeviceError(f"The recording {self._path} has ended.", cure="To play it again set loop = true.")
        return self._current

    def close(self) -> None:
        """Close the file."""
        if self._rows is not None:
            self._rows.close()
        self._rows = None

    def simulate(self, value: Value | None) -> None:
        """Read `value` instead of what was recorded."""
        self._wished = value


def _played(path: Path, options: RecordedOptions) -> Generator[tuple[Millis, Value | None]]:
    """Yield the rows by their time since the start, over and over in a loop; None marks the end."""
    begins = 0
    while True:
        begins += yield from _pass(path, options, begins)
        if not options.loop:
            yield begins, None


def _pass(path: Path, options: RecordedOptions, begins: Millis) -> Generator[tuple[Millis, Value], None, Millis]:
    """Yield the rows of one pass; return its length. Rows that go back in time are left out."""
    first: Millis | None = None
    last = pause = 0
    with contextlib.closing(_rows(path, options)) as rows:
        for at, value in rows:
            first = at if first is None else first
            if at - first < last:
                continue
            last, pause = at - first, at - first - last or pause
            yield begins + last, value
    if first is None:
        raise DeviceError(f"The recording {path} has no value in column {options.column}.", cure="See `where`, too.")
    return last + (pause or _ONE_ROW)


def _rows(path: Path, options: RecordedOptions) -> Generator[Row]:
    try:
        with _opened(path) as file:
            lines = csv.reader(file)
            header = next(lines, [])
            value, when = _column(path, header, options.column), _time_column(path, header, options)
            wanted = [(_column(path, header, name), text) for name, text in options.where.items()]
            for cells in lines:
                try:
                    if cells[value] and all(cells[column] == text for column, text in wanted):
                        yield _millis(cells[when]), _value(cells[value])
                except (ValueError, IndexError, OverflowError) as error:
                    raise DeviceError(f"{path}, line {lines.line_num}: {error}.") from error
    except FileNotFoundError as error:
        raise MissingDeviceError(
            f"There is no recording {path}.", cure="Set `file`; it starts at the config's folder."
        ) from error
    except (OSError, EOFError, zlib.error, csv.Error, UnicodeDecodeError) as error:
        raise DeviceError(f"The recording {path} could not be read: {error}.") from error


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _time_column(path: Path, header: list[str], options: RecordedOptions) -> int:
    return 0 if options.time_column is None else _column(path, header, options.time_column)


def _column(path: Path, header: list[str], name: str) -> int:
    try:
        return header.index(name)
    except ValueError:
        known = ", ".join(header) or "none: the file is empty"
        raise MissingDeviceError(f'{path} has no column "{name}".', cure=f"Its columns: {known}.") from None


def _millis(text: str) -> Millis:
    try:
        number = float(text)
    except ValueError:
        moment = dt.datetime.fromisoformat(text)
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
        return round(zoned.timestamp() * 1000)
    return round(number if abs(number) >= _MILLIS_FROM else number * 1000)


def _value(text: str) -> Value:
    if (word := text.strip().lower()) in ("true", "false"):
        return word == "true"
    return float(text)
