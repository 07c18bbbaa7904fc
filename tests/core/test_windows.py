"""Where windows begin and end: by the epoch, and by the days of the zone, of 23, 24 and 25 hours."""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outstation.core.readings import Millis
from outstation.core.windows import (
    DAY,
    FIVE_MINUTES,
    HOUR,
    Offset,
    Piece,
    Tier,
    Window,
    day_number,
    day_start,
    pieces,
    touched,
    window,
)

ZONES = """Europe/Berlin America/New_York America/St_Johns Asia/Kolkata Asia/Kathmandu Australia/Lord_Howe
America/Havana America/Santiago Asia/Beirut Africa/Cairo Pacific/Apia Pacific/Chatham America/Sao_Paulo UTC""".split()
"""Of half and quarter hours, clocks that change by half an hour, or at midnight; Samoa left a day out."""


def offset_in(zone: str) -> Offset:
    info = ZoneInfo(zone)

    def offset(at: Millis) -> Millis:
        found = datetime.datetime.fromtimestamp(at / 1000, info).utcoffset()
        assert found is not None
        return found // datetime.timedelta(milliseconds=1)

    return offset


def utc(text: str) -> Millis:
    return round(datetime.datetime.fromisoformat(text).timestamp() * 1000)


BERLIN, KOLKATA = offset_in("Europe/Berlin"), offset_in("Asia/Kolkata")


def test_five_minutes_and_hours_follow_the_epoch() -> None:
    at = utc("2026-03-29T01:37:12Z")
    assert window(Tier.FIVE_MINUTES, at, KOLKATA) == Window(utc("2026-03-29T01:35Z"), FIVE_MINUTES)
    assert window(Tier.HOUR, at, KOLKATA) == Window(utc("2026-03-29T01:00Z"), HOUR)
    assert [window(tier, at, BERLIN).tier for tier in list(Tier)[1:]] == list(Tier)[1:]


@pytest.mark.parametrize(
    ("zone", "at", "start", "hours"),
    [
        ("Europe/Berlin", "2026-03-29T12:00+02:00", "2026-03-29T00:00+01:00", 23),
        ("Europe/Berlin", "2026-10-25T00:30+02:00", "2026-10-25T00:00+02:00", 25),
        ("Europe/Berlin", "2026-10-25T23:59+01:00", "2026-10-25T00:00+02:00", 25),
        ("Asia/Kolkata", "2026-07-01T00:00+05:30", "2026-07-01T00:00+05:30", 24),
        ("Australia/Lord_Howe", "2026-04-05T12:00+10:30", "2026-04-05T00:00+11:00", 24.5),
        # There is no midnight on this day: clocks go from 0:00 to 1:00, and it begins then.
        ("America/Havana", "2026-03-08T12:00-04:00", "2026-03-08T01:00-04:00", 23),
        # Clocks go from 24:00 back to 23:00.
        ("America/Santiago", "2026-04-04T23:30-04:00", "2026-04-04T00:00-03:00", 25),
        # From 0:01 back to 23:01: the minute of the new day before belongs to the old one.
        ("America/St_Johns", "2009-11-01T00:00:30-02:30", "2009-10-31T00:00-02:30", 25),
        ("America/St_Johns", "2009-10-31T23:30-03:30", "2009-10-31T00:00-02:30", 25),
    ],
)
def test_a_day_is_one_of_the_zone(zone: str, at: str, start: str, hours: float) -> None:
    assert window(Tier.DAY, utc(at), offset_in(zone)) == Window(utc(start), round(hours * HOUR))


def test_an_offset_of_odd_minutes_is_taken_in_steps_of_five() -> None:
    def monrovia(at: Millis) -> Millis:
        return -2_670_000  # -0:44:30, until 1972

    assert window(Tier.DAY, 0, monrovia).start % FIVE_MINUTES == 0


moments = st.integers(utc("1975-01-01T00:00Z"), utc("2037-01-01T00:00Z"))


