"""The access log: a line a request while they are few, counts when they are many, and never a key."""

from __future__ import annotations

import logging
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from outstation.http import NOBODY, Peer, Principal, Request
from outstation.routes import Route, Table
from outstation.web.access import REFUSALS, Access
from tests.running import KEY, Running
from tests.system.waiting import until
from tests.web.table import CONFIG, ROUTES, WRITE_KEY, path
from tests.web.wire import JSON, Wire, request

ROW = Route("GET", "/api/status", "read")
ORDER = Route("POST", "/api/led", "control")


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Running]:
    with Running(folder / "data", f"{CONFIG}\n[web]\naccess_lines = 1000\n") as running:
        yield running


def asked(route: Route, address: str = "10.1.1.1", name: str = "") -> Request:
    found = Request(route.method, route.path, b"", [], Peer(address))
    found.principal = Principal(name, frozenset({"control"})) if name else NOBODY
    return found


@pytest.fixture
def access(caplog: pytest.LogCaptureFixture) -> Access:
    caplog.set_level(logging.INFO, "outstation.web.access")
    return Access(Table([ROW, ORDER]), 10)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return lines


def test_few_requests_have_a_line_each(access: Access, caplog: pytest.LogCaptureFixture) -> None:
    access.note(asked(ROW), 200, ROW)
    access.note(asked(ROW, "10.1.1.2", "phone"), 200, ROW)
    access.note(asked(ROW, ""), 200)
    assert told(caplog) == [
        "10.1.1.1: GET /api/status was answered 200",
        "10.1.1.2 (phone): GET /api/status was answered 200",
        "the control socket: GET /api/status was answered 200",
    ]


def test_many_are_counted_but_for_orders_and_refusals(access: Access, caplog: pytest.LogCaptureFixture) -> None:
    for second in range(60):
        for _ in range(200):
            access.note(asked(ROW), 200, ROW)
        access.note(asked(ORDER, name="phone"), 200, ORDER)
        access.note(asked(ROW), 401, ROW)
        if second < 59:
            access.look()
    lines = told(caplog)
    access.look()
    assert lines.count("10.1.1.1: GET /api/status was answered 200") == 10, "until it was known that there are many"
    assert lines.count("10.1.1.1 (phone): POST /api/led was answered 200") == 60
    assert lines.count("10.1.1.1: GET /api/status was answered 401") == 1
    assert told(caplog) == [
        "in a minute, without a line each: GET /api/status 200: 11990, GET /api/status 401: 59",
    ]
    for _ in range(60):
        access.look()
    assert told(caplog) == [], "nothing is said of nothing"
    access.note(asked(ROW), 200, ROW)
    assert len(told(caplog)) == 1, "and few are few again"
    assert access.answered == {
        ("GET", "/api/status", 200): 12_001,
        ("POST", "/api/led", 200): 60,
        ("GET", "/api/status", 401): 60,
    }


def test_a_stranger_of_a_thousand_addresses_does_not_fill_the_log(
    access: Access, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1_000):
        access.note(asked(ROW, f"2001:db8::{number:x}"), 401, ROW)
    assert len(told(caplog)) == REFUSALS
    for _ in range(60):
        access.look()
    assert told(caplog) == [f"in a minute, without a line each: GET /api/status 401: {1_000 - REFUSALS}"]
    access.note(asked(ROW), 401, ROW)
    assert len(told(caplog)) == 1, "in the next minute a refusal is news again"


def test_a_browsers_question_about_an_order_is_no_order(access: Access, caplog: pytest.LogCaptureFixture) -> None:
    question = Request("OPTIONS", ORDER.path, b"", [], Peer("10.1.1.1"))
    for _ in range(100):
        access.note(question, 204)
    assert len(told(caplog)) == 10


def test_with_no_lines_only_orders_and_refusals_have_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "outstation.web.access")
    access = Access(Table([ROW, ORDER]), 0)
    for _ in range(2):
        access.note(asked(ROW), 200, ROW)
        access.note(asked(ORDER), 200, ORDER)
        access.look()
    assert told(caplog) == ["10.1.1.1: POST /api/led was answered 200"] * 2


SECRET = "GUESSEDGUESSED16"


def with_keys(route: Route) -> Iterator[bytes]:
    """Ask with every kind of key, right and wrong, wherever one may stand."""
    where = path(route).replace("NOBODYS", SECRET)
    for key in (WRITE_KEY, KEY, SECRET):
        for words in (f"api_key={key}", f"u=x&p={key}&db=x", f"key={key}"):
            yield request(route.method, f"{where}?{words}")
    for line in (f"X-API-Key: {KEY}", f"Authorization: Token {SECRET}", f"Authorization: Bearer {SECRET}"):
        yield request(route.method, where, line)
    yield request(route.method, where, f"X-THINGSPEAKAPIKEY: {WRITE_KEY}", f"Cookie: outstation-everything={SECRET}")
    yield request(route.method, where, body=f"api_key={WRITE_KEY}&field1=1&key={SECRET}".encode())
    yield request(route.method, where, JSON, body=f'{{"write_api_key": "{WRITE_KEY}", "key": "{SECRET}"}}'.encode())


def test_methods_that_nobody_here_knows_are_one(access: Access) -> None:
    for method in ("PROPFIND", "LOCK", "MKCALENDAR"):
        access.note(Request(method, ROW.path, b"", [], Peer("10.1.1.1")), 405)
    assert access.answered == {("another method", "/api/status", 405): 3}


def test_an_order_of_who_did_not_wait_for_the_answer_is_in_the_log(node: Running) -> None:
    def moved() -> int:
        return int(node.get("/api/readings?sensor=vent&limit=100").json["count"])

    before = moved()
    for _ in range(20):
        with Wire(node.port, source="127.0.0.78") as wire:
            wire.ask(request("GET", "/api/health"))
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close resets
            wire.send(request("POST", "/api/vent", JSON, f"X-API-Key: {KEY}", body=b'{"action": "toggle"}'))
            time.sleep(0.001)
    line = "127.0.0.78 (environment): POST /api/vent was answered 200"
    until(lambda: moved() > before and node.log.read_text().count(line) == moved() - before)


def test_no_key_is_in_the_log_of_real_requests(node: Running) -> None:
    for route in (route for route in ROUTES if route.any_host or route.path in ("/api/status", "/api/readings")):
        for sent in with_keys(route):
            with Wire(node.port) as wire:
                wire.ask(sent)
    for where in (f"/{SECRET}", f"/api/{WRITE_KEY}?api_key={KEY}", f"/update?api_key={WRITE_KEY}&field1=7"):
        with Wire(node.port, source="127.0.0.77") as wire:
            wire.ask(request("GET", where))
    until(lambda: "127.0.0.77: GET an unknown path was answered 404" in node.log.read_text())
    log = node.log.read_text()
    assert "/update/{API_key}/{mac}/{field}/{data} was answered 403" in log
    assert [key for key in (SECRET, WRITE_KEY, KEY) if key in log] == []
