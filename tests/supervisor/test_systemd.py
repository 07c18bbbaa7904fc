"""Under systemd: what the supervisor tells it, and when. And how small it is."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import Running
from tests.system.waiting import until

CONFIG = '[node]\nname = "bare"\n'


class Ear:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        """Return all that was said so far, a state each."""
        try:
            while True:
                self.heard += self.socket.recv(4096).decode().split("\n")
        except BlockingIOError:
            return self.heard


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    ear = Ear(tmp_path / "notify")
    yield ear
    ear.socket.close()


def test_it_is_told_when_the_node_is_ready_that_it_is_alive_and_that_it_stops(tmp_path: Path, ear: Ear) -> None:
    with Running(tmp_path / "data", CONFIG, env={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as node:
        until(lambda: "READY=1" in ear.listen())
        beats = ear.listen().count("WATCHDOG=1")
        until(lambda: ear.listen().count("WATCHDOG=1") >= beats + 2, 5)
        assert "STOPPING=1" not in ear.heard
        server = node.server_pid
        os.kill(server, signal.SIGKILL)
        node.wait_for_server(other_than=server)
        assert b"NOTIFY_SOCKET" not in Path(f"/proc/{node.server_pid}/environ").read_bytes()
    assert "STOPPING=1" in ear.listen()


def test_the_supervisor_is_small(tmp_path: Path) -> None:
    with Running(tmp_path / "data", CONFIG) as node:
        rollup = Path(f"/proc/{node.pid}/smaps_rollup").read_text()
        found = re.search(r"^Rss:\s+(\d+) kB", rollup, re.MULTILINE)
        assert found
        assert int(found[1]) < 15_000, "all of it, shared with nobody"
