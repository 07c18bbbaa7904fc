"""At a terminal: keys reach the supervisor and the server at once, and neither stumbles over the other."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from outstation.devices.lines.simulated import SimulatedChip
from tests.running import Running

CONFIG = """
[[actuators]]
name = "pump"
driver = "gpio"
pin = 17
simulate = true
"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Running]:
    """A node whose processes are a group of their own, as a shell makes one for each job."""
    with Running(tmp_path / "data", CONFIG, wrapper=("setsid",)) as node:
        assert node.post("/api/pump", {"action": "on"}).status == 200
        yield node


def test_ctrl_c_ends_it_cleanly(node: Running) -> None:
    assert node.process
    with SimulatedChip(node.data / "gpiochip0.sim") as chip:
        os.killpg(node.pid, signal.SIGINT)
        assert node.process.wait(10) == 0
        assert chip.level(17) is False
    said = node.log.read_text()
    assert "stopped" in said.splitlines()[-1]
    assert not [word for word in ("WARNING", "ERROR", "Traceback") if word in said]


def test_ctrl_z_does_not_leave_an_output_on(node: Running) -> None:
    os.killpg(node.pid, signal.SIGTSTP)
    time.sleep(0.5)
    assert node.post("/api/pump", {"action": "off"}).status == 200


def test_nohup_means_that_it_outlives_its_terminal(tmp_path: Path) -> None:
    with Running(tmp_path / "data", CONFIG, wrapper=("setsid", "nohup")) as node:
        os.killpg(node.pid, signal.SIGHUP)
        time.sleep(1)
        assert node.post("/api/pump", {"action": "on"}).status == 200
        assert node.stop() == 0
