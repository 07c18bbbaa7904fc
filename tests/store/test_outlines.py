"""Outlines: windows of five minutes as they are stored; what is not stored says nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from outstation.core.summaries import Said
from outstation.core.windows import FIVE_MINUTES, HOUR
from outstation.store.outlines import outlines
from tests.core.test_windows import offset_in
from tests.store.test_plots import BEGIN, Node, tiers


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    loop = asyncio.new_event_loop()
    found = Node(tmp_path_factory.mktemp("data"), loop)
    with found.store:
        yield found
    loop.close()


def test_each_window_stands_in_its_place_and_a_silence_is_empty(node: Node) -> None:
    said: list[Said] = [(BEGIN + number * 10_000, float(number), 0) for number in range(360) if not 120 <= number < 240]
    name = node.record(said)
    node.summarise(name, tiers(said, BEGIN + HOUR, offset_in("Europe/Berlin")))
    columns = outlines(node.store, [name], BEGIN - 2 * FIVE_MINUTES, BEGIN + HOUR)[name]
    assert [column.start for column in columns] == [BEGIN + place * FIVE_MINUTES for place in range(-2, 12)]
    assert [column.has_readings for column in columns] == [False] * 2 + [True] * 4 + [False] * 4 + [True] * 4
    assert [column.numbers.highest for column in columns if column.numbers] == [29, 59, 89, 119, 269, 299, 329, 359]


def test_readings_are_not_read_however_many_there_are(node: Node) -> None:
    name = node.record([(BEGIN + number * 10_000, 1.0, 0) for number in range(360)])
    node.summarise(name, [])
    assert not any(column.has_readings for column in outlines(node.store, [name], BEGIN, BEGIN + HOUR)[name])


def test_of_a_sensor_that_stored_nothing_there_is_nothing(node: Node) -> None:
    assert outlines(node.store, ["nobody"], BEGIN, BEGIN + HOUR) == {"nobody": []}
