"""GET /api/status and /api/health: the node now, and what is wrong with it in words."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outstation import __version__, clock
from outstation.config import Config
from outstation.core.readings import Failed, Reading
from outstation.core.sensors import SensorSpec
from outstation.engine.site import Site
from outstation.store.database import Boot, Store
from outstation.web.api.status import Status
from tests.running import Running
from tests.web.table import site_of

OWN = ["button", "cpu_temp", "cpu_load", "memory_used", "disk_used"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    moment = clock.moment()
    with Store(tmp_path, boot=Boot(clock.boot_id(), moment.at - moment.now, clock.Trust.UNSET)) as store:
        yield site_of(tmp_path, store, Config())


def seconds_from_now(text: str) -> float:
    assert text.endswith("Z")
    assert len(text) == len("2026-03-01T12:00:00.000Z")
    return abs((datetime.datetime.fromisoformat(text) - datetime.datetime.now(datetime.UTC)).total_seconds())


def test_status_of_the_default_device(node: Running) -> None:
    status = node.get("/api/status").json
    assert list(status["sensors"]) == OWN
    assert list(status["actuators"]) == ["led"]
    assert seconds_from_now(status["timestamp"]) < 5
    assert status["node"]
    assert isinstance(status["simulated"], bool)
    assert status["led_state"] == status["actuators"]["led"]["state"] == "off"
    assert status["button_pressed"] is status["sensors"]["button"]["value"] is False
    assert status["cpu_temp_c"] == status["sensors"]["cpu_temp"]["value"]
    assert isinstance(status["cpu_temp_c"], float)


@pytest.mark.parametrize("name", OWN)
def test_a_sensor_says_all_about_its_value(node: Running, name: str) -> None:
    sensor = node.get("/api/status").json["sensors"][name]
    assert set(sensor) == {"value", "unit", "timestamp", "age", "quality", "stale", "simulated", "label"}
    assert sensor["unit"] == {"button": "", "cpu_temp": "°C"}.get(name, "%")
    assert seconds_from_now(sensor["timestamp"]) < 30
    assert 0 <= sensor["age"] < 30
    assert (sensor["quality"], sensor["stale"]) == ("ok", False)
    assert sensor["simulated"] or name != "button" or Path("/dev/gpiochip0").exists()
    assert node.get(f"/api/sensors/{name}").json.keys() == sensor.keys() | {"name"}


def test_an_output_says_all_about_its_state(node: Running) -> None:
    led = node.get("/api/status").json["actuators"]["led"]
    names = {"state", "since", "until", "claimed_by", "decided_by", "why", "safe", "simulated", "label"}
    assert set(led) == names
    assert (led["decided_by"], led["why"]) == ("default", "off: nobody asks, it is the default")
    assert (led["state"], led["until"], led["claimed_by"], led["safe"]) == ("off", None, None, "off")
    assert seconds_from_now(led["since"]) < 120


def test_sensors_are_listed_with_those_of_boards(node: Running) -> None:
    node.post("/api/readings", {"sensor": "porch/temperature", "value": 5})
    listed = node.get("/api/sensors").json
    assert listed["count"] == len(listed["sensors"]) >= 6
    assert [sensor["name"] for sensor in listed["sensors"]][:5] == OWN
    porch = node.get("/api/sensors/porch/temperature").json
    assert (porch["name"], porch["value"], porch["simulated"]) == ("porch/temperature", 5, False)
    assert node.get("/api/sensors/porch%2Ftemperature").json["value"] == 5
    assert node.get("/api/sensors/porch/nothing").status == 404


def test_health_of_a_well_node(node: Running) -> None:
    before = node.get("/api/health").json
    node.post("/api/readings", {"sensor": "porch/count", "value": 1})
    health = node.get("/api/health").json
    assert (health["status"], health["problems"], health["version"]) == ("healthy", [], __version__)
    assert 0 <= health["uptime_seconds"] < 120
    assert health["readings_stored"] > before["readings_stored"]
    assert health["file_bytes"] > 0
    assert health["clock"] in ("unset", "restored", "synchronised")


def test_health_says_how_much_is_kept_and_what_was_written(node: Running) -> None:
    storage = node.get("/api/health").json["storage"]
    asked = node.get("/api/retention").json
    assert storage.keys() <= asked.keys()
    assert 0 < asked["bytes"] < asked["cap_bytes"] <= 2_000_000_000
    assert (asked["lose_at_most_seconds"], asked["written_bytes_a_day"]) == (10.0, None)
    assert asked["in_words"][0].startswith(f"{asked['readings']:,} readings")
    assert "of " in node.get("/").body.decode().partition("<h3>Storage</h3>")[2].partition("</p>")[0]


def test_a_person_may_have_what_is_too_old_deleted_now(node: Running) -> None:
    planned = node.post("/api/retention", {"dry_run": True}).json
    assert (planned["going"], planned["left"]) == ([], False)
    assert node.post("/api/retention", {"dry_run": False}).json["deleted"] == 0
    assert node.post("/api/retention", {}).status == 422


def test_a_failing_sensor_degrades_health_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "co2.py").write_text("def read():\n    raise OSError('the cable is off')\n")
    config = """
    [[sensors]]
    name = "co2"
    driver = "python"
    file = "co2.py"

    [[sensors]]
    name = "load"
    driver = "system"
    quantity = "cpu_load"
    """
    with Running(tmp_path / "data", config) as node:
        answer = node.get("/api/health")
        assert (answer.status, answer.json["status"]) == (200, "degraded")
        assert len(answer.json["problems"]) == 1
        assert "co2" in answer.json["problems"][0]
        assert "the cable is off" in answer.json["problems"][0]
        sensors = node.get("/api/status").json["sensors"]
        assert "the cable is off" in sensors["co2"]["error"]
        assert (sensors["co2"]["value"], sensors["co2"]["stale"]) == (None, True)
        assert sensors["load"]["stale"] is False
        assert "error" not in sensors["load"]


def test_a_sensor_that_says_nothing_any_more_is_stale(site: Site) -> None:
    moment, status = clock.moment(), Status(site)
    site.node.learn(SensorSpec("door", every=10_000))
    for silent, stale in ((29_000, False), (31_000, True)):
        at = moment.at - silent
        site.node.sensors["door"].newest = Reading("door", True, at, moment.now - silent, at)
        door = sensors(status)["door"]
        assert door["stale"] is stale
        assert door["age"] == pytest.approx(silent / 1000, abs=1)
        assert (status.health_document()["status"] == "degraded") is stale
    assert status.health_document()["problems"] == ["door has said nothing for 31 s."]


def test_a_silent_board_is_stale_but_no_fault_of_the_node(site: Site) -> None:
    moment, status = clock.moment(), Status(site)
    at = moment.at - 3_600_000
    site.node.learn(SensorSpec("porch/a"), Reading("porch/a", 1, at, moment.now - 3_600_000, at))
    assert sensors(status)["porch/a"]["stale"] is True
    assert status.health_document()["status"] == "healthy"


def test_a_failure_is_told_while_it_lasts(site: Site) -> None:
    status = Status(site)
    site.node.learn(SensorSpec("co2", every=10_000))
    site.node.handle(Failed("co2", "busy", *clock.moment()))
    assert status.health_document()["problems"] == ["co2: busy"]
    moment = clock.moment()
    site.node.handle(Reading("co2", 1, moment.at, moment.now, moment.at))
    assert status.health_document()["problems"] == []


def sensors(status: Status) -> dict[str, Any]:
    found = status.document()["sensors"]
    assert isinstance(found, dict)
    return found


def test_a_full_disk_is_507_and_unhealthy_and_outputs_still_move(tmp_path: Path) -> None:
    with Running(tmp_path / "data", wrapper=("prlimit", "--fsize=400000:unlimited")) as node:
        columns = {"sensor": "porch/text", "timestamps": list(range(2_000)), "values": ["x" * 40] * 2_000}
        answers = [node.post("/api/readings", columns)]
        while answers[-1].status == 200 and len(answers) < 100:
            columns = columns | {"timestamps": [time + len(answers) * 2_000 for time in range(2_000)]}
            answers.append(node.post("/api/readings", columns))
        assert answers[-1].status in {503, 507}
        assert int(answers[-1].headers["retry-after"]) > 0
        health = node.get("/api/health")
        assert (health.status, health.json["status"]) == (503, "unhealthy")
        assert "data file" in health.json["problems"][0]
        moved = node.post("/api/led", {"action": "on"})
        assert (moved.status, moved.json["led_state"], moved.json["recorded"]) == (200, "on", False)
