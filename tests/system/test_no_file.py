"""A node without a data file: no readings are kept, and everything else goes on."""

from __future__ import annotations

from pathlib import Path

from tests.running import Running
from tests.system.waiting import until

BOARD = """
[[actuators]]
name = "vent"
driver = "gpio"
pin = 17
simulate = true

[[devices]]
name = "porch"
channel = 1
write_key = "MZ7T4KQ9WPX2B6RD"
fields = ["temperature"]
"""


def test_outputs_move_without_a_data_file_and_all_is_well_when_there_is_one(tmp_path: Path) -> None:
    in_the_way = tmp_path / "data" / "outstation.db"
    in_the_way.mkdir(parents=True)
    with Running(tmp_path / "data", BOARD) as node:
        health = node.get("/api/health")
        assert (health.status, health.json["status"]) == (503, "unhealthy")
        moved = node.post("/api/vent", {"action": "on"}).json
        assert (moved["state"], moved["recorded"]) == ("on", False)
        assert node.post("/api/readings", {"sensor": "porch/humidity", "value": 50}).status == 503
        assert node.get("/update?api_key=MZ7T4KQ9WPX2B6RD&field1=20").status == 503
        assert node.get("/").status == 200

        in_the_way.rmdir()
        until(lambda: node.get("/api/health").status == 200)
        assert node.post("/api/readings", {"sensor": "porch/humidity", "value": 50}).status == 200
        assert node.get("/update?api_key=MZ7T4KQ9WPX2B6RD&field1=20").body == b"1"
