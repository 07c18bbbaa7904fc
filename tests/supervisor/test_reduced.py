"""What the reduced node answers, to whom, and that nobody can hang on it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from outstation.supervisor import children, reduced
from tests.running import free_port
from tests.system.waiting import until

WHY = 'The node ended 5 times within 60 s; "boom".'


def asked(head: str, *, address: str = "127.0.0.1") -> tuple[int, dict[str, str], bytes]:
    answer = reduced.answer(head.replace("\n", "\r\n").encode() + b"\r\n\r\n", address, b"a traceback", WHY)
    top, _, body = answer.partition(b"\r\n\r\n")
    status, *rows = top.decode().split("\r\n")
    return int(status.split()[1]), dict(row.split(": ", 1) for row in rows), body


def test_health_says_why() -> None:
    status, headers, body = asked("GET /api/health?x=1 HTTP/1.1\nHost: node")
    assert (status, headers["Content-Type"]) == (503, "application/json")
    assert json.loads(body) == {"status": "unhealthy", "reduced": True, "problems": [WHY]}
    assert int(headers["Content-Length"]) == len(body)


def test_all_else_is_a_problem_document() -> None:
    for head in ("POST /api/led HTTP/1.1\nHost: x", "nonsense", ""):
        status, headers, body = asked(head)
        assert (status, headers["Content-Type"]) == (503, "application/problem+json")
        assert json.loads(body)["error"].startswith(WHY)
        assert headers["Retry-After"] == "30"
    assert asked("HEAD / HTTP/1.1\nHost: x")[2] == b""


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1:80", "[::1]:5000", "[::1]"])
def test_the_log_is_for_this_machine(host: str) -> None:
    assert asked(f"GET /api/log HTTP/1.1\nHost: {host}")[::2] == (200, b"a traceback")


@pytest.mark.parametrize(
    ("head", "address"),
    [
        ("Host: localhost", "192.0.2.7"),
        ("Host: evil.example", "127.0.0.1"),
        ("Host: localhost\nX-Forwarded-For: 192.0.2.7", "127.0.0.1"),
        ("Host: localhost\nX-Real-IP: 192.0.2.7", "127.0.0.1"),
        ("Host: localhost\nVia: 1.1 proxy", "127.0.0.1"),
        ("Host: localhost\nForwarded: for=192.0.2.7", "::1"),
        ("Host: localhost\nOrigin: http://evil.example", "127.0.0.1"),
        ("X-No-Host: localhost", "127.0.0.1"),
    ],
)
def test_the_log_is_for_nobody_else(head: str, address: str) -> None:
    status, _, body = asked(f"GET /api/log HTTP/1.1\n{head}", address=address)
    assert status == 503
    assert b"a traceback" not in body


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a reduced node that runs."""
    number = free_port()
    log = os.memfd_create("log")
    with socket.create_server(("127.0.0.1", number)) as door:
        given = (door.fileno(), log)
        command = children.script("reduced.py", str(log), WHY, str(door.fileno()))
        with subprocess.Popen(command, pass_fds=given) as process:
            yield number
            process.kill()
    os.close(log)


def test_half_a_request_and_a_flood_are_cut_and_others_are_served_meanwhile(port: int) -> None:
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    for each in slow:
        each.sendall(b"GET /api/health HT")
    flood = socket.create_connection(("127.0.0.1", port), timeout=5)
    flood.sendall(b"A" * 20_000)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as quick:
        quick.sendall(b"GET /api/health HTTP/1.1\r\n\r\n")
        assert quick.recv(4096).startswith(b"HTTP/1.1 503 ")
    began = time.monotonic()
    for each in slow:
        each.settimeout(10)
        assert each.recv(10) == b""
        each.close()
    assert time.monotonic() - began < 10
    flood.close()


def test_one_whose_supervisor_was_killed_lets_go_of_the_port() -> None:
    number, log = free_port(), os.memfd_create("log")
    with socket.create_server(("127.0.0.1", number)) as door:
        given = (door.fileno(), log)
        command = children.script("reduced.py", str(log), WHY, str(door.fileno()))
        supervisor = "import subprocess, sys; subprocess.Popen(sys.argv[2:], pass_fds=eval(sys.argv[1])).wait()"
        with subprocess.Popen([sys.executable, "-c", supervisor, repr(given), *command], pass_fds=given) as parent:
            with socket.create_connection(("127.0.0.1", number), timeout=5) as client:
                client.sendall(b"GET /api/health HTTP/1.1\r\n\r\n")
                assert client.recv(4096).startswith(b"HTTP/1.1 503 ")
            parent.kill()
    os.close(log)
    until(lambda: _is_free(number))


def _is_free(number: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", number)).close()
    except OSError:
        return False
    return True


def test_boards_at_their_own_port_are_answered_too() -> None:
    log = os.memfd_create("log")
    with socket.create_server(("127.0.0.1", 0)) as everybodys, socket.create_server(("127.0.0.1", 0)) as boards:
        numbers = [everybodys.fileno(), boards.fileno()]
        command = children.script("reduced.py", str(log), WHY, *map(str, numbers))
        with subprocess.Popen(command, pass_fds=[log, *numbers]) as small:
            for port in (everybodys, boards):
                with socket.create_connection(port.getsockname(), timeout=10) as board:
                    board.sendall(b"GET /update?api_key=A&field1=1 HTTP/1.0\r\n\r\n")
                    assert board.recv(100).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            small.kill()
    os.close(log)
