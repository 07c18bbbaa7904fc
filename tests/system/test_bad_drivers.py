"""Drivers of other packages that are slow to import, broken or wrong: the node starts, switches and decides as ever."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from outstation.devices.lines.simulated import SimulatedChip
from tests.running import Running
from tests.system.waiting import until

LONG_S = 12.0
LAMP = 17

MODULES = {
    "slow_to_import.py": "import os, time\nwhile not os.path.exists(os.environ['GATE']):\n    time.sleep(0.05)\n"
    "until = time.monotonic() + float(os.environ['BURNS_S'])\nwhile time.monotonic() < until:\n    pass\n"
    "from good_driver import Good as Slow\nclass Chip:\n    def __init__(self, bus, address):\n        pass\n",
    "good_driver.py": "from outstation.plugins import DriverOptions, SensorDriver\n"
    "class Keys(DriverOptions):\n    offset: float = 0\n"
    "class Good(SensorDriver):\n    Options = Keys\n    def read(self):\n        return 21.5 + self.options.offset\n",
    "ends_it_all.py": "raise SystemExit('this board is not supported')\n",
    "burning.py": "from good_driver import Good\nclass Burning(Good):\n    def read(self):\n"
    "        raise SystemExit('out')\n",
}

POINTS = """[outstation.sensors]
slow = slow_to_import:Slow
good = good_driver:Good
ends_it_all = ends_it_all:Driver
burning = burning:Burning
"""

CONFIG = """
[[sensors]]
name = "air"
driver = "good"
every = "1s"

[[sensors]]
name = "slow"
driver = "slow"
every = "1s"

[[sensors]]
name = "chip"
driver = "i2c"
module = "slow_to_import"
class = "Chip"
quantity = "value"
address = 0x29

[[sensors]]
name = "sht"
driver = "i2c"
chip = "sht4x"
quantity = "temperature"
simulate = true
every = "1s"

[[sensors]]
name = "ended"
driver = "ends_it_all"

[[sensors]]
name = "burning"
driver = "burning"

[[sensors]]
name = "misspelt"
driver = "good"
ofset = 3

[[actuators]]
name = "lamp"
driver = "gpio"
pin = 17
simulate = true
safe = "off"

[[rules]]
name = "light"
when = "air > 20"
claim = { lamp = "on" }
"""

FAULTS = {
    "ended": r'The driver "ends_it_all" of bad-drivers cannot be imported: SystemExit: this board is not supported\. '
    r"Install it with: \S+ -m pip install --force-reinstall bad-drivers",
    "burning": r"SystemExit: out \(burning\.py, line 4\)\. Its driver does not say what to do: look at the wiring",
    "misspelt": r"Its table is wrong: ofset: Extra inputs are not permitted\. `outstation check` says it in full\.",
    "chip": r"There is no /dev/i2c-1: the bus is not enabled\.|needs the Python library|No permission",
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A folder with an installed distribution that brings the drivers, and what they need."""
    packages = tmp_path / "packages"
    info = packages / "bad_drivers-1.0.dist-info"
    info.mkdir(parents=True)
    for name, text in MODULES.items():
        (packages / name).write_text(text)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-drivers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    paths = [str(packages), os.environ.get("PYTHONPATH", ""), str(Path(__file__).parents[2])]
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "GATE": str(tmp_path / "gate"),
        "BURNS_S": "0",
    }


@pytest.fixture
def node(tmp_path: Path, environment: dict[str, str]) -> Iterator[Running]:
    with Running(tmp_path / "data", CONFIG, env=environment) as node:
        yield node


def test_a_slow_import_holds_up_no_start_and_each_fault_is_told_everywhere(node: Running, tmp_path: Path) -> None:
    """It answers, has read, decided and switched before the slow module is there."""
    with SimulatedChip(node.data / "gpiochip0.sim") as chip:
        until(lambda: chip.level(LAMP) is True, 4)
    until(lambda: status(node)["sht"].get("value") == pytest.approx(21.5, abs=0.01), 4)
    assert status(node)["slow"].get("value") is None
    (tmp_path / "gate").touch()
    until(lambda: status(node)["slow"].get("value") == 21.5, 4)
    until(lambda: all(status(node)[name].get("error") for name in FAULTS), 4)
    page, log, cli = (
        html.unescape(node.get("/").body.decode()),
        node.log.read_text(),
        node.said("status", "--data", str(node.data)),
    )
    for name, expected in FAULTS.items():
        told = str(status(node)[name]["error"])
        assert re.search(expected, told), (name, told)
        assert f"{name} failed: {told}" in log
        assert told in page, name
        assert told in cli, name
    assert {status(node)[name]["quality"] for name in ("air", "slow", "sht")} == {"ok"}


def test_check_waits_for_every_module_and_tells_what_is_wrong(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "outstation.toml").write_text(CONFIG)
    command = [sys.executable, "-m", "outstation", "check", str(tmp_path / "outstation.toml")]
    (tmp_path / "gate").touch()
    env = {**os.environ, **environment}
    checked = subprocess.run(command, check=False, capture_output=True, text=True, env=env)
    assert checked.returncode == 1
    assert [re.findall(r'"(\w+)", key "(\w+)"', line) for line in checked.stderr.splitlines()[:2]] == [
        [("ended", "driver")],
        [("misspelt", "ofset")],
    ], checked.stderr


@pytest.mark.long
def test_an_import_longer_than_a_heart_may_stand_still_kills_no_server(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "gate").touch()
    with Running(tmp_path / "data", CONFIG, env=environment | {"BURNS_S": str(LONG_S)}) as node:
        server = node.server_pid
        until(lambda: "could not be imported in 8 s" in str(status(node)["slow"].get("error")), 12)
        until(lambda: status(node)["slow"].get("value") == 21.5, LONG_S)
        assert node.server_pid == server
        assert "slow answers again" in node.log.read_text()


def status(node: Running) -> dict[str, dict[str, object]]:
    """Return what is known of each sensor."""
    sensors: dict[str, dict[str, object]] = node.get("/api/status").json["sensors"]
    return sensors
