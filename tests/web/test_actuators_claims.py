"""Who decides over an output: what a command is told that has to wait, what is refused, and who locked what."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from outstation import clock
from tests.running import Answer, Running
from tests.web.keys import make_key

CONFIG = """
[node]
clock = "trust"

[[actuators]]
name = "pump"
driver = "gpio"
pin = 17
simulate = true
min_off = "1m"

[[actuators]]
name = "fan"
driver = "gpio"
pin = 18
simulate = true

[[rules]]
name = "warm"
when = "porch/temperature > 30"
claim = { fan = "on" }
priority = 2

[[rules]]
name = "smoke"
when = "porch/smoke is on"
claim = { fan = "off" }
priority = "safety"
"""


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Running]:
    with Running(folder / "data", CONFIG) as running:
        yield running


@pytest.fixture(autouse=True)
def _left_alone(node: Running) -> Iterator[None]:
    yield
    say(node, "temperature", 20)
    say(node, "smoke", False)
    for name in ("pump", "fan"):
        order(node, name, "unlock")
        order(node, name, "release")


def say(node: Running, field: str, value: object) -> None:
    assert node.post("/api/readings", {"sensor": f"porch/{field}", "value": value}).status == 200


def order(node: Running, name: str, action: str, **more: object) -> Answer:
    return node.post(f"/api/{name}", {"action": action, **more})


def output(node: Running, name: str) -> dict[str, Any]:
    answer = node.get(f"/api/actuators/{name}")
    assert answer.status == 200
    return dict(answer.json)


def moment(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


def soon(is_so: Callable[[], bool]) -> bool:
    until = time.monotonic() + 5
    while not is_so() and time.monotonic() < until:
        time.sleep(0.02)
    return is_so()


def test_what_has_to_wait_is_202_and_says_why_and_until_when(node: Running) -> None:
    for path in ("/api/pump", "/api/actuators/pump"):
        answer = node.post(path, {"action": "on"})
        assert answer.status == 202
        assert (answer.json["state"], answer.json["claimed_by"], answer.json["recorded"]) == (
            "off",
            "environment",
            True,
        )
        pending = answer.json["pending"]
        assert (pending["state"], pending["asked_by"]) == ("on", "environment")
        assert pending["why"].startswith("off: min_off: 1m from when it was seen off")
        effective = moment(pending["effective_at"])
        assert effective * 1000 - clock.at() < 60_000
        assert moment(output(node, "pump")["pending"]["effective_at"]) == pytest.approx(effective, abs=0.01)
    assert order(node, "pump", "release").status == 200
    assert output(node, "pump")["pending"] is None


def test_what_would_be_over_before_it_begins_is_409(node: Running) -> None:
    answer = order(node, "pump", "on", **{"for": "1s"})
    assert answer.status == 409
    assert "min_off keeps it off" in answer.json["error"]
    assert output(node, "pump")["claimed_by"] is None


def test_a_lock_is_by_the_name_of_its_key_and_refuses_others(node: Running) -> None:
    key = make_key(node, "control")
    answer = node.post("/api/fan", {"action": "lock"}, key=key)
    assert (answer.status, answer.json["state"], answer.json["claimed_by"]) == (200, "off", None)
    found = output(node, "fan")
    assert found["lock"]["by"] == "test"
    assert (found["decided_by"], found["why"]) == ("lock-out", "off: locked out by test")
    refused = order(node, "fan", "on")
    assert refused.status == 409
    assert refused.json["error"] == "fan is locked out by test. Unlock it first."
    assert order(node, "fan", "lock").status == 409
    assert order(node, "fan", "lock", **{"for": "5m"}).status in {409, 422}
    assert order(node, "fan", "unlock").status == 200
    assert output(node, "fan")["lock"] is None
    assert order(node, "fan", "on").json["state"] == "on"


def test_a_locked_output_stays_off_through_rules_and_a_restart(tmp_path: Path) -> None:
    with Running(tmp_path / "data", CONFIG) as node:
        order(node, "fan", "lock")
        say(node, "temperature", 35)
        node.stop()
        node.start()
        found = output(node, "fan")
        assert (found["state"], found["decided_by"], found["lock"]["by"]) == ("off", "lock-out", "environment")
        assert found["pending"]["asked_by"] == "warm"
        answer = order(node, "fan", "unlock")
        assert answer.status == 200
        assert soon(lambda: output(node, "fan")["state"] == "on")


def test_a_safety_rule_outranks_people(node: Running) -> None:
    say(node, "smoke", True)
    answer = order(node, "fan", "on")
    assert answer.status == 409
    assert 'the safety rule "smoke" asks for off' in answer.json["error"]
    assert output(node, "fan")["decided_by"] == "safety"


def test_all_claims_that_stand_are_listed_the_highest_first(node: Running) -> None:
    say(node, "temperature", 35)
    order(node, "fan", "off", **{"for": "5m"})
    say(node, "smoke", True)
    found = output(node, "fan")
    assert [(claim["by"], claim["kind"], claim["state"]) for claim in found["claims"]] == [
        ("smoke", "rule", "off"),
        ("environment", "manual", "off"),
        ("warm", "rule", "on"),
    ]
    smoke, manual, warm = found["claims"]
    assert (smoke["priority"], warm["priority"], warm["decided"]) == ("safety", 2, True)
    assert manual["until"] == found["until"]
    assert all(claim["since"].endswith("Z") for claim in found["claims"])


def test_status_says_in_short_who_decides(node: Running) -> None:
    say(node, "temperature", 35)
    fan = node.get("/api/status").json["actuators"]["fan"]
    assert fan["decided_by"] == "rule"
    assert fan["why"].startswith('on: rule "warm"')
    assert "claims" not in fan
    assert 'rule "warm"' in node.said("status", "--data", str(node.data))


def test_the_page_says_who_decides_and_until_when(node: Running) -> None:
    say(node, "temperature", 35)
    assert soon(lambda: "by the rule warm" in node.get("/").body.decode())
    order(node, "fan", "off", **{"for": "5m"})
    page = node.get("/").body.decode()
    assert "by environment" in page
    assert f'until <time datetime="{output(node, "fan")["until"]}"' in page
    order(node, "pump", "on")
    assert "by its limit min_off · then on at " in node.get("/").body.decode()
    order(node, "fan", "lock")
    page = node.get("/").body.decode()
    assert "locked by environment" in page
    assert "then on by warm" in page
