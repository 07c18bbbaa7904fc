"""What a node leaves behind: stopped by a signal, with everything open that keeps a server from ending, or killed."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from outstation.devices.lines.simulated import SimulatedChip
from outstation.store import replay
from tests.running import KEY, Running
from tests.system.waiting import until

STOPS_WITHIN_S = 5.0

LED, VENT = 17, 18

GREENHOUSE = """
[store]
lose_at_most = "1h"

[[sensors]]
name = "turns"
driver = "python"
file = "turns.py"
every = "100ms"

[[actuators]]
name = "led"
driver = "gpio"
pin = 17
simulate = true

[[actuators]]
name = "vent"
driver = "gpio"
pin = 18
simulate = true
safe = "on"
"""

TURNS = """
turns = 0

def read():
    global turns
    turns += 1
    return turns
"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "turns.py").write_text(TURNS)
    with Running(tmp_path / "data", GREENHOUSE) as node:
        yield node


@pytest.fixture
def chip(node: Running) -> Iterator[SimulatedChip]:
    """The node's chip, seen from outside."""
    with SimulatedChip(node.data / "gpiochip0.sim") as chip:
        yield chip


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_told_to_stop_it_is_safe_and_flushed_within_5_s(
    node: Running, chip: SimulatedChip, signum: signal.Signals
) -> None:
    assert node.post("/api/led", {"action": "on"}).status == 200
    assert (chip.level(LED), chip.level(VENT)) == (True, False)
    seen = until(lambda: _turns(node) >= 10 and _turns(node))
    assert _on_disk(node, "turns") < 10, "these wait in memory, or the test below says nothing"
    with ExitStack() as open_ends:
        for connection in (_stream(node), _idle(node), _upload(node)):
            open_ends.enter_context(closing(connection))
        began = time.monotonic()
        assert node.end(signum) == 0
        assert time.monotonic() - began < STOPS_WITHIN_S
    assert (chip.level(LED), chip.level(VENT)) == (False, True)
    assert not chip.holder(LED)
    assert not re.search("ERROR|WARNING|Traceback", node.log.read_text())

    node.start()
    turns = _history(node, "turns")
    first = turns[: turns.index(1, 1)] if 1 in turns[1:] else turns  # it counts from 1 again
    assert first == list(range(1, len(first) + 1))
    assert len(first) >= seen
    assert _history(node, "led")[:3] == [False, True, False]  # the claim outlives the stop
    assert _history(node, "vent")[:2] == [False, True]


def _on_disk(node: Running, sensor: str) -> int:
    with replay.opened(node.data) as connection:
        return sum(1 for _ in replay.replay(connection, sensors=[sensor]))


def test_a_killed_node_leaves_its_pins_as_the_kernel_would_and_the_next_one_takes_them_over(
    node: Running, chip: SimulatedChip
) -> None:
    assert node.post("/api/led", {"action": "on"}).status == 200
    node.kill()
    until(lambda: not chip.holder(LED))
    assert chip.level(LED) is True

    node.start()
    assert chip.holder(LED) == "outstation led"
    assert chip.level(LED) is True, "whoever wanted it still does"
    assert [change.level for change in chip.changes(LED)] == [False, True, False, True], "safe until that was known"
    assert node.post("/api/led", {"action": "off"}).status == 200
    assert chip.level(LED) is False


def _turns(node: Running) -> int:
    return node.get("/api/status").json["sensors"]["turns"]["value"] or 0


def _history(node: Running, name: str) -> list[Any]:
    return [row["value"] for row in node.get(f"/api/readings?sensor={name}&limit=10000").json["readings"]]


def _stream(node: Running) -> socket.socket:
    """Return a connection on which events arrive."""
    connection = _sent(node, b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    said = b""
    while b"event: reading" not in said:
        said += connection.recv(4096)
    return connection


def _idle(node: Running) -> socket.socket:
    """Return a connection that was kept alive after its answer."""
    connection = _sent(node, b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    answer.read()
    assert not answer.will_close
    return connection


def _upload(node: Running) -> socket.socket:
    """Return a connection on which half a request has arrived."""
    head = f"POST /api/readings HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\nContent-Length: 1000\r\n\r\n["
    return _sent(node, head.encode())


def _sent(node: Running, request: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", node.port), timeout=5)
    connection.sendall(request)
    return connection
