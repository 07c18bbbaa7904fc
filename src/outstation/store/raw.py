"""The readings of one sensor in a span of time: what summaries and plots are made from."""

from __future__ import annotations

from collections.abc import Iterable

import apsw

from outstation.core.readings import Millis
from outstation.core.summaries import Said
from outstation.store.chunks import LOWEST
from outstation.store.pages import Series, Span
from outstation.store.rows import QUALITY
from outstation.store.segments import Segment

_ALL = 1 << 60
_QUALITIES = bytes(flag & QUALITY for flag in range(256))


def said(
    connection: apsw.Connection, sensor: int, start: Millis, end: Millis, waiting: Iterable[Segment] = ()
) -> list[Said]:
    """Return what a sensor (by its id) said from `start` until before `end`, in order: see segments.py.

    Of a reading that was corrected, the last value. waiting: what is in memory alone. Raises apsw.Error,
    msgspec.DecodeError.
    """
    series = Series(sensor, Span(start, end, None, _ALL))
    series.take(waiting)
    series.gather(connection)
    return _said(series.whole())


def last_before(connection: apsw.Connection, sensor: int, at: Millis) -> Said | None:
    """Return what a sensor said last before a moment."""
    series = Series(sensor, Span(LOWEST, at, None, 1))
    series.gather(connection)
    return next(iter(_said(series.page()[0])), None)


def _said(rows: Segment) -> list[Said]:
    return list(zip(rows.at, rows.values, rows.flags.translate(_QUALITIES), strict=True))
