"""Gathers the newest rows of a span from the chunks of the log, without reading more of them than it must.

Chunks are visited in the order of their writing, the last first. A reading may be late, so the
newest rows need not be in the last chunk: the visit ends where no older chunk can hold a row
newer than the oldest one that is kept (the floor).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import zlib
from collections.abc import Iterator

import apsw
import msgspec

from outstation.core.readings import Millis, Value
from outstation.errors import RefusedError
from outstation.store import chunks
from outstation.store.rows import SENT, Columns

CELLS_AT_MOST = 100_000
"""Values in one page of instants: a page of a big hub is cut short here, and its token goes on. About 20 MB."""

Place = tuple[Millis, int, int]
"""UTC, row of the log, position in it: the order of readings."""


class Shown(msgspec.Struct):
    """One reading of a series. place: where it was first heard of; last: where the value is from."""

    place: Place
    last: Place
    value: Value | None
    flag: int

    @property
    def at(self) -> Millis:
        """When it was measured, UTC."""
        return self.place[0]


class Span(msgspec.Struct, frozen=True):
    """What is asked for: the newest `limit` rows from `start` until before `end`, all before `before`."""

    start: Millis
    end: Millis
    before: Place | None
    limit: int


class Series:
    """The newest readings of one sensor."""

    def __init__(self, sensor: int, span: Span) -> None:
        self._sensor, self._span = sensor, span
        self._floor = span.start
        self._end = span.end if span.before is None else min(span.end, span.before[0] + 1)
        self._found: dict[Millis | Place, Shown] = {}
        self._trim_at = span.limit + 1

    def gather(self, connection: apsw.Connection) -> None:
        """Visit what must be visited."""
        for chunk in chunks.walk(connection, self._end):
            if chunk.bound < self._floor:
                return
            if chunk.highest < self._floor or not chunk.sensors >> self._sensor & 1:
                continue
            for row, columns in chunk.columns(connection):
                self._take(row, columns, chunk.offset)
            self._trim()

    def page(self) -> tuple[list[Shown], bool]:
        """Return the rows, oldest first, and whether there are older ones."""
        rows = self._in_order()
        return rows[-self._span.limit :], len(rows) > self._span.limit

    def _take(self, row: int, columns: Columns, offset: Millis) -> None:
        flags = columns.each_flag()
        for position in _places(columns.sensors, self._sensor):
            flag = flags[position]
            at = columns.times[position] + (columns.offset if flag & SENT else offset)
            if self._span.start <= at < self._end:
                place = (at, row, position)
                self._put(at if flag & SENT else place, Shown(place, place, columns.values[position], flag))

    def _put(self, key: Millis | Place, shown: Shown) -> None:
        known = self._found.setdefault(key, shown)
        if shown.last > known.last:
            known.last, known.value, known.flag = shown.last, shown.value, shown.flag
        known.place = min(known.place, shown.place)

    def _trim(self) -> None:
        """Raise the floor once there are enough rows, and drop what is below. Rows of one millisecond stay together."""
        if len(self._found) < self._trim_at:
            return
        rows, wanted = self._in_order(), self._span.limit + 1
        if len(rows) >= wanted:
            self._floor = rows[-wanted].at
            self._found = {key: shown for key, shown in self._found.items() if shown.at >= self._floor}
            self._trim_at = len(self._found) + wanted // 8 + 1
        else:
            self._trim_at += wanted - len(rows)

    def _in_order(self) -> list[Shown]:
        before = self._span.before
        rows = [shown for shown in self._found.values() if before is None or shown.place < before]
        return sorted(rows, key=lambda shown: shown.place)


class Instants:
    """The newest instants: for each `at`, the value of each sensor."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._floor = span.start
        self._end = span.end if span.before is None else min(span.end, span.before[0])
        self._found: dict[Millis, dict[int, tuple[int, int, Value | None]]] = {}
        self._cells = 0
        self._has_older = False

    def gather(self, connection: apsw.Connection) -> None:
        """Visit what must be visited."""
        for chunk in chunks.walk(connection, self._end):
            if chunk.bound < self._floor:
                return
            if chunk.highest < self._floor:
                continue
            for row, columns in chunk.columns(connection):
                self._take(row, columns, chunk.offset)
            self._trim()  # not before its last row: that may take back what an earlier one said

    def page(self) -> tuple[list[tuple[Millis, dict[int, Value]]], bool]:
        """Return the instants, oldest first, and whether there are older ones."""
        kept, has_older = self._newest()
        return [(at, _spoken(self._found[at])) for at in reversed(kept)], has_older

    def _take(self, row: int, columns: Columns, offset: Millis) -> None:
        for position, (sensor, at, value, flag) in enumerate(columns.each(offset)):
            if not self._floor <= at < self._end or (value is None and not flag & SENT):
                continue
            cells = self._found.setdefault(at, {})
            known = cells.get(sensor)
            if known is None:
                self._cells += 1
            if known is None or known < (row, position):
                cells[sensor] = (row, position, value)

    def _trim(self) -> None:
        """Raise the floor once there is more than a page, and drop what is below."""
        if len(self._found) < 2 * self._span.limit and self._cells < 2 * CELLS_AT_MOST:
            return
        kept, has_older = self._newest()
        if not has_older:
            return
        self._has_older, self._floor = True, kept[-1]
        self._found = {at: cells for at, cells in self._found.items() if at >= self._floor}
        self._cells = sum(map(len, self._found.values()))

    def _newest(self) -> tuple[list[Millis], bool]:
        """Return the times of one page, newest first, and whether there are older ones."""
        kept: list[Millis] = []
        cells = 0
        for at in sorted(self._found, reverse=True):
            spoken = len(_spoken(self._found[at]))
            if not spoken:
                continue
            cells += spoken
            if kept and (len(kept) == self._span.limit or cells > CELLS_AT_MOST):
                return kept, True
            kept.append(at)
        return kept, self._has_older


def token(kind: str, place: Place) -> str:
    """Return a page's `next`: opaque, and checked when it comes back."""
    body = msgspec.msgpack.encode((kind, place))
    return base64.urlsafe_b64encode(zlib.crc32(body).to_bytes(4, "big") + body).decode().rstrip("=")


def place_of(cursor: str | None, kind: str) -> Place | None:
    """Return the place that a token stands for. Raises RefusedError for anything that token() did not make."""
    if cursor is None:
        return None
    try:
        packed = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), b"-_", validate=True)
        found, place = _decoder.decode(packed[4:])
    except (binascii.Error, UnicodeEncodeError, msgspec.MsgspecError) as error:
        raise _BAD_CURSOR from error
    if found != kind or token(kind, place) != cursor:
        raise _BAD_CURSOR
    return place


_BAD_CURSOR = RefusedError(
    "The cursor is not one of ours.", cure='Pass the "next" of the page before, for the same question.'
)

_decoder = msgspec.msgpack.Decoder(tuple[str, Place])


def _places(sensors: list[int], sensor: int) -> Iterator[int]:
    """Return where `sensor` stands in a row: most rows hold it seldom or never, so the search is list.index."""
    place = -1
    with contextlib.suppress(ValueError):
        while True:
            place = sensors.index(sensor, place + 1)
            yield place


def _spoken(cells: dict[int, tuple[int, int, Value | None]]) -> dict[int, Value]:
    return {sensor: value for sensor, (_, _, value) in cells.items() if value is not None}
