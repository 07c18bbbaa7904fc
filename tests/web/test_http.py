"""HTTP to the byte: what real clients, old boards and strangers send, and what they get."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.running import KEY, Running
from tests.web.wire import JSON, Wire, chunked, post, request

READING = {"sensor": "porch/temperature", "value": 21.5}
STATUS = request("GET", "/api/status")
FIVE_MEGABYTES = 5 * 1024 * 1024


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("impatient") / "data", module="tests.web.impatient") as running:
        yield running


@pytest.fixture
def wire(node: Running) -> Iterator[Wire]:
    with Wire(node.port) as connected:
        yield connected


def connections(node: Running) -> int:
    """How many connections to its port the node's process holds."""
    held = psutil.Process(node.pid).net_connections("tcp")
    return sum(found.laddr.port == node.port and found.status != psutil.CONN_LISTEN for found in held)


def test_http_1_1_keeps_the_connection(wire: Wire) -> None:
    for _ in range(3):
        answer = wire.ask(STATUS)
        assert answer.status == 200
        assert "connection" not in answer.headers


@pytest.mark.parametrize("line", ["Connection: close", "connection: Close"])
def test_who_asks_to_close_is_closed_after_the_answer(wire: Wire, line: str) -> None:
    answer = wire.ask(request("GET", "/api/status", line))
    assert answer.headers["connection"] == "close"
    assert wire.is_closed()


@pytest.mark.parametrize("lines", [(), ("Connection: keep-alive",)])
def test_http_1_0_is_answered_and_closed(wire: Wire, lines: tuple[str, ...]) -> None:
    answer = wire.ask(post(READING, *lines, version="1.0"))
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert wire.is_closed()


def test_http_1_0_reaches_the_framework_too(wire: Wire) -> None:
    answer = wire.ask(request("GET", "/api/readings?limit=1", version="1.0"))
    assert answer.status == 200
    assert answer.json["count"] <= 1
    assert wire.is_closed()


def test_who_has_said_all_it_will_say_is_still_answered(node: Running) -> None:
    for asked, status in ((post(READING), b"200"), (request("GET", "/api/sensors"), b"200"), (STATUS, b"200")):
        with socket.create_connection(("127.0.0.1", node.port), timeout=5) as connection:
            connection.sendall(asked)
            connection.shutdown(socket.SHUT_WR)
            assert connection.makefile("rb").read().split()[1] == status


def test_requests_sent_ahead_are_answered_in_their_order(wire: Wire) -> None:
    asked = [
        post(READING),
        request("GET", "/api/sensors/cpu_temp"),
        STATUS,
        request("GET", "/api/nothing"),
        post({"sensor": "cpu_temp", "value": 1}),
        request("GET", "/api/actuators"),
        post(READING | {"value": 22}),
        request("HEAD", "/api/status"),
        request("GET", "/api/readings?limit=1"),
    ]
    wire.send(*asked)
    answers = [wire.answer(head=sent.startswith(b"HEAD")) for sent in asked]
    assert [answer.status for answer in answers] == [200, 200, 200, 404, 422, 200, 200, 200, 200]
    assert answers[1].json["name"] == "cpu_temp"
    assert answers[2].json["node"]
    assert answers[5].json["actuators"][0]["name"] == "led"
    assert answers[8].json["count"] == 1


def test_thousands_of_requests_may_be_sent_ahead(wire: Wire) -> None:
    """Behind one whose answer waits for the disk, the rest piles up; it is worked off without a stack of calls."""
    many = 3_000
    wire.send(post(READING), request("GET", "/api/health") * many)
    assert wire.answer().status == 200
    assert {wire.answer().status for _ in range(many)} == {200}


def test_a_refusal_waits_its_turn(wire: Wire) -> None:
    """The garbage after a reading must not pass for that reading's answer."""
    wire.send(post(READING), request("GET", "/api/sensors"), b"\x16\x03\x01 garbage\r\n\r\n")
    assert [wire.answer().status for _ in range(3)] == [200, 200, 400]
    assert wire.is_closed()


@pytest.mark.parametrize(("version", "line"), [("1.1", "Connection: close"), ("1.0", "Connection: keep-alive")])
def test_nothing_sent_after_a_last_request_is_done(node: Running, wire: Wire, version: str, line: str) -> None:
    wire.send(
        request("GET", "/api/status", line, version=version),
        post({"action": "on"}, path="/api/led"),
    )
    assert wire.answer().status == 200
    assert wire.is_closed()
    assert node.get("/api/status").json["led_state"] == "off"


def test_who_expects_a_word_first_gets_it(wire: Wire) -> None:
    body = json.dumps(READING).encode()
    key = f"X-API-Key: {KEY}"
    wire.send(request("POST", "/api/readings", key, JSON, f"Content-Length: {len(body)}", "Expect: 100-continue"))
    assert wire.interim() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert wire.ask(body).json["accepted"] == 1


