"""The notebook: what was decided, in memory that the next server has as well."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from outstation.core.readings import Keep
from outstation.engine.notebook import SLOT, Notebook


@pytest.fixture
def memory() -> Iterator[int]:
    descriptor = os.memfd_create("kept")
    yield descriptor
    os.close(descriptor)


def locked(who: str = "anna") -> Keep:
    return Keep("output", "pump", b'{"lock":"%s"}' % who.encode())


def test_nobody_has_written_anything_yet(memory: int) -> None:
    assert Notebook(memory).rows() is None


def test_the_next_one_reads_what_the_last_one_has_written(memory: int) -> None:
    Notebook(memory).keep([locked(), Keep("setting", "vent_at", b"30")])
    assert Notebook(memory).rows() == {("output", "pump"): b'{"lock":"anna"}', ("setting", "vent_at"): b"30"}


def test_it_goes_on_where_the_last_one_was(memory: int) -> None:
    Notebook(memory).keep([locked(), Keep("setting", "vent_at", b"30")])
    Notebook(memory).keep([Keep("output", "pump", None)])
    assert Notebook(memory).rows() == {("setting", "vent_at"): b"30"}


def test_what_a_rule_remembers_is_written_with_the_next_tick(memory: int) -> None:
    notebook = Notebook(memory)
    notebook.keep([Keep("rule", "ventilate", b"{}")])
    assert Notebook(memory).rows() is None
    notebook.write()
    assert Notebook(memory).rows() == {("rule", "ventilate"): b"{}"}


@pytest.mark.parametrize("cut", [0, 5, 15, 16, 20])
def test_whoever_is_killed_while_writing_leaves_what_was_before(memory: int, cut: int) -> None:
    notebook = Notebook(memory)
    notebook.keep([locked("anna")])
    notebook.keep([locked("bob")])
    slots = [os.pread(memory, 100, place) for place in (0, SLOT)]
    newest = max((0, 1), key=lambda place: slots[place][:8])
    os.pwrite(memory, b"\xff" * (100 - cut), newest * SLOT + cut)
    assert Notebook(memory).rows() == {("output", "pump"): b'{"lock":"anna"}'}


def test_what_is_too_much_for_it_is_left_to_the_disk(memory: int) -> None:
    notebook = Notebook(memory)
    notebook.keep([locked()])
    notebook.keep([Keep("output", "huge", b"x" * SLOT)])
    assert Notebook(memory).rows() is None
