"""Two nodes and a hub in three networks, joined by nothing but the table that the hub prints, and half a day apart."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.netns.apart import Placed, Wire, namespaces, needs_namespaces
from tests.running import free_port
from tests.system.reporting import at_hub, differences, known
from tests.system.waiting import until

pytestmark = needs_namespaces

HUB = """
[node]
name = "hub"
clock = "trust"

[[rules]]
name = "far is hot"
when = "{sensor} > 30"
alert = {{ message = "hot over there" }}
"""

NODE = """
[node]
name = "{name}"
clock = "trust"

[[devices]]
name = "porch"
channel = 1
write_key = "MZ7T4KQ9WPX2B6RD"
fields = ["temperature", "humidity"]

[[actuators]]
name = "vent"
driver = "gpio"
pin = 17
simulate = true

[[rules]]
name = "air"
when = "porch/humidity > 70"
until = "porch/humidity < 65"
claim = {{ vent = "on" }}

[[rules]]
name = "damp"
when = "porch/humidity > 90"
alert = {{ severity = "critical", message = "{{porch/humidity:.0f}} % on the porch" }}

[[uplinks]]
name = "elsewhere"
kind = "json"
url = "http://{endpoint}/in"
every = "10s"

"""

HALF_A_DAY = 12 * 12
"""Windows."""


@pytest.mark.long
def test_half_a_day_apart_leaves_no_gap(tmp_path: Path) -> None:
    """A node loses its power meanwhile, the hub is restarted; the vent and the alert do not wait for anybody."""
    with namespaces("hub", "far", "near") as (there, *places), ExitStack() as stack:
        wires = [Wire(number, there, place) for number, place in enumerate(places, 1)]
        posted = stack.enter_context(_endpoint(there, tmp_path / "posted"))
        hub = stack.enter_context(Placed(there, tmp_path / "hub" / "data", HUB.format(sensor=SENSOR)))
        far, near = (
            stack.enter_context(_joined(hub, name, place, f"{wire.hub}:{posted.port}", tmp_path / name))
            for name, place, wire in zip(("far", "near"), places, wires, strict=True)
        )
        for node in (far, near):
            _live(node, 3, hottest=25)
        until(lambda: known(hub.data) and not _gaps(hub, far, near), 40)

        wires[0].pull()
        _live(near, HALF_A_DAY, hottest=25)
        _live_alone(far, hub)
        before = len(posted.all())
        wires[0].plug()

        until(lambda: _alerts(hub, "damp") and not _gaps(hub, far, near), 100)
        assert _alerts(hub, "damp") == [("95 % on the porch", "raised")]
        assert _alerts(hub, "far is hot") == []
        until(lambda: posted.has(far, "far") and posted.has(near, "near"), 100)
        kinds = [one["kind"] for one in posted.all()[before:] if one["node"] == "far"]
        assert "alert" in kinds[:3]
        assert kinds.count("alert") == 1


def _live_alone(far: Placed, hub: Placed) -> None:
    """Have a node decide by itself for half a day, lose its power and raise an alert, of which nobody hears."""
    _live(far, HALF_A_DAY, hottest=35)
    assert _vent_follows(far, 75) < 1
    far.kill()
    hub.stop()
    hub.start()
    far.start()
    assert _vent_follows(far, 60) < 1
    _measure(far, "humidity", 95)
    until(lambda: len(known(far.data)["porch/temperature"]) >= HALF_A_DAY, 40)
    assert _gaps(hub, far)
    assert _alerts(hub, "damp") == []


SENSOR = at_hub("porch/temperature", "far")


class _Posted:
    """What somebody's endpoint was sent."""

    def __init__(self, port: int, file: Path) -> None:
        self.port, self._file = port, file

    def all(self) -> list[dict[str, Any]]:
        """Return it in the order in which it came."""
        return [json.loads(line) for line in self._file.read_text().splitlines()] if self._file.exists() else []

    def has(self, node: Placed, name: str) -> bool:
        """Tell whether it has what the node has."""
        had = {
            (one["sensor"], one["period_start"] * 1000): (one["count"], one["mean"])
            for one in self.all()
            if one["node"] == name and one["kind"] == "summary"
        }
        return had == {
            (sensor, start): (each.count, each.numbers and each.numbers.mean)
            for sensor, mine in known(node.data).items()
            for start, each in mine.items()
        }


@contextmanager
def _endpoint(place: str, file: Path) -> Iterator[_Posted]:
    port = free_port()
    words = ["ip", "netns", "exec", place, sys.executable, "-m", "tests.netns.endpoint", str(port), str(file)]
    process = subprocess.Popen(words, cwd=Path(__file__).parent.parent.parent)
    try:
        yield _Posted(port, file)
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def _joined(hub: Placed, name: str, place: str, endpoint: str, folder: Path) -> Iterator[Placed]:
    """Run a node whose config has what the hub has printed, as it is; it reports more often."""
    printed = hub.said("nodes", "add", name, "--url", _url(hub, endpoint), "--data", str(hub.data))
    table = printed[printed.index("[[uplinks]]") :]
    with Placed(place, folder / "data", NODE.format(name=name, endpoint=endpoint) + table + 'every = "10s"\n') as node:
        yield node


def _url(hub: Placed, endpoint: str) -> str:
    return f"http://{endpoint.partition(':')[0]}:{hub.port}"


def _live(node: Placed, windows: int, *, hottest: float) -> None:
    """Have a board hand over what it has measured: it has a clock, and was out of reach."""
    end = int(time.time()) // 300 * 300
    stamps = [end - 300 * each + 1 for each in range(windows, 0, -1)]
    values = [hottest - (each != windows // 2) * (5 + each % 7) for each in range(windows)]
    body = {"sensor": "porch/temperature", "timestamps": stamps, "values": values}
    assert node.post("/api/readings", body).status == 200


def _measure(node: Placed, field: str, value: float) -> None:
    assert node.post("/api/readings", {"sensor": f"porch/{field}", "value": value}).status == 200


def _vent_follows(node: Placed, humidity: float) -> float:
    """Return after how many seconds the vent is where it belongs."""
    began = time.monotonic()
    _measure(node, "humidity", humidity)
    wanted = "on" if humidity > 70 else "off"
    until(lambda: node.get("/api/status").json["actuators"]["vent"]["state"] == wanted)
    return time.monotonic() - began


def _alerts(hub: Placed, subject: str) -> list[tuple[str, str]]:
    found = hub.get("/api/alerts?limit=1000").json["alerts"]
    return [(one["message"], one["state"]) for one in found if one["subject"] == subject]


def _gaps(hub: Placed, *nodes: Placed) -> list[str]:
    there = known(hub.data)
    return [gap for node in nodes for gap in differences(known(node.data), there, node.data.parent.name)]
