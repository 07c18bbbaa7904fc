"""The readings of one sensor in a span of time: what summaries and plots are made from."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

import apsw

from outstation.core.readings import Millis
from outstation.core.summaries import Said
from outstation.store import blocks, chunks
from outstation.store.chunks import LOWEST, Found
from outstation.store.pages import Series, Span
from outstation.store.rows import QUALITY
from outstation.store.segments import Segment

_ALL = 1 << 60
_ROW = 8
_QUALITIES = bytes(flag & QUALITY for flag in range(256))


def said(
    connection: apsw.Connection,
    sensor: int,
    start: Millis,
    end: Millis,
    waiting: Iterable[Segment] = (),
    most: int = _ALL,
) -> list[Said]:
    """Return what a sensor (by its id) said from `start` until before `end`, in order: see segments.py.

    Of a reading that was corrected, the last value. waiting: what is in memory alone. Of more than `most` only the
    newest, at least one more than that. Raises apsw.Error, msgspec.DecodeError.
    """
    series = Series(sensor, Span(start, end, None, most))
    series.take(waiting)
    series.gather(connection)
    return _said(series.whole())


def last_before(connection: apsw.Connection, sensor: int, at: Millis) -> Said | None:
    """Return what a sensor said last before a moment."""
    series = Series(sensor, Span(LOWEST, at, None, 1))
    series.gather(connection)
    return next(iter(_said(series.page()[0])), None)


def about(connection: apsw.Connection, sensor: int, spans: Sequence[tuple[Millis, Millis]]) -> int:
    """Return how many readings of a sensor are in these spans, about, as the indexes say. spans: in order."""
    starts = [start for start, _ in spans]
    passed = [0, *accumulate(end - start for start, end in spans)]

    def before(at: Millis) -> Millis:
        place = bisect_right(starts, at)
        return passed[place - 1] + min(at, spans[place - 1][1]) - starts[place - 1] if place else 0

    found = _indexed(connection, sensor, spans[0][0], spans[-1][1])
    return round(sum(count * (before(high + 1) - before(low)) / (high + 1 - low) for low, high, count in found))


def looked_through(connection: apsw.Connection, sensor: int, start: Millis, end: Millis) -> int:
    """Return how many readings of the log, of all sensors, stand where those of a sensor in a span may be, about.

    To unpack a row costs as much as so many more.
    """
    found = _chunks(connection, sensor, start, end)
    return sum(chunk.count + _ROW * (chunk.last_id - chunk.first_id + 1) for chunk in found if chunk.count)


def first_after(connection: apsw.Connection, sensor: int, start: Millis, end: Millis) -> Millis:
    """Return from when on there are readings of a sensor in a span, about, as the indexes say."""
    return max(start, min((low for low, _, _ in _indexed(connection, sensor, start, end)), default=start))


def _indexed(
    connection: apsw.Connection, sensor: int, start: Millis, end: Millis
) -> Iterator[tuple[Millis, Millis, float]]:
    """Return from when to when there are how many readings, but for the open tail of the log."""
    for chunk in _chunks(connection, sensor, start, end):
        if chunk.count:
            yield chunk.lowest, chunk.highest, chunk.count / chunk.sensors.bit_count()
    for clock in blocks.of_sensor(connection, sensor, start, end):
        for block in clock:
            if block.bound < start:
                break
            yield block.low, block.high, block.count


def _chunks(connection: apsw.Connection, sensor: int, start: Millis, end: Millis) -> Iterator[Found]:
    for chunk in chunks.walk(connection, end):
        if chunk.bound < start:
            break
        if chunk.highest >= start and sensor > chunk.hidden and chunk.sensors >> sensor & 1:
            yield chunk


def _said(rows: Segment) -> list[Said]:
    return list(zip(rows.at, rows.values, rows.flags.translate(_QUALITIES), strict=True))
