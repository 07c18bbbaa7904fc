"""`outstation outputs --safe`: what a stop hook says of each output, with a node, without, on either kind of chip."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from outstation.devices.lines import simulated
from outstation.devices.lines.simulated import Release, SimulatedChip
from tests.running import Running
from tests.system.conftest import end_chips

CONFIG = """
[[actuators]]
name = "vent"
driver = "gpio"
pin = 17
simulate = true
safe = "on"

[[actuators]]
name = "heater"
driver = "gpio"
pin = 18
simulate = true
active_low = true
"""


def outputs(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "outstation", "outputs", "--data", str(data), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)


def results(data: Path) -> tuple[int, dict[str, Any]]:
    done = outputs(data, "--safe", "--json")
    return done.returncode, {each["actuator"]: each for each in json.loads(done.stdout)["outputs"]}


@pytest.mark.parametrize("release", ["kept", "floating"])
def test_after_a_power_loss_of_all_processes_it_makes_safe_and_says_what_stays(
    tmp_path: Path, release: Release
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    simulated.start(data / "gpiochip0.sim", on_release=release)
    with Running(data, CONFIG) as node, SimulatedChip(data / "gpiochip0.sim") as chip:
        assert node.post("/api/vent", {"action": "off"}).status == 200
        code, told = results(data)
        assert code == 1
        assert told["vent"]["result"] == "held"
        assert 'held by "outstation vent"' in told["vent"]["detail"]
        assert chip.level(17) is False, "a running node's outputs are not touched"

        node.kill()
        code, told = results(data)
        assert {each["safe"] for each in told.values()} == {"on", "off"}
        if release == "kept":
            assert (code, told["vent"]["result"], told["heater"]["result"]) == (0, "safe", "safe")
            assert (chip.level(17), chip.level(18)) == (True, True), "the heater's off is high: it is active low"
        else:
            assert (code, told["vent"]["result"]) == (1, "floating")
            assert "a resistor from the pin to 3.3 V keeps it safe" in told["vent"]["detail"]
        assert not chip.holder(17)
    end_chips(tmp_path)


def test_in_words(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Running(data, CONFIG):
        pass
    end_chips(tmp_path)
    (data / "gpiochip0.sim").unlink(missing_ok=True)
    done = outputs(data, "--safe")
    assert done.stdout.splitlines() == [  # off first: of two that are interlocked, one is off before the other is on
        "heater (off is safe): absent: its simulated chip does not run, so nothing drives it.",
        "vent (on is safe): absent: its simulated chip does not run, so nothing drives it.",
    ]
    assert (outputs(data).returncode, done.returncode) == (2, 0)


def test_without_a_node_ever_there_is_nothing_to_go_by(tmp_path: Path) -> None:
    done = outputs(tmp_path, "--safe")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"No outputs are known in {tmp_path}: no node has run on these data.")
