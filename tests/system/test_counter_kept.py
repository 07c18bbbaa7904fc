"""A counter's total after the plug was pulled: it goes on from what was stored, and writes nothing of its own."""

from __future__ import annotations

from pathlib import Path

from outstation.devices.lines import simulated
from outstation.devices.lines.simulated import SimulatedChip
from tests.running import Running
from tests.system.waiting import until

PIN = 6

CONFIG = """
[[sensors]]
name = "rain"
driver = "counter"
pin = 6
simulate = true
debounce = "0s"
per_pulse = 0.25
every = "1s"
unit = "mm"
"""


def test_a_total_outlives_a_power_cut_and_a_fault_before_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with Running(data, CONFIG) as node:
        _tip(data, 6)
        until(lambda: _rain(node) == 1.5)
        with SimulatedChip(data / "gpiochip0.sim") as chip:
            chip.stop()
        until(lambda: node.get("/api/health").json["status"] != "healthy")
        simulated.start(data / "gpiochip0.sim")
        node.kill()
        with SimulatedChip(data / "gpiochip0.sim") as chip:
            until(lambda: not chip.holder(PIN))
        node.start()
        _tip(data, 2)
        until(lambda: _rain(node) == 2.0)
    assert not list(data.glob("*rain*")), "it goes on from its readings, and wrote nothing of its own"


def _tip(data: Path, times: int) -> None:
    with SimulatedChip(data / "gpiochip0.sim") as chip:
        until(lambda: chip.holder(PIN) == "outstation rain")
        for _ in range(times):
            chip.drive_high(PIN)
            chip.drive_low(PIN)


def _rain(node: Running) -> object:
    return node.get("/api/sensors/rain").json.get("value")
