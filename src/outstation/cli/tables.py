"""A table of readings in a CSV file, as columns: wide (a time, then a column a sensor) or long (a row a reading).

The law of this file: a cell is read as store/cells.py writes it, and what cannot be read is told with its line and its
column. Rows are read many at once; where that fails, these once more and one by one, to find out where. What is in
memory at once is bounded, whatever the file is.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from itertools import compress, islice
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from outstation.cli.headings import Heading, Layout, TableError
from outstation.cli.moments import moment, moments
from outstation.core.readings import Millis, Quality, Value
from outstation.store.cells import value_of, values_of
from outstation.store.columns import Column, is_rising

CELLS_AT_ONCE, ROWS_AT_ONCE = 65_536, 8_192
"""In memory these are 5 MB, read in 50 ms."""

LINE_AT_MOST, TEXT_AT_ONCE = 1 << 20, 1 << 22
"""Characters: a thousand sensors need a fiftieth of such a line. A row of many lines fits into what is read at once."""

_QUALITIES = {"": Quality.OK, **{quality.name.lower(): quality for quality in Quality}}


class Batch(msgspec.Struct, frozen=True):
    """What some rows say. lines: how many of the file are read by then. at_byte: how far into the file that is."""

    columns: list[Column]
    rows: int
    lines: int
    at_byte: int


class _Found(msgspec.Struct):
    times: list[Millis] = []
    values: list[Value | None] = []
    quality: bytearray = msgspec.field(default_factory=bytearray)


class _OtherCellError(ValueError):
    """What is wrong with a reading is not its value."""

    def __init__(self, sentence: str, place: int) -> None:
        super().__init__(sentence)
        self.place = place


class Table:
    """A file that is read once. bad: the cells and rows that were skipped."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self._path, self._layout = path, layout
        self.bad = self._line = 0
        self._heading: Heading

    def batches(self, after: int = 0) -> Iterator[Batch]:
        """Return what stands in the file after so many lines. Raises TableError."""
        try:
            with self._path.open("rb") as file, _text(file, self._path) as text:
                lines = _Lines(text, self._path)
                reader = csv.reader(lines, strict=True)
                self._heading = Heading(self._path, next(reader, []), self._layout)
                passed = max(0, after - reader.line_num)
                for _ in range(passed):
                    lines.room = TEXT_AT_ONCE
                    next(lines, None)
                self._line = lines.number
                yield from self._read(reader, lines, file)
        except (OSError, EOFError, zlib.error, csv.Error, UnicodeDecodeError) as error:
            raise self._unreadable(error) from error

    def _read(self, reader: Iterator[list[str]], lines: _Lines, file: BinaryIO) -> Iterator[Batch]:
        at_once = min(max(CELLS_AT_ONCE // len(self._heading.names), 256), ROWS_AT_ONCE)
        while rows := lines.rows(reader, at_once):
            columns = self._columns(rows)
            self._line = lines.number
            yield Batch(columns, sum(map(bool, rows)), self._line, file.tell())

    def _columns(self, rows: list[list[str]]) -> list[Column]:
        try:
            cells = list(zip(*rows, strict=True))
            found = self._long(cells) if self._heading.is_long else self._wide(cells)
            return [_in_order(name, times, values) for name, times, values in found if times]
        except (ValueError, OverflowError):
            return self._one_by_one(rows)

    def _wide(self, cells: list[tuple[str, ...]]) -> Iterator[tuple[str, Sequence[Millis], Sequence[Value]]]:
        times = moments(cells[self._heading.time], self._layout)
        for name, place in self._heading.columns.items():
            yield name, *_filled(times, cells[place])

    def _long(self, cells: list[tuple[str, ...]]) -> Iterator[tuple[str, Sequence[Millis], Sequence[Value]]]:
        heading = self._heading
        times, values = moments(cells[heading.time], self._layout), cells[heading.value]
        if heading.quality is not None and not {*cells[heading.quality]} <= {"ok", ""}:
            raise ValueError("one by one")
        places: dict[str, list[int]] = {}
        for place, name in enumerate(cells[heading.sensor]):
            places.setdefault(name, []).append(place)
        for name, here in places.items():
            yield heading.full_name(name), *_filled([times[one] for one in here], [values[one] for one in here])

    def _one_by_one(self, rows: list[list[str]]) -> list[Column]:
        found: dict[str, _Found] = {}
        line = self._line + 1
        for row in rows:
            if any(row):
                self._take(row, line, found)
            line += 1 + sum(cell.count("\n") for cell in row)
        return [_in_order(name, one.times, one.values, bytes(one.quality)) for name, one in found.items()]

    def _take(self, row: list[str], line: int, found: dict[str, _Found]) -> None:
        """Take in one row: all of it, or what can be read of it."""
        heading = self._heading
        if len(row) != len(heading.names):
            self._mistake(line, None, f"expected {len(heading.names)} cells, found {len(row)}")
            return
        try:
            at = moment(row[heading.time], self._layout)
        except ValueError as error:
            self._mistake(line, heading.time, f"{error}, found {row[heading.time][:80]!r}")
            return
        for place in (heading.value,) if heading.is_long else heading.columns.values():
            try:
                self._put(row, place, at, found)
            except _OtherCellError as error:
                self._mistake(line, error.place, str(error))
            except ValueError as error:
                self._mistake(line, place, f"{error}, found {row[place][:80]!r}")

    def _put(self, row: list[str], place: int, at: Millis, found: dict[str, _Found]) -> None:
        heading, cell, quality = self._heading, row[place], Quality.OK
        if heading.is_long:
            name, quality = self._name(row), self._quality(row)
        else:
            name = heading.sensors[place]
        if cell or quality:
            value = value_of(cell) if cell else None
            one = found.setdefault(name, _Found())
            one.times.append(at)
            one.values.append(value)
            one.quality.append(quality)

    def _name(self, row: list[str]) -> str:
        try:
            return self._heading.full_name(row[self._heading.sensor])
        except ValueError as error:
            raise _OtherCellError(str(error), self._heading.sensor) from error

    def _quality(self, row: list[str]) -> Quality:
        place = self._heading.quality
        if place is None:
            return Quality.OK
        if (word := row[place]) not in _QUALITIES:
            known = ", ".join(list(_QUALITIES)[1:])
            raise _OtherCellError(f"expected one of {known}, found {word[:80]!r}", place)
        return _QUALITIES[word]

    def _mistake(self, line: int, place: int | None, sentence: str) -> None:
        """Count a mistake, if that is wanted. Raises TableError."""
        self.bad += 1
        if self._layout.skip_bad:
            return
        column = "" if place is None else f', column {place + 1} ("{self._heading.names[place][:80]}")'
        cure = "Mend it, or leave out what cannot be read with --skip-bad."
        raise TableError(f"{self._path}, line {line}{column}: {sentence}.", cure=cure)

    def _unreadable(self, error: Exception) -> TableError:
        where = f"{self._path}, after line {self._line}" if self._line else str(self._path)
        if isinstance(error, UnicodeDecodeError):
            return TableError(f"{where}: this is no UTF-8 text.", cure="Save it as CSV in UTF-8.")
        if isinstance(error, EOFError):
            return TableError(f"{where}: the compressed file breaks off.", cure="Fetch it again.")
        return TableError(f"{where}: it cannot be read: {getattr(error, 'strerror', None) or error}.")


class _Lines:
    """The lines of a text, none too long. number: so many were read. room: characters that may be read until it is set.

    Without a bound, one line, or one cell in quotes, may be all of a file; and a small one, compressed, is gigabytes.
    """

    def __init__(self, text: io.TextIOBase, path: Path) -> None:
        self._text, self._path = text, path
        self.number, self.room = 0, TEXT_AT_ONCE

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._text.readline(LINE_AT_MOST + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self.room -= len(line)
        if len(line) > LINE_AT_MOST or self.room < 0:
            where = f"{self._path}, line {self.number}"
            raise TableError(
                f"{where}: expected a row of at most {LINE_AT_MOST >> 20} MiB, found a longer one.",
                cure="A table of readings has a line feed after each row, and quotes in pairs.",
            )
        return line

    def rows(self, reader: Iterator[list[str]], at_once: int) -> list[list[str]]:
        """Return the next rows, so many at most. Raises TableError, csv.Error."""
        self.room = TEXT_AT_ONCE
        found: list[list[str]] = []
        for row in islice(reader, at_once):
            found.append(row)
            if self.room < LINE_AT_MOST:
                break
        return found


def _filled(times: Sequence[Millis], cells: Sequence[str]) -> tuple[Sequence[Millis], Sequence[Value]]:
    """Return the cells that say something, and when they were measured."""
    filled = [*filter(None, cells)]
    return times if len(filled) == len(cells) else [*compress(times, cells)], values_of(filled)


def _in_order(name: str, times: Sequence[Millis], values: Sequence[Value | None], quality: bytes | int = 0) -> Column:
    """Return a column in the order of time; of two at one time the later in the file is the later one."""
    if is_rising(times):
        return Column(name, times, values, quality)
    order = sorted(range(len(times)), key=times.__getitem__)
    each = quality if isinstance(quality, int) else bytes(quality[place] for place in order)
    return Column(name, [times[place] for place in order], [values[place] for place in order], each)


def _text(file: BinaryIO, path: Path) -> contextlib.AbstractContextManager[io.TextIOBase]:
    raw: Any = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
    return io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
