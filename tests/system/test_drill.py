"""`outstation drill`: passes where the promise is kept, fails where it is broken, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from outstation.config import Config
from outstation.devices.lines.simulated import Change
from outstation.errors import OutstationError
from outstation.ops.drill import BLOWS, Seen, judge
from outstation.ops.drill_pins import Pin, RealPins, of_config
from outstation.owner import Owner
from tests.system.waiting import until

KILLED, FROZEN, STOPPED, ORPHANED = BLOWS

ROOT = Path(__file__).parents[2]

CONFIG = """
[[sensors]]
name = "cpu_load"
driver = "system"
quantity = "cpu_load"

[[actuators]]
name = "vent"
driver = "gpio"
pin = 17
safe = "on"
default = "on"
interlock = ["heater"]

[[actuators]]
name = "heater"
driver = "gpio"
pin = 18
active_low = true
min_off = "5m"

[[rules]]
name = "heat"
when = "cpu_load > -1"
claim = { heater = "on" }
"""

SOONER = {"OUTSTATION_SUPERVISION": "silent=3"}
"""A frozen server is found out sooner, for the test's sake."""


class Drilling:
    """The drill as a process of its own, in a temporary folder of its own."""

    def __init__(
        self, folder: Path, *words: str, module: str = "outstation", env: Mapping[str, str] | None = None
    ) -> None:
        found = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(ROOT))))
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, "drill", *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": found, "TMPDIR": str(folder), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def result(self) -> tuple[int, str, str]:
        """Return its exit status, and what it printed."""
        out, err = self.process.communicate(timeout=100)
        return self.process.returncode, out, err

    def started(self) -> list[int]:
        """Return the processes that work in its folder now: the node's, and the chips'."""
        pids = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()]
        chips = [pid for lock in self.folder.glob("*/*.sim.lock") if (pid := _locked_by(lock))]
        return [pid for pid in pids if pid != self.process.pid and (pid in chips or _mentions(pid, self.folder))]

    def left(self) -> list[Path]:
        """Return what it has left in its folder."""
        return list(self.folder.glob("outstation-drill-*"))


def _locked_by(lock: Path) -> int:
    """Return whose process it is; 0: the lock has gone, or nobody stands in it."""
    with contextlib.suppress(FileNotFoundError):
        return int(lock.read_text() or 0)
    return 0


