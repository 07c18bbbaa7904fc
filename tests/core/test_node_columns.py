"""A backlog by columns: a node that calls it late has learnt from it what it would have learnt one by one."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from outstation.core.filters import Limits
from outstation.core.node import Node
from outstation.core.readings import Quality, Value
from tests.core.story import HOUR, MINUTE, PORCH, START, kept, ms, node_of, sent, steady, story

TIMES = st.lists(st.integers(0, 3 * HOUR), min_size=1, max_size=8, unique=True).map(sorted)


def late(node: Node, measured: list[int], arrived: float) -> bool:
    return node.late({PORCH: [START + ms(second) for second in measured]}, START + ms(arrived), ms(arrived))


def known(node: Node) -> object:
    """What a node knows of the sensor, but for the values of late readings, which nobody looks at."""
    state = node.sensors[PORCH]
    last = state.late and (state.late.at, state.late.now, state.late.arrived)
    return msgspec.to_builtins((state.newest, state.intervals, state.stored, state.error, last))


@given(before=TIMES, backlog=TIMES, arrived=st.integers(0, 5 * HOUR), rhythm=st.sampled_from([0, 10, 400]))
@settings(max_examples=300, deadline=None)
def test_a_backlog_by_columns_ends_in_the_state_that_it_ends_in_one_by_one(
    before: list[int], backlog: list[int], arrived: int, rhythm: int
) -> None:
    columns, single = node_of(), node_of()
    then = max(arrived, backlog[-1])
    for node in (columns, single):
        story(node, *steady(rhythm, 4) if rhythm else (), *[sent(second, 20, arrived=4 * HOUR) for second in before])
    readings = [sent(second, 21, arrived=then) for second in backlog]
    was = known(columns)
    if late(columns, backlog, then):
        assert kept(single.handle_all(readings)) == readings
        assert known(columns) == known(single)
    else:
        assert known(columns) == was


def test_what_is_years_old_is_late_and_what_has_just_been_measured_is_not() -> None:
    node = node_of()
    assert late(node, [0], 10 * HOUR)
    assert node.sensors[PORCH].newest is None
    assert not late(node, [9 * HOUR, 10 * HOUR - MINUTE], 10 * HOUR), "nobody knows its rhythm: it may be fresh"
    story(node, *[sent(10 * HOUR + second, 20) for second in range(0, 60, 10)])
    assert not late(node, [10 * HOUR + 50], 10 * HOUR + 60)


def test_where_readings_have_to_be_judged_they_come_one_by_one() -> None:
    assert not late(node_of(limits=Limits(high=60)), [0], 10 * HOUR)
    node = node_of()
    bad: Value | None = None
    story(node, msgspec.structs.replace(sent(0, 1), value=bad, quality=Quality.FAULT))
    assert not late(node, [0], 10 * HOUR), "its newest once more is worth what it was worth"
