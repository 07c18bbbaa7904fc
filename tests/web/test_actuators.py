"""POST /api/actuators/{name} and its short form: people move outputs, and are told what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from outstation import clock
from tests.running import Answer, Running
from tests.web.keys import make_key

LED = "/api/actuators/led"


@pytest.fixture(autouse=True)
def _released(node: Running) -> Iterator[None]:
    yield
    assert order(node, "release").status == 200


def order(node: Running, action: object, path: str = "/api/led", **more: object) -> Answer:
    return node.post(path, {"action": action, **more})


def order_for(node: Running, action: str, time: object) -> Answer:
    return node.post("/api/led", {"action": action, "for": time})


def led(node: Running) -> dict[str, Any]:
    found: dict[str, Any] = node.get("/api/status").json["actuators"]["led"]
    return found


def soon(is_so: Callable[[], bool]) -> bool:
    until = time.monotonic() + 5
    while not is_so() and time.monotonic() < until:
        time.sleep(0.02)
    return is_so()


def test_the_led_goes_on_and_off(node: Running) -> None:
    for path in ("/api/led", LED):
        for action in ("on", "off"):
            answer = order(node, action, path)
            assert answer.status == 200
            assert answer.json == {
                "actuator": "led",
                "action": action,
                "state": action,
                "led_state": action,
                "until": None,
                "claimed_by": "environment",
                "recorded": True,
            }
            status = node.get("/api/status").json
            assert status["led_state"] == status["actuators"]["led"]["state"] == action


def test_who_moved_it_is_named(node: Running) -> None:
    key = make_key(node, "control")
    assert node.post("/api/led", {"action": "on"}, key=key).json["claimed_by"] == "test"
    assert led(node)["claimed_by"] == "test"


@pytest.mark.parametrize("action", ["blink", "", "ON!", "on ", "None", "öff", "x" * 10_000, "<script>", "\x1b[31m"])
def test_an_unknown_action_is_400_and_lists_the_valid_ones(node: Running, action: str) -> None:
    for path in ("/api/led", LED):
        answer = order(node, action, path)
        assert answer.status == 400
        assert answer.json["valid"] == ["on", "off", "toggle", "pulse", "release", "lock", "unlock"]
        assert "Valid: on, off, toggle, pulse, release, lock, unlock." in answer.json["error"]
        assert len(answer.body) < 800
        assert not set(answer.json["error"]) & set("<>\x1b")


@pytest.mark.parametrize("body", [{}, {"for": "5m"}, {"action": None}, {"action": 1}, {"action": ["on"]}])
def test_a_missing_action_is_400_and_lists_the_valid_ones(node: Running, body: object) -> None:
    answer = node.post("/api/led", body)
    assert answer.status == 400
    assert "on" in answer.json["valid"]
    assert led(node)["state"] == "off"


@pytest.mark.parametrize("body", [b"", b"on", b'{"action": "on"', b"\xff", b'{"action": "\xff"}', b"[" * 100_000])
def test_what_is_no_json_is_400(node: Running, body: bytes) -> None:
    assert node.post("/api/led", body, {"Content-Type": "application/json"}).status in {400, 422}
    assert led(node)["state"] == "off"


def test_what_is_sent_besides_is_422(node: Running) -> None:
    for name in ("state", "brightness", "x" * 10_000, "<script>"):
        answer = node.post("/api/led", {"action": "on", name: 1})
        assert answer.status == 422
        assert len(answer.body) < 600
        assert b"<" not in answer.body
    assert led(node)["state"] == "off"


@pytest.mark.parametrize("action", ["on", "ON", "On", "oN"])
def test_letter_case_does_not_matter(node: Running, action: str) -> None:
    answer = order(node, action)
    assert (answer.json["action"], answer.json["state"]) == ("on", "on")


def test_a_claim_ends_by_itself(node: Running) -> None:
    answer = order_for(node, "on", "300ms")
    assert answer.json["state"] == "on"
    assert answer.json["until"].endswith("Z")
    assert led(node)["until"] == answer.json["until"]
    assert soon(lambda: led(node)["state"] == "off")
    assert led(node) | {"since": ""} == led(node) | {"since": "", "claimed_by": None, "until": None}


def test_a_new_order_takes_the_place_of_the_one_before(node: Running) -> None:
    order_for(node, "on", "100ms")
    assert order(node, "on").json["until"] is None
    time.sleep(0.3)
    assert led(node)["state"] == "on"


@pytest.mark.parametrize("text", ["soon", "", "5", "-5m", "0s", "5 minutes", "367d", "9" * 400 + "s", "5m\n5m", "1e3s"])
def test_a_time_that_is_none_is_422(node: Running, text: str) -> None:
    answer = order_for(node, "on", text)
    assert answer.status == 422
    assert '"for"' in answer.json["error"]
    assert led(node)["state"] == "off"


@pytest.mark.parametrize("wrong", [5, True, ["5m"], {"m": 5}])
def test_a_time_that_is_no_text_is_422(node: Running, wrong: object) -> None:
    assert order_for(node, "on", wrong).status == 422


def test_an_order_that_arrives_too_late_is_not_done(node: Running) -> None:
    assert order(node, "off").status == 200
    for before in (clock.iso(clock.at() - 1_000), clock.at() - 1_000):
        answer = order(node, "on", before=before)
        assert (answer.status, "too late" in answer.json["error"]) == (422, True)
    assert node.get("/api/actuators/led").json["state"] == "off"
    assert order(node, "on", before=clock.iso(clock.at() + 15_000)).status == 200
    assert order(node, "on", before="soon").status == 422


def test_release_gives_it_back_to_its_default(node: Running) -> None:
    order(node, "on")
    answer = order(node, "release")
    assert (answer.json["state"], answer.json["claimed_by"]) == ("off", None)


def test_toggle_turns_it_over_each_time(node: Running) -> None:
    assert [order(node, "toggle").json["state"] for _ in range(4)] == ["on", "off", "on", "off"]


def test_a_pulse_is_short(node: Running) -> None:
    answer = order(node, "pulse")
    assert answer.json["state"] == "on"
    assert answer.json["until"]
    assert soon(lambda: led(node)["state"] == "off")


def test_a_pulse_is_as_long_as_it_is_told(node: Running) -> None:
    order_for(node, "pulse", "5m")
    time.sleep(0.7)
    assert led(node)["state"] == "on"


def test_an_led_cannot_be_set(node: Running) -> None:
    answer = order(node, "set", value=0.5)
    assert answer.status == 400
    assert "set" not in answer.json["valid"]


@pytest.mark.parametrize("name", ["nobody", "status", "door", "button", "cpu_temp", "..", "<script>", "%00"])
def test_an_unknown_output_is_404(node: Running, name: str) -> None:
    answer = order(node, "on", f"/api/actuators/{name}")
    assert answer.status == 404
    assert "<" not in answer.json["error"]


def test_outputs_can_be_looked_at(node: Running) -> None:
    order(node, "on")
    found = node.get("/api/actuators").json["actuators"]
    assert [one["name"] for one in found] == ["led"]
    assert node.get(LED).json == found[0]
    assert found[0]["state"] == "on"
    assert node.get("/api/actuators/nobody").status == 404


def test_looking_changes_nothing(node: Running) -> None:
    for path in ("/api/led?action=on", f"{LED}?action=on", "/api/led"):
        assert node.get(path).status in {200, 405}
        assert node.request("HEAD", path).status in {200, 405}
    assert led(node)["state"] == "off"


def test_an_output_that_does_not_obey_is_503_with_the_reason(tmp_path: Path) -> None:
    config = """
    [[actuators]]
    name = "vent"
    driver = "gpio"
    pin = 17
    chip = "/dev/gpiochip977"
    """
    with Running(tmp_path / "data", config) as node:
        answer = node.post("/api/vent", {"action": "on"})
        assert answer.status == 503
        assert "gpiochip977" in answer.json["error"]
        assert int(answer.headers["retry-after"]) > 0
        assert node.get("/api/status").json["actuators"]["vent"]["state"] == "unknown"
        assert "gpiochip977" in " ".join(node.get("/api/health").json["problems"])
