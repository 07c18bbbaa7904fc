"""What a node makes of what its sensors say: when it counts, when it is late, stale, failed, well again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outstation.core.actuation import ActuatorSpec
from outstation.core.filters import Limits
from outstation.core.node import SENSORS_A_DEVICE, SENSORS_A_NODE, Node, SensorSpec, SensorState
from outstation.core.readings import Millis, Quality, Reading, Record, Value
from outstation.errors import RefusedError, UnknownNameError
from tests.core.story import (
    AIR,
    DAY,
    HOUR,
    LED,
    MINUTE,
    PORCH,
    START,
    YEARS_20,
    done,
    failed,
    kept,
    levels,
    ms,
    notes,
    order,
    refused,
    said,
    sent,
    story,
    tick,
    values,
    worths,
)

OK, OUT, SPIKE, STUCK, FAULT = Quality


def node_of(
    *, limits: Limits | None = None, dead_band: float | None = None, every: Millis = 10_000, heartbeat: float = HOUR
) -> Node:
    """Make a node with a sensor of its own, a board on the porch, and an LED."""
    limits = limits or Limits()
    air = SensorSpec(AIR, every=every, limits=limits, dead_band=dead_band, heartbeat=ms(heartbeat))
    return Node([air, SensorSpec(PORCH, limits=limits)], [ActuatorSpec(LED)])


def newest(node: Node, sensor: str = PORCH) -> Reading:
    found = node.sensors[sensor].newest
    assert found is not None
    return found


def every(seconds: float, count: int, *, value: float = 20) -> list[Reading]:
    """Make the readings of a board with a rhythm."""
    return [sent(number * seconds, value) for number in range(count)]


# A reading counts, and is kept.


def test_a_reading_counts_and_is_kept() -> None:
    node = node_of()
    assert story(node, said(1, 20.5)) == [Record(said(1, 20.5))]
    assert newest(node, AIR) == said(1, 20.5)


def test_what_this_node_stamped_is_always_new() -> None:
    node = node_of()
    assert values(story(node, said(1, 20), said(1, 20), said(1, 21))) == [20, 20, 21]


def test_nothing_to_say_counts_as_a_fault() -> None:
    node = node_of()
    assert worths(story(node, said(1, 20), said(2, None))) == [OK, FAULT]
    assert newest(node, AIR).value is None


def test_limits_judge_what_counts() -> None:
    node = node_of(limits=Limits(low=-30, high=60, spike=5, stuck=ms(HOUR)))
    told = [said(0, 20), said(1, 85), said(2, 40), said(3, 21), said(HOUR + 3, 21)]
    assert worths(story(node, *told)) == [OK, OUT, SPIKE, OK, STUCK]
    assert newest(node, AIR).quality is STUCK


@given(st.lists(st.tuples(st.floats(0, 30), st.none() | st.booleans() | st.floats(allow_nan=False) | st.text())))
def test_without_limits_nothing_is_judged_and_nothing_is_different(told: list[tuple[float, Value | None]]) -> None:
    plain, endless = node_of(), node_of(limits=Limits(low=float("-inf"), high=float("inf")))
    second = 0.0
    for wait, value in told:
        second += wait
        assert story(plain, said(second, value)) == story(endless, said(second, value))


# Late is for the store.


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
    story(node, *every(60, 10))
    was = newest(node)
    backlog = [sent(measured, 99, arrived=13 * HOUR) for measured in range(10 * MINUTE, 12 * HOUR, 60)]
    assert len(kept(story(node, *backlog))) == len(backlog)
    assert newest(node) == was


def test_the_end_of_a_backlog_is_fresh_and_counts() -> None:
    node = node_of()
    story(node, *every(60, 10))
    story(node, *[sent(measured, 30, arrived=HOUR) for measured in range(10 * MINUTE, HOUR, 60)])
    assert newest(node) == sent(59 * MINUTE, 30, arrived=HOUR)


def test_the_first_word_of_a_sensor_may_be_late() -> None:
    node = node_of()
    assert values(story(node, sent(0, 20, arrived=HOUR))) == [20]
    assert node.sensors[PORCH].newest is None
    assert node.sensors[PORCH].is_stale(ms(HOUR))


def test_as_old_as_the_stale_limit_counts_and_a_moment_older_is_late() -> None:
    node = node_of()
    story(node, *every(60, 3))
    story(node, sent(1_000 - 0.001, 99, arrived=1_000 + 3 * 60), sent(1_000, 21, arrived=1_000 + 3 * 60))
    assert newest(node).value == 21
    story(node, sent(2_000, 22, arrived=2_000 + 3 * 60 + 0.001))
    assert newest(node).value == 21


def test_30_s_underway_is_never_late() -> None:
    node = node_of()
    story(node, *every(1, 3), sent(10, 21, arrived=40))
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


# Stale.


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
    limits = [(story(node, reading), node.sensors[PORCH].stale_limit())[1] for reading in every(60, 3)]
    assert limits == [ms(15 * MINUTE), ms(15 * MINUTE), ms(3 * MINUTE)]


def test_a_quick_board_too_has_30_s() -> None:
    node = node_of()
    story(node, *every(1, 20))
    assert node.sensors[PORCH].stale_limit() == ms(30)


def test_one_long_silence_does_not_change_a_rhythm() -> None:
    node = node_of()
    story(node, sent(0, 20), sent(60, 20), sent(DAY, 20), sent(DAY + 60, 20))
    assert node.sensors[PORCH].stale_limit() == ms(3 * MINUTE)


@pytest.mark.parametrize(("changed", "rhythm"), [(4, 60), (5, 300)])
def test_a_new_rhythm_is_learnt_after_five(changed: int, rhythm: float) -> None:
    node = node_of()
    story(node, *every(60, 20))
    story(node, *[sent(19 * 60 + number * 300, 20) for number in range(1, changed + 1)])
    assert node.sensors[PORCH].stale_limit() == ms(3 * rhythm)


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
    story(node, *every(60, 3), sent(90, 20, arrived=1000))
    assert node.sensors[PORCH].is_stale(ms(1000))


# A dead band thins what is stored, and never what counts.


def test_a_dead_band_thins_what_is_stored_and_never_what_counts() -> None:
    node = node_of(dead_band=0.5)
    assert values(story(node, said(0, 20), said(10, 20.3), said(20, 20.6), said(30, 20.4))) == [20, 20.6]
    assert newest(node, AIR) == said(30, 20.4)


def test_a_dead_band_stores_a_heartbeat() -> None:
    node = node_of(dead_band=0.5, heartbeat=30)
    assert len(kept(story(node, *[said(second, 20) for second in range(0, 91, 10)]))) == 4


def test_a_dead_band_hides_no_change_of_quality() -> None:
    node = node_of(dead_band=5, limits=Limits(high=20))
    assert worths(story(node, said(0, 20), said(1, 20.1), said(2, 20.2), said(3, 19.9))) == [OK, OUT, OK]


# Failing, and well again.


def test_a_failure_is_noted_once_and_marked_once() -> None:
    node = node_of()
    effects = story(node, said(0, 20), *[failed(second, "no answer") for second in (10, 20, 30)])
    assert notes(effects) == [("sensor failed", "no answer")]
    assert [(reading.value, reading.quality) for reading in kept(effects)] == [(20, OK), (None, FAULT)]
    assert node.sensors[AIR].error == "no answer"


def test_another_reason_is_noted_and_not_marked_again() -> None:
    effects = story(node_of(), failed(0, "no answer"), failed(10, "no bus"), failed(20, "no bus"))
    assert [text for _, text in notes(effects)] == ["no answer", "no bus"]
    assert len(kept(effects)) == 1


def test_a_failure_leaves_what_was_said_before_to_grow_stale() -> None:
    node = node_of()
    story(node, said(0, 20), failed(10, "no answer"))
    assert newest(node, AIR) == said(0, 20)
    assert node.sensors[AIR].is_stale(ms(31))


def test_well_again_is_noted_and_can_fail_anew() -> None:
    node = node_of()
    effects = story(node, failed(0, "no answer"), said(10, 20), said(20, 21), failed(30, "no answer"))
    assert [kind for kind, _ in notes(effects)] == ["sensor failed", "sensor well", "sensor failed"]
    assert values(effects) == [None, 20, 21, None]


def test_the_first_word_after_a_failure_is_stored_whatever_the_dead_band() -> None:
    node = node_of(dead_band=5)
    effects = story(node, said(0, 20), failed(10, "no answer"), said(20, 20.1), said(30, 20.2), said(40, 25.1))
    assert values(effects) == [20, None, 20.1, 25.1]


def test_a_late_reading_does_not_make_a_sensor_well() -> None:
    node = node_of()
    story(node, sent(10, 20), failed(20, "no answer", sensor=PORCH), sent(5, 20, arrived=30))
    assert node.sensors[PORCH].error == "no answer"


# Making room for sensors that a sender names.


def named(device: str, count: int) -> list[str]:
    return [f"{device}/s{number}" for number in range(count)]


def test_a_device_may_have_64_sensors_and_no_more() -> None:
    node = Node()
    for name in named("porch", SENSORS_A_DEVICE):
        node.admit_all([name])
    with pytest.raises(RefusedError, match=r"porch/extra\. A device has at most 64 sensors"):
        node.admit_all(["porch/extra"])
    node.admit_all(["shed/extra"])
    assert len(node.sensors) == SENSORS_A_DEVICE + 1


def test_all_are_admitted_or_none() -> None:
    node = Node()
    with pytest.raises(RefusedError, match=r"shed/s0, porch/s0, porch/s1, \.\.\.\."):
        node.admit_all(["shed/s0", *named("porch", SENSORS_A_DEVICE + 1)])
    assert node.sensors == {}
    node.admit_all(named("porch", SENSORS_A_DEVICE))


def test_a_node_may_have_20_000_sensors_and_no_more() -> None:
    node = Node([SensorSpec(AIR)])
    for number in range(SENSORS_A_NODE // 50 - 1):
        node.admit_all(named(f"d{number}", 50))
    node.admit_all(named("last", 49))
    with pytest.raises(RefusedError, match="a node 20000"):
        node.admit_all(["shed/s0"])
    assert len(node.sensors) == SENSORS_A_NODE


def test_what_is_known_or_named_twice_takes_no_room() -> None:
    node = Node()
    names = named("porch", SENSORS_A_DEVICE)
    node.admit_all([*names, *names])
    story(node, sent(1, 20, sensor="porch/s0"))
    node.admit_all(names)
    node.admit_all([])
    assert newest(node, "porch/s0") == sent(1, 20, sensor="porch/s0")


def test_a_full_node_still_takes_what_it_knows() -> None:
    node = Node([SensorSpec(f"d{number}/t") for number in range(SENSORS_A_NODE + 1)])
    node.admit_all(["d7/t"])
    with pytest.raises(RefusedError):
        node.admit_all(["d7/t", "d7/u"])


def test_configured_sensors_count_as_well() -> None:
    node = Node([SensorSpec(name) for name in named("porch", SENSORS_A_DEVICE)])
    with pytest.raises(RefusedError):
        node.admit_all(["porch/extra"])


def test_a_sensor_belongs_to_its_device_and_the_nodes_own_to_none() -> None:
    assert [SensorSpec(name).device for name in (PORCH, AIR)] == ["porch", ""]


# A start.


def test_a_start_remembers_and_lets_it_be_stale() -> None:
    node = node_of()
    before = Reading(AIR, 20, START - ms(DAY), -ms(DAY), START - ms(DAY))
    node.learn(node.sensors[AIR].spec, before)
    assert newest(node, AIR) == before
    assert node.sensors[AIR].age(ms(5)) == ms(DAY + 5)
    assert node.sensors[AIR].is_stale(ms(5))


def test_a_backlog_after_a_start_is_still_late() -> None:
    node = Node()
    node.learn(SensorSpec(PORCH), sent(-60, 20))
    story(node, sent(-120, 99, arrived=1))
    assert newest(node) == sent(-60, 20)


def test_the_first_reading_after_a_start_is_stored_whatever_the_dead_band() -> None:
    node = node_of(dead_band=5)
    node.learn(SensorSpec(AIR), said(-30 * DAY, 20))
    assert values(story(node, said(1, 20), said(2, 20))) == [20]


def test_to_learn_of_a_sensor_again_forgets_nothing() -> None:
    node = node_of(limits=Limits(high=60))
    story(node, said(1, 20))
    node.learn(SensorSpec(AIR))
    assert worths(story(node, said(2, 85))) == [OUT]
    assert newest(node, AIR).value == 85


def test_limits_come_with_a_memory_and_none_without() -> None:
    assert SensorState(SensorSpec(AIR)).memory is None
    assert SensorState(SensorSpec(AIR, limits=Limits(spike=5))).memory is not None


# Outputs: what of them is kept in the history.


def test_each_change_of_an_output_is_kept_once() -> None:
    effects = story(node_of(), done(0, False), done(1, False), done(2, True), done(3, True), done(4, False))
    assert values(effects) == [False, True, False]


def test_an_output_that_fails_is_marked_once_and_so_is_its_return() -> None:
    node = node_of()
    effects = story(node, done(0, False), refused(1), refused(2), refused(4, "no line"), done(8, False), done(9, False))
    assert [(reading.value, reading.quality) for reading in kept(effects)] == [(False, OK), (None, FAULT), (False, OK)]


def test_an_output_that_never_worked_is_marked_once() -> None:
    assert worths(story(node_of(), refused(0), refused(1), refused(3))) == [FAULT]


def test_a_command_goes_to_its_output_and_a_tick_to_all() -> None:
    node = Node([], [ActuatorSpec(LED), ActuatorSpec("fan", default=True)])
    assert levels(story(node, tick(0))) == [False, True]
    assert levels(story(node, order(1, "on"))) == [True]


def test_an_unknown_output_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(UnknownNameError, match=r'There is no actuator "lamp"\. Known: led\.'):
        story(node_of(), order(0, "on", actuator="lamp"))
    with pytest.raises(UnknownNameError, match=r"Known: none\."):
        Node().actuator("lamp")


def test_a_node_wants_to_be_woken_for_the_first_of_its_outputs() -> None:
    node = Node([], [ActuatorSpec(LED), ActuatorSpec("fan"), ActuatorSpec("pump")])
    assert node.next_due() is None
    story(node, order(0, "on", duration=ms(60)), order(0, "on", duration=ms(30), actuator="fan"))
    assert node.next_due() == ms(30)
    story(node, tick(30))
    assert node.next_due() == ms(60)
