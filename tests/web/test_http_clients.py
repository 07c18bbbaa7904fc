"""Clients that are slow, silent, many or gone: each costs little, and nobody else."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.running import KEY, Running
from tests.web.wire import JSON, READING, STATUS, Wire, post, request


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("impatient") / "data", module="tests.web.impatient") as running:
        yield running


def connections(node: Running) -> int:
    """How many connections to its port the node's process holds."""
    held = psutil.Process(node.server_pid).net_connections("tcp")
    return sum(found.laddr.port == node.port and found.status != psutil.CONN_LISTEN for found in held)


def test_two_hundred_connections_leave_none_behind(node: Running) -> None:
    assert _soon(lambda: connections(node) == 0)
    with contextlib.ExitStack() as opened:
        wires = [opened.enter_context(Wire(node.port)) for _ in range(200)]
        for number, wire in enumerate(wires):
            wire.send((STATUS, STATUS[:40], b"", post(READING))[number % 4])
        assert all(wires[number].answer().status == 200 for number in range(0, 200, 4))
        assert _soon(lambda: connections(node) == 200)
    assert _soon(lambda: connections(node) == 0)


def test_who_leaves_in_the_middle_harms_nobody(node: Running) -> None:
    assert _soon(lambda: connections(node) == 0)
    for sent in (
        post(READING),
        request("GET", "/api/readings?limit=10000"),
        request("GET", "/api/stream"),
        STATUS[:30],
    ):
        for _ in range(5):
            wire = Wire(node.port)
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            wire.send(sent)
            wire.socket.close()
    assert _soon(lambda: connections(node) == 0)
    assert node.get("/api/health").status == 200
    assert "Traceback" not in node.log.read_text()


def test_who_asks_and_never_reads_does_not_fill_the_memory(impatient: Running) -> None:
    """A hundred thousand requests of 47 bytes would be 140 MB of answers."""
    before = most_memory(impatient)
    with Wire(impatient.port, buffer=4_096) as wire:
        wire.socket.settimeout(1)
        with contextlib.suppress(TimeoutError, ConnectionError):
            for _ in range(100):
                wire.send(STATUS * 1_000)
        assert impatient.get("/api/health").status == 200
        assert _soon(lambda: connections(impatient) == 0, 8), "after a while it is cut"
    assert most_memory(impatient) - before < 8_000


def test_the_bodies_of_many_strangers_do_not_fill_the_memory(node: Running) -> None:
    """A hundred megabytes without a key, on routes whose key may come in the body."""
    before = most_memory(node)
    with contextlib.ExitStack() as opened:
        crowd = [opened.enter_context(Wire(node.port)) for _ in range(100)]
        for wire in crowd:
            with contextlib.suppress(ConnectionError, TimeoutError):
                wire.socket.settimeout(1)
                wire.send(request("POST", "/write?db=x", "Content-Length: 1048000"), b" " * 1_040_000)
        assert 503 in told(crowd)
        assert node.post("/api/readings", READING).status == 200
        assert most_memory(node) - before < 25_000
    batch = [{"sensor": "porch/temperature", "value": 1}] * 5_000
    assert _soon(lambda: node.post("/api/readings", batch).status == 200), "all of the room is given back"
    assert _soon(lambda: connections(node) == 0)
    assert node.request("POST", "/write?db=x", " " * 1_000_000).status == 401


def told(crowd: list[Wire]) -> set[int]:
    """Return what those were answered who were answered at all, as soon as somebody was."""
    ready = select.select([wire.socket for wire in crowd], [], [], 10)[0]
    found: set[int] = set()
    for wire in crowd:
        with contextlib.suppress(OSError, EOFError):
            found |= {wire.answer().status} if wire.socket in ready else set()
    return found


def test_slow_headers_are_cut(impatient: Running) -> None:
    with Wire(impatient.port) as wire:
        began = time.monotonic()
        _trickle(wire, STATUS[:-2])
        answer = wire.answer()
        assert answer.status == 408
        assert wire.is_closed()
        assert time.monotonic() - began < 8


def test_a_slow_body_is_cut(impatient: Running) -> None:
    with Wire(impatient.port) as wire:
        wire.send(request("POST", "/api/readings", f"X-API-Key: {KEY}", JSON, "Content-Length: 1000"))
        _trickle(wire, b"[" * 30)
        assert wire.answer().status == 408
        assert wire.is_closed()


def test_a_slow_link_that_goes_on_is_no_slow_client(impatient: Running) -> None:
    """Each 16 KiB earn the sender its time again."""
    body = b"[" + b" " * 200_000 + b"]"
    with Wire(impatient.port) as wire:
        wire.send(request("POST", "/api/readings", f"X-API-Key: {KEY}", JSON, f"Content-Length: {len(body)}"))
        for start in range(0, len(body), 20_000):
            wire.send(body[start : start + 20_000])
            time.sleep(0.4)
        assert wire.answer().json == {"accepted": 0}


def test_silence_is_cut(impatient: Running) -> None:
    with Wire(impatient.port) as wire, Wire(impatient.port) as used:
        assert used.ask(STATUS).status == 200
        assert wire.is_closed()
        assert used.is_closed()


@pytest.mark.long
def test_the_real_patience_is_ten_seconds(node: Running) -> None:
    with Wire(node.port, patience=20) as wire:
        began = time.monotonic()
        threading.Thread(target=_trickle, args=(wire, b"GET /api/status HTTP/1.1\r\n"), daemon=True).start()
        assert wire.answer().status == 408
        assert 9 < time.monotonic() - began < 15


def test_more_connections_than_it_takes_are_told_to_come_again(impatient: Running) -> None:
    with contextlib.ExitStack() as opened:
        for _ in range(20):
            opened.enter_context(Wire(impatient.port)).send(STATUS[:20])
        crowd = [opened.enter_context(Wire(impatient.port)) for _ in range(150)]
        for answer in [wire.answer() for wire in crowd]:
            assert answer.status == 503
            assert int(answer.headers["retry-after"]) > 0
    assert _soon(lambda: impatient.get("/api/health").status == 200)


def _trickle(wire: Wire, sent: bytes) -> None:
    """Send a byte at a time, five a second, until the other end has had enough."""
    wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in sent:
        try:
            wire.send(bytes([byte]))
        except OSError:
            return
        wire.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            if wire.socket.recv(1, socket.MSG_PEEK):
                wire.socket.settimeout(10)
                return
        wire.socket.settimeout(10)
        time.sleep(0.2)


def _soon(is_so: object, seconds: float = 5) -> bool:
    assert callable(is_so)
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def most_memory(node: Running) -> int:
    """The most that it ever had resident, in KiB."""
    for line in Path(f"/proc/{node.server_pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise AssertionError("no VmHWM")
