"""/metrics: what Prometheus reads is what the API says, and its own checker finds nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from outstation.web.api.metrics import FAMILIES, MOST_SENSORS, written
from tests.running import KEY, Running
from tests.system.waiting import until
from tests.web.table import CONFIG

PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "metrics.md"
LINE = re.compile(r'(\w+)(\{(?:\w+="(?:[^"\\]|\\.)*",?)*\})? (\S+)')


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Running]:
    with Running(
        folder / "data", f"{CONFIG}\n[[sensors]]\nname='cpu'\ndriver='system'\nquantity='uptime'\n"
    ) as running:
        until(lambda: running.get("/api/status").json["sensors"]["cpu"]["value"])
        running.post("/api/readings", {"sensor": "porch/temperature", "value": 21.5})
        running.post("/api/readings", {"sensor": "porch/text", "value": "no number"})
        running.post("/api/vent", {"action": "on"})
        running.get("/api/status", {"X-API-Key": "wrong"})
        yield running


def figures(node: Running) -> dict[str, float]:
    answer = node.get("/metrics")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    lines = [line for line in answer.body.decode().splitlines() if not line.startswith("#")]
    found = [LINE.fullmatch(line) for line in lines]
    return {f"{match[1]}{match[2] or ''}".removeprefix("outstation_"): float(match[3]) for match in found if match}


def test_it_says_what_the_api_says(node: Running) -> None:
    found = figures(node)
    assert found['sensor_value{sensor="porch/temperature",unit=""}'] == 21.5
    assert found['sensor_value{sensor="door",unit=""}'] in (0, 1)
    assert found['actuator_level{actuator="vent"}'] == 1
    assert found['alerts{severity="info"}'] == len(node.get("/api/alerts").json["alerts"]) == 1
    assert found["readings_stored"] <= node.get("/api/health").json["readings_stored"]
    assert found["storage_failing"] == found["sensors_left_out"] == found["readings_dropped_total"] == 0
    assert found["rules_age_seconds"] <= 5
    assert found['http_requests_total{method="POST",route="/api/vent",status="200"}'] == 1
    assert found['http_requests_total{method="GET",route="/api/status",status="401"}'] == 1
    assert found['uplink_alerts_waiting{uplink="nobody"}'] >= 0
    assert found["process_resident_memory_bytes"] > 10e6


def test_what_is_not_known_has_no_line(node: Running) -> None:
    found = figures(node)
    assert not [name for name in found if name.startswith("sensor_value") and "porch/text" in name]
    assert [name for name in found if name.startswith("sensor_age") and "porch/text" in name]
    assert not [name for name in found if name.startswith("uplink_success_age")], "it never succeeded"


def test_it_needs_a_key_like_all_that_is_read(node: Running) -> None:
    assert node.get("/metrics", {"X-Forwarded-For": "203.0.113.7"}).status == 401
    assert node.get("/metrics", {"X-Forwarded-For": "203.0.113.7", "Authorization": f"Bearer {KEY}"}).status == 200


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: apt install prometheus")
def test_the_checker_of_prometheus_finds_nothing(node: Running) -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=node.get("/metrics").body, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_labels_may_say_anything() -> None:
    rows = {"outstation_node_info": [({"name": 'a"b\\c\nd'}, 1)]}
    assert 'outstation_node_info{name="a\\"b\\\\c\\nd"} 1.0\n' in list(written(rows))


def test_the_page_has_every_figure_and_no_other() -> None:
    told = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    assert {name: f"{kind} {what}" for name, kind, what in told} == FAMILIES
    assert str(MOST_SENSORS) in FAMILIES["outstation_sensors_left_out"]
