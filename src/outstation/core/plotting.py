"""What a plot of a sensor is drawn from: which columns it has, what has to be read for them, and where its gaps are.

The law of this file: a column is a span between two edges, and whatever is read for it lies wholly inside. So its
count, minimum and maximum are those of its readings, whether they came from the readings or from any tier, and
the mean is theirs up to rounding. What is read is bounded by the points asked for, not by the span.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

import msgspec

from outstation.core.readings import Millis
from outstation.core.summaries import Said, Summary, total
from outstation.core.summing import summarised
from outstation.core.windows import (
    DAY,
    FIVE_MINUTES,
    HOUR,
    WIDTHS,
    Offset,
    Piece,
    Tier,
    Window,
    day_number,
    day_start,
    pieces,
)

READINGS_A_POINT = 40
"""Raw readings that are read for a point at most: nine hours at 1 Hz and 800 points. Beyond, one is five minutes."""

FEWEST_POINTS = 2

_COARSEST_FIRST = ((Tier.DAY, DAY), (Tier.HOUR, HOUR), (Tier.FIVE_MINUTES, FIVE_MINUTES))


class Held(msgspec.Struct, frozen=True):
    """What there is of a tier: nothing older than `since` was deleted or is missing, all before `until` is closed.

    Of raw readings, `until` is now.
    """

    since: Millis
    until: Millis


class Plan(msgspec.Struct, frozen=True):
    """edges: each column reaches from one to the next. pieces: what to read, in order of time."""

    tier: Tier
    edges: tuple[Millis, ...]
    pieces: tuple[Piece, ...]


def plan(start: Millis, end: Millis, points: int, *, held: Mapping[Tier, Held], every: Millis, offset: Offset) -> Plan:
    """Return how to draw a span in at most `points` columns, and half as many at least where that is to be had.

    start, end: made wider to whole columns, which begin at multiples of their width, so that they stay while a
    plot is moved. every: the usual time between two readings. held: of each tier.
    """
    points, end = max(points, FEWEST_POINTS), max(end, start + 1)
    tier = _tier(end - start, points, every)
    edges = _edges(tier, start, end, points, offset)
    while tier < Tier.DAY and held[tier].since > edges[0]:
        tier = Tier(tier + 1)
        edges = _edges(tier, start, end, points, offset)
    closed = {each: what.until for each, what in held.items()}
    found = pieces(edges[0], min(edges[-1], held[Tier.RAW].until), tier, offset, closed)
    return Plan(tier, edges, tuple(found))


def of_readings(
    plan_: Plan, piece: Piece, readings: Iterable[Said], reach: Millis, before: Said | None = None
) -> Iterator[Summary]:
    """Return the parts of columns that a piece of raw readings fills. reach, before: as in summing."""
    cuts = [piece.start, *(edge for edge in plan_.edges if piece.start < edge < piece.end), piece.end]
    return summarised((Window(start, end - start) for start, end in pairwise(cuts)), readings, reach, before)


def columns(plan_: Plan, parts: Iterable[Summary]) -> list[Summary]:
    """Return all columns, from the summaries of all pieces in order."""
    waiting = iter(parts)
    part = next(waiting, None)
    found: list[Summary] = []
    for start, end in pairwise(plan_.edges):
        inside: list[Summary] = []
        while part is not None and part.start < end:
            inside.append(part)
            part = next(waiting, None)
        found.append(total(Window(start, end - start), inside))
    return found


def drawn(all_: Iterable[Summary]) -> list[Summary]:
    """Return the columns that say something, and one empty column as a mark where a sensor was not heard.

    Where columns are narrower than the time between two readings, those without one are left out: the line goes on.
    """
    found: list[Summary] = []
    for column in all_:
        if column.is_empty:
            if not (found and found[-1].is_empty):
                found.append(column)
        elif column.has_readings or column.on is not None:
            found.append(column)
    return found


def _tier(span: Millis, points: int, every: Millis) -> Tier:
    """Return the coarsest tier that has a window for every second point; if none has, readings, or five minutes."""
    for tier, width in _COARSEST_FIRST:
        if span * 2 >= points * width:
            return tier
    return Tier.RAW if span <= every * points * READINGS_A_POINT else Tier.FIVE_MINUTES


def _edges(tier: Tier, start: Millis, end: Millis, points: int, offset: Offset) -> tuple[Millis, ...]:
    """Return edges at multiples of a whole number of windows. One column less is room for where these happen to lie."""
    if tier is Tier.DAY:
        first, last = day_number(start, offset), day_number(end - 1, offset) + 1
        return tuple(day_start(number, offset) for number in _multiples(first, last, points - 1, 1))
    return tuple(_multiples(start, end, points - 1, WIDTHS.get(tier, 1)))


def _multiples(start: int, end: int, columns: int, of: int) -> range:
    step = -(-(end - start) // (columns * of)) * of
    return range(start - start % step, end + step, step)
