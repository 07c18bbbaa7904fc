"""What readings have in common, what becomes of two summaries, of a third version of one, and how it is kept."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outstation.core.readings import Millis, Quality, Value
from outstation.core.summaries import Revision, Said, Summary, decode, encode, merge, read, revised, total, totals
from outstation.core.summing import LARGEST, LONGEST_REACH, summarised
from outstation.core.windows import DAY, FIVE_MINUTES, HOUR, Window
from outstation.errors import StoreError
from tests.core.plainly import TINY, empty, same

FIVE = Window(0, FIVE_MINUTES)
REACH: Millis = 30_000


def of(*readings: Said, window: Window = FIVE, reach: Millis = REACH, before: Said | None = None) -> Summary:
    [summary] = summarised([window], readings, reach, before)
    return summary


def every(seconds: float, *values: Value, start: Millis = 0) -> list[Said]:
    return [(start + round(number * seconds * 1000), value, Quality.OK) for number, value in enumerate(values)]


# What it says.


def test_five_minutes_of_a_thermometer() -> None:
    summary = of(*every(10, *([20.0, 22.0] * 15)))
    numbers = summary.numbers
    assert numbers is not None
    assert (summary.count, numbers.mean, numbers.lowest, numbers.highest) == (30, 21, 20, 22)
    assert (numbers.first, numbers.first_at, numbers.last, numbers.last_at) == (20, 0, 22, 290_000)
    assert numbers.stdev == pytest.approx((30 / 29) ** 0.5)
    assert (summary.coverage, summary.share_on, summary.is_empty) == (1, None, False)


def test_one_reading_has_no_spread() -> None:
    numbers = of((5, 21.5, 0)).numbers
    assert numbers is not None
    assert (numbers.count, numbers.mean, numbers.stdev) == (1, 21.5, 0)


def test_whole_numbers_stay_exact() -> None:
    numbers = of(*every(10, 2**63 - 2, 2**63 - 1)).numbers
    assert numbers is not None
    assert (numbers.lowest, numbers.highest) == (2**63 - 2, 2**63 - 1)


def test_a_reading_speaks_until_the_next_or_until_it_is_stale() -> None:
    assert of((0, 1.0, 0), (20_000, 1.0, 0)).heard == 50_000
    assert of((290_000, 1.0, 0)).heard == 10_000
    assert of(before=(-10_000, 1.0, 0)) == Summary(0, FIVE_MINUTES, heard=20_000)
    assert of(before=(-REACH, 1.0, 0)) == empty(FIVE)
    assert of((100_000, 1.0, 0), before=(-1, 1.0, 0)).heard == 59_999


def test_a_contact_is_on_for_a_share_of_the_time_however_often_it_says_so() -> None:
    summary = of((0, False, 0), (1_000, False, 0), (2_000, False, 0), (10_000, True, 0))
    assert (summary.heard, summary.on, summary.share_on) == (40_000, 30_000, 0.75)
    assert summary.numbers is not None
    assert (summary.numbers.mean, summary.numbers.lowest, summary.numbers.highest) == (0.25, False, True)


def test_a_contact_that_was_on_before_is_on() -> None:
    summary = of(before=(-1, True, 0), reach=DAY)
    assert (summary.count, summary.heard, summary.share_on, summary.is_empty) == (0, FIVE_MINUTES, 1, False)


def test_of_what_was_not_heard_nobody_knows_whether_it_was_on() -> None:
    summary = of((0, True, 0), (0, None, Quality.FAULT))
    assert (summary.count, summary.on, summary.share_on) == (1, None, None)


def test_what_is_bad_is_counted_and_not_averaged_in_and_ends_what_was_said() -> None:
    bad = [(10_000 * quality, 85.0, quality) for quality in Quality if quality]
    summary = of((0, 20.0, 0), *bad, (50_000, None, Quality.FAULT), (60_000, None, Quality.OK))
    assert summary.numbers is not None
    assert (summary.numbers.highest, summary.count, summary.bad, summary.heard) == (20, 1, (1, 1, 1, 3), 10_000)
    assert of(before=(-1, 85.0, Quality.STUCK)) == empty(FIVE)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e308])
def test_a_number_whose_square_no_float_holds_is_out_of_range(value: float) -> None:
    summary = of((0, value, 0), (1_000, LARGEST, 0))
    assert summary.bad == (1, 0, 0, 0)
    assert of(before=(-1, value, 0)) == empty(FIVE)


def test_texts_are_counted() -> None:
    summary = of(*every(10, "wet", "dry"), before=(-1, "wet", 0))
    assert (summary.texts, summary.numbers, summary.heard) == (2, None, 40_000)


def test_no_reading_speaks_longer_than_a_day() -> None:
    assert of(window=Window(0, 3 * DAY), before=(0, 1.0, 0), reach=9 * DAY).heard == LONGEST_REACH


def test_without_readings_there_is_nothing_not_even_a_zero() -> None:
    assert of() == empty(FIVE)
    assert of().is_empty
    assert (of().numbers, of().coverage, of().share_on) == (None, 0, None)


# By chance.

values = st.one_of(
    st.floats(-1e6, 1e6), st.integers(-(2**63), 2**63 - 1), st.booleans(), st.text(max_size=3), st.none()
)
qualities = st.sampled_from(Quality) | st.just(Quality.OK)
histories = st.lists(st.tuples(st.integers(-60_000, 2 * FIVE_MINUTES), values, qualities), max_size=40).map(
    lambda found: sorted(found, key=lambda said: said[0])
)
reaches = st.integers(1, 2 * FIVE_MINUTES)
cuts = st.sets(st.integers(1, 2 * FIVE_MINUTES - 1), max_size=5)


def in_windows(history: list[Said], windows: list[Window], reach: Millis) -> list[Summary]:
    inside = [said for said in history if windows[0].start <= said[0] < windows[-1].end]
    before = [said for said in history if said[0] < windows[0].start]
    return list(summarised(windows, inside, reach, before[-1] if before else None))


def cut(span: Window, at: set[Millis]) -> list[Window]:
    edges = [span.start, *sorted(at), span.end]
    return [Window(start, end - start) for start, end in pairwise(edges)]


def alike(one: Summary, other: Summary) -> None:
    """Assert that two summaries are the same: the mean and the spread up to rounding, all else to the last bit."""
    for name in ("start", "width", "heard", "on", "texts", "bad", "count"):
        assert getattr(one, name) == getattr(other, name), name
    if one.numbers is None or other.numbers is None:
        assert one.numbers is other.numbers
        return
    size = max(abs(float(one.numbers.lowest)), abs(float(one.numbers.highest)))
    for name in ("lowest", "highest", "first", "last", "first_at", "last_at"):
        found, wanted = getattr(one.numbers, name), getattr(other.numbers, name)
        assert (found, type(found)) == (wanted, type(wanted)), name
    assert one.numbers.mean == pytest.approx(other.numbers.mean, rel=1e-12, abs=max(1e-12 * size, TINY))
    assert one.numbers.stdev == pytest.approx(other.numbers.stdev, rel=1e-7, abs=max(1e-7 * size, TINY))


@given(histories, reaches)
def test_it_is_what_one_would_work_out_by_hand(history: list[Said], reach: Millis) -> None:
    # One after the other, so that the second begins with what the first ended with.
    windows = cut(Window(0, 2 * FIVE_MINUTES), {FIVE_MINUTES})
    for window, summary in zip(windows, in_windows(history, windows, reach), strict=True):
        same(summary, window, history, reach)


@given(histories, reaches, cuts)
def test_the_parts_of_a_window_make_the_whole(history: list[Said], reach: Millis, edges: set[Millis]) -> None:
    span = Window(0, 2 * FIVE_MINUTES)
    [whole] = in_windows(history, [span], reach)
    parts = in_windows(history, cut(span, edges), reach)
    alike(total(span, parts), whole)
    # Windows that are made one by one are those made in a row.
    assert [in_windows(history, [window], reach)[0] for window in cut(span, edges)] == parts


@given(histories, reaches, st.sets(st.integers(1, 2 * FIVE_MINUTES - 1), min_size=2, max_size=2))
def test_merging_is_associative(history: list[Said], reach: Millis, edges: set[Millis]) -> None:
    first, second, third = in_windows(history, cut(Window(0, 2 * FIVE_MINUTES), edges), reach)
    alike(merge(merge(first, second), third), merge(first, merge(second, third)))


@given(histories, reaches)
def test_what_is_empty_adds_nothing(history: list[Said], reach: Millis) -> None:
    [summary] = in_windows(history, [FIVE], reach)
    around = empty(Window(-HOUR, HOUR)), empty(Window(FIVE_MINUTES, HOUR))
    alike(total(FIVE, [around[0], summary, around[1]]), summary)


@given(histories, reaches, st.sets(st.integers(1, FIVE_MINUTES - 1), max_size=20), st.integers(0, 20))
def test_stored_ones_are_put_together_as_those_in_memory(
    history: list[Said], reach: Millis, edges: set[Millis], place: int
) -> None:
    parts = in_windows(history, cut(FIVE, edges), reach)
    # The store has no rows of windows in which nothing was heard.
    rows = [(part.start, part.width, read(encode(part))) for part in parts if not part.is_empty]
    middle = sorted(edges | {FIVE_MINUTES})[place % (len(edges) + 1)]
    for windows in ([FIVE], cut(FIVE, {middle} - {FIVE_MINUTES})):
        wanted = [total(each, [part for part in parts if each.start <= part.start < each.end]) for each in windows]
        assert list(totals(windows, rows)) == wanted


def test_an_average_of_averages_would_be_wrong() -> None:
    one, other = of(*every(1, *[10.0] * 299)), of((FIVE_MINUTES, 40.0, 0), window=Window(FIVE_MINUTES, FIVE_MINUTES))
    both = merge(one, other).numbers
    assert both is not None
    assert both.mean == pytest.approx(10.1)


@pytest.mark.parametrize("hours", [1, 23, 24, 25])
def test_hours_and_days_are_made_of_five_minutes(hours: int) -> None:
    windows = [Window(start, FIVE_MINUTES) for start in range(0, hours * HOUR, FIVE_MINUTES)]
    readings = every(60, *(float(number % 1000) for number in range(hours * 60)))
    span = Window(0, hours * HOUR)
    alike(total(span, summarised(windows, readings, REACH)), of(*readings, window=span))


# Its revisions.


def test_each_change_has_the_next_number_and_no_change_has_none() -> None:
    one, other = of((0, 1.0, 0)), of((0, 2.0, 0))
    first = revised(None, one)
    assert first == Revision(one, 1)
    assert revised(first, one) is None
    second = revised(first, other)
    assert second == Revision(other, 2)


def test_what_was_moved_away_leaves_a_tombstone() -> None:
    gone = revised(Revision(of((0, 1.0, 0)), 3), empty(FIVE))
    assert gone == Revision(empty(FIVE), 4)
    assert gone.summary.count == 0
    assert revised(gone, empty(FIVE)) is None
    assert revised(gone, of((0, 1.0, 0))) == Revision(of((0, 1.0, 0)), 5)


def test_of_a_window_that_never_was_there_is_no_tombstone() -> None:
    assert revised(None, empty(FIVE)) is None


# In the store.


@given(histories, reaches)
def test_what_is_kept_is_the_same_to_the_last_bit(history: list[Said], reach: Millis) -> None:
    [summary] = in_windows(history, [FIVE], reach)
    back = decode(FIVE, encode(summary))
    assert back == summary
    alike(back, summary)


def test_it_is_short() -> None:
    assert len(encode(of(*every(1, *[20.21, 21.33] * 150)))) <= 45
    assert len(encode(of(*every(1, *[1 / 3] * 300)))) <= 69
    assert len(encode(of(*every(1, *[True] * 300)))) <= 38
    assert len(encode(empty(FIVE))) <= 11


def test_a_version_from_a_newer_program_is_refused_with_words() -> None:
    with pytest.raises(StoreError, match=r"version 2, and this program reads version 1 alone\. Run the version"):
        decode(FIVE, b"\x02" + encode(empty(FIVE))[1:])
