"""HTTP to the byte: what real clients and old boards send, and what they get."""

from __future__ import annotations

import json
import socket

import pytest

from tests.running import KEY, Running
from tests.web.outputs import stays_off
from tests.web.wire import JSON, READING, STATUS, Wire, chunked, post, request


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
    assert stays_off(node)


def test_who_expects_a_word_first_gets_it(wire: Wire) -> None:
    body = json.dumps(READING).encode()
    key = f"X-API-Key: {KEY}"
    wire.send(request("POST", "/api/readings", key, JSON, f"Content-Length: {len(body)}", "Expect: 100-continue"))
    assert wire.interim() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert wire.ask(body).json["accepted"] == 1


def test_http_1_0_knows_no_answer_before_the_answer(wire: Wire) -> None:
    assert wire.ask(post(READING, "Expect: 100-continue", version="1.0")).status == 200


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
    assert stays_off(node)


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


def test_a_whole_url_is_taken_and_its_host_believed(wire: Wire) -> None:
    assert wire.ask(request("GET", "http://localhost:5000/api/status", host=None)).status == 200
    assert wire.ask(request("GET", "http://localhost/api/status", host="Host: evil.example")).status == 200
    assert wire.ask(request("GET", "http://evil.example/api/status")).status == 421


def test_who_names_no_host_is_told_so(wire: Wire) -> None:
    assert wire.ask(request("GET", "/api/status", host=None)).status == 421
