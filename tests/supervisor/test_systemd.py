"""Under systemd: what the supervisor tells it, and when. And how small it is."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from outstation.store import file
from outstation.supervisor.notify import Notify, Progress
from tests.running import Running, free_port
from tests.system.waiting import until

OF_AN_OLDER_PROGRAM = Path(__file__).parents[1] / "store" / "fixtures" / "version-1.db"

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


def test_a_server_whose_rules_hang_is_not_said_to_be_alive(tmp_path: Path, ear: Ear) -> None:
    told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "OUTSTATION_SUPERVISION": "silent=2"}
    with Running(tmp_path / "data", CONFIG, env=told) as node:
        until(lambda: "WATCHDOG=1" in ear.listen())
        server = node.server_pid
        os.kill(server, signal.SIGSTOP)
        time.sleep(0.1)
        beats = ear.listen().count("WATCHDOG=1")
        time.sleep(1.4)
        assert ear.listen().count("WATCHDOG=1") == beats
        node.wait_for_server(other_than=server)
        until(lambda: ear.listen().count("WATCHDOG=1") > beats)


def test_a_migration_is_given_the_time_that_it_takes(tmp_path: Path, ear: Ear) -> None:
    (tmp_path / "data").mkdir()
    shutil.copy(OF_AN_OLDER_PROGRAM, tmp_path / "data" / file.NAME)
    with Running(tmp_path / "data", CONFIG, env={"NOTIFY_SOCKET": str(tmp_path / "notify")}):
        until(lambda: "READY=1" in ear.listen())
    told = ear.heard[: ear.heard.index("READY=1")]
    assert "EXTEND_TIMEOUT_USEC=600000000" in told
    assert f"STATUS={tmp_path / 'data' / file.NAME} is brought up to date." in told
    assert "STATUS=" in ear.heard, "which is over when the node is ready"


def test_it_tells_of_progress_every_few_seconds_at_most(tmp_path: Path, ear: Ear) -> None:
    notify = Notify(str(tmp_path / "notify"))
    progress = Progress(notify, "It is brought up to date.")
    for _ in range(3):
        progress()
    notify.close()
    assert ear.listen() == ["EXTEND_TIMEOUT_USEC=600000000", "STATUS=It is brought up to date."]


SAYS = """
import os, sys
from outstation.supervisor.notify import Notify
notify = Notify(os.environ.pop("NOTIFY_SOCKET"))
for states in sys.stdin:
    notify.say(*states.split())
    print("said", flush=True)
"""


def test_what_systemd_has_no_room_for_is_said_again(tmp_path: Path, ear: Ear) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as others, contextlib.suppress(BlockingIOError):
        while True:
            others.sendto(b"OTHERS=1", socket.MSG_DONTWAIT, str(tmp_path / "notify"))
    told = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
    command, pipe = [sys.executable, "-c", SAYS], subprocess.PIPE
    with subprocess.Popen(command, env=told, text=True, bufsize=1, stdin=pipe, stdout=pipe) as speaker:
        assert speaker.stdin is not None
        assert speaker.stdout is not None
        for states in ("READY=1 STATUS=", "WATCHDOG=1"):
            speaker.stdin.write(f"{states}\n")
            speaker.stdout.readline()
        assert "READY=1" not in ear.listen()
        for _ in range(2):
            speaker.stdin.write("WATCHDOG=1\n")
            speaker.stdout.readline()
        assert ear.listen()[-4:] == ["READY=1", "STATUS=", "WATCHDOG=1", "WATCHDOG=1"]
        speaker.stdin.close()


WAITS_FOR_A_DISK = """
import os, socket, sys, threading, time
from outstation.supervisor.loop import Again, Server, Supervisor
from outstation.supervisor.passage import Passage
from outstation.supervisor.pins import Pins
from outstation.supervisor.times import Times
from outstation.wire import supervision

nobody = int(open("/proc/sys/kernel/pid_max").read()) + 1  # cannot be killed, and never ends
mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
supervision.say(theirs, supervision.BEAT)
again = Again([], "", lock=0, ports=[0], stderr=2, notebook=0, terms=0)
first = Server(nobody, mine, time.monotonic())
Supervisor(first, pins=Pins([]), passage=Passage(os.pipe()[0]), times=Times("silent=0.5"), again=again).run()
"""


def test_a_killed_server_that_cannot_end_yet_is_no_reason_to_end_who_has_made_its_outputs_safe(
    tmp_path: Path, ear: Ear
) -> None:
    told = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
    with subprocess.Popen([sys.executable, "-c", WAITS_FOR_A_DISK], stderr=subprocess.PIPE, env=told) as supervisor:
        assert supervisor.stderr is not None
        assert b"said nothing for 0.5 s: it was killed" in supervisor.stderr.readline()
        ear.listen()
        beats = ear.heard.count("WATCHDOG=1")
        until(lambda: ear.listen().count("WATCHDOG=1") >= beats + 2, 5)
        supervisor.kill()


HAND_OVER = """
import os, socket, sys
opened = socket.create_server(("127.0.0.1", int(sys.argv[1])))
os.set_inheritable(os.dup2(opened.detach(), 3), True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_a_port_that_systemd_opened_is_the_boards_of_each_server(tmp_path: Path) -> None:
    port = free_port()
    config = f'{CONFIG}[web]\ndialect_listen = "127.0.0.1:{port}"\n'
    with Running(tmp_path / "data", config, wrapper=(sys.executable, "-c", HAND_OVER, str(port))) as node:
        for _ in range(2):
            assert asked_by_a_board(port) == 400, "the dialect's answer to a key that nobody has"
            server = node.server_pid
            os.kill(server, signal.SIGKILL)
            node.wait_for_server(other_than=server)


def asked_by_a_board(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/update?api_key=AAAAAAAAAAAAAAAA&field1=1")
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_supervisor_is_small(tmp_path: Path) -> None:
    with Running(tmp_path / "data", CONFIG) as node:
        rollup = Path(f"/proc/{node.pid}/smaps_rollup").read_text()
        found = re.search(r"^Rss:\s+(\d+) kB", rollup, re.MULTILINE)
        assert found
        assert int(found[1]) < 15_000, "all of it, shared with nobody"
