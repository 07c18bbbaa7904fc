"""What a node makes of what its sensors say, of those that fail, and of new ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outstation.core.actuation import ActuatorSpec
from outstation.core.filters import Limits
from outstation.core.node import SENSORS_A_DEVICE, SENSORS_A_NODE, Node
from outstation.core.readings import Quality, Reading, Record, Value
from outstation.core.sensors import SensorSpec, SensorState
from outstation.errors import RefusedError, UnknownNameError
from tests.core.story import (
    AIR,
    DAY,
    HOUR,
    LED,
    PORCH,
    START,
    done,
    failed,
    kept,
    levels,
    ms,
    newest,
    node_of,
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
