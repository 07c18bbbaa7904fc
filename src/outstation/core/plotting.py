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
from outstation.core.windows import DAY, WIDTHS, Offset, Piece, Tier, Window, day_number, day_start, pieces

READINGS_A_POINT = 40
"""Raw readings that are read for a point at most: nine hours at 1 Hz and 800 points. Beyond, one is five minutes."""

FEWEST_POINTS = 2


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
    points = max(points, FEWEST_POINTS)
    tier = _tier(start, end, points, held, every)
    edges = _days(start, end, points, offset) if tier is Tier.DAY else _even(start, end, points, WIDTHS.get(tier, 1))
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


def _tier(start: Millis, end: Millis, points: int, held: Mapping[Tier, Held], every: Millis) -> Tier:
    """Return the coarsest tier that has a window for every second point; of what is held."""
    span = end - start
    tier = Tier.RAW if span <= every * points * READINGS_A_POINT else Tier.FIVE_MINUTES
    for coarser, width in (
        (Tier.FIVE_MINUTES, WIDTHS[Tier.FIVE_MINUTES]),
        (Tier.HOUR, WIDTHS[Tier.HOUR]),
        (Tier.DAY, DAY),
    ):
        if span * 2 >= points * width:
            tier = coarser
    while tier < Tier.DAY and held[tier].since > start:
        tier = Tier(tier + 1)
    return tier


def _even(start: Millis, end: Millis, points: int, width: Millis) -> tuple[Millis, ...]:
    """Return edges at multiples of a whole number of widths. One column fewer is room for the edges' own places."""
    step = -(-(end - start) // ((points - 1) * width)) * width
    first = start - start % step
    return tuple(range(first, end + step, step))


def _days(start: Millis, end: Millis, points: int, offset: Offset) -> tuple[Millis, ...]:
    first, last = day_number(start, offset), day_number(end - 1, offset)
    step = -(-(last - first + 1) // (points - 1))
    numbers = range(first - first % step, last + 1 + step, step)
    return tuple(day_start(number, offset) for number in numbers)
