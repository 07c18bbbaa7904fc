"""Few descriptors left does not mean that an output stays on."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress
from pathlib import Path

from outstation.devices.lines.simulated import SimulatedChip
from tests.running import Running
from tests.system.waiting import until

PUMP_ALONE = """
[[actuators]]
name = "pump"
driver = "gpio"
pin = 17
simulate = true
"""


def test_a_claim_ends_in_time_while_a_crowd_has_every_descriptor(tmp_path: Path) -> None:
    with Running(tmp_path / "data", PUMP_ALONE, wrapper=("prlimit", "--nofile=200:200")) as node:
        assert node.post("/api/pump", {"action": "on", "for": "2s"}).status == 200
        with ExitStack() as crowd, SimulatedChip(node.data / "gpiochip0.sim") as chip:
            for _ in range(400):
                with suppress(OSError):
                    crowd.enter_context(socket.create_connection(("127.0.0.1", node.port), timeout=1))
            until(lambda: not chip.level(17), 5)
        until(lambda: node.get("/api/health").status == 200)
