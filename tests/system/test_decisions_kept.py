"""What the node has decided outlives it: holds, claims, locks, settings and alerts, through a kill."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.running import Running
from tests.system.waiting import until

CONFIG = """
[[actuators]]
name = "vent"
driver = "gpio"
pin = 17
simulate = true

[[actuators]]
name = "pump"
driver = "gpio"
pin = 18
simulate = true
max_on = "6s"

[[settings]]
name = "vent_at"
value = 30
min = 10
max = 40

[[rules]]
name = "ventilate"
when = "porch/temperature > vent_at"
until = "porch/temperature < 25"
hold = "4s"
claim = { vent = "on" }
alert = { message = "{porch/temperature:.1f} °C on the porch" }
"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path / "data", CONFIG) as running:
        yield running


def restarted(node: Running) -> None:
    node.kill()
    node.start()


def warm(node: Running, value: float = 31.0, **more: object) -> None:
    assert node.post("/api/readings", {"sensor": "porch/temperature", "value": value, **more}).status == 200


def output(node: Running, name: str) -> Any:
    return node.get(f"/api/actuators/{name}").json


def state(node: Running, name: str) -> str:
    return str(node.get("/api/status").json["actuators"][name]["state"])


def test_a_hold_goes_on_where_the_plug_was_pulled(node: Running) -> None:
    warm(node)
    begun = time.monotonic()
    time.sleep(1.5)
    restarted(node)
    until(lambda: state(node, "vent") == "on", 8)
    # Begun anew it would be 4 s from the restart on.
    assert 3.9 < time.monotonic() - begun < 5.4


def test_a_rule_that_fires_goes_on_firing_and_its_alert_is_raised_once(node: Running) -> None:
    warm(node)
    until(lambda: state(node, "vent") == "on", 8)
    restarted(node)
    assert state(node, "vent") == "on"
    warm(node, 28)
    time.sleep(0.2)
    assert state(node, "vent") == "on"  # between until and when: only what was before tells
    assert [alert["state"] for alert in node.get("/api/alerts").json["alerts"]] == ["raised"]
    warm(node, 24)
    until(lambda: state(node, "vent") == "off")
    assert [alert["state"] for alert in node.get("/api/alerts").json["alerts"]] == ["cleared"]


def test_a_claim_for_a_time_ends_when_it_would_have(node: Running) -> None:
    assert node.post("/api/vent", {"action": "on", "for": "4s"}).status == 200
    begun = time.monotonic()
    restarted(node)
    assert state(node, "vent") == "on"
    until(lambda: state(node, "vent") == "off", 6)
    assert 3.9 < time.monotonic() - begun < 5


def test_whoever_locks_an_output_can_rely_on_it(node: Running) -> None:
    assert node.post("/api/vent", {"action": "lock"}).status == 200
    restarted(node)
    assert node.post("/api/vent", {"action": "on"}).status == 409
    warm(node)
    time.sleep(4.5)
    assert state(node, "vent") == "off"
    assert node.post("/api/vent", {"action": "unlock"}).status == 200
    until(lambda: state(node, "vent") == "on")


def test_a_setting_stays_as_people_set_it(node: Running) -> None:
    answer = node.request("PUT", "/api/settings/vent_at", {"value": 35}, key="test-key-with-every-scope")
    assert answer.status == 200, answer
    restarted(node)
    assert node.get("/api/settings").json["settings"][0]["value"] == 35


def test_what_max_on_has_used_is_not_given_back(node: Running) -> None:
    assert node.post("/api/pump", {"action": "on"}).status == 200
    time.sleep(2)
    pulled = time.monotonic()
    restarted(node)
    until(lambda: state(node, "pump") == "off")
    # Begun anew it would be 6 s from the restart on.
    assert 3.9 < time.monotonic() - pulled < 6


def test_a_backlog_moves_nothing(node: Running) -> None:
    now = time.time()
    warm(node, 20.0)
    for minutes in range(60, 30, -1):
        warm(node, 39.0, timestamp=now - 60 * minutes)
    time.sleep(4.5)
    assert state(node, "vent") == "off"
    assert node.get("/api/alerts").json["alerts"] == []
