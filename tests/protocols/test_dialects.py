"""The port for boards alone, and the weather stations, with channel, keys and address brought along."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.running import KEY, Answer, Running, free_port
from tests.web.wire import Wire, request

WRITE, CLASS, MAC, OTHER = "Q7WK2ZB9XHT4RM6C", "ASCIISTR", "6c:ef:7f:3b:9d:e8", "A0:20:A6:12:34:56"

BOARDS = free_port()

CONFIG = f"""
[web]
dialect_listen = "127.0.0.1:{BOARDS}"
accept_new_sensors = false

[[devices]]
name = "porch"
channel = 254616
write_key = "{WRITE}"
public = true
fields = ["temperature", "humidity"]
key = "{CLASS}"
mac = "{MAC}"

[[devices]]
name = "roof"
channel = 7
write_key = "M9TR4KX2ZQ8WB6HC"
fields = ["temperature"]
key = "{CLASS}"
mac = "{OTHER}"
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("dialects") / "data", CONFIG) as running:
        yield running


def boards(sent: bytes) -> tuple[bytes, bytes]:
    """What the port for boards answers, head and body, until it closes."""
    with socket.create_connection(("127.0.0.1", BOARDS), timeout=5) as connection:
        connection.sendall(sent)
        parts = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = parts.partition(b"\r\n\r\n")
    return head, body


def station(node: Running, data: str, *, key: str = CLASS, mac: str = MAC, field: str = "1") -> Answer:
    return node.get(f"/update/API_key={key}/mac={mac}/field={field}/data={data}", {"Host": "iot.example"})


def last(node: Running, field: int = 1, channel: int = 254616) -> str:
    return node.get(f"/channels/{channel}/fields/{field}/last.txt").body.decode()


def test_a_station_writes_with_its_address_in_the_path_and_a_page_made_for_thingspeak_shows_it(node: Running) -> None:
    answer = station(node, "72.30")
    assert (answer.status, answer.body) == (200, b"ok\n")
    assert last(node) == "72.30"
    assert node.get("/api/status").json["sensors"]["porch/temperature"]["value"] == 72.3
    assert station(node, "-4", field="2", mac=quote(MAC.upper(), safe="")).status == 200
    assert last(node, 2) == "-4"


def test_stations_that_share_a_key_are_told_apart_by_their_address(node: Running) -> None:
    assert station(node, "1.5", mac=OTHER).status == 200
    sensors = node.get("/api/status").json["sensors"]
    assert sensors["roof/temperature"]["value"] == 1.5
    assert sensors["porch/temperature"]["value"] != 1.5


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"key": "WRONGKEY"}, 403),
        ({"key": WRITE}, 403),
        ({"mac": "00:00:00:00:00:00"}, 403),
        ({"data": "warm"}, 400),
        ({"data": "nan"}, 400),
        ({"field": "9"}, 400),
        ({"field": "x"}, 400),
    ],
)
def test_a_station_is_told_in_a_line_of_text_what_was_wrong(
    node: Running, changed: dict[str, str], status: int
) -> None:
    before = last(node)
    answer = station(node, **{"data": "99", **changed})
    assert answer.status == status
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.body.count(b"\n") == 1
    assert last(node) == before


def test_other_paths_of_that_length_are_nobodys(node: Running) -> None:
    assert node.get(f"/update/key={CLASS}/mac={MAC}/field=1/data=1").status == 404


def test_a_browser_that_looks_ahead_writes_nothing(node: Running) -> None:
    before = last(node)
    path = f"/update/API_key={CLASS}/mac={MAC}/field=1/data=55"
    assert node.request("HEAD", path).status == 405
    assert node.get(path, {"Sec-Purpose": "prefetch"}).status == 405
    assert last(node) == before


def test_a_raw_http_1_0_get_on_the_port_for_boards_is_answered_and_closed(node: Running) -> None:
    sent = f"GET /update?api_key={WRITE}&field1=87 HTTP/1.0\r\nHost: api.thingspeak.com\r\n\r\n"
    head, body = boards(sent.encode())
    assert head.startswith(b"HTTP/1.1 200 ")
    assert re.search(rb"\r\nContent-Length: %d(\r\n|$)" % len(body), head)
    assert b"chunked" not in head.lower()
    assert int(body) > 0
    assert last(node) == "87"
    assert boards(b"GET /channels/254616/fields/1/last.txt HTTP/1.0\r\n\r\n")[1] == b"87"
    path = f"/update/API_key={CLASS}/mac={MAC}/field=1/data=71.5"
    assert boards(f"GET {path} HTTP/1.0\r\n\r\n".encode())[1] == b"ok\n"
    assert last(node) == "71.5"


def test_lines_are_taken_on_the_port_for_boards(node: Running) -> None:
    line = b"weather,device=porch humidity=40"
    head = f"POST /write?db=x&p={KEY} HTTP/1.0\r\nContent-Length: {len(line)}\r\n\r\n"
    answer, body = boards(head.encode() + line)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"accept_new_sensors" in body
    assert b"dropped=1" in body
    assert boards(head.replace("/write", "/ping").encode() + line)[0].startswith(b"HTTP/1.1 204 ")


@pytest.mark.parametrize("path", ["/", "/docs", "/api/status", "/api/readings", "/api/keys", "/openapi.json"])
def test_nothing_but_the_dialects_is_on_the_port_for_boards(node: Running, path: str) -> None:
    with Wire(BOARDS) as wire:
        for method in ("GET", "POST"):
            assert wire.ask(request(method, path, f"X-API-Key: {KEY}")).status == 404


def test_no_page_of_a_stranger_finds_the_port_for_boards_by_its_own_name(node: Running) -> None:
    with Wire(BOARDS) as wire:
        assert wire.ask(request("GET", "/api/status", host="Host: evil.example")).status == 421


def test_a_server_in_the_place_of_one_that_died_is_heard_there_too_and_has_what_was_answered(tmp_path: Path) -> None:
    port = free_port()
    config = CONFIG.replace(str(BOARDS), str(port))
    with Running(tmp_path / "data", config) as node:
        before = node.wait_for_server()
        assert station(node, "64.20").status == 200
        assert node.post(f"/write?db=x&p={KEY}", "porch humidity=41 1700000000000000000", key=None).status == 204
        os.kill(before, signal.SIGKILL)
        node.wait_for_server(other_than=before)
        with Wire(port) as wire:
            assert wire.ask(request("GET", "/health")).status == 200
        assert last(node) == "64.20"
        readings = node.get("/api/readings?sensor=porch/humidity&start=2023-01-01T00:00:00Z").json["readings"]
        assert [reading["value"] for reading in readings] == [41.0]


def test_a_port_for_boards_that_is_taken_stops_the_start_and_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AssertionError, match=rf"Port {port} is in use .*\[web\] dialect_listen"):
            Running(tmp_path / "data", CONFIG.replace(str(BOARDS), str(port))).start()