@given(st.sampled_from(ZONES), moments)
def test_the_days_of_any_zone_are_without_gap_or_overlap(zone: str, at: Millis) -> None:
    offset = offset_in(zone)
    day = window(Tier.DAY, at, offset)
    assert day.start <= at < day.end
    assert day.start % FIVE_MINUTES == day.end % FIVE_MINUTES == 0
    assert 22 * HOUR <= day.width <= 26 * HOUR
    assert window(Tier.DAY, day.start, offset) == window(Tier.DAY, day.end - 1, offset) == day
    assert window(Tier.DAY, day.end, offset).start == day.end
    assert day_start(day_number(at, offset), offset) == day.start


def test_samoa_had_no_30_december_2011() -> None:
    offset = offset_in("Pacific/Apia")
    before = window(Tier.DAY, utc("2011-12-29T12:00-10:00"), offset)
    assert before.end == utc("2011-12-31T00:00+14:00") == window(Tier.DAY, before.end, offset).start


# Of what a span is made.


def test_a_day_is_made_of_its_hours() -> None:
    day = window(Tier.DAY, utc("2026-03-29T12:00Z"), BERLIN)
    assert pieces(day.start, day.end, Tier.HOUR, BERLIN) == [Piece(Tier.HOUR, day.start, day.end)]


def test_a_day_that_begins_at_half_past_has_five_minutes_at_its_ends() -> None:
    day = window(Tier.DAY, utc("2026-07-01T12:00Z"), KOLKATA)
    half = HOUR // 2
    assert pieces(day.start, day.end, Tier.HOUR, KOLKATA) == [
        Piece(Tier.FIVE_MINUTES, day.start, day.start + half),
        Piece(Tier.HOUR, day.start + half, day.end - half),
        Piece(Tier.FIVE_MINUTES, day.end - half, day.end),
    ]


def test_what_is_not_closed_is_read_from_finer_tiers() -> None:
    day = utc("2026-07-01T00:00Z")
    now = day + DAY + 3 * HOUR + 17 * 60_000
    closed = {Tier.DAY: now, Tier.HOUR: now - 20 * 60_000, Tier.FIVE_MINUTES: now}
    assert pieces(day, now, Tier.DAY, offset_in("UTC"), closed) == [
        Piece(Tier.DAY, day, day + DAY),
        Piece(Tier.HOUR, day + DAY, day + DAY + 2 * HOUR),
        Piece(Tier.FIVE_MINUTES, day + DAY + 2 * HOUR, day + DAY + 3 * HOUR + 3 * FIVE_MINUTES),
        Piece(Tier.RAW, day + DAY + 3 * HOUR + 3 * FIVE_MINUTES, now),
    ]


@given(
    st.sampled_from(ZONES),
    moments,
    st.integers(-HOUR, 20 * DAY),
    st.sampled_from(Tier),
    st.dictionaries(st.sampled_from(list(Tier)[1:]), st.integers(-DAY, 30 * DAY)),
)
def test_the_pieces_fill_any_span(
    zone: str, start: Millis, length: Millis, tier: Tier, until: dict[Tier, Millis]
) -> None:
    offset, end = offset_in(zone), start + length
    closed = {each: start + closed_at for each, closed_at in until.items()}
    found = pieces(start, end, tier, offset, closed)
    edges = [start, *(piece.end for piece in found)]
    assert edges[:-1] == [piece.start for piece in found]
    assert edges[-1] == max(start, end)
    for piece in found:
        assert piece.start < piece.end
        assert piece.tier is Tier.RAW or piece.end <= closed.get(piece.tier, piece.end)
        if piece.tier is not Tier.RAW:
            assert window(piece.tier, piece.start, offset).start == piece.start
            assert window(piece.tier, piece.end, offset).start == piece.end


# What a reading changes.


def test_a_reading_touches_each_window_that_it_may_be_heard_in() -> None:
    first, second = (Window(start, FIVE_MINUTES) for start in (0, FIVE_MINUTES))
    assert touched(1, 1, 30_000) == [first]
    assert touched(290_000, 290_000, 10_000) == [first]
    assert touched(290_000, 290_000, 10_001) == [first, second]
    assert touched(1, FIVE_MINUTES, 0) == [first, second]
