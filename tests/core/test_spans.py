"""What a sensor said lately: against the readings in a list, and what of it was heard at all."""

from __future__ import annotations

import itertools
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outstation.core.readings import Millis
from outstation.core.spans import SLICES, Spans, Statistics, merged, of_reading, width
from tests.core.seen import Told
from tests.core.story import DAY, HOUR, MINUTE, ms

TEN_MINUTES, WEEK = ms(10 * MINUTE), ms(7 * DAY)
REACH = ms(30)


def heard(span: Millis, told: Told, *, reach: Millis = REACH) -> Spans:
    spans = Spans([span])
    for now, value in told:
        spans.add(now, value, reach=reach)
    return spans


def every(seconds: float, count: int, *, start: float = 0) -> Told:
    """Make readings that rise by 1 each, the first at `start`."""
    return [(ms(start + number * seconds), float(number)) for number in range(count)]


def found(spans: Spans, span: Millis, now: float) -> Statistics:
    all_ = spans.statistics(span, ms(now))
    assert all_ is not None
    return all_


# What it says.


def test_the_statistics_of_ten_minutes() -> None:
    spans = heard(TEN_MINUTES, every(10, 100))
    all_ = found(spans, TEN_MINUTES, 990)
    assert (all_.count, all_.mean, all_.lowest, all_.highest, all_.first, all_.last) == (60, 69.5, 40, 99, 40, 99)
    assert all_.stdev == pytest.approx(statistics.stdev(range(40, 100)))
    assert all_.change == 59
    assert all_.rate == pytest.approx(360)


def test_a_reading_leaves_when_it_is_as_old_as_the_span() -> None:
    spans = heard(TEN_MINUTES, every(10, 60))
    assert spans.count(TEN_MINUTES, ms(600) - 1) == 60
    assert spans.count(TEN_MINUTES, ms(600)) == 59


def test_without_readings_there_is_nothing_to_say() -> None:
    spans = Spans([TEN_MINUTES])
    assert (spans.count(TEN_MINUTES, 0), spans.statistics(TEN_MINUTES, 0)) == (0, None)
    assert spans.steady_for(TEN_MINUTES, 0) is None


def test_one_reading_has_a_mean_but_no_spread_and_no_direction() -> None:
    all_ = of_reading(0, 21)
    assert (all_.mean, all_.stdev, all_.change, all_.rate) == (21, None, None, None)


def test_two_readings_of_one_moment_have_a_change_but_no_rate() -> None:
    all_ = merged(of_reading(5, 20), of_reading(5, 22))
    assert (all_.change, all_.rate) == (2, None)


def test_whole_numbers_stay_exact() -> None:
    counter = 2**63 - 1
    all_ = merged(of_reading(0, counter - 1), of_reading(1, counter))
    assert (all_.lowest, all_.highest, all_.change) == (counter - 1, counter, 1)


def test_a_contact_has_the_share_of_its_readings_that_were_on() -> None:
    spans = heard(ms(40), [(ms(10), False), (ms(20), True), (ms(30), True), (ms(40), True)])
    assert found(spans, ms(40), 45).mean == 0.75


def test_one_odd_reading_at_the_end_moves_the_rate_less_than_the_change() -> None:
    calm = [(now, 20.0) for now, _ in every(10, 60)]
    all_ = found(heard(TEN_MINUTES, [*calm[:-1], (calm[-1][0], 21.0)]), TEN_MINUTES, 595)
    assert all_.change == 1
    assert all_.rate is not None
    assert all_.rate < 0.7  # The last less the first would be 6.1 an hour.


def test_a_reading_out_of_order_counts_for_nothing() -> None:
    spans = heard(TEN_MINUTES, [*every(10, 60), (ms(300), 1e6)])
    assert found(spans, TEN_MINUTES, 595).highest == 59


