"""What the reduced node answers, to whom, and that nobody can hang on it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from outstation.supervisor import children, reduced
from outstation.supervisor.readers import Readers
from outstation.wire import terms
from outstation.wire.terms import Terms
from tests.running import free_port
from tests.system.waiting import until
from tests.web.test_tls import certify

WHY = 'The node ended 5 times within 60 s; "boom".'


KEYS = {"id": hashlib.sha256(b"secret").hexdigest()}


def asked(
    head: str, *, address: str = "127.0.0.1", readers: str = "near", hosts: tuple[str, ...] = ()
) -> tuple[int, dict[str, str], bytes]:
    story = reduced.Story(WHY, b"a traceback", Readers(Terms(readers, hosts, keys=KEYS)))
    answer = reduced.answer(head.replace("\n", "\r\n").encode() + b"\r\n\r\n", address, story)
    top, _, body = answer.partition(b"\r\n\r\n")
    status, *rows = top.decode().split("\r\n")
    return int(status.split()[1]), dict(row.split(": ", 1) for row in rows), body


def test_health_says_why() -> None:
    status, headers, body = asked("GET /api/health?x=1 HTTP/1.1\nHost: localhost:5000")
    assert (status, headers["Content-Type"]) == (503, "application/json")
    assert json.loads(body) == {"status": "unhealthy", "reduced": True, "problems": [WHY]}
    assert int(headers["Content-Length"]) == len(body)


def test_all_else_is_a_problem_document() -> None:
    for head in ("POST /api/led HTTP/1.1\nHost: 127.0.0.1", "nonsense", ""):
        status, headers, body = asked(head)
        assert (status, headers["Content-Type"]) == (503, "application/problem+json")
        assert json.loads(body)["error"].startswith(WHY if "Host" in head else terms.CLOSED)
        assert headers["Retry-After"] == "30"
    assert asked("HEAD / HTTP/1.1\nHost: x")[2] == b""


HEALTH = "GET /api/health HTTP/1.1\nHost: 192.168.1.5"


@pytest.mark.parametrize(
    ("readers", "address", "line", "is_told"),
    [
        ("near", "192.168.1.7", "", True),
        ("near", "::ffff:10.0.0.9", "", True),
        ("near", "fe80::1%eth0", "", True),
        ("near", "172.32.0.1", "", False),
        ("near", "203.0.113.9", "", False),
        ("near", "2001:db8::1", "", False),
        ("near", "127.0.0.1", "X-Forwarded-For: 10.0.0.9", False),
        ("near", "203.0.113.9", "X-API-Key: id.secret", True),
        ("here", "192.168.1.7", "", False),
        ("here", "::1", "", True),
        ("all", "203.0.113.9", "", True),
        ("key", "127.0.0.1", "", False),
        ("key", "127.0.0.1", "X-API-Key: id.wrong", False),
        ("key", "127.0.0.1", "X-API-Key: .secret", False),
        ("key", "127.0.0.1", "X-API-Key: nobodys.secret", False),
        ("key", "127.0.0.1", "X-API-Key: nobodys.", False),
        ("key", "203.0.113.9", "Authorization: Bearer id.secret", True),
    ],
)
def test_why_is_told_to_those_who_may_read_and_where_to_look_to_all(
    readers: str, address: str, line: str, is_told: bool
) -> None:
    status, _, body = asked(f"{HEALTH}\n{line}", address=address, readers=readers)
    assert (status, json.loads(body)["problems"]) == (503, [WHY if is_told else terms.CLOSED])
    assert (b"boom" in asked(f"GET / HTTP/1.1\nHost: 10.0.0.1\n{line}", address=address, readers=readers)[2]) == is_told


def test_a_page_whose_name_leads_here_is_told_nothing() -> None:
    def tells(host: str, hosts: tuple[str, ...] = ()) -> bool:
        return b"boom" in asked(f"GET / HTTP/1.1\nHost: {host}", hosts=hosts)[2]

    assert not tells("evil.example")
    assert tells("Garden.example:5000", ("garden.example",))
    assert tells(f"{socket.gethostname().partition('.')[0]}.local")


def test_the_log_needs_the_key_as_well_where_reading_does() -> None:
    head = "GET /api/log HTTP/1.1\nHost: localhost"
    assert asked(head, readers="key")[0] == 503
    assert asked(f"{head}\nX-API-Key: id.secret", readers="key")[::2] == (200, b"a traceback")


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


@contextlib.contextmanager
def small(doors: list[socket.socket], said: Terms, said_to: int | None = None) -> Iterator[None]:
    """Run a reduced node on these sockets. said_to: its standard error."""
    given = [os.memfd_create("log"), terms.in_memory(said)]
    os.write(given[0], WHY.encode() + b"\0a traceback")
    numbers = [door.fileno() for door in doors]
    command = children.script("reduced.py", *map(str, given), *map(str, numbers))
    with subprocess.Popen(command, pass_fds=[*given, *numbers], stderr=said_to) as process:
        try:
            yield
        finally:
            process.kill()
            for each in given:
                os.close(each)


@contextlib.contextmanager
def two_doors() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        yield first, second


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a reduced node that runs."""
    with socket.create_server(("127.0.0.1", 0)) as door, small([door], Terms("near", keys={})):
        yield door.getsockname()[1]


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


