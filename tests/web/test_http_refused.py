"""HTTP to the byte: what strangers send, and that each refusal arrives."""

from __future__ import annotations

import pytest

from tests.running import KEY, Running
from tests.web.outputs import stays_off
from tests.web.wire import JSON, Wire, request

FIVE_MEGABYTES = 5 * 1024 * 1024


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
    assert stays_off(node)


@pytest.mark.parametrize(
    "body", [b"fffffffffffffffff\r\n", b"-3\r\nabc\r\n", b"3\nabc\n0\n\n", b"3\r\nabcdef\r\n0\r\n\r\n"]
)
def test_broken_chunks_are_400(wire: Wire, body: bytes) -> None:
    head = request("POST", "/api/readings", f"X-API-Key: {KEY}", JSON, "Transfer-Encoding: chunked")
    assert wire.ask(head + body).status == 400
    assert wire.is_closed()


@pytest.mark.parametrize("encoded", ["%00", "%1b%5b31m", "%0d%0aSet-Cookie:%20a=b", "%3Cscript%3E", "%e2%80%ae", "%ff"])
def test_nothing_that_a_path_holds_comes_back_as_more_than_text(wire: Wire, encoded: str) -> None:
    for path in ("/api/sensors/", "/api/actuators/", "/docs/", "/api/readings?sensor="):
        answer = wire.ask(request("GET", path + encoded))
        assert answer.status == 404
        assert "set-cookie" not in answer.headers
        assert not set(answer.json["error"]) & set("\0\x1b\r\n<>\u202e")


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