def test_a_sensor_has_as_many_spans_as_are_asked_for() -> None:
    spans = Spans([ms(60), ms(HOUR)])
    for now, value in every(10, 400):
        spans.add(now, value, reach=REACH)
    assert (spans.count(ms(60), ms(3990)), spans.count(ms(HOUR), ms(3990))) == (6, 360)


def test_readings_from_before_the_start_are_as_good() -> None:
    spans = heard(TEN_MINUTES, every(10, 60, start=-600))
    assert found(spans, TEN_MINUTES, 0 - 10).count == 60


# What was heard.


def test_below_four_fifths_of_the_time_the_span_is_unknown() -> None:
    spans = heard(TEN_MINUTES, every(10, 100))
    # From the last reading at 990 s on it is heard for another 30 s.
    assert spans.statistics(TEN_MINUTES, ms(1020 + 120)) is not None
    assert spans.statistics(TEN_MINUTES, ms(1020 + 120) + 1) is None
    assert spans.count(TEN_MINUTES, ms(1020 + 120) + 1) > 0


def test_after_a_start_it_takes_four_fifths_of_the_span() -> None:
    spans = heard(TEN_MINUTES, every(10, 49))
    assert spans.statistics(TEN_MINUTES, ms(480) - 1) is None
    assert spans.statistics(TEN_MINUTES, ms(480)) is not None


def test_a_span_as_short_as_the_rhythm_is_known() -> None:
    spans = heard(ms(10), every(10, 5))
    assert found(spans, ms(10), 40).count == 1
    assert found(spans, ms(10), 45).count == 1


def test_what_a_reading_speaks_for_ends_with_the_next() -> None:
    told = [(0, 20.0), (ms(60), 20.0), (ms(70), 20.0)]
    assert heard(ms(80), told, reach=ms(30)).statistics(ms(80), ms(80)) is None
    assert heard(ms(80), told, reach=ms(54)).statistics(ms(80), ms(80)) is not None


def test_a_silence_at_the_far_end_is_none_of_it() -> None:
    # Heard from 0 to 30 s and from 100 s on; a span of 50 s that begins at 60 s or at 90 s.
    told = [(0, 20.0), *every(10, 6, start=100)]
    assert heard(ms(50), told).statistics(ms(50), ms(139)) is None
    assert heard(ms(50), told).statistics(ms(50), ms(140)) is not None


# How long it lasts.


def test_it_lasts_until_the_oldest_reading_leaves() -> None:
    spans = heard(TEN_MINUTES, every(10, 100))
    assert spans.steady_for(TEN_MINUTES, ms(990)) == ms(10)
    assert spans.steady_for(TEN_MINUTES, ms(996)) == ms(4)


def test_it_lasts_until_too_little_is_heard() -> None:
    spans = heard(ms(HOUR), [(0, 20.0), (ms(2_700), 20.0)], reach=ms(2_700))
    assert spans.steady_for(ms(HOUR), ms(2_700)) == ms(180)
    assert spans.statistics(ms(HOUR), ms(2_880) - 1) is None
    assert spans.statistics(ms(HOUR), ms(2_880)) is not None


def test_nobody_is_woken_more_than_once_a_second_to_see_whether_enough_is_heard() -> None:
    spans = heard(ms(HOUR), [(0, 20.0), (ms(2_700), 20.0)], reach=ms(2_700))
    assert spans.steady_for(ms(HOUR), ms(2_880) - 1) == 1_000


# Against the readings in a list.

values = st.floats(-1e6, 1e6) | st.integers(-50, 100)
gaps = st.integers(0, 40) | st.integers(0, ms(MINUTE)) | st.integers(0, ms(HOUR))
lengths = st.integers(1, 700) | st.sampled_from([ms(1), ms(MINUTE), TEN_MINUTES, ms(HOUR), ms(DAY), WEEK])
histories = st.tuples(st.integers(-ms(DAY), ms(DAY)), st.lists(st.tuples(gaps, values), min_size=1, max_size=120))


