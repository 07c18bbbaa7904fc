"""Late is for the store: what comes late, once more or from a wrong clock moves nothing."""

from __future__ import annotations

import pytest

from outstation.core.filters import Limits
from outstation.core.readings import Quality, Record
from outstation.core.sensors import SensorSpec
from tests.core.story import (
    AIR,
    HOUR,
    MINUTE,
    PORCH,
    START,
    YEARS_20,
    kept,
    ms,
    newest,
    node_of,
    said,
    sent,
    steady,
    story,
    values,
    worths,
)

OK, OUT, SPIKE, STUCK, FAULT = Quality


def test_older_than_the_newest_is_kept_and_moves_nothing() -> None:
    node = node_of()
    assert values(story(node, sent(10, 20), sent(5, 99, arrived=11), sent(12, 21))) == [20, 99, 21]
    story(node, sent(11, 99, arrived=13))
    assert newest(node) == sent(12, 21)


def test_a_late_reading_is_judged_by_its_range_alone() -> None:
    node = node_of(limits=Limits(high=60, spike=5))
    late = [sent(5, 85, arrived=11), sent(6, 40, arrived=12)]
    assert worths(story(node, sent(10, 20), *late, sent(13, 21))) == [OK, OUT, OK, OK]


def test_twelve_hours_of_backlog_move_nothing() -> None:
    node = node_of()
    story(node, *steady(60, 10))
    was = newest(node)
    backlog = [sent(measured, 99, arrived=13 * HOUR) for measured in range(10 * MINUTE, 12 * HOUR, 60)]
    assert len(kept(story(node, *backlog))) == len(backlog)
    assert newest(node) == was


def test_the_end_of_a_backlog_is_fresh_and_counts() -> None:
    node = node_of()
    story(node, *steady(60, 10))
    story(node, *[sent(measured, 30, arrived=HOUR) for measured in range(10 * MINUTE, HOUR, 60)])
    assert newest(node) == sent(59 * MINUTE, 30, arrived=HOUR)


def test_twelve_hours_of_backlog_of_a_sensor_that_nobody_has_heard_of_move_nothing_to_their_end() -> None:
    node = node_of()
    now = 12 * HOUR
    story(node, *[sent(measured, 99, arrived=now) for measured in range(0, now - 30, 10)])
    assert node.sensors[PORCH].newest is None
    story(node, sent(now - 30, 21, arrived=now))
    assert newest(node).value == 21


def test_what_a_board_has_saved_up_during_a_restart_moves_nothing_though_its_rhythm_is_not_known_any_more() -> None:
    node = node_of()
    remembered = sent(0, 20)
    node.learn(SensorSpec(PORCH), remembered)
    now = 10 * MINUTE
    story(node, *[sent(measured, 99, arrived=now) for measured in range(10, now - 30, 10)])
    assert newest(node) == remembered
    story(node, sent(now - 30, 21, arrived=now))
    assert newest(node).value == 21


def test_a_slow_board_that_is_half_a_minute_underway_counts_from_its_first_word_after_a_restart() -> None:
    node = node_of()
    node.learn(SensorSpec(PORCH), sent(0, 20))
    story(node, sent(10 * MINUTE, 21, arrived=10 * MINUTE + 40))
    assert newest(node).value == 21


def test_a_backlog_of_hours_does_not_make_a_reading_count_for_longer() -> None:
    node = node_of()
    story(node, *[sent(hour * HOUR, 20, arrived=12 * HOUR) for hour in range(6)])
    assert node.sensors[PORCH].stale_limit() == ms(15 * MINUTE)


def test_the_first_word_of_a_sensor_may_be_late() -> None:
    node = node_of()
    assert values(story(node, sent(0, 20, arrived=HOUR))) == [20]
    assert node.sensors[PORCH].newest is None
    assert node.sensors[PORCH].is_stale(ms(HOUR))


def test_as_old_as_the_stale_limit_counts_and_a_moment_older_is_late() -> None:
    node = node_of()
    story(node, *steady(60, 3))
    story(node, sent(1_000 - 0.001, 99, arrived=1_000 + 3 * 60), sent(1_000, 21, arrived=1_000 + 3 * 60))
    assert newest(node).value == 21
    story(node, sent(2_000, 22, arrived=2_000 + 3 * 60 + 0.001))
    assert newest(node).value == 21


def test_30_s_underway_is_never_late() -> None:
    node = node_of()
    story(node, *steady(1, 3), sent(10, 21, arrived=40))
    assert newest(node).value == 21
    story(node, sent(20, 22, arrived=50.001))
    assert newest(node).value == 21


@pytest.mark.parametrize("years", [YEARS_20, -YEARS_20])
def test_what_this_node_stamped_is_never_late_wherever_the_wall_clock_goes(years: float) -> None:
    node = node_of()
    for sensor in (AIR, PORCH):
        there = said(2, 21, sensor=sensor, wall=years)
        back = said(3, 22, sensor=sensor)
        for reading in (said(1, 20, sensor=sensor), there, back):
            assert story(node, reading) == [Record(reading)]
            assert newest(node, sensor) == reading
            assert node.sensors[sensor].age(reading.now) == 0


def test_a_wall_clock_that_was_far_ahead_holds_no_sender_back() -> None:
    node = node_of()
    story(node, said(1, 20, sensor=PORCH, wall=YEARS_20), sent(2, 21))
    assert newest(node) == sent(2, 21)


def test_a_sender_whose_clock_is_far_ahead_does_not_block_its_sensor() -> None:
    node = node_of()
    story(node, sent(YEARS_20, 99, arrived=1), sent(2, 20))
    assert newest(node) == sent(2, 20)


@pytest.mark.parametrize(("ahead", "counts"), [(10 * MINUTE, 21), (10 * MINUTE + 0.001, 20)])
def test_a_sender_up_to_ten_minutes_ahead_keeps_its_own_order(ahead: float, counts: float) -> None:
    node = node_of()
    story(node, sent(3 + ahead, 21, arrived=2), sent(4 * MINUTE, 20, arrived=3))
    assert newest(node).value == counts


def test_a_clock_far_ahead_does_not_keep_its_sensor_fresh() -> None:
    node = node_of()
    story(node, sent(YEARS_20, 20, arrived=0))
    assert not node.sensors[PORCH].is_stale(ms(15 * MINUTE))
    assert node.sensors[PORCH].is_stale(ms(15 * MINUTE) + 1)


# The same again.


def test_the_same_again_is_the_same_reading() -> None:
    node = node_of(limits=Limits(spike=5))
    effects = story(node, sent(1, 20), sent(2, 40), sent(2, 40, arrived=3))
    assert worths(effects) == [OK, SPIKE, SPIKE]
    assert newest(node).arrived == START + ms(2)


def test_another_value_for_the_same_time_is_a_correction_and_counts() -> None:
    node = node_of()
    assert values(story(node, sent(1, 20), sent(1, 21, arrived=2))) == [20, 21]
    assert newest(node).value == 21


def test_true_is_not_the_same_as_one() -> None:
    node = node_of()
    story(node, sent(1, 1), sent(1, True, arrived=2))
    assert newest(node).value is True


def test_what_a_sender_stamps_is_another_than_what_this_node_stamped() -> None:
    node = node_of()
    story(node, said(1, 20, sensor=PORCH), sent(1, 20))
    assert newest(node).sender_stamped
