"""The proxy of the tests does what it says: what it spoils is spoilt, and nothing else."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests import proxy
from tests.proxy import PASS, Proxy, says

ANSWER = b'{"receipt": "of all that came"}'


class Hub(ThreadingHTTPServer):
    """Notes what comes in."""

    daemon_threads = True

    def __init__(self) -> None:
        self.had: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _Answers)

    def handle_error(self, *_: object) -> None:
        """A line that was cut is no error here."""


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        if len(body := self.rfile.read(length)) == length:
            self.server.had.append(body)
            self.send_response(200)
            self.send_header("Content-Length", str(len(ANSWER)))
            self.end_headers()
            self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def line(hub: Hub) -> Iterator[Proxy]:
    with Proxy(hub.server_port) as between:
        yield between


def post(line: Proxy, body: bytes, patience: float = 5) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(line.host, line.port, timeout=patience)
    try:
        connection.request("POST", "/api/ingest", body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_what_is_passed_on_is_the_same_and_counted(line: Proxy, hub: Hub) -> None:
    body = bytes(range(256)) * 100
    assert post(line, body) == (200, ANSWER)
    assert hub.had == [body]
    (asked,) = line.asked
    assert (asked.line, asked.body, asked.status, asked.answer) == ("POST /api/ingest HTTP/1.1", body, 200, ANSWER)
    assert len(body) < asked.size == line.bytes_up < len(body) + 300
    assert len(ANSWER) < line.bytes_down < len(ANSWER) + 300


@pytest.mark.parametrize(
    ("way", "arrives"),
    [(proxy.UNSENT, False), (proxy.TORN, False), (proxy.LOST, True), (proxy.HALF_HEARD, True)],
)
def test_a_line_is_cut_where_it_is_told_to(line: Proxy, hub: Hub, way: proxy.Way, arrives: bool) -> None:
    line.ways.append(way)
    with pytest.raises((OSError, http.client.HTTPException)):
        post(line, b"once" * 10)
    assert post(line, b"again") == (200, ANSWER)
    assert hub.had == ([b"once" * 10] if arrives else []) + [b"again"]


def test_it_answers_for_the_hub(line: Proxy, hub: Hub) -> None:
    line.ways += [says(503, "Retry-After: 7"), says(302, "Location: http://login.example/"), PASS]
    line.otherwise = says(200, "Content-Type: text/html", body=proxy.PORTAL)
    assert [post(line, b"x")[0] for _ in range(3)] == [503, 302, 200]
    assert post(line, b"x") == (200, proxy.PORTAL)
    assert hub.had == [b"x"]


def test_it_swallows_garbles_and_dawdles(line: Proxy, hub: Hub) -> None:
    line.ways += [proxy.HOLE, proxy.GARBLED]
    with pytest.raises(TimeoutError):
        post(line, b"x", patience=0.2)
    status, body = post(line, b"x")
    assert (status, len(body)) == (200, len(ANSWER))
    assert body != ANSWER
    line.speed = 32_000  # 256 kbit/s
    began = time.monotonic()
    assert post(line, bytes(6_400)) == (200, ANSWER)
    assert time.monotonic() - began > 0.2
    assert hub.had == [b"x", bytes(6_400)]


def test_a_line_that_flaps_refuses_and_comes_back(line: Proxy, hub: Hub) -> None:
    line.down()
    with pytest.raises(ConnectionRefusedError):
        post(line, b"x")
    line.up()
    assert post(line, b"x") == (200, ANSWER)
    line.choose = lambda asked: proxy.UNSENT if asked.body == b"not this" else None
    assert post(line, b"but this") == (200, ANSWER)
    with pytest.raises((OSError, http.client.HTTPException)):
        post(line, b"not this")
    assert hub.had == [b"x", b"but this"]