def _mentions(pid: int, folder: Path) -> bool:
    try:
        return str(folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "drill"
    made.mkdir()
    return made


def by_blow(outcomes: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return {blow.name: [each for each in outcomes if each["blow"] == blow.name] for blow in BLOWS}


def test_the_default_device_passes_and_it_says_so(folder: Path) -> None:
    drilling = Drilling(folder)
    code, out, err = drilling.result()
    assert (code, err) == (0, "")
    head, *rows, verdict = out.splitlines()
    assert head.split() == "node output safe is chip safe after limit stayed so".split()
    assert [row.split()[:2] for row in rows] == [[blow.name, "led"] for blow in BLOWS for _ in ("keeps", "lets go")]
    assert verdict == "All 8 were safe in time and stayed so."
    assert drilling.left() == []


def test_outputs_that_are_safe_on_and_off_pass_on_both_kinds_of_chip_though_a_rule_wants_one(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "greenhouse.toml").write_text(CONFIG)
    code, out, err = Drilling(folder, "--config", str(tmp_path / "greenhouse.toml"), "--json", env=SOONER).result()
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["passed"] is True
    for outcomes in by_blow(told["outcomes"]).values():
        found = {(each["actuator"], each["safe"], each["chip"]) for each in outcomes}
        assert found == {
            (*output, chip) for output in (("vent", "on"), ("heater", "off")) for chip in ("kept", "floating")
        }
        assert all(0 < each["safe_after_ms"] <= each["limit_ms"] for each in outcomes)


def test_a_node_that_nobody_supervises_fails(folder: Path) -> None:
    drilling = Drilling(folder, "--json", module="tests.system.unsupervised")
    code, out, _ = drilling.result()
    assert code == 1
    told = json.loads(out)
    assert told["passed"] is False
    stories = {
        name: {each["chip"]: (each["passed"], each["stayed"].partition(" after")[0]) for each in outcomes}
        for name, outcomes in by_blow(told["outcomes"]).items()
    }
    dead = {"kept": (False, "no: it was left on"), "floating": (False, "no: let go of")}
    assert stories == {
        "killed": dead,
        "frozen": {"kept": dead["kept"], "floating": dead["kept"]},
        "stopped": {
            "kept": (True, "yes, then kept by the chip"),
            "floating": (True, "yes, then let go of: the wiring decides"),
        },
        "orphaned": dead,
    }
    assert drilling.left() == []


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_it_started_ends_with_it_a_frozen_server_as_well(folder: Path, signum: signal.Signals) -> None:
    drilling = Drilling(folder)
    until(lambda: any(_state(pid) == "T" for pid in drilling.started()), 30)
    started = drilling.started()
    assert len(started) == 4, "the supervisor, the server, a chip of each kind"
    drilling.process.send_signal(signum)
    code, _, _ = drilling.result()
    assert code not in (0, -signum)
    until(lambda: all(_state(pid) in "ZX" for pid in started), 1)
    assert drilling.left() == []


def _state(pid: int) -> str:
    """Return the letter of proc_pid_stat(5): T for a stopped process; X where there is none any more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return "X"


def pin(*, safe: bool = False) -> Pin:
    return Pin("drill_1", "vent", "kept", {"pin": 0, "active_low": False}, safe)


def went(*changes: tuple[int, bool, bool], next_ms: int | None = None) -> Seen:
    """Return changes (ms after the blow, level, driven) as they are seen."""
    seen = [Change(ms * 1_000_000, level, driven) for ms, level, driven in changes]
    return Seen(0, seen, None if next_ms is None else next_ms * 1_000_000)


@pytest.mark.parametrize(
    ("seen", "passed", "stayed"),
    [
        (went((5, False, True), next_ms=100), True, "yes, until the next server"),
        (went((5, False, True), (400, True, True), next_ms=100), True, "yes, until the next server"),
        (went((5, False, True), (90, True, True), next_ms=100), False, "no: on again after 90 ms"),
        (went((5, False, True), (90, False, False), next_ms=100), False, "no: let go of after 90 ms, when it was safe"),
        (went((5, True, False), next_ms=100), False, "no: let go of after 5 ms, when it was on"),
        (went((2_001, False, True), next_ms=100), False, "yes, until the next server"),
        (went((5, False, True)), False, "no: no server has followed"),
        (went(next_ms=100), False, "no: it was left on"),
    ],
)
def test_a_killed_server_is_judged_by_what_the_pin_went_through(seen: Seen, passed: bool, stayed: str) -> None:
    outcome = judge(pin(), KILLED, seen)
    assert (outcome.passed, outcome.stayed) == (passed, stayed)


@pytest.mark.parametrize(
    ("changes", "passed", "stayed"),
    [
        ([(5, True, True)], True, "yes, then kept by the chip"),
        ([(5, True, True), (9, True, False)], True, "yes, then let go of: the wiring decides"),
        ([(5, False, False), (9, True, True)], False, "no: let go of after 5 ms, when it was off"),
        ([(5, True, True), (9, False, True)], False, "no: off again after 9 ms"),
    ],
)
def test_after_a_stop_a_safe_line_may_be_let_go_of(
    changes: Sequence[tuple[int, bool, bool]], passed: bool, stayed: str
) -> None:
    outcome = judge(pin(safe=True), STOPPED, went(*changes))
    assert (outcome.passed, outcome.stayed) == (passed, stayed)


@pytest.fixture
def outputs() -> Config:
    vent = {"name": "vent", "driver": "gpio", "pin": 17, "safe": "on", "active_low": True, "chip": "/dev/gpiochip4"}
    return Config.model_validate({"actuators": [vent, {"name": "led", "driver": "gpio", "pin": 4, "simulate": True}]})


def test_on_real_pins_only_those_that_are_real_are_drilled(outputs: Config) -> None:
    pins, left_out = of_config(outputs, hardware=True)
    assert left_out == ["led is not drilled: its pin is simulated"]
    assert [(each.chip, each.table["chip"], each.table["pin"], each.safe_high) for each in pins] == [
        ("real", "/dev/gpiochip4", 17, False)
    ]


LIBRARY = """\
gpiochip0: GPIOs 512-569, parent: platform/fe200000.gpio, pinctrl-bcm2711:
 gpio-512 (ID_SDA              )
 gpio-529 (GPIO17              |outstation drill_1  ) out {} ACTIVE LOW
 gpio-530 (GPIO18              |other               ) out hi
"""
GPIO_SIM = """\
gpiochip0: 8 GPIOs, parent: platform/gpio-sim.0, gpio-sim.0:node0, can sleep:
 gpio-0   (<unused>) input,pull-down
 gpio-1   (outstation drill_1) output-{},pull-up
"""
RELEASED = " gpio-1   (<unused>) output-high,pull-up\n"


@pytest.mark.parametrize(("shown", "low", "high"), [(LIBRARY, "lo", "hi"), (GPIO_SIM, "low", "high")])
def test_real_pins_are_seen_as_the_kernel_shows_them(tmp_path: Path, shown: str, low: str, high: str) -> None:
    levels, vent = tmp_path / "gpio", pin()
    levels.write_text(shown.format(low))
    with RealPins([vent], levels) as pins:
        for text in (shown.format(high), RELEASED):
            before = len(pins.changes(vent))
            draft = tmp_path / "draft"
            draft.write_text(text)
            draft.replace(levels)
            until(lambda before=before: len(pins.changes(vent)) > before)  # type: ignore[misc]
        seen = [(change.level, change.driven) for change in pins.changes(vent)]
        assert seen == [(False, True), (True, True), (True, False)]
        levels.unlink()
        with pytest.raises(OutstationError, match="can no longer be read"):
            until(lambda: not pins.changes(vent))


def test_levels_that_cannot_be_seen_are_said_before_anything_is_switched(tmp_path: Path) -> None:
    with pytest.raises(OutstationError, match=r"not visible: .*no such file.* as root \(sudo\).*Nothing was switched"):
        RealPins([pin()], tmp_path / "gpio").__enter__()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--hardware"], "--yes where nobody can be asked"),
        (["--hardware", "--yes"], "can be drilled when it is stopped"),
    ],
)
def test_real_outputs_are_not_switched_unasked_nor_beside_their_node(
    folder: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    (tmp_path / "greenhouse.toml").write_text(CONFIG)
    with Owner(tmp_path):
        more = ["--config", str(tmp_path / "greenhouse.toml"), "--data", str(tmp_path)]
        code, _, err = Drilling(folder, *words, *more).result()
    assert code in (1, 2)
    assert said in " ".join(err.split())


SIREN = """
from outstation.plugins import ActuatorDriver

class Siren(ActuatorDriver):
    safe_within = 2.5

    def open(self, level): ...

    def set(self, level): ...
"""


def test_without_a_pin_it_says_what_it_cannot_drill(folder: Path, tmp_path: Path) -> None:
    info = tmp_path / "packages" / "siren-1.0.dist-info"
    info.mkdir(parents=True)
    (info.parent / "siren.py").write_text(SIREN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: siren\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[outstation.actuators]\nsiren = siren:Siren\n")
    (tmp_path / "house.toml").write_text('[[actuators]]\nname = "alarm"\ndriver = "siren"\n')
    drilling = Drilling(folder, "--config", str(tmp_path / "house.toml"), env={"PYTHONPATH": str(info.parent)})
    code, out, err = drilling.result()
    assert (code, out) == (1, "")
    assert err == (
        "There is no output to drill. alarm is not drilled, being no pin of this machine: its driver (siren) states "
        "that it needs at most 2.5 s.\n"
    )
