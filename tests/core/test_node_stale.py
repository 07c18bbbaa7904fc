"""Stale: how long a sensor may be silent, and how the rhythm of a board is learnt."""

from __future__ import annotations

import pytest

from outstation.core.readings import Millis, Quality
from tests.core.story import (
    AIR,
    DAY,
    HOUR,
    MINUTE,
    PORCH,
    YEARS_20,
    ms,
    node_of,
    said,
    sent,
    steady,
    story,
)

OK, OUT, SPIKE, STUCK, FAULT = Quality


@pytest.mark.parametrize(("every", "limit"), [(1_000, 30_000), (10_000, 30_000), (10_001, 30_003), (60_000, 180_000)])
def test_own_sensors_are_stale_after_three_turns_and_30_s_at_least(every: Millis, limit: Millis) -> None:
    node = node_of(every=every)
    story(node, said(0, 20))
    assert not node.sensors[AIR].is_stale(limit)
    assert node.sensors[AIR].is_stale(limit + 1)


def test_a_sensor_that_never_spoke_is_stale_and_has_no_age() -> None:
    state = node_of().sensors[AIR]
    assert state.age(ms(5)) is None
    assert state.is_stale(ms(5))


def test_a_board_is_given_a_quarter_of_an_hour_until_its_rhythm_is_known() -> None:
    node = node_of()
    limits = [(story(node, reading), node.sensors[PORCH].stale_limit())[1] for reading in steady(60, 3)]
    assert limits == [ms(15 * MINUTE), ms(15 * MINUTE), ms(3 * MINUTE)]


def test_a_quick_board_too_has_30_s() -> None:
    node = node_of()
    story(node, *steady(1, 20))
    assert node.sensors[PORCH].stale_limit() == ms(30)


def test_one_long_silence_does_not_change_a_rhythm() -> None:
    node = node_of()
    story(node, sent(0, 20), sent(60, 20), sent(DAY, 20), sent(DAY + 60, 20))
    assert node.sensors[PORCH].stale_limit() == ms(3 * MINUTE)


@pytest.mark.parametrize(("changed", "every"), [(4, 60), (5, 300)])
def test_a_new_rhythm_is_learnt_after_five(changed: int, every: float) -> None:
    node = node_of()
    story(node, *steady(60, 20))
    story(node, *[sent(19 * 60 + number * 300, 20) for number in range(1, changed + 1)])
    assert node.sensors[PORCH].stale_limit() == ms(3 * every)


def test_of_an_even_number_the_shorter_of_two_in_the_middle_is_the_rhythm() -> None:
    node = node_of()
    story(node, *[sent(second, 20) for second in (0, 40, 90, 150, 220, 300, 390)])
    assert node.sensors[PORCH].stale_limit() == ms(3 * 60)


def test_several_in_one_request_are_no_rhythm() -> None:
    node = node_of()
    story(node, *[said(0, value, sensor=PORCH) for value in range(10)])
    assert node.sensors[PORCH].stale_limit() == ms(15 * MINUTE)


@pytest.mark.parametrize("years", [YEARS_20, -YEARS_20])
def test_a_step_of_the_wall_clock_is_no_rhythm(years: float) -> None:
    node = node_of()
    story(node, *[said(second, 20, sensor=PORCH, wall=years * (second % 120) / 60) for second in range(0, 600, 60)])
    assert node.sensors[PORCH].stale_limit() == ms(3 * MINUTE)


def test_a_senders_clock_that_jumps_is_no_rhythm() -> None:
    node = node_of()
    for second in range(0, 600, 60):
        story(node, sent(second, 20), sent(YEARS_20 + second, 20, arrived=second + 30))
    assert node.sensors[PORCH].stale_limit() < ms(HOUR)


def test_two_clocks_make_no_rhythm() -> None:
    node = node_of()
    story(node, sent(0, 20), said(60, 20, sensor=PORCH), sent(120, 20), said(180, 20, sensor=PORCH))
    assert node.sensors[PORCH].stale_limit() == ms(15 * MINUTE)


def test_time_underway_is_part_of_the_age() -> None:
    node = node_of()
    story(node, sent(0, 20, arrived=20))
    assert node.sensors[PORCH].age(ms(25)) == ms(25)


def test_a_late_reading_does_not_freshen_its_sensor() -> None:
    node = node_of()
    story(node, *steady(60, 3), sent(90, 20, arrived=1000))
    assert node.sensors[PORCH].is_stale(ms(1000))
