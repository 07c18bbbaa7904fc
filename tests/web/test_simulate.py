"""POST /api/simulate: simulated inputs are moved, real ones never."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.running import Answer, Running


def simulate(node: Running, sensor: object, value: object, **more: object) -> Answer:
    return node.post("/api/simulate", {"sensor": sensor, "value": value, **more})


def pressed(node: Running) -> bool:
    return node.get("/api/status").json["button_pressed"] is True


def soon(is_so: Callable[[], bool]) -> bool:
    until = time.monotonic() + 5
    while not is_so() and time.monotonic() < until:
        time.sleep(0.02)
    return is_so()


def test_a_button_is_pressed_and_let_go(node: Running) -> None:
    answer = simulate(node, "button", value=True)
    assert (answer.status, answer.json) == (200, {"sensor": "button", "value": True, "for": None})
    assert soon(lambda: pressed(node))
    assert simulate(node, "button", value=False).status == 200
    assert soon(lambda: not pressed(node))


def test_for_a_time_it_comes_back_by_itself(node: Running) -> None:
    assert node.post("/api/simulate", {"sensor": "button", "value": True, "for": "300ms"}).json["for"] == "300ms"
    assert soon(lambda: pressed(node))
    assert soon(lambda: not pressed(node))


def test_the_end_of_an_earlier_call_does_not_undo_a_later_one(node: Running) -> None:
    assert simulate(node, "button", value=True, **{"for": "300ms"}).status == 200
    assert simulate(node, "button", value=True).status == 200
    time.sleep(0.6)
    assert pressed(node)
    assert simulate(node, "button", value=False).status == 200
    assert soon(lambda: not pressed(node))


def test_what_arrives_too_late_moves_nothing(node: Running) -> None:
    for before, status in (("2026-01-01T00:00:00Z", 422), (1_767_225_600, 422), ("soon", 422), (4e9, 200)):
        assert simulate(node, "button", value=True, before=before).status == status
        assert not pressed(node) or status == 200
    assert soon(lambda: pressed(node))
    assert simulate(node, "button", value=False).status == 200
    assert soon(lambda: not pressed(node))


def test_what_is_real_cannot_be_moved(node: Running) -> None:
    answer = simulate(node, "cpu_load", 5)
    assert answer.status == 422
    assert "not simulated" in answer.json["error"]


@pytest.mark.parametrize("name", ["nobody", "led", "porch/a", "", "<script>", "\x1b[31m", "x" * 10_000])
def test_an_unknown_sensor_is_404(node: Running, name: str) -> None:
    answer = simulate(node, name, value=True)
    assert answer.status == 404
    assert len(answer.body) < 800
    assert not set(answer.json["error"]) & set("<>\x1b")


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5_000, "[1]", "{}", "null", f'"{"x" * 256}"', '"\\ud800"']
)
def test_values_that_are_none_are_refused(node: Running, value: str) -> None:
    answer = node.post(
        "/api/simulate", f'{{"sensor": "cpu_temp", "value": {value}}}', {"Content-Type": "application/json"}
    )
    assert answer.status in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.body) < 1_000


@pytest.mark.parametrize("text", ["soon", "", "-5s", 5, True, "x" * 5_000])
def test_a_time_that_is_none_is_422(node: Running, text: object) -> None:
    assert node.post("/api/simulate", {"sensor": "button", "value": True, "for": text}).status == 422
    assert not pressed(node)
