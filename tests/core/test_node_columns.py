"""Readings by columns: a node that leaves them to the store has learnt what it would have learnt one by one."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from outstation.core import conditions
from outstation.core.filters import Limits
from outstation.core.node import Node
from outstation.core.readings import Quality, Value
from outstation.core.rules import RuleSpec
from outstation.core.sensors import SensorSpec
from tests.core.story import HOUR, MINUTE, PORCH, START, kept, ms, newest, node_of, sent, steady, story

TIMES = st.lists(st.integers(0, 3 * HOUR), min_size=1, max_size=8, unique=True).map(sorted)

SENT = st.one_of(
    TIMES,
    st.builds(
        lambda first, step, count: [first + step * place for place in range(count)],
        st.integers(0, 3 * HOUR),
        st.sampled_from([1, 2, 7, 60]),
        st.integers(1, 60),
    ),
)
"""Now and then, or so often that not every one of them has to be looked at."""


def alone(node: Node, measured: list[int], arrived: float) -> bool:
    times = [START + ms(second) for second in measured]
    return node.store_alone({PORCH: (times, [21] * len(times))}, START + ms(arrived), ms(arrived))


def known(node: Node) -> object:
    """What a node knows of the sensor, but for the values of late readings, which nobody looks at."""
    state = node.sensors[PORCH]
    last = state.late and (state.late.at, state.late.now, state.late.arrived)
    return msgspec.to_builtins((state.newest, state.intervals, state.stored, state.error, last))


@given(
    before=TIMES, backlog=SENT, arrived=st.just(0) | st.integers(0, 5 * HOUR), rhythm=st.sampled_from([0, 1, 10, 400])
)
@settings(max_examples=400, deadline=None)
def test_what_comes_by_columns_ends_in_the_state_that_it_ends_in_one_by_one(
    before: list[int], backlog: list[int], arrived: int, rhythm: int
) -> None:
    columns, single = node_of(), node_of()
    then = max(arrived, backlog[-1])
    for node in (columns, single):
        story(node, *steady(rhythm, 4) if rhythm else (), *[sent(second, 20, arrived=4 * HOUR) for second in before])
    readings = [sent(second, 21, arrived=then) for second in backlog]
    assert alone(columns, backlog, then), "no rule looks at it"
    assert kept(single.handle_all(readings)) == readings
    assert known(columns) == known(single)


def test_what_fills_a_hole_before_the_newest_is_late_although_it_is_fresh() -> None:
    columns, single = node_of(), node_of()
    for node in (columns, single):
        story(node, sent(200, 20))
    hole = list(range(170, 200))
    assert alone(columns, hole, 201)
    story(single, *[sent(second, 21, arrived=201) for second in hole])
    assert known(columns) == known(single)
    assert newest(columns) == sent(200, 20)


def test_what_a_rule_looks_at_is_for_the_store_alone_when_it_is_late() -> None:
    rule = RuleSpec("warm", conditions.parse("porch/temperature > 30"))
    node = Node([SensorSpec(PORCH)], rules=[rule])
    assert alone(node, [0], 10 * HOUR)
    assert node.sensors[PORCH].newest is None
    was = known(node)
    assert not alone(node, [9 * HOUR, 10 * HOUR - MINUTE], 10 * HOUR), "nobody knows its rhythm: it may be fresh"
    assert known(node) == was
    story(node, *[sent(10 * HOUR + second, 20) for second in range(0, 60, 10)])
    assert not alone(node, [10 * HOUR + 50], 10 * HOUR + 60)


def test_what_is_far_ahead_or_thinned_out_or_makes_well_again_comes_one_by_one() -> None:
    node = node_of()
    assert not alone(node, [0, HOUR], 0), "a clock that is ahead is somebody else's to judge"
    node.sensors[PORCH].error = "it fell off the wall"
    assert not alone(node, [0], 1)
    node = Node([SensorSpec(PORCH, dead_band=0.5)])
    assert not alone(node, [0], 1)


def test_where_readings_have_to_be_judged_they_come_one_by_one() -> None:
    assert not alone(node_of(limits=Limits(high=60)), [0], 10 * HOUR)
    node = node_of()
    bad: Value | None = None
    story(node, msgspec.structs.replace(sent(0, 1), value=bad, quality=Quality.FAULT))
    assert not alone(node, [0], 10 * HOUR), "its newest once more is worth what it was worth"
