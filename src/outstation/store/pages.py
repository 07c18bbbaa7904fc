"""Gathers the newest rows of a span from the chunks of the log and from blocks, without reading more than it must.

Chunks are visited in the order of their writing, the last first; then blocks, the latest first. A reading may be
late, so the newest rows need not be in the last chunk: the visit ends where none that is older can hold a row
newer than the oldest one that is kept (the floor).
"""

from __future__ import annotations

import base64
import binascii
import zlib
from bisect import bisect_left
from collections.abc import Collection, Iterable
from itertools import chain

import apsw
import msgspec

from outstation.core.readings import Millis, Value
from outstation.errors import RefusedError
from outstation.store import blocks, chunks, segments
from outstation.store.rows import SENT, Columns
from outstation.store.segments import Segment

CELLS_AT_MOST = 100_000
"""Values in one page of instants: a page of a big hub is cut short here, and its token goes on. About 20 MB."""

Place = tuple[Millis, int]
"""UTC, and which one of that millisecond: 0 is the sender's, our own count from 1 in the order of their arrival."""

Cell = tuple[bool, int, int, Value | None]
"""Whether it is our own, rank, position, value: the greatest is what an instant shows of a sensor."""


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
        self._found: list[Segment] = []
        self._count = 0
        self._trim_at = span.limit + 1

    def gather(self, connection: apsw.Connection) -> None:
        """Visit what must be visited: the log, then the blocks."""
        for chunk in chunks.walk(connection, self._end):
            if chunk.bound < self._floor:
                break
            if chunk.highest < self._floor or not self._is_in(chunk):
                continue
            for row, columns in chunk.columns(connection):
                self.take(segments.of_row(row, columns, self._sensor, chunk.offset))
            self._trim()
        for clock in blocks.of_sensor(connection, self._sensor, self._floor, self._end):
            for block in clock:
                if block.bound < self._floor:
                    break
                if block.high >= self._floor:
                    self.take(block.segments(connection))
                    self._trim()

    def take(self, found: Iterable[Segment]) -> None:
        """Take in what is asked for of this."""
        for segment in found:
            part = segment.between(self._floor, self._end)
            if part.at:
                self._found.append(part)
                self._count += len(part.at)

    def whole(self) -> Segment:
        """Return all that was found, in order."""
        return segments.merged(self._found) if self._found else Segment(0, False, (), (), b"")

    def page(self) -> tuple[Segment, Place | None]:
        """Return the rows, oldest first, and the place of the first of them if there are older ones."""
        whole, before = self.whole(), self._span.before
        end = len(whole.at)
        if before is not None:
            end = bisect_left(whole.at, before[0])
            while end < len(whole.at) and _place(whole, end) < before:
                end += 1
        first = max(0, end - self._span.limit)
        rows = Segment(0, False, whole.at[first:end], whole.values[first:end], whole.flags[first:end])
        return rows, _place(whole, first) if first else None

    def _is_in(self, chunk: chunks.Found) -> bool:
        return self._sensor > chunk.hidden and bool(chunk.sensors >> self._sensor & 1)

    def _trim(self) -> None:
        """Raise the floor once there are enough rows, and drop what is below. Rows of one millisecond stay together."""
        if self._count < self._trim_at:
            return
        wanted, before = self._span.limit + 1, self._span.before
        own = chain.from_iterable(segment.at for segment in self._found if not segment.is_sent)
        sent = set(chain.from_iterable(segment.at for segment in self._found if segment.is_sent))
        at = sorted([*own, *sent])
        if before is not None:
            del at[bisect_left(at, before[0]) :]
        if len(at) >= wanted:
            self._floor = at[-wanted]
            kept = [segment.between(self._floor, self._end) for segment in self._found]
            self._found = [segment for segment in kept if segment.at]
            self._count = sum(len(segment.at) for segment in self._found)
            self._trim_at = self._count + wanted // 8 + 1
        else:
            self._trim_at += wanted - len(at)


class Instants:
    """The newest instants: for each `at`, the value of each sensor."""

    def __init__(self, span: Span, gone: Collection[int] = ()) -> None:
        """gone: sensors that were deleted; the log and blocks may still know them."""
        self._span, self._gone = span, gone
        self._floor = span.start
        self._end = span.end if span.before is None else min(span.end, span.before[0])
        self._found: dict[Millis, dict[int, Cell]] = {}
        self._cells = 0
        self._has_older = False

    def gather(self, connection: apsw.Connection) -> None:
        """Visit what must be visited: the log, then the blocks."""
        for chunk in chunks.walk(connection, self._end):
            if chunk.bound < self._floor:
                break
            if chunk.highest < self._floor:
                continue
            for row, columns in chunk.columns(connection):
                self._take_row(row, columns, chunk)
            self._trim()  # not before its last row: that may take back what an earlier one said
        for clock in blocks.of_all(connection, self._floor, self._end):
            for block in clock:
                if block.bound < self._floor:
                    break
                if block.high >= self._floor and block.sensor not in self._gone:
                    for segment in block.segments(connection):
                        self.take(block.sensor, segment)

    def take(self, sensor: int, segment: Segment) -> None:
        """Take in readings in the order of time, the latest first, as long as they may be asked for."""
        at, step = segment.at, 2 * self._span.limit
        end = bisect_left(at, self._end)
        while end > (low := bisect_left(at, self._floor)):
            first = max(low, end - step)
            for place in range(first, end):
                self._put(sensor, at[place], (not segment.is_sent, segment.rank, place, segment.values[place]))
            end = first
            self._trim()

    def page(self) -> tuple[list[tuple[Millis, dict[int, Value]]], bool]:
        """Return the instants, oldest first, and whether there are older ones."""
        kept, has_older = self._newest()
        return [(at, _spoken(self._found[at])) for at in reversed(kept)], has_older

    def _take_row(self, row: int, columns: Columns, chunk: chunks.Found) -> None:
        for position, (sensor, at, value, flag) in enumerate(columns.each(chunk.offset)):
            if self._floor <= at < self._end and sensor > chunk.hidden and sensor not in self._gone:
                self._put(sensor, at, (not flag & SENT, row, position, value))

    def _put(self, sensor: int, at: Millis, cell: Cell) -> None:
        if cell[0] and cell[3] is None:
            return
        cells = self._found.setdefault(at, {})
        known = cells.get(sensor)
        if known is None:
            self._cells += 1
        if known is None or known[:3] < cell[:3]:
            cells[sensor] = cell

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


def _place(whole: Segment, number: int) -> Place:
    at = whole.at[number]
    first = bisect_left(whole.at, at)
    return at, number - first + (not whole.flags[first] & SENT)


def _spoken(cells: dict[int, Cell]) -> dict[int, Value]:
    return {sensor: cell[3] for sensor, cell in cells.items() if cell[3] is not None}
