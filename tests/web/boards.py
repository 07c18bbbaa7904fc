"""Boards that send readings, and what is stored of them."""

from __future__ import annotations

import time
from typing import Any

from tests.running import KEY, Answer, Running

TRUSTED = """
[node]
clock = "trust"

[[sensors]]
name = "door"
driver = "gpio"
pin = 27
simulate = true
"""
"""A node that knows what time it is, with a sensor of its own."""


def stored(node: Running, sensor: str) -> list[tuple[str, Any]]:
    """Time and value of all that is stored of a sensor, oldest first; nothing where there is no such sensor."""
    answer = node.get(f"/api/readings?sensor={sensor}&limit=10000")
    return [(row["timestamp"], row["value"]) for row in answer.json["readings"]] if answer.status == 200 else []


def values(node: Running, sensor: str) -> list[Any]:
    return [value for _, value in stored(node, sensor)]


def count(node: Running) -> int:
    number: int = node.get("/api/health").json["readings_stored"]
    return number


def refused(node: Running, body: object, *statuses: int, key: str = KEY) -> Answer:
    """Send what must be refused: in words, at once, without a trace; and the next good request is served."""
    before, sensors, began = count(node), node.get("/api/sensors").json["count"], time.monotonic()
    answer = node.post("/api/readings", body, {"Content-Type": "application/json"}, key=key)
    assert time.monotonic() - began < 2
    assert answer.status in (statuses or (400, 422))
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == answer.status
    assert answer.json["error"]
    assert len(answer.body) < 800
    assert count(node) == before
    assert node.get("/api/sensors").json["count"] == sensors
    assert node.post("/api/readings", {"sensor": "porch/temperature", "value": 1}).json["accepted"] == 1
    assert "Traceback" not in node.log.read_text()
    return answer
