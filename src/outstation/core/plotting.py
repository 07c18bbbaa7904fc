"""What a plot of a sensor is drawn from: which columns it has, what has to be read for them, and where its gaps are.

The law of this file: a column is a span between two edges, and whatever is read for it lies wholly inside. So its
count, minimum and maximum are those of its readings, whether they came from the readings or from any tier, and
the mean is theirs up to rounding. What is read is bounded by the points asked for, not by the span.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import msgspec

from outstation.core.readings import Millis
from outstation.core.summaries import Said, Stored, Summary, total, totals
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
    window,
)

READINGS_A_POINT = 40
"""Raw readings that are read for a point at most: nine hours at 1 Hz and 800 points. Beyond, one is five minutes."""

FEWEST_POINTS = 2

_THURSDAY = 3
"""Days since Monday of 1 January 1970, which is day 0."""

_COARSEST_FIRST = ((Tier.DAY, DAY), (Tier.HOUR, HOUR), (Tier.FIVE_MINUTES, FIVE_MINUTES))


class Held(msgspec.Struct, frozen=True):
    """What there is of a tier: nothing older than `since` was deleted or is missing, all before `until` is closed.

    Of raw readings, `until` is now.
    """

    since: Millis
    until: Millis


Stale = tuple[Millis, Tier]
"""The windows of this tier and of coarser ones that hold this moment are not to be read: they are out of date."""


class Plan(msgspec.Struct, frozen=True):
    """edges: each column reaches from one to the next. pieces: what to read, in order of time."""

    tier: Tier
    edges: tuple[Millis, ...]
    pieces: tuple[Piece, ...]

    @property
    def every(self) -> Millis:
        """How wide a column is; a day has 24 hours here."""
        width = self.edges[1] - self.edges[0]
        return round(width / DAY) * DAY if self.tier is Tier.DAY else width


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
    return read_from(Plan(tier, edges, ()), held, offset)


def aligned(start: Millis, end: Millis, every: Millis, *, held: Mapping[Tier, Held], offset: Offset) -> Plan:
    """Return how to draw a span in columns of one width, which begin at its multiples.

    Those of days are days of local time, and weeks begin on Mondays; others are of UTC.
    """
    tier, end = tier_of(every), max(end, start + 1)
    if tier is Tier.DAY:
        days = every // DAY
        first, last = (day_number(at, offset) + _THURSDAY for at in (start, end - 1))
        numbers = range(first - first % days, last + days + 1, days)
        edges = [day_start(number - _THURSDAY, offset) for number in numbers]
    else:
        edges = list(range(start - start % every, end + every, every))
    return read_from(Plan(tier, tuple(edges), ()), held, offset)


def tier_of(every: Millis) -> Tier:
    """Return the coarsest tier whose windows fill columns of this width."""
    return next((tier for tier, width in _COARSEST_FIRST if every % width == 0), Tier.RAW)


def read_from(plan_: Plan, held: Mapping[Tier, Held], offset: Offset, stale: Sequence[Stale] = ()) -> Plan:
    """Return the plan with what to read for a sensor of which this is held. stale: in order of time."""
    closed = {each: what.until for each, what in held.items()}
    edges = plan_.edges
    found = pieces(edges[0], min(edges[-1], held[Tier.RAW].until), plan_.tier, offset, closed)
    return Plan(
        plan_.tier, edges, tuple(_joined(each for piece in found for each in _fresh(piece, stale, held, offset)))
    )


def of_readings(
    plan_: Plan, piece: Piece, readings: Iterable[Said], reach: Millis, before: Said | None = None
) -> Iterator[Summary]:
    """Return the parts of columns that a piece of raw readings fills. reach, before: as in summing."""
    return summarised(_cut(plan_, piece), readings, reach, before)


def of_rows(plan_: Plan, piece: Piece, rows: Iterable[Stored]) -> Iterator[Summary]:
    """Return the parts of columns that the summaries of a piece of any tier fill."""
    return totals(_cut(plan_, piece), rows)


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
        is_whole = len(inside) == 1 and inside[0].width == end - start
        found.append(inside[0] if is_whole else total(Window(start, end - start), inside))
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


def _cut(plan_: Plan, piece: Piece) -> Iterator[Window]:
    """Return a piece as parts of columns."""
    edges = plan_.edges
    inner = edges[bisect_right(edges, piece.start) : bisect_left(edges, piece.end)]
    return (Window(start, end - start) for start, end in pairwise((piece.start, *inner, piece.end)))


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


def _fresh(piece: Piece, stale: Sequence[Stale], held: Mapping[Tier, Held], offset: Offset) -> Iterator[Piece]:
    """Return a piece with what is finer in place of windows that are stale, where there is something finer."""
    begin = piece.start
    for at, tier in stale[bisect_left(stale, (begin,)) : bisect_left(stale, (piece.end,))]:
        if at < begin or tier > piece.tier:
            continue
        found, finer = window(piece.tier, at, offset), Tier(piece.tier - 1)
        if held[finer].since > found.start:
            continue
        if begin < found.start:
            yield Piece(piece.tier, begin, found.start)
        for part in pieces(found.start, found.end, finer, offset):
            yield from _fresh(part, stale, held, offset)
        begin = found.end
    if begin < piece.end:
        yield Piece(piece.tier, begin, piece.end)


def _joined(pieces_: Iterable[Piece]) -> Iterator[Piece]:
    """Return pieces of one tier in a row as one."""
    before: Piece | None = None
    for piece in pieces_:
        if before is not None and before.tier is piece.tier:
            before = Piece(piece.tier, before.start, piece.end)
            continue
        if before is not None:
            yield before
        before = piece
    if before is not None:
        yield before


def _multiples(start: int, end: int, columns: int, of: int) -> range:
    step = -(-(end - start) // (columns * of)) * of
    return range(start - start % step, end + step, step)