def test_who_says_nothing_makes_room_for_who_asks(port: int) -> None:
    with contextlib.ExitStack() as opened:
        for _ in range(100):
            opened.enter_context(socket.create_connection(("127.0.0.1", port)))
        began = time.monotonic()
        asking = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        asking.sendall(b"GET /api/health HTTP/1.1\r\n\r\n")
        assert asking.recv(4096).startswith(b"HTTP/1.1 503 ")
        assert time.monotonic() - began < reduced._PATIENCE_S - 1


def test_one_whose_supervisor_was_killed_lets_go_of_the_port() -> None:
    number, given = free_port(), [os.memfd_create("log"), terms.in_memory(Terms("near", keys={}))]
    with socket.create_server(("127.0.0.1", number)) as door:
        given.append(door.fileno())
        command = children.script("reduced.py", str(given[0]), str(given[1]), str(given[2]))
        supervisor = "import subprocess, sys; subprocess.Popen(sys.argv[2:], pass_fds=eval(sys.argv[1])).wait()"
        with subprocess.Popen([sys.executable, "-c", supervisor, repr(given), *command], pass_fds=given) as parent:
            with socket.create_connection(("127.0.0.1", number), timeout=5) as client:
                client.sendall(b"GET /api/health HTTP/1.1\r\n\r\n")
                assert client.recv(4096).startswith(b"HTTP/1.1 503 ")
            parent.kill()
    for each in given[:2]:
        os.close(each)
    until(lambda: _is_free(number))


def _is_free(number: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", number)).close()
    except OSError:
        return False
    return True


def test_boards_at_their_own_port_are_answered_too_and_told_nothing() -> None:
    with two_doors() as (everybodys, boards), small([everybodys, boards], Terms("all", keys={})):
        for door in (everybodys, boards):
            with socket.create_connection(door.getsockname(), timeout=10) as board:
                board.sendall(b"GET /update?api_key=A&field1=1 HTTP/1.0\r\n\r\n")
                said = board.recv(1_000)
            assert said.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            assert (b"boom" in said) == (door is everybodys)


needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not on this machine")


@needs_openssl
def test_where_the_whole_node_speaks_tls_it_does_too_and_who_speaks_none_harms_nobody(tmp_path: Path) -> None:
    certificate, key = certify(tmp_path, "small")
    by_tls = Terms("near", (), str(certificate), str(key), keys={})
    with two_doors() as (people, boards), small([people, boards], by_tls):
        with socket.create_connection(people.getsockname(), timeout=10) as plain:
            plain.sendall(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert b"HTTP" not in plain.recv(1_000)
        context = ssl.create_default_context(cafile=str(certificate))
        half, whole = (socket.create_connection(people.getsockname(), timeout=10) for _ in range(2))
        half.sendall(b"\x16\x03\x01")
        with half, context.wrap_socket(whole, server_hostname="localhost") as line:
            line.sendall(b"GET /api/health HTTP/1.1\r\nHo")
            line.sendall(b"st: localhost\r\n\r\n")
            assert b"boom" in line.recv(1_000)
        with socket.create_connection(boards.getsockname(), timeout=10) as board:
            board.sendall(b"GET /update HTTP/1.0\r\n\r\n")
            assert board.recv(1_000).startswith(b"HTTP/1.1 503 ")


@needs_openssl
def test_with_a_broken_certificate_nothing_secret_is_said_in_plain_words_and_the_log_says_why(tmp_path: Path) -> None:
    certificate, _ = certify(tmp_path, "small")
    (tmp_path / "broken.pem").write_text("no key")
    broken = Terms("all", (), str(certificate), str(tmp_path / "broken.pem"), keys=KEYS)
    reading, writing = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as people, small([people], broken, writing):
        for path in ("/api/health", "/api/log", "/"):
            with socket.create_connection(people.getsockname(), timeout=10) as plain:
                plain.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: id.secret\r\n\r\n".encode())
                said = plain.recv(1_000)
            assert terms.CLOSED.encode() in said
            assert b"boom" not in said
    os.close(writing)
    with os.fdopen(reading, "rb") as heard:
        assert b"the reduced node speaks no TLS" in heard.read()
