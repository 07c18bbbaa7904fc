"""Sensors and outputs of a real node: what cannot be had is said, what hangs delays nobody, and time is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from outstation import clock
from outstation.devices.gpio import has_chip
from tests.running import Running
from tests.system.waiting import until

NO_PIN = """
[[sensors]]
name = "window"
driver = "gpio"
chip = "/dev/gpiochip99"
pin = 27

[[actuators]]
name = "pump"
driver = "gpio"
chip = "/dev/gpiochip99"
pin = 17
"""

ONE_HANGS_ONE_RAISES = """
[store]
lose_at_most = "200ms"

[[sensors]]
name = "turns"
driver = "python"
file = "turns.py"
every = "200ms"

[[sensors]]
name = "hangs"
driver = "python"
file = "hangs.py"
every = "200ms"

[[sensors]]
name = "raises"
driver = "python"
file = "raises.py"
every = "200ms"

[[sensors]]
name = "memory_used"
driver = "system"
quantity = "memory_used"
every = "1s"
"""

TURNS = "turns = 0\n\ndef read():\n    global turns\n    turns += 1\n    return turns\n"
HANGS = "import time\n\ndef read():\n    time.sleep(60)\n    return 1\n"
RAISES = "def read():\n    raise ValueError('the wire is loose')\n"

BUTTON = """
[store]
lose_at_most = "200ms"

[[sensors]]
name = "button"
driver = "gpio"
pin = 27
pull = "up"
active_low = true
simulate = true
every = "1h"
"""

THINNED = """
[store]
lose_at_most = "200ms"

[[sensors]]
name = "level"
driver = "python"
file = "level.py"
every = "100ms"
dead_band = 1.0
heartbeat = "1s"
"""

LEVEL = """
import pathlib

turns = 0

def read():
    global turns
    turns += 1
    return 20 + turns % 8 / 10 + (10 if pathlib.Path("jump").exists() else 0)
