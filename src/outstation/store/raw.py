"""The readings of one sensor in a span of time: what summaries and plots are made from."""

from __future__ import annotations

import apsw

from outstation.core.readings import Millis
from outstation.core.summaries import Said
from outstation.store.chunks import LOWEST
from outstation.store.pages import Series, Span
from outstation.store.rows import QUALITY

_ALL = 1 << 60


def said(connection: apsw.Connection, sensor: int, start: Millis, end: Millis) -> list[Said]:
    """Return what a sensor (by its id) said from `start` until before `end`, in order of time, then of arrival.

    Of a reading that was corrected, the last value. Raises apsw.Error, msgspec.DecodeError.
    """
    return _said(connection, sensor, Span(start, end, None, _ALL))


def last_before(connection: apsw.Connection, sensor: int, at: Millis) -> Said | None:
    """Return what a sensor said last before a moment."""
    return next(iter(_said(connection, sensor, Span(LOWEST, at, None, 1))), None)


def _said(connection: apsw.Connection, sensor: int, span: Span) -> list[Said]:
    series = Series(sensor, span)
    series.gather(connection)
    return [(row.at, row.value, row.flag & QUALITY) for row in series.page()[0]]
