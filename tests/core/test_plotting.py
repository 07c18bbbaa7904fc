"""Plots: as fine as asked for, the same from readings and from tiers, and with their gaps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outstation.core.plotting import Held, Plan, aligned, columns, drawn, of_readings, of_rows, plan, read_from
from outstation.core.readings import Millis
from outstation.core.summaries import Said, Summary, encode, read, total
from outstation.core.summing import summarised
from outstation.core.windows import DAY, FIVE_MINUTES, HOUR, Offset, Piece, Tier, Window, parts, window
from tests.core.plainly import same
from tests.core.story import START
from tests.core.test_summaries import alike, qualities
from tests.core.test_summaries import values as any_values
from tests.core.test_windows import BERLIN, offset_in, utc

SECOND: Millis = 1_000
YEAR = 365 * DAY
REACH = 30 * SECOND


def held(now: Millis, **since: Millis) -> dict[Tier, Held]:
    """Say that all tiers are closed up to now, and hold everything but what is named."""
    return {tier: Held(since.get(tier.name.lower(), 0), now) for tier in Tier}


def planned(start: Millis, end: Millis, points: int = 800, *, every: Millis = SECOND, **since: Millis) -> Plan:
    return plan(start, end, points, held=held(end, **since), every=every, offset=BERLIN)


# What is read.


@pytest.mark.parametrize(
    ("span", "tier", "least"),
    [
        (1, Tier.RAW, 1),
        (HOUR, Tier.RAW, 790),
        (8 * HOUR, Tier.RAW, 790),
        (DAY, Tier.FIVE_MINUTES, 288),
        (7 * DAY, Tier.FIVE_MINUTES, 600),
        (30 * DAY, Tier.HOUR, 700),
        (YEAR, Tier.HOUR, 790),
        (5 * YEAR, Tier.DAY, 600),
        (50 * YEAR, Tier.DAY, 790),
    ],
)
def test_a_plot_is_as_fine_as_asked_for_and_reads_little(span: Millis, tier: Tier, least: int) -> None:
    found = planned(START, START + span)
    assert found.tier is tier
    assert least <= len(found.edges) - 1 <= 800
    widths = {Tier.RAW: SECOND, Tier.FIVE_MINUTES: FIVE_MINUTES, Tier.HOUR: HOUR, Tier.DAY: DAY}
    assert sum((piece.end - piece.start) // widths[piece.tier] for piece in found.pieces) <= 40 * 800


def test_of_a_slow_sensor_a_day_is_drawn_from_its_readings() -> None:
    assert planned(START, START + DAY, every=10 * SECOND).tier is Tier.RAW


def test_what_was_deleted_is_drawn_from_what_is_left() -> None:
    assert planned(START, START + HOUR, raw=START - 5 * SECOND).tier is Tier.RAW
    # The first column begins a little before what is asked for.
    assert planned(START, START + HOUR, raw=START).tier is Tier.FIVE_MINUTES
    assert planned(START, START + HOUR, raw=START + 1).tier is Tier.FIVE_MINUTES
    assert planned(START, START + HOUR, raw=START + 1, five_minutes=START + 1).tier is Tier.HOUR
    everything = dict.fromkeys(("raw", "five_minutes", "hour", "day"), START + 1)
    assert planned(START, START + HOUR, **everything).tier is Tier.DAY


def test_columns_stay_where_they_are_while_a_plot_is_moved() -> None:
    one, other = planned(START, START + HOUR), planned(START + 7_777, START + HOUR + 7_777)
    assert one.edges[1] < other.edges[0] < one.edges[3]
    assert set(one.edges[3:]) <= set(other.edges)


def test_the_end_of_a_plot_of_years_is_drawn_from_the_readings() -> None:
    now = utc("2026-07-01T12:34:56Z")
    found = planned(now - 5 * YEAR, now)
    assert [piece.tier for piece in found.pieces] == [Tier.DAY, Tier.HOUR, Tier.FIVE_MINUTES, Tier.RAW]
    assert found.pieces[-1].end == now


def test_of_the_future_nothing_is_read() -> None:
    found = plan(START, START + DAY, 100, held=held(START - DAY), every=SECOND, offset=BERLIN)
    assert found.pieces == ()
    assert [column.is_empty for column in drawn(columns(found, []))] == [True]


def test_a_plot_of_one_point_has_room_for_its_edges() -> None:
    assert len(planned(START + 1, START + HOUR + 1, 1).edges) - 1 <= 2


# Columns of one width.


@pytest.mark.parametrize(
    ("every", "tier", "first", "last"),
    [
        (10 * SECOND, Tier.RAW, "2026-03-28T22:30:10Z", "2026-03-30T09:00:00Z"),
        (4 * FIVE_MINUTES, Tier.FIVE_MINUTES, "2026-03-28T22:20:00Z", "2026-03-30T09:00:00Z"),
        (6 * HOUR, Tier.HOUR, "2026-03-28T18:00:00Z", "2026-03-30T12:00:00Z"),
        (DAY, Tier.DAY, "2026-03-27T23:00:00Z", "2026-03-30T22:00:00Z"),
        # From Monday to Monday, and clocks are put forward in between.
        (7 * DAY, Tier.DAY, "2026-03-22T23:00:00Z", "2026-04-05T22:00:00Z"),
    ],
)
def test_columns_of_one_width_begin_at_its_multiples(every: Millis, tier: Tier, first: str, last: str) -> None:
    start, end = utc("2026-03-28T22:30:10Z"), utc("2026-03-30T08:59:55Z")
    found = aligned(start, end, every, held=held(end), offset=BERLIN)
    assert (found.tier, found.edges[0], found.edges[-1]) == (tier, utc(first), utc(last))
    assert found.edges[1] > start
    assert found.edges[-2] < end
    assert found.every == every
    assert (found.pieces[0].start, found.pieces[-1].end) == (utc(first), end)


# What is out of date.


def test_a_window_that_is_stale_is_not_read_nor_what_was_made_from_it() -> None:
    start = utc("2026-06-01T22:00:00Z")
    whole = aligned(start, start + 3 * DAY, DAY, held=held(start + 3 * DAY), offset=BERLIN)
    at = start + DAY + 2 * HOUR + FIVE_MINUTES
    stale = [(at, Tier.FIVE_MINUTES), (at + FIVE_MINUTES, Tier.FIVE_MINUTES), (at + 3 * HOUR, Tier.HOUR)]
    found = read_from(whole, held(start + 3 * DAY), BERLIN, stale)
    assert [(piece.tier.name, piece.end - piece.start) for piece in found.pieces] == [
        ("DAY", DAY),
        ("HOUR", 2 * HOUR),
        ("FIVE_MINUTES", FIVE_MINUTES),
        ("RAW", 2 * FIVE_MINUTES),
        ("FIVE_MINUTES", 9 * FIVE_MINUTES),
        ("HOUR", 2 * HOUR),
        ("FIVE_MINUTES", HOUR),
        ("HOUR", 18 * HOUR),
        ("DAY", DAY),
    ]
    assert all(one.end == other.start for one, other in pairwise(found.pieces))


def test_a_window_whose_parts_were_deleted_is_read_as_it_is() -> None:
    start = utc("2026-06-01T22:00:00Z")
    whole = aligned(start, start + DAY, DAY, held=held(start + DAY), offset=BERLIN)
    gone = held(start + DAY, raw=start + DAY, five_minutes=start + HOUR)
    found = read_from(whole, gone, BERLIN, [(start, Tier.FIVE_MINUTES), (start + HOUR, Tier.FIVE_MINUTES)])
    assert [piece.tier.name for piece in found.pieces] == ["HOUR", "FIVE_MINUTES", "HOUR"]


# The same from readings and from tiers.


def tiers_of(found: Plan, readings: list[Said], offset: Offset, reach: Millis) -> Iterator[Summary]:
    """Return what a store would give for the pieces of a plan: windows of each tier, made of the finer ones."""
    for piece in found.pieces:
        made = _of_piece(found, piece, readings, offset, reach)
        if piece.tier is Tier.RAW:
            yield from made
        else:
            yield from of_rows(found, piece, [(one.start, one.width, read(encode(one))) for one in made])


def _of_piece(found: Plan, piece: Piece, readings: list[Said], offset: Offset, reach: Millis) -> Iterator[Summary]:
    before = [said for said in readings if said[0] < piece.start]
    inside = [said for said in readings if piece.start <= said[0] < piece.end]
    if piece.tier is Tier.RAW:
        yield from of_readings(found, piece, inside, reach, before[-1] if before else None)
        return
    start = piece.start
    while start < piece.end:
        span = window(piece.tier, start, offset)
        if piece.tier is Tier.FIVE_MINUTES:
            mine = [said for said in inside if span.start <= said[0] < span.end]
            earlier = [said for said in readings if said[0] < span.start]
            summary = next(summarised([span], mine, reach, earlier[-1] if earlier else None))
        else:
            inner = parts(span, offset)
            summary = total(span, [one for part in inner for one in _of_piece(found, part, readings, offset, reach)])
        # The store keeps no rows of windows in which nothing was heard.
        if not summary.is_empty:
            yield summary
        start = span.end


spans = st.integers(1, 3 * HOUR) | st.integers(HOUR, 4 * DAY)
histories = st.lists(st.tuples(st.integers(-DAY, 5 * DAY), any_values, qualities), max_size=60)
zones = st.sampled_from(["Europe/Berlin", "Asia/Kolkata", "America/Havana"])
BEGINS = [utc(text) for text in ("2026-03-28T00:00Z", "2026-10-24T11:11:11Z", "2026-03-07T05:00Z", "2026-06-01T00:00Z")]


@given(
    st.sampled_from(BEGINS),
    spans,
    st.integers(1, 40),
    histories,
    zones,
    st.sampled_from([1, REACH, HOUR]),
    st.sampled_from([1, SECOND, HOUR]),
    st.sampled_from([0, 1, 2, 3]),
    st.sampled_from([0, 10_000, DAY]),
)
def test_a_plot_from_tiers_and_one_from_readings_are_the_same(
    start: Millis,
    span: Millis,
    points: int,
    said: list[Said],
    zone: str,
    reach: Millis,
    every: Millis,
    gone: int,
    lag: Millis,
) -> None:
    offset, now = offset_in(zone), start + span
    readings = sorted(((start + at, value, quality) for at, value, quality in said), key=lambda each: each[0])
    readings = [each for each in readings if each[0] < now]
    there = {tier: Held(now if tier < gone else 0, now - lag if tier else now) for tier in Tier}
    found = plan(start, now, points, held=there, every=every, offset=offset)
    edges = found.edges
    assert all(piece.end <= there[piece.tier].until for piece in found.pieces)
    assert edges[0] <= start < now <= edges[-1]
    assert len(edges) - 1 <= max(points, 2)
    from_tiers = columns(found, tiers_of(found, readings, offset, reach))
    raw = Plan(Tier.RAW, edges, (Piece(Tier.RAW, edges[0], now),))
    from_readings = columns(raw, tiers_of(raw, readings, offset, reach))
    for one, other, (begin, end) in zip(from_tiers, from_readings, pairwise(edges), strict=True):
        alike(one, other)
        if end <= now:
            same(one, Window(begin, end - begin), readings, reach)
    assert len(drawn(from_tiers)) == len(drawn(from_readings))


# Gaps.


def drawn_of(readings: list[Said], *, span: Millis = HOUR, points: int = 3_601) -> list[Summary]:
    found = planned(START, START + span, points)
    return drawn(columns(found, of_readings(found, found.pieces[0], readings, REACH)))


def every(seconds: int, count: int, *, start: Millis = START) -> list[Said]:
    return [(start + number * seconds * SECOND, float(number), 0) for number in range(count)]


def test_between_two_readings_the_line_goes_on() -> None:
    found = drawn_of(every(10, 360))
    assert [column.start for column in found] == [START + 10 * SECOND * number for number in range(360)]


def test_where_the_sensor_was_not_heard_there_is_one_mark() -> None:
    found = drawn_of([*every(10, 10), *every(10, 340, start=START + 200 * SECOND)])
    marks = [column for column in found if column.is_empty]
    # Silent from 30 s after the reading at second 90.
    assert [mark.start for mark in marks] == [START + 120 * SECOND]


def test_a_contact_is_drawn_while_it_holds_what_it_said() -> None:
    found = drawn_of([(START, True, 0)])
    assert [column.share_on for column in found] == [1] * 30 + [None]


def test_a_peak_of_one_second_is_seen_in_a_year() -> None:
    peak = START + 200 * DAY + 12_345_678
    found = planned(START, START + YEAR)
    hours = [
        next(
            summarised(
                [Window(at, HOUR)], [(at, 20.0, 0), *([(peak, 99.0, 0)] if at <= peak < at + HOUR else [])], REACH
            )
        )
        for at in range(found.edges[0], START + YEAR, HOUR)
    ]
    [seen] = [column for column in columns(found, hours) if column.numbers and column.numbers.highest == 99]
    assert seen.start <= peak < seen.start + seen.width