@pytest.mark.parametrize(
    ("lines", "status"),
    [(("X-API-Key: wrong", "Content-Length: 9"), 401), ((f"X-API-Key: {KEY}", "Content-Length: 9999999"), 413)],
)
def test_who_expects_a_word_first_is_refused_before_sending(wire: Wire, lines: tuple[str, ...], status: int) -> None:
    answer = wire.ask(request("POST", "/api/readings", JSON, *lines, "Expect: 100-continue"))
    assert (answer.status, answer.headers["connection"]) == (status, "close")
    assert wire.is_closed()


def test_a_body_may_come_in_chunks(wire: Wire) -> None:
    chunks = (b'{"sensor": "porch/tempe', b'rature", ', b'"value": 21.5}')
    answer = wire.ask(chunked("POST", "/api/readings", f"X-API-Key: {KEY}", JSON, chunks=chunks))
    assert answer.json["accepted"] == 1


def test_a_body_may_come_byte_by_byte(wire: Wire) -> None:
    for byte in post(READING):
        wire.send(bytes([byte]))
    assert wire.answer().json["accepted"] == 1


def test_plain_routes_spell_their_headers_as_boards_read_them(wire: Wire) -> None:
    for sent in (STATUS, post(READING), request("GET", "/api/nothing"), request("GET", "/")):
        wire.send(sent)
        head = wire.raw_head()
        assert b"\r\nContent-Length: " in head
        assert b"\r\nContent-Type: " in head
        wire._bytes(int(head.partition(b"Content-Length: ")[2].split()[0]))


@pytest.mark.parametrize("path", ["/api/status", "/api/readings", "/openapi.json", "/", "/docs", "/api/nothing"])
def test_head_says_what_get_would_and_sends_no_body(wire: Wire, path: str) -> None:
    got = wire.ask(request("GET", path))
    wire.send(request("HEAD", path), STATUS)
    head = wire.answer(head=True)
    assert head.status == got.status
    assert head.headers["content-type"] == got.headers["content-type"]
    assert wire.answer().json["node"], "the next answer follows at once"


@pytest.mark.parametrize(
    "header", ["X-Long: " + "x" * 17_000, "\r\n".join(f"X-{number}: {'x' * 50}" for number in range(400))]
)
def test_headers_over_16_kib_are_431(wire: Wire, header: str) -> None:
    answer = wire.ask(request("GET", "/api/status", header))
    assert answer.status == 431
    assert "16384" in answer.json["error"]


def test_headers_that_never_end_are_431(wire: Wire) -> None:
    wire.send(b"GET /api/status HTTP/1.1\r\nX-Long: " + b"x" * 60_000)
    assert wire.answer().status == 431
    assert wire.is_closed()


def test_headers_of_15_kib_are_taken(wire: Wire) -> None:
    assert wire.ask(request("GET", "/api/status", "X-Long: " + "x" * 15_000)).status == 200


@pytest.mark.parametrize(("length", "status"), [(8_000, 404), (8_300, 414), (60_000, 431)])
def test_a_url_over_8_kib_is_414(wire: Wire, length: int, status: int) -> None:
    answer = wire.ask(request("GET", "/" + "x" * length))
    assert answer.status in {status, 414} if length > 8_192 else answer.status == status


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon here\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: \x00\r\n\r\n",
        b"GET / HTTP/1.1\nHost: localhost\n\n",
        b"GET / HTTP/1.1\r\nHost: localhost\n\n",
        b"GET /a\x00b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_what_is_no_request_is_400(wire: Wire, sent: bytes) -> None:
    answer = wire.ask(sent)
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert wire.is_closed()


SMUGGLED = request("POST", "/api/led", JSON, f"X-API-Key: {KEY}", body=b'{"action": "on"}')


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 3", "Content-Length: 300"),
        ("Content-Length: 3", "Content-Length: 3"),
        ("Content-Length: 3, 3",),
        ("Content-Length: +3",),
        ("Content-Length: 0x3",),
        ("Content-Length: -1",),
        ("Content-Length:",),
        ("Content-Length: 99999999999999999999999",),
        ("Content-Length: 3", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 3"),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        ("Transfer-Encoding : chunked",),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding:\x0bchunked",),
    ],
)
def test_two_lengths_of_one_request_are_refused_and_what_hides_behind_is_not_done(
    node: Running, lines: tuple[str, ...]
) -> None:
    with Wire(node.port) as wire:
        answer = wire.ask(request("POST", "/api/readings", f"X-API-Key: {KEY}", JSON, *lines) + b"0\r\n\r\n" + SMUGGLED)
        assert answer.status in {400, 501}
        assert wire.is_closed()
    assert node.get("/api/status").json["led_state"] == "off"


