"""Times as tables have them: ISO 8601 with Z or an offset, Unix seconds or milliseconds; local ones of a zone."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Sequence

from outstation.cli.headings import Layout
from outstation.core.readings import Millis

MILLIS_FROM, MILLIS_TO = 100_000_000_000, 100_000_000_000_000
"""A bare number below the first is Unix seconds (until the year 5138), from it on milliseconds (since 1973)."""

_EPOCH, _MILLI = dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.timedelta(milliseconds=1)
_NUMBER = re.compile(r"\s*\d+(?:\.\d*)?\s*", re.ASCII)
_EXPECTED = "expected a time such as 2026-03-01T12:00:00Z, or Unix time"


def moments(cells: Sequence[str], layout: Layout) -> Sequence[Millis]:
    """Return when the rows of a table were measured, at less than a microsecond each. Raises ValueError."""
    if cells[0].isdecimal() and all(map(str.isdecimal, cells)):
        numbers = list(map(int, cells))
        if min(numbers) >= MILLIS_FROM and max(numbers) < min(MILLIS_TO, layout.latest + 1):
            return numbers
    elif not _NUMBER.fullmatch(cells[0]):
        found = {cell: dt.datetime.fromisoformat(cell) for cell in {*cells}}  # in a long table most stand twice or more
        if all(one.tzinfo for one in found.values()):
            times = {cell: (one - _EPOCH) // _MILLI for cell, one in found.items()}
            if min(times.values()) >= 0 and max(times.values()) <= layout.latest:
                return [*map(times.__getitem__, cells)]
    return [moment(cell, layout) for cell in cells]


def moment(cell: str, layout: Layout) -> Millis:
    """Return one time. Raises ValueError: what is wrong, as a sentence that goes on."""
    at = _of_number(float(cell)) if _NUMBER.fullmatch(cell) else _of_text(cell, layout)
    if at < 0 or at >= MILLIS_TO:
        raise ValueError("the time lies before 1970 or after 5138")
    if at > layout.latest:
        raise ValueError("the time is more than ten minutes ahead")
    return at


def _of_number(number: float) -> Millis:
    return round(number if number >= MILLIS_FROM else number * 1000) if math.isfinite(number) else -1


def _of_text(cell: str, layout: Layout) -> Millis:
    try:
        found = dt.datetime.fromisoformat(cell.strip())
    except ValueError:
        raise ValueError(_EXPECTED) from None
    if found.tzinfo is None:
        if layout.zone is None:
            raise ValueError("expected a time with Z or an offset; --timezone says of what zone local times are")
        found = found.replace(tzinfo=layout.zone)
    try:
        return (found - _EPOCH) // _MILLI
    except OverflowError:
        return -1
