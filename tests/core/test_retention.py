"""What goes of the history and what stays, by the rules alone; and when it fills its room."""

from __future__ import annotations

import pytest

from outstation.core import retention
from outstation.core.readings import Millis
from outstation.core.retention import Forecast, Frontier, Growth, Limits, Now
from outstation.core.windows import DAY, FIVE_MINUTES, HOUR

AT: Millis = 20_000 * DAY
NOW = Now(AT, trusted=True)
MB = 1_000_000


def test_a_sensor_is_kept_as_long_as_it_says_or_as_all_are() -> None:
    limits = Limits(MB, keep=30 * DAY, own={"air": 5 * DAY})
    assert (limits.of("air"), limits.of("soil"), Limits(MB).of("air")) == (5 * DAY, 30 * DAY, None)


@pytest.mark.parametrize(("free", "used", "cap"), [(100_000, 0, 2_000), (3_000, 1_000, 1_000), (0, 400, 400)])
def test_without_a_setting_it_is_two_gigabytes_or_a_quarter_of_the_disk(free: int, used: int, cap: int) -> None:
    assert retention.default_cap(free * MB, used * MB) == cap * MB


def test_nothing_goes_by_age_while_the_clock_is_in_doubt() -> None:
    assert retention.hindrance(NOW) == ""
    assert retention.hindrance(Now(AT, trusted=True, moved=DAY)) == ""
    assert "not synchronised" in retention.hindrance(Now(AT, trusted=False))
    assert "has stepped by 7300 days" in retention.hindrance(Now(AT, trusted=True, moved=7_300 * DAY))


def test_all_that_is_too_old_goes_once_a_day_whatever_the_clock_said_then() -> None:
    assert retention.is_whole_due(None, NOW)
    assert not retention.is_whole_due(AT - DAY + 1, NOW)
    assert retention.is_whole_due(AT - DAY, NOW)
    assert retention.is_whole_due(AT + 7_300 * DAY, NOW)


def test_between_those_runs_goes_what_became_too_old_just_now() -> None:
    assert retention.readings_between(30 * DAY, NOW, whole=False) == (AT - 32 * DAY, AT - 30 * DAY)
    start, before = retention.readings_between(30 * DAY, NOW, whole=True)
    assert (start < 0, before) == (True, AT - 30 * DAY)


def test_a_tenth_goes_at_once() -> None:
    assert (retention.allowance(1_009), retention.allowance(9)) == (100, 0)


@pytest.mark.parametrize(
    ("frontier", "end", "covered"),
    [
        (Frontier(None), AT, False),
        (Frontier(AT), AT - 1, True),
        (Frontier(AT), AT, False),
        (Frontier(AT + FIVE_MINUTES - 1), AT, False),
        (Frontier(AT, sent=AT - DAY), AT - 1, False),
        (Frontier(AT, sent=AT - DAY), AT - DAY - 1, True),
        (Frontier(None, sent=AT), AT - DAY, False),
    ],
)
def test_a_reading_goes_by_age_when_its_whole_window_is_summarised_and_sent(
    frontier: Frontier, end: Millis, covered: bool
) -> None:
    assert frontier.covers(end) is covered


@pytest.mark.parametrize(
    ("keep", "asked", "before"),
    [
        (None, True, AT - 1_000 * DAY),
        (730 * DAY, True, AT - 730 * DAY),
        (730 * DAY, False, AT - 900 * DAY),
        (950 * DAY, False, AT - 950 * DAY),
        (2_000 * DAY, True, AT - 2_000 * DAY),
        (DAY - HOUR // 2, True, AT - DAY),
    ],
)
def test_summaries_go_by_age_on_the_hour_and_unasked_a_tenth_of_their_time(
    keep: Millis | None, asked: bool, before: Millis
) -> None:
    first, last = AT - 1_000 * DAY, AT
    assert retention.summaries_before(keep, NOW, first, last, asked=asked) == before


def test_room_is_made_before_the_cap_is_reached_and_for_a_while() -> None:
    assert retention.too_much(98 * MB, 100 * MB) == 0
    assert retention.too_much(98 * MB + 1, 100 * MB) == 2 * MB + 1
    assert (retention.is_full(95 * MB, 100 * MB), retention.is_full(96 * MB, 100 * MB)) == (False, True)


def test_a_large_log_is_sealed_before_anything_is_deleted() -> None:
    assert (retention.is_log_first(25 * MB, 100 * MB), retention.is_log_first(25 * MB + 1, 100 * MB)) == (False, True)


def test_all_that_can_go_has_a_name() -> None:
    assert len({what.words for what in retention.What}) == len(retention.What)


@pytest.mark.parametrize(
    ("growing", "days"),
    [
        ([Growth(MB)], 88),
        ([Growth(MB / 2), Growth(MB / 2)], 88),
        ([], None),
        ([Growth(MB, AT + 40 * DAY)], None),
        ([Growth(MB, AT + 100 * DAY)], 88),
        ([Growth(MB, AT + 40 * DAY), Growth(MB)], 44 + 4),
        ([Growth(2 * MB, AT - DAY), Growth(MB)], 88),
        ([Growth(MB, AT + 10 * DAY), Growth(MB, AT + 20 * DAY)], None),
        ([Growth(MB / 100)], None),
        ([Growth(MB, AT + 87 * DAY), Growth(MB / 10_000)], None),
    ],
)
def test_the_day_on_which_it_is_full(growing: list[Growth], days: int | None) -> None:
    found = retention.forecast(10 * MB, 100 * MB, growing, AT)
    assert found == Forecast(sum(growth.a_day for growth in growing), None if days is None else AT + days * DAY)


def test_what_is_full_is_full_now() -> None:
    assert retention.forecast(99 * MB, 100 * MB, [Growth(MB)], AT).full_at == AT
