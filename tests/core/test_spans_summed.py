"""Spans whose older part comes from summaries: against spans that heard every reading."""

from __future__ import annotations

from operator import itemgetter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outstation.core.readings import Millis, Quality, Value
from outstation.core.spans import Spans, width
from outstation.core.summing import summarised
from outstation.core.windows import FIVE_MINUTES, Window
from tests.core.seen import Told
from tests.core.story import HOUR, ms
from tests.core.test_spans import WEEK, every, gaps, heard, histories, lengths, same, told_in

SHIFT: Millis = 123_456 - 1_750_000_200_000
"""From UTC to `now`: of these two, windows begin at whole five minutes on one alone."""


def begun(now: Millis) -> Millis:
    """Return when the window began that this moment is in."""
    return now - (now - SHIFT) % FIVE_MINUTES


def filled(span: Millis, told: Told, fresh: Millis, *, reach: Millis, faults: tuple[Millis, ...] = ()) -> Spans:
    """Hear of the windows that are over by `fresh`, and then the readings that came after them."""
    spans, until = Spans([span]), begun(fresh)
    said: list[tuple[Millis, Value | None, int]] = [(now - SHIFT, value, 0) for now, value in told if now < until]
    said += [(now - SHIFT, None, Quality.FAULT) for now in faults if now < until]
    said.sort(key=itemgetter(0))
    if said:
        starts = range(begun(said[0][0] + SHIFT) - SHIFT, until - SHIFT, FIVE_MINUTES)
        for summary in summarised([Window(start, FIVE_MINUTES) for start in starts], said, reach):
            spans.add_summary(summary, SHIFT, reach=reach)
    for now, value in told:
        if now >= until:
            spans.add(now, value, reach=reach)
    return spans


def in_span(told: Told, span: Millis, fresh: Millis, now: Millis) -> Told:
    """Return the readings that count: those whose slice had its last within the span. No window is in two."""
    slices: list[Told] = []
    for at, value in told:
        before = slices[-1] if slices else [(at, value)]
        shares_window = at < begun(fresh) and begun(at) == begun(before[-1][0])
        if slices and (shares_window or at // width(span) == before[0][0] // width(span)):
            before.append((at, value))
        else:
            slices.append([(at, value)])
    return [reading for slice_ in slices if slice_[-1][0] > now - span for reading in slice_]


@settings(max_examples=60)
@given(histories, st.integers(0, 119), gaps, gaps)
def test_of_windows_a_span_says_the_same_as_of_their_readings(
    history: tuple[Millis, list[tuple[Millis, float]]], place: int, reach: Millis, later: Millis
) -> None:
    told = told_in(history)
    fresh, now = told[place % len(told)][0], told[-1][0] + later
    one = heard(WEEK, told, reach=reach)._spans[WEEK].all(now)
    other = filled(WEEK, told, fresh, reach=reach)._spans[WEEK].all(now)
    assert one is not None
    assert other is not None
    scale = max(abs(one.lowest), abs(one.highest)) + 1
    for name in ("count", "lowest", "highest", "first", "last", "first_now", "last_now", "covered"):
        assert getattr(one, name) == getattr(other, name), name
    assert same(one.mean, other.mean, scale)
    assert same(one.stdev, other.stdev, scale)


@settings(max_examples=60)
@given(histories, st.integers(0, 119), lengths, gaps)
def test_a_window_leaves_with_its_last_reading(
    history: tuple[Millis, list[tuple[Millis, float]]], place: int, span: Millis, later: Millis
) -> None:
    told = told_in(history)
    fresh, now = told[place % len(told)][0], told[-1][0] + later
    spans = filled(span, told, fresh, reach=30_000)
    assert spans.count(span, now) == len(in_span(told, span, fresh, now))


def test_the_rate_of_windows_is_that_of_their_means() -> None:
    told = every(10, 700)
    spans = filled(ms(HOUR), told, ms(6_000), reach=30_000)
    found = spans.statistics(ms(HOUR), ms(6_995))
    assert found is not None
    assert found.rate == pytest.approx(360)
    assert found.change == found.count - 1


def test_a_faulty_reading_takes_nothing_from_what_was_heard() -> None:
    told, faults = every(20, 180), tuple(ms(20 * number + 10) for number in range(180))
    assert heard(ms(HOUR), told).statistics(ms(HOUR), ms(HOUR)) is not None
    spans = filled(ms(HOUR), told, ms(3_000), reach=30_000, faults=faults)
    assert spans.statistics(ms(HOUR), ms(HOUR)) is not None


def test_of_a_window_of_faults_or_from_before_the_newest_reading_nothing_is_taken() -> None:
    spans = heard(ms(HOUR), every(10, 3))
    for at in (5_000, 25_000):
        (summary,) = summarised([Window(0, FIVE_MINUTES)], [(at, 9.0 if at == 5_000 else None, 0)], 30_000)
        spans.add_summary(summary, 0, reach=30_000)
    assert spans.count(ms(HOUR), ms(30)) == 3