@pytest.mark.parametrize(
    "body", [b"fffffffffffffffff\r\n", b"-3\r\nabc\r\n", b"3\nabc\n0\n\n", b"3\r\nabcdef\r\n0\r\n\r\n"]
)
def test_broken_chunks_are_400(wire: Wire, body: bytes) -> None:
    head = request("POST", "/api/readings", f"X-API-Key: {KEY}", JSON, "Transfer-Encoding: chunked")
    assert wire.ask(head + body).status == 400
    assert wire.is_closed()


def test_two_hosts_are_400(wire: Wire) -> None:
    assert wire.ask(request("GET", "/api/status", "Host: evil.example")).status == 400
    assert wire.ask(request("GET", "/api/status", "host: localhost")).status == 400


def test_an_offer_to_upgrade_is_ignored(node: Running) -> None:
    for offer in ("websocket", "h2c"):
        with Wire(node.port) as wire:
            answer = wire.ask(request("GET", "/api/status", f"Upgrade: {offer}", "Connection: Upgrade, HTTP2-Settings"))
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert wire.is_closed()


def test_with_a_body_an_offer_to_upgrade_is_refused(node: Running, wire: Wire) -> None:
    """The parser stops at the body; nobody may take it for an empty one."""
    wire.send(post({"action": "on"}, "Upgrade: h2c", "Connection: Upgrade", path="/api/led"))
    assert wire.answer().status == 501
    assert wire.is_closed()
    assert node.get("/api/status").json["led_state"] == "off"


def test_paths_may_be_percent_encoded_once(wire: Wire) -> None:
    assert wire.ask(request("GET", "/api/%73tatus")).status == 200
    assert wire.ask(request("GET", "/api/sensors/cpu%5Ftemp")).json["name"] == "cpu_temp"
    for path in (
        "/api/%2573tatus",
        "/api/%00status",
        "/api/status%00",
        "/api/%ff",
        "/api/../api/status",
        "//api/status",
    ):
        assert wire.ask(request("GET", path)).status == 404


@pytest.mark.parametrize("encoded", ["%00", "%1b%5b31m", "%0d%0aSet-Cookie:%20a=b", "%3Cscript%3E", "%e2%80%ae", "%ff"])
def test_nothing_that_a_path_holds_comes_back_as_more_than_text(wire: Wire, encoded: str) -> None:
    for path in ("/api/sensors/", "/api/actuators/", "/docs/", "/api/readings?sensor="):
        answer = wire.ask(request("GET", path + encoded))
        assert answer.status == 404
        assert "set-cookie" not in answer.headers
        assert not set(answer.json["error"]) & set("\0\x1b\r\n<>\u202e")


def test_a_whole_url_is_taken_and_its_host_believed(wire: Wire) -> None:
    assert wire.ask(request("GET", "http://localhost:5000/api/status", host=None)).status == 200
    assert wire.ask(request("GET", "http://localhost/api/status", host="Host: evil.example")).status == 200
    assert wire.ask(request("GET", "http://evil.example/api/status")).status == 421


def test_who_names_no_host_is_told_so(wire: Wire) -> None:
    assert wire.ask(request("GET", "/api/status", host=None)).status == 421


@pytest.mark.parametrize(
    "lines",
    [
        ("X-API-Key: wrong", JSON),
        (f"X-API-Key: {KEY}", JSON),
        (f"X-API-Key: {KEY}", "Content-Type: text/plain"),
        (f"X-API-Key: {KEY}", JSON, "Content-Encoding: gzip"),
        (f"X-API-Key: {KEY}", JSON, "X-Long: " + "x" * 17_000),
        ("Host: evil.example",),
    ],
)
@pytest.mark.parametrize("way", ["length", "chunks"])
def test_a_refusal_arrives_although_five_megabytes_are_on_their_way(
    node: Running, lines: tuple[str, ...], way: str
) -> None:
    """A close with unread bytes would be a reset, and the client would never know why."""
    with Wire(node.port) as wire:
        length = f"Content-Length: {FIVE_MEGABYTES}" if way == "length" else "Transfer-Encoding: chunked"
        wire.send(request("POST", "/api/readings", *lines, length))
        chunk = b"[" * 65_536
        for _ in range(FIVE_MEGABYTES // len(chunk)):
            wire.send(chunk if way == "length" else b"%x\r\n%b\r\n" % (len(chunk), chunk))
        answer = wire.answer()
        assert answer.status in {400, 401, 413, 415, 431}
        assert answer.json["error"]
        assert wire.is_closed()


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
            opened.enter_context(Wire(impatient.port))
        answer = opened.enter_context(Wire(impatient.port)).answer()
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
    for line in Path(f"/proc/{node.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise AssertionError("no VmHWM")