"""


def test_a_pin_that_cannot_be_had_is_named_everywhere_with_its_cure_and_never_simulated(tmp_path: Path) -> None:
    with Running(tmp_path / "data", NO_PIN) as node:
        _assert_named_everywhere(node, "window", "Pin 27 cannot be opened: there is no /dev/gpiochip99")
        _assert_named_everywhere(node, "pump", "Pin 17 cannot be opened: there is no /dev/gpiochip99")
        refused = node.post("/api/pump", {"action": "on"})
        assert refused.status == 503
        assert "Pin 17" in refused.json["error"]
        assert not list(node.data.glob("*.sim*"))
        assert "gpiod" in Path(f"/proc/{node.server_pid}/maps").read_text()


@pytest.mark.skipif(has_chip(), reason="this machine has a GPIO chip")
def test_without_a_chip_a_pin_in_a_config_is_a_fault_too(tmp_path: Path) -> None:
    with Running(tmp_path / "data", NO_PIN.replace('chip = "/dev/gpiochip99"\n', "")) as node:
        _assert_named_everywhere(node, "pump", "Pin 17 cannot be opened: there is no /dev/gpiochip0")
        assert not list(node.data.glob("*.sim*"))


def test_a_sensor_that_hangs_and_one_that_raises_delay_nobody(tmp_path: Path) -> None:
    for name, text in (("turns", TURNS), ("hangs", HANGS), ("raises", RAISES)):
        (tmp_path / f"{name}.py").write_text(text)
    with Running(tmp_path / "data", ONE_HANGS_ONE_RAISES) as node:
        began = clock.at()
        until(lambda: len(_stamps(node, "turns", since=began)) > 10)
        _assert_on_the_grid(_stamps(node, "turns", since=began), every=200)
        until(lambda: len(_stamps(node, "memory_used", since=began)) > 1)
        _assert_on_the_grid(_stamps(node, "memory_used", since=began), every=1_000)

        sensors = node.get("/api/status").json["sensors"]
        assert sensors["hangs"]["value"] is None
        assert sensors["hangs"]["stale"] is True
        assert "raises.py, line 2: ValueError: the wire is loose" in sensors["raises"]["error"]
        assert node.log.read_text().count("the wire is loose") <= 2, "said once, and once in the journal's words"
        began_to_stop = time.monotonic()
        assert node.stop() == 0
        assert time.monotonic() - began_to_stop < 5


@pytest.mark.long
def test_a_sensor_that_hung_from_the_first_moment_is_named_by_health(tmp_path: Path) -> None:
    for name, text in (("turns", TURNS), ("hangs", HANGS), ("raises", TURNS)):
        (tmp_path / f"{name}.py").write_text(text)
    with Running(tmp_path / "data", ONE_HANGS_ONE_RAISES) as node:
        health = until(lambda: (found := node.get("/api/health").json)["problems"] and found, 40)
        assert health["status"] == "degraded"
        assert health["problems"] == ["hangs has said nothing for 30 s."]


def test_a_simulated_button_is_seen_at_once_and_its_edges_bear_their_own_time(tmp_path: Path) -> None:
    with Running(tmp_path / "data", BUTTON) as node:
        until(lambda: _button(node) is False)
        began = clock.at()
        assert _simulated(node, "button", "on", "--for", "1s") == "button reads on for 1s.\n"
        assert _button(node) is True
        pressed = until(lambda: _rows(node, "button")[1:])[0]
        until(lambda: not _button(node), 3)
        released = until(lambda: _rows(node, "button")[2:])[0]
    assert [pressed["value"], released["value"]] == [True, False]
    assert began <= _millis(pressed) <= clock.at()
    assert 900 <= _millis(released) - _millis(pressed) <= 1_500


def test_a_dead_band_thins_the_history_and_not_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "level.py").write_text(LEVEL)
    with Running(tmp_path / "data", THINNED) as node:
        began = time.monotonic()
        seen = {node.get("/api/status").json["sensors"]["level"]["value"] for _ in _for_seconds(3)}
        assert len(seen) > 4, "status follows every reading"
        stored = _rows(node, "level")
        assert 2 <= len(stored) <= 2 + (time.monotonic() - began), "a heartbeat a second, and no more"
        (tmp_path / "jump").touch()
        until(lambda: _rows(node, "level")[-1]["value"] >= 30, 2)


def _assert_named_everywhere(node: Running, name: str, fault: str) -> None:
    health = until(lambda: (found := node.get("/api/health").json)["problems"] and found)
    assert health["status"] == "degraded"
    (problem,) = (problem for problem in health["problems"] if problem.startswith(f"{name}: "))
    assert fault in problem
    cure = problem.partition(" on this machine. ")[2]
    assert cure
    status = node.get("/api/status").json
    assert fault in (status["sensors"] | status["actuators"])[name]["error"]
    assert status["simulated"] is False
    for place in (node.log.read_text(), node.get("/").body.decode()):
        assert fault in place
        assert cure in place


def _stamps(node: Running, name: str, *, since: int) -> list[int]:
    return [at for at in map(_millis, _rows(node, name)) if at > since]


def _assert_on_the_grid(stamps: list[int], *, every: int) -> None:
    assert {at % every for at in stamps} == {0}
    assert {after - before for before, after in pairwise(stamps)} == {every}


def _rows(node: Running, name: str) -> list[Any]:
    rows: list[Any] = node.get(f"/api/readings?sensor={name}&limit=10000").json["readings"]
    return rows


def _millis(row: Any) -> int:
    return round(datetime.fromisoformat(row["timestamp"]).timestamp() * 1000)


def _button(node: Running) -> Any:
    return node.get("/api/status").json["sensors"]["button"]["value"]


def _simulated(node: Running, *words: str) -> str:
    return node.said("simulate", *words, "--data", str(node.data))


def _for_seconds(seconds: float) -> Iterator[None]:
    until_then = time.monotonic() + seconds
    while time.monotonic() < until_then:
        yield
        time.sleep(0.03)
