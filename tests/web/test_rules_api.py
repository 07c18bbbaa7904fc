"""GET /api/rules and .../explain: how each rule is, and why it is or was so, over HTTP and on the command line."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest

from outstation import clock
from tests.running import Answer, Running

CONFIG = """
[node]
name = "greenhouse"
clock = "trust"
timezone = "Asia/Tokyo"

[[actuators]]
name = "vent"
driver = "gpio"
pin = 17
simulate = true

[[settings]]
name = "vent_at"
value = 30
min = 15
max = 45
unit = "°C"

[[rules]]
name = "ventilate"
when = "porch/temperature > vent_at"
until = "porch/temperature < vent_at - 2"
claim = { vent = "on" }
priority = 5
alert = { severity = "warning", message = "{porch/temperature:.1f} °C" }

[[rules]]
name = "dry the beds"
when = "porch/humidity > 80 and (vent is off or porch/humidity > 95)"
hold = "10m"
alert = { severity = "info", message = "Damp" }

[[rules]]
name = "smoke"
when = "porch/smoke is on"
priority = "safety"
alert = { severity = "info", message = "Smoke" }

[[rules]]
name = "asleep"
when = "mean(porch/temperature, 1h) > 10"
enabled = false
alert = { severity = "info", message = "Warm" }
"""


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Running]:
    with Running(folder / "data", CONFIG) as running:
        yield running


@pytest.fixture(autouse=True)
def _cool(node: Running) -> Iterator[None]:
    """Each test begins with a rule that does not fire and an output that nobody claims."""
    yield
    say(node, "temperature", 20)
    node.post("/api/vent", {"action": "release"})


def say(node: Running, field: str, value: object) -> None:
    assert node.post("/api/readings", {"sensor": f"porch/{field}", "value": value}).status == 200


def rule(node: Running, name: str) -> dict[str, Any]:
    (found,) = [one for one in node.get("/api/rules").json["rules"] if one["name"] == name]
    return dict(found)


def asked(node: Running, name: str, at: str | None = None) -> Answer:
    return node.get(f"/api/rules/{quote(name)}/explain{'' if at is None else f'?at={quote(at)}'}")


def why(node: Running, name: str, at: str | None = None) -> dict[str, Any]:
    answer = asked(node, name, at)
    assert answer.status == 200, answer.body
    return dict(answer.json)


def soon(is_so: Callable[[], bool]) -> bool:
    until = time.monotonic() + 5
    while not is_so() and time.monotonic() < until:
        time.sleep(0.02)
    return is_so()


def test_every_rule_is_listed_with_how_it_is(node: Running) -> None:
    say(node, "temperature", 31.2)
    found = rule(node, "ventilate")
    assert (found["firing"], found["truth"], found["failed"]) == (True, "false", None)
    assert found["since"].endswith("Z")
    assert (found["priority"], found["claims"], found["hold"]) == (5, {"vent": "on"}, "0s")
    assert found["alert"] == node.get("/api/alerts?limit=1").json["alerts"][0]["id"]
    assert [one["name"] for one in node.get("/api/rules").json["rules"]] == [
        "ventilate",
        "dry the beds",
        "smoke",
        "asleep",
    ]
    assert rule(node, "smoke")["priority"] == "safety"
    assert (rule(node, "asleep")["enabled"], rule(node, "asleep")["truth"]) == (False, "unknown")


def test_a_firing_rule_is_explained(node: Running) -> None:
    say(node, "temperature", 31.2)
    assert soon(lambda: node.get("/api/status").json["actuators"]["vent"]["state"] == "on")
    found = why(node, "ventilate")
    assert (found["firing"], found["truth"]) == (True, "false")
    assert found["when"] == {
        "text": "porch/temperature > vent_at",
        "value": True,
        "shown": "31.2 > 30",
        "parts": [
            {"text": "porch/temperature", "value": 31.2, "shown": "31.2"},
            {"text": "vent_at", "value": 30.0, "shown": "30"},
        ],
    }
    assert found["sensors"]["porch/temperature"]["quality"] == "ok"
    assert found["settings"] == {"vent_at": 30}
    vent = found["claims"]["vent"]
    assert (vent["asks_for"], vent["state"], vent["decided_by"], vent["decides"]) == ("on", "on", "rule", True)
    assert "    vent is on. This rule asks for on, and decides." in found["text"]
    assert found["text"][0].startswith('Rule "ventilate" on ')
    assert found["text"][0].endswith(" JST")


def test_the_command_line_says_the_same(node: Running) -> None:
    say(node, "temperature", 31.2)
    told = node.said("explain", "ventilate", "--data", str(node.data)).splitlines()
    expected = why(node, "ventilate")["text"]
    assert told[2:6] == expected[2:6]
    assert "true" in told[3]
    assert '"firing": true' in node.said("explain", "ventilate", "--json", "--data", str(node.data))


def test_a_hold_is_explained(node: Running) -> None:
    say(node, "humidity", 90)
    found = why(node, "dry the beds")
    assert (found["firing"], found["truth"]) == (False, "true")
    begun, fires = (datetime.datetime.fromisoformat(found[key]) for key in ("holding_since", "fires_at"))
    assert fires - begun == datetime.timedelta(minutes=10)
    assert found["text"][1].startswith("It does not fire yet: its condition has been true since ")
    assert any("porch/humidity > 95  (90 > 95: false)" in line for line in found["text"])
    say(node, "humidity", 50)
    assert why(node, "dry the beds")["text"][1] == "It does not fire: its condition is false."


def test_a_stale_sensor_is_explained(node: Running) -> None:
    """A board with a rhythm of a second, of which nothing was heard for ten minutes."""
    assert why(node, "smoke")["text"][1].endswith("cannot be decided: porch/smoke was never seen.")
    begun = clock.at() - 600_000
    stamps, values = [begun + number * 1000 for number in range(3)], [False] * 3
    node.post("/api/readings", {"sensor": "porch/smoke", "timestamps": stamps, "values": values})
    found = why(node, "smoke")
    assert found["truth"] == "unknown"
    assert found["sensors"]["porch/smoke"]["quality"] == "stale"
    assert "porch/smoke is stale (nothing heard for 10m, and it counts for 30s)" in found["text"][1]


def test_a_persons_claim_is_explained(node: Running) -> None:
    say(node, "temperature", 31.2)
    node.post("/api/vent", {"action": "off", "for": "5m"})
    vent = why(node, "ventilate")["claims"]["vent"]
    assert (vent["decided_by"], vent["decides"], vent["state"]) == ("manual", False, "off")
    line = next(line for line in why(node, "ventilate")["text"] if line.startswith("    vent is"))
    assert line.startswith("    vent is off. This rule asks for on, but a person's claim says off (environment")
    assert ", until " in line


def test_a_lock_is_explained(node: Running) -> None:
    say(node, "temperature", 31.2)
    node.post("/api/vent", {"action": "lock"})
    line = next(line for line in why(node, "ventilate")["text"] if line.startswith("    vent is"))
    assert "but a lock-out says off (locked out by environment" in line
    assert 'Next, when that lets go: on (rule "ventilate"' in line
    node.post("/api/vent", {"action": "unlock"})


def test_a_disabled_rule_is_not_looked_at(node: Running) -> None:
    found = why(node, "asleep")
    assert found["text"][1] == "It is disabled in the config: enabled = false."
    assert found["enabled"] is False
    assert asked(node, "asleep", str(clock.at() - 1000)).status == 200


@pytest.mark.parametrize("name", ["nobody", "ventilat", "%00", "<script>", "x" * 1000])
def test_an_unknown_rule_is_404_and_says_which_there_are(node: Running, name: str) -> None:
    answer = asked(node, name)
    assert answer.status == 404
    assert '"dry the beds"' in answer.json["error"]
    assert "<" not in answer.json["error"]


@pytest.mark.parametrize("at", ["soon", "", "nan", "-1", "9e99", "2026-13-01 14:00", "1960-01-01 14:00", "x" * 41])
def test_a_time_that_is_none_is_422(node: Running, at: str) -> None:
    assert asked(node, "ventilate", at).status == 422


def test_what_has_not_come_yet_cannot_be_explained(node: Running) -> None:
    answer = asked(node, "ventilate", clock.iso(clock.at() + 60_000))
    assert answer.status == 422
    assert "not come yet" in answer.json["error"]


def test_a_moment_of_the_past_is_explained(node: Running) -> None:
    say(node, "temperature", 20)
    cool = later()
    say(node, "temperature", 33)
    assert soon(lambda: node.get("/api/status").json["actuators"]["vent"]["state"] == "on")
    hot = later()
    node.request("PUT", "/api/settings/vent_at", {"value": 40}, key="test-key-with-every-scope")
    say(node, "temperature", 15)

    then = why(node, "ventilate", str(cool))
    assert (then["firing"], then["truth"], then["sensors"]["porch/temperature"]["value"]) == (False, "false", 20)
    then = why(node, "ventilate", str(hot))
    assert (then["firing"], then["settings"], then["when"]["shown"]) == (True, {"vent_at": 30.0}, "33 > 30")
    assert then["claims"]["vent"]["state"] == "on"
    assert then["claims"]["vent"]["why"] == 'on: rule "ventilate"'
    assert then["not_known"] == ["how the rule was written then: it is taken as it is now"]
    now = why(node, "ventilate")
    assert (now["firing"], now["settings"]) == (False, {"vent_at": 40.0})
    node.request("PUT", "/api/settings/vent_at", {"value": None}, key="test-key-with-every-scope")


def test_a_time_may_be_local_iso_or_unix(node: Running) -> None:
    at = clock.at() // 1000 * 1000 - 5000
    local = datetime.datetime.fromtimestamp(at / 1000, ZoneInfo("Asia/Tokyo"))
    ways = [f"{local:%Y-%m-%d %H:%M:%S}", local.isoformat(), clock.iso(at), str(at), str(at // 1000)]
    assert {why(node, "ventilate", way)["timestamp"] for way in ways} == {clock.iso(at)}
    unescaped = node.get(f"/api/rules/ventilate/explain?at={local.isoformat()}")
    assert unescaped.json["timestamp"] == clock.iso(at)
    told = node.said("explain", "ventilate", "--at", f"{local:%Y-%m-%d %H:%M:%S}", "--data", str(node.data))
    assert told.splitlines()[0] == f'Rule "ventilate" on {local:%Y-%m-%d at %H:%M:%S} JST'


def test_before_anything_was_stored_nothing_is_known(node: Running) -> None:
    found = why(node, "ventilate", "2001-01-01T00:00:00Z")
    assert found["truth"] == "unknown"
    assert found["not_known"][1] == "what porch/temperature said: no reading from then or before is stored"


def later() -> int:
    """Return a moment after all that was sent, and before all that will be."""
    time.sleep(0.02)
    at = clock.at()
    time.sleep(0.02)
    return at
