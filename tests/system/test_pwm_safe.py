"""PWM outputs of a node that dies: the supervisor has them, as it has lines, and drives them safe."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.devices.test_pwm import Chip
from tests.running import Running
from tests.system.waiting import until

CONFIG = """
[[actuators]]
name = "fan"
driver = "pwm"
chip = "{chip}"
channel = 0
safe = "on"
default = "on"

[[actuators]]
name = "heater"
driver = "pwm"
chip = "{chip}"
channel = 1
active_low = true
"""
CRASH_S = 2.0
SAFE = (1_000_000, 1_000_000)
"""The fan is on; the heater's off is high."""


def test_whatever_dies_the_fan_runs_and_the_heater_is_off(tmp_path: Path) -> None:
    chip = Chip(tmp_path / "pwmchip0")
    chip.appear(1)

    def duties() -> tuple[int, int]:
        return chip.state(0)[1], chip.state(1)[1]

    def command_away() -> None:
        assert node.post("/api/actuators/fan", {"action": "set", "value": 0.25}).status == 200
        assert node.post("/api/actuators/heater", {"action": "set", "value": 0.9}).status == 200
        assert duties() == (250_000, 100_000)

    with Running(tmp_path / "data", CONFIG.format(chip=chip.folder)) as node:
        command_away()
        died = node.server_pid
        os.kill(died, signal.SIGKILL)
        until(lambda: _quiet(duties) == SAFE, CRASH_S)
        node.wait_for_server(other_than=died)
        command_away()
        assert _made_safe(tmp_path / "data") == ["held", "held"], "a running node's outputs are not touched"
        assert duties() == (250_000, 100_000)
        assert len(_children(node.pid)) == 1, "the server, and no keeper: there is nothing for one to do"
        node.kill()
        assert duties() == (250_000, 100_000), "nobody was left, and the kernel goes on"
        assert _made_safe(tmp_path / "data") == ["safe", "safe"]
        assert duties() == SAFE


def _quiet(duties: object) -> object:
    """Ask while files are being written: unlike the kernel's they are empty for a moment."""
    try:
        return duties()  # type: ignore[operator]
    except ValueError:
        return None


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _made_safe(data: Path) -> list[str]:
    command = [sys.executable, "-m", "outstation", "outputs", "--safe", "--json", "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    return [each["result"] for each in json.loads(done.stdout)["outputs"]]


LAMP = """
[[actuators]]
name = "fan"
driver = "pwm"
chip = "{chip}"
channel = 0
min_on = "1500ms"
"""


def test_a_channel_is_on_for_min_on_and_may_be_dimmed_meanwhile(tmp_path: Path) -> None:
    chip = Chip(tmp_path / "pwmchip0")
    with Running(tmp_path / "data", LAMP.format(chip=chip.folder)) as node:
        answers = [node.post("/api/actuators/fan", {"action": "set", "value": level}) for level in (0.25, 0.5, 0)]
        assert [answer.status for answer in answers] == [200, 200, 202]
        assert chip.state()[1] == 500_000
        assert b"50 %: min_on: " in answers[-1].body, "it says why it is on"
        until(lambda: chip.state()[1] == 0, CRASH_S)
