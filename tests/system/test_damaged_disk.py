"""What people have asked for outlives a crash also where no disk takes it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.running import Running
from tests.system.waiting import until

CONFIG = """
[[actuators]]
name = "pump"
driver = "gpio"
pin = 18
simulate = true

[[rules]]
name = "water"
when = "bed/dry > 50"
claim = { pump = "on" }
"""


def garbage(folder: Path) -> None:
    """Make of the data file what a dying card makes of it."""
    for path in folder.glob("outstation.db*"):
        path.write_bytes(os.urandom(20_000))


def test_a_lock_outlives_a_crash_on_a_damaged_disk(tmp_path: Path) -> None:
    with Running(tmp_path / "data", CONFIG) as node:
        assert node.post("/api/pump", {"action": "lock"}).json["recorded"]
        before = node.server_pid
        garbage(node.data)
        os.kill(before, signal.SIGKILL)
        node.wait_for_server(other_than=before)
        node.post("/api/readings", {"sensor": "bed/dry", "value": 90})
        until(lambda: node.get("/api/rules").json["rules"][0]["firing"])
        assert node.get("/api/status").json["actuators"]["pump"]["state"] == "off"
        assert node.post("/api/pump", {"action": "on"}).status == 409
