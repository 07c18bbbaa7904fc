"""Few descriptors left does not mean down, nor that an output stays on."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress
from pathlib import Path

from outstation.devices.lines.simulated import SimulatedChip
from tests.running import KEY, Running
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


def test_with_sixty_four_descriptors_two_hundred_clients_are_nobodys_end(tmp_path: Path) -> None:
    with Running(tmp_path / "data", PUMP_ALONE, wrapper=("prlimit", "--nofile=64:64")) as node:
        key, config = node.post("/api/keys", {"name": "phone", "scopes": ["read"]}).json, node.config_file.read_text()
        with ExitStack() as crowd:
            for _ in range(200):
                with suppress(OSError):
                    crowd.enter_context(socket.create_connection(("127.0.0.1", node.port), timeout=1))
            until(lambda: _status(node) == 200, 5)
        until(lambda: _status(node) == 200, 5)
        assert [one["id"] for one in node.get("/api/keys", key=KEY).json["keys"]] == [key["id"]]
        assert node.config_file.read_text() == config
        assert "Traceback" not in node.log.read_text()


def _status(node: Running) -> int:
    with suppress(OSError):
        return node.post("/api/readings", {"sensor": "porch/temperature", "value": 1}).status
    return 0
