"""One process owns the data and the port; who comes second is told so, and changes nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from outstation.devices.lines.simulated import SimulatedChip
from tests.running import Running, free_port
from tests.system.waiting import until

LED = 17
CONFIG = """
[[actuators]]
name = "led"
driver = "gpio"
pin = 17
simulate = true
"""

FORKS = """
import os, pathlib, time

def read():
    told = pathlib.Path(__file__).with_name("helper")
    if not told.exists():
        helper = os.fork()
        if helper == 0:
            time.sleep(60)
            os._exit(0)
        told.write_text(str(helper))
    return 1
"""


def test_a_second_run_on_the_same_data_is_told_who_has_them_and_disturbs_nobody(tmp_path: Path) -> None:
    with Running(tmp_path / "data", CONFIG) as node, SimulatedChip(node.data / "gpiochip0.sim") as chip:
        assert node.post("/api/led", {"action": "on"}).status == 200
        second = _run(node, node.data, free_port())
        assert second.returncode == 1
        assert second.stdout == ""
        assert f"{node.data} belong to process {node.pid} (" in second.stderr
        assert "--data" in second.stderr
        assert len(second.stderr.splitlines()) == 1
        assert chip.level(LED) is True
        assert _asked(node).returncode == 0, "the commands of the first still reach it"
        assert node.post("/api/led", {"action": "off"}).status == 200


def test_a_busy_port_names_who_has_it_and_the_option_and_nothing_moves(tmp_path: Path) -> None:
    with Running(tmp_path / "first") as node:
        other = tmp_path / "other"
        second = _run(node, other, node.port)
        assert second.returncode == 1
        assert f"Port {node.port} is in use by process {node.pid} (" in second.stderr
        assert "--port" in second.stderr
        assert len(second.stderr.splitlines()) == 1
        assert not list(other.glob("*.sim")), "no pin was touched"
    assert not list(other.glob("*.db")), "and no file begun"


def test_a_port_that_another_program_has_on_one_address_is_busy_too(tmp_path: Path) -> None:
    with Running(tmp_path / "node") as node, socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        second = _run(node, tmp_path / "other", port)
    assert second.returncode == 1
    assert f"Port {port} is in use by process {os.getpid()} (" in second.stderr


def test_after_a_kill_the_same_data_and_the_same_port_work_again_at_once(tmp_path: Path) -> None:
    with Running(tmp_path / "data", CONFIG) as node:
        killed = node.pid
        node.kill()
        assert (node.data / "lock").read_text() == f"{killed}\n"
        assert (node.data / "control.sock").exists()
        node.start()
        assert (node.data / "lock").read_text() == f"{node.pid}\n"
        assert until(lambda: _asked(node).returncode == 0)


def test_a_helper_that_a_driver_has_forked_keeps_neither_the_data_nor_the_port(tmp_path: Path) -> None:
    (tmp_path / "forks.py").write_text(FORKS)
    config = '[[sensors]]\nname = "mood"\ndriver = "python"\nfile = "forks.py"\n'
    with Running(tmp_path / "data", config) as node:
        helper = int(until(lambda: (tmp_path / "helper").exists() and (tmp_path / "helper").read_text()))
        try:
            assert node.stop() == 0
            node.start()
            assert Path(f"/proc/{helper}").exists(), "it has outlived the first node"
        finally:
            os.kill(helper, signal.SIGKILL)


def _run(node: Running, data: Path, port: int) -> subprocess.CompletedProcess[str]:
    return _outstation(node, "run", "--data", str(data), "--port", str(port))


def _asked(node: Running) -> subprocess.CompletedProcess[str]:
    return _outstation(node, "status", "--data", str(node.data))


def _outstation(node: Running, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "outstation", *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=node.data.parent, timeout=20)
