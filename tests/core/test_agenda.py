"""Who is woken when: the earliest first, each once, and only at the time it asked for last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outstation.core.agenda import Agenda


def test_the_earliest_comes_first() -> None:
    agenda = Agenda()
    assert agenda.first() is None
    for name, time in [("b", 20), ("a", 10), ("c", 30)]:
        agenda.put(name, time)
    assert agenda.first() == 10
    assert agenda.due(9) == []
    assert agenda.due(20) == ["a", "b"]
    assert agenda.first() == 30


def test_a_time_that_was_moved_wakes_nobody() -> None:
    agenda = Agenda()
    agenda.put("a", 10)
    agenda.put("a", 20)
    agenda.put("b", 15)
    agenda.put("b", None)
    agenda.put("b", None)
    assert agenda.first() == 20
    assert agenda.due(19) == []
    assert agenda.due(20) == ["a"]


def test_a_time_that_is_put_back_wakes_once() -> None:
    agenda = Agenda()
    for time in (10, 20, 10, 10):
        agenda.put("a", time)
    assert agenda.due(100) == ["a"]
    assert agenda.due(100) == []


def test_who_moves_its_time_for_ever_fills_no_memory() -> None:
    agenda = Agenda()
    agenda.put("first", 0)
    for time in range(1, 10_000):
        agenda.put("a", time)
        assert agenda.first() == 0
    assert len(agenda._heap) <= 8 + 8 * 2
    assert agenda.due(10_000) == ["first", "a"]


names, times = st.sampled_from("abcde"), st.integers(0, 20)


@given(st.lists(st.tuples(names, st.none() | times) | times))
def test_it_wakes_as_a_plain_table_would(story: list[tuple[str, int | None] | int]) -> None:
    agenda, table = Agenda(), dict[str, int]()
    for event in story:
        if isinstance(event, int):
            due = sorted((time, name) for name, time in table.items() if time <= event)
            assert agenda.due(event) == [name for _, name in due]
            table = {name: time for name, time in table.items() if time > event}
        elif event[1] is None:
            agenda.put(event[0], None)
            table.pop(event[0], None)
        else:
            agenda.put(*event)
            table[event[0]] = event[1]
        assert agenda.first() == min(table.values(), default=None)
