"""A node that keeps crashing: its outputs stay safe, somebody says why, and the whole node comes back when it can."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from outstation.devices.lines.simulated import SimulatedChip
from outstation.wire.terms import CLOSED
from tests.running import KEY, Running, free_port
from tests.system.waiting import until
from tests.web.test_tls import Secured, certify, secure
from tests.web.wire import request

PIN = 17

CONFIG = """
[[actuators]]
name = "vent"
driver = "gpio"
pin = 17
simulate = true
safe = "on"
default = "on"

[[sensors]]
name = "mood"
driver = "python"
file = "mood.py"
every = "100ms"
"""

MOOD = """
import os, pathlib, signal

def read():
    if pathlib.Path(__file__).with_name("bad").exists():
        print("the last words of a crash", file=__import__("sys").stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    return 1
"""

DIES_SLOWLY = """
import os, signal, time

BEGAN = time.monotonic()

def read():
    if time.monotonic() - BEGAN > 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return 1
"""

TIMES = {"OUTSTATION_SUPERVISION": "again=1,1,60 healthy=20 start=5"}
"""The whole node is tried again after a second, and once more; it is trusted again after 20 s; it starts within 5 s."""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "mood.py").write_text(MOOD)
    with Running(tmp_path / "data", CONFIG, env=TIMES) as node:
        yield node


@pytest.fixture
def chip(node: Running) -> Iterator[SimulatedChip]:
    with SimulatedChip(node.data / "gpiochip0.sim") as chip:
        yield chip


def test_five_crashes_in_a_minute_and_a_small_node_says_why_until_the_whole_one_is_back(
    node: Running, chip: SimulatedChip, tmp_path: Path
) -> None:
    assert node.post("/api/vent", {"action": "off"}).status == 200
    before = time.monotonic_ns()
    (tmp_path / "bad").touch()
    health = until(lambda: _reduced(node), 40)
    assert health["status"] == "unhealthy"
    assert re.match(r"The node ended 5 times within \d+ s; the last one was ended by SIGKILL\. ", health["problems"][0])
    assert "The outputs are in their safe state." in health["problems"][0]
    for path in ("/", "/api/status", "/nothing"):
        answer = node.get(path)
        assert (answer.status, answer.headers["content-type"]) == (503, "application/problem+json")
        assert "SIGKILL" in answer.json["error"]
    assert "the last words of a crash" in node.get("/api/log").body.decode()
    assert node.get("/api/log", {"X-Forwarded-For": "192.0.2.1"}).status == 503
    assert node.get("/api/log", {"Host": "evil.example"}).status == 503
    assert chip.level(PIN) is True

    (tmp_path / "bad").unlink()
    until(lambda: node.answers() and node.get("/api/health").status == 200, 20)
    assert all(change.driven for change in chip.changes(PIN) if change.at_ns > before)
    assert node.post("/api/vent", {"action": "off"}).status == 200
    assert node.stop() == 0
    assert chip.level(PIN) is True


def test_a_slow_crash_loop_ends_in_the_small_node_too(tmp_path: Path) -> None:
    (tmp_path / "mood.py").write_text(DIES_SLOWLY)
    with Running(tmp_path / "data", CONFIG, env={"OUTSTATION_SUPERVISION": "healthy=7 again=60"}) as node:
        problem = until(lambda: _reduced(node), 60)["problems"][0]
        found = re.match(r"The node ended 5 times within (\d+) s", problem)
        assert found, problem
        assert int(found[1]) > 7, "the time that it took, not the one in which a crash is forgotten"


def test_a_small_node_that_dies_is_started_again(node: Running, tmp_path: Path) -> None:
    (tmp_path / "bad").touch()
    until(lambda: _reduced(node), 40)
    until(lambda: "was tried once more" in node.log.read_text(), 20)
    until(lambda: "is tried again in 60 s" in node.log.read_text(), 20)
    for _ in range(2):
        died = until(lambda: _small(node)) or 0
        os.kill(died, signal.SIGKILL)
        until(partial(_another_small, node, died))
    assert node.stop() == 0


def test_where_reading_needs_a_key_and_tls_so_does_the_reason_and_the_small_node_stops_when_told_to(
    tmp_path: Path,
) -> None:
    (tmp_path / "mood.py").write_text(MOOD)
    certificate, key = certify(tmp_path, "node")
    files = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    with Secured(tmp_path / "data", f'{CONFIG}\n[web]\nreads = "key"\n', *files, env=TIMES) as node:
        reader, writer = (made(node, scope) for scope in ("read", "write"))

        def problem(sent: str) -> str:
            try:
                with secure(node) as wire:
                    answer = wire.ask(request("GET", "/api/health", f"X-API-Key: {sent}"))
            except OSError:
                return ""
            return str(answer.json["problems"][0]) if answer.status == 503 and "reduced" in answer.json else ""

        (tmp_path / "bad").touch()
        assert until(lambda: problem("nobodys.key"), 40) == CLOSED
        assert [problem(sent) == CLOSED for sent in (writer, reader, KEY)] == [True, False, True]
        assert "SIGKILL" in problem(reader)
        with SimulatedChip(node.data / "gpiochip0.sim") as chip:
            assert node.stop() == 0
            assert chip.level(PIN) is True


def test_an_output_is_safe_although_the_data_file_is_damaged(node: Running, chip: SimulatedChip) -> None:
    assert node.post("/api/vent", {"action": "off"}).status == 200
    died, before = node.server_pid, time.monotonic_ns()
    for file in node.data.glob("outstation.db*"):
        file.write_bytes(b"no database at all" * 1_000)
    os.kill(died, signal.SIGKILL)
    until(lambda: chip.level(PIN) is True, 2)
    node.wait_for_server(other_than=died)
    assert node.post("/api/vent", {"action": "off"}).status == 200
    assert all(change.driven for change in chip.changes(PIN) if change.at_ns > before)


def test_a_server_that_freezes_before_its_first_beat_is_replaced_too(node: Running) -> None:
    died = node.server_pid
    os.kill(died, signal.SIGKILL)
    frozen = until(lambda: node.server_pid not in (died, node.pid) and node.server_pid)
    os.kill(frozen, signal.SIGSTOP)
    assert node.wait_for_server(other_than=frozen) != died
    assert "said nothing for 5 s" in node.log.read_text()


def test_a_second_run_on_the_same_data_moves_nothing(node: Running, chip: SimulatedChip) -> None:
    assert node.post("/api/vent", {"action": "off"}).status == 200
    before, written = len(chip.changes(PIN)), (node.data / "outputs").stat().st_mtime_ns
    words = ["run", "--data", str(node.data), "--config", str(node.config_file), "--port", str(free_port())]
    second = subprocess.run([sys.executable, "-m", "outstation", *words], capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert f"belong to process {node.pid} (" in second.stderr
    assert len(chip.changes(PIN)) == before
    assert (node.data / "outputs").stat().st_mtime_ns == written
    assert node.request("POST", "/api/vent", {"action": "on"}, key=KEY).status == 200


def made(node: Running, scope: str) -> str:
    """Make a key; return it as it is shown once."""
    found = re.search(
        r"[\w-]{8}\.[\w-]{43}", node.said("keys", "create", scope, "--scope", scope, "--data", str(node.data))
    )
    assert found
    return found[0]


def _reduced(node: Running) -> Any:
    try:
        answer = node.get("/api/health")
    except OSError:  # one has ended, the next one is not there yet
        return None
    return answer.status == 503 and answer.json.get("reduced") and answer.json


def _small(node: Running) -> int | None:
    """Return the process of the reduced node."""
    children = Path(f"/proc/{node.pid}/task/{node.pid}/children").read_text().split()
    return next((int(pid) for pid in children if b"reduced.py" in Path(f"/proc/{pid}/cmdline").read_bytes()), None)


def _another_small(node: Running, died: int) -> bool:
    return _small(node) not in (None, died) and bool(_reduced(node))
