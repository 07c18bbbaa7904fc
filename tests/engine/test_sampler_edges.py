"""Sensors that speak by themselves: their edges come at once, and the grid goes on beside them."""

from __future__ import annotations

import math
import threading

from outstation import clock
from outstation.engine.sampler import Sampled
from outstation.errors import DeviceError
from tests.engine.sampling import SLACK, Pressed, sampling


def test_an_edge_is_reported_at_once_with_the_time_when_it_was() -> None:
    pressed = Pressed()
    with sampling(Sampled("it", pressed, 3_600_000)) as heard:
        heard.values(1)
        at = clock.at()
        pressed.edges.put((True, clock.monotonic_ns() - 40_000_000))
        heard.values(2)
    edge = heard.readings()[1]
    assert edge.value is True
    assert abs(edge.at - (at - 40)) <= 5
    assert 40 <= edge.arrived - edge.at < 40 + SLACK


def test_a_watched_sensor_is_read_on_the_grid_as_well() -> None:
    with sampling(Pressed()) as heard:
        assert heard.values(4) == [False] * 4


def test_an_answer_from_before_an_edge_does_not_undo_it() -> None:
    pressed = Pressed()
    with sampling(pressed) as heard:
        heard.values(1)
        answering, edge_is_out = threading.Event(), threading.Event()

        def press_while_answering() -> None:
            answering.set()
            edge_is_out.wait(1)

        pressed.before_answer = press_while_answering
        assert answering.wait(1)
        pressed.level = True
        pressed.edges.put((True, clock.monotonic_ns()))
        assert heard.wait(lambda: heard.readings()[-1].value is True)
        said = len(heard.events)
        edge_is_out.set()
        assert heard.wait(lambda: len(heard.events) > said)
    assert [reading.value for reading in heard.readings()[said - 1 :]] == [True] * (len(heard.events) - said + 1)


def test_a_watch_that_fails_is_a_failure_of_the_sensor_and_is_opened_again(impatient: None) -> None:
    pressed = Pressed()
    with sampling(Sampled("it", pressed, 3_600_000)) as heard:
        heard.values(1)
        pressed.edges.put(DeviceError("The chip is gone."))
        assert heard.errors(1) == ["The chip is gone."]
        heard.values(2)
    assert pressed.opened == 2


def test_an_edge_that_is_no_value_is_a_failure() -> None:
    pressed = Pressed()
    with sampling(Sampled("it", pressed, 3_600_000)) as heard:
        heard.values(1)
        pressed.edges.put((math.nan, clock.monotonic_ns()))
        assert heard.errors(1)[0].startswith("The driver returned nan.")