def told_in(history: tuple[Millis, list[tuple[Millis, float]]]) -> Told:
    start, steps = history
    times = itertools.accumulate((gap for gap, _ in steps), initial=start)
    return list(zip(itertools.islice(times, 1, None), (value for _, value in steps), strict=True))


def in_span(told: Told, span: Millis, now: Millis) -> Told:
    """Return the readings that count: those whose slice had its last reading within the span."""
    last = {at // width(span): at for at, _ in told}
    return [(at, value) for at, value in told if last[at // width(span)] > now - span]


def time_heard(told: Told, reach: Millis, start: Millis, now: Millis) -> Millis:
    ends = [*(at for at, _ in told[1:]), now]
    pieces = [(max(at, start), min(at + reach, end)) for (at, _), end in zip(told, ends, strict=True)]
    return sum(max(0, end - begin) for begin, end in pieces)


def same(one: float | None, other: float | None, scale: float) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9 * scale)


def slope(counted: Told) -> float | None:
    times = [at - counted[0][0] for at, _ in counted]
    if len(set(times)) < 2:
        return None
    return statistics.linear_regression(times, [float(value) for _, value in counted]).slope * 3_600_000


@given(histories, lengths, gaps)
def test_they_are_those_of_the_readings_in_a_list(
    history: tuple[Millis, list[tuple[Millis, float]]], span: Millis, later: Millis
) -> None:
    told = told_in(history)
    now = told[-1][0] + later
    spans = heard(span, told)
    counted = in_span(told, span, now)
    assert spans.count(span, now) == len(counted)
    all_ = spans._spans[span].all(now)  # Be it enough or not.
    if all_ is None:
        return
    numbers = [value for _, value in counted]
    scale = max(map(abs, numbers)) + 1
    assert (all_.lowest, all_.highest) == (min(numbers), max(numbers))
    assert (all_.first, all_.last) == (numbers[0], numbers[-1])
    assert same(all_.mean, statistics.fmean(numbers), scale)
    assert same(all_.stdev, statistics.stdev(numbers) if len(numbers) > 1 else None, scale)
    assert same(all_.rate, slope(counted), scale * 3_600_000)


@given(histories, lengths, gaps, gaps)
def test_the_time_heard_is_that_of_the_readings_in_a_list(
    history: tuple[Millis, list[tuple[Millis, float]]], span: Millis, reach: Millis, later: Millis
) -> None:
    told = told_in(history)
    now = told[-1][0] + later
    spans = heard(span, told, reach=reach)
    wanted = 0.8 * span
    time = time_heard(told, reach, now - span, now)
    if in_span(told, span, now):
        # The oldest slice may reach back beyond the span.
        unknown = time + width(span) - 1 < wanted
        known = time >= wanted
        assert (spans.statistics(span, now) is not None) in {known, not unknown}
    else:
        assert spans.statistics(span, now) is None


@given(histories, lengths, gaps, st.floats(0, 1))
def test_it_lasts_as_long_as_it_says(
    history: tuple[Millis, list[tuple[Millis, float]]], span: Millis, reach: Millis, part: float
) -> None:
    told = told_in(history)
    now = told[-1][0]
    spans = heard(span, told, reach=reach)
    lasts = spans.steady_for(span, now)
    assert lasts is not None
    before = spans.statistics(span, now), spans.count(span, now)
    later = now + int(part * (lasts - 1))
    assert lasts <= 1_000 or (spans.statistics(span, later), spans.count(span, later)) == before
    assert lasts > 0


@pytest.mark.parametrize("length", [600, 601, 1199, 1200])
def test_memory_is_bounded_whatever_comes_in(length: Millis) -> None:
    spans = Spans([length])
    span = spans._spans[length]
    most = 0
    for now in range(5 * length):
        spans.add(now, 20, reach=REACH)
        most = max(most, len(span._front) + len(span._back))
    assert SLICES // 2 <= most <= SLICES + 1


def test_a_slice_is_short() -> None:
    assert (width(1), width(TEN_MINUTES), width(WEEK)) == (1, 1_000, 1_008_000)
