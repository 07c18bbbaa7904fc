"""The commands that speak to a node, against a node: running, and then stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAM = [sys.executable, "-m", "outstation"]
CONFIG = """
[[sensors]]
name = "door"
driver = "gpio"
pin = 22
simulate = true

[[sensors]]
name = "memory_used"
driver = "system"
quantity = "memory_used"
"""


def outstation(*words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OUTSTATION_")}
    program = [*PROGRAM, *map(str, words)]
    return subprocess.run(program, check=False, capture_output=True, text=True, cwd=folder, env=environment, timeout=60)


def answer(*words: str | Path, folder: Path) -> Any:
    done = outstation(*words, "--json", folder=folder)
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "outstation.toml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def node(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A node on any free port; its data are in `data` of the folder."""
    command = [*PROGRAM, "run", "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while outstation("status", folder=folder).returncode:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        yield process
        process.kill()


def test_a_node_is_asked_moved_and_given_keys(node: subprocess.Popen[str], folder: Path) -> None:
    assert (folder / "data").stat().st_mode & 0o007 == 0
    sensors = answer("status", folder=folder)["sensors"]
    assert (sensors["door"]["simulated"], sensors["memory_used"]["simulated"]) == (True, False)

    assert outstation("simulate", "door", "on", folder=folder).stdout == "door reads on from now on.\n"
    wait_for(lambda: answer("status", folder=folder)["sensors"]["door"]["value"] is True)
    refused = outstation("simulate", "memory_used", "3", folder=folder)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "simulated" in refused.stderr

    made = answer("keys", "create", "phone", "--scope", "read", "--scope", "control", folder=folder)
    assert re.fullmatch(r"[\w-]+\.[\w-]+", made["key"])
    shown = outstation("keys", "create", "porch", "--scope", "write", "--device", "porch", folder=folder).stdout
    assert shown.splitlines()[1].startswith(shown.split()[1] + ".")
    running = answer("keys", "list", folder=folder)
    assert made["key"] not in json.dumps(running)

    node.send_signal(signal.SIGTERM)
    assert node.wait(10) == 0
    assert answer("keys", "list", folder=folder) == running
    assert answer("keys", "revoke", made["id"], folder=folder) == {"revoked": made["id"]}
    assert "revoked" in outstation("keys", "list", folder=folder).stdout
    again = outstation("keys", "revoke", made["id"], folder=folder)
    assert again.returncode == 1
    assert made["id"] in again.stderr


def test_the_second_node_is_told_which_process_is_the_first(node: subprocess.Popen[str], folder: Path) -> None:
    second = outstation("run", "--port", "0", folder=folder)
    assert second.returncode == 1
    assert f"process {node.pid} (" in second.stderr
    assert "--data" in second.stderr


def test_a_busy_port_names_who_has_it_and_the_option(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        done = outstation("run", "--port", port, folder=folder)
    assert done.returncode == 1
    assert f"Port {port} " in done.stderr
    assert f"process {os.getpid()} (" in done.stderr
    assert "--port" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_demo_prints_key_address_and_speed_and_leaves_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [*PROGRAM, "demo", "--port", "0", "--speed", "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path) as demo:
        assert demo.stdout is not None
        said = ""
        while "X-API-Key: " not in said and demo.poll() is None:
            said += demo.stdout.readline()
        (data,) = tmp_path.iterdir()
        status = answer("status", "--data", data, folder=tmp_path)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(10) == 0
    assert "http://localhost:" in said
    assert "60 times" in said
    assert {name for name in ("vent", "heater") if status["actuators"][name]["simulated"]} == {"vent", "heater"}
    assert "60x" in status["sensors"]["air_temperature"]["label"]
    assert list(tmp_path.iterdir()) == []


def wait_for(condition: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
