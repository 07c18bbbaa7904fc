"""Peers that are gone before they are greeted, and crowds: neither is anybody."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.running import KEY, Running

SWITCH_ON = (
    b"POST /api/led HTTP/1.1\r\nHost: evil.example\r\nContent-Type: application/json\r\n"
    b'Content-Length: 16\r\n\r\n{"action": "on"}'
)
STATUS = b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path / "data") as running:
        yield running


def test_who_has_hung_up_already_is_not_taken_for_the_control_socket(node: Running) -> None:
    """A reset before the accept leaves the server without an address for the peer, and with what it sent."""
    for _ in range(200):
        shot = socket.create_connection(("127.0.0.1", node.port))
        shot.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        shot.sendall(SWITCH_ON)
        shot.close()
    assert node.get("/api/status").json["led_state"] == "off"
    assert node.get("/api/actuators/led").json["claimed_by"] is None


def test_idle_connections_make_room_for_those_who_ask(node: Running) -> None:
    with ExitStack() as crowd:
        for _ in range(1_100):
            idle = crowd.enter_context(socket.create_connection(("127.0.0.1", node.port)))
            idle.sendall(STATUS)
            assert idle.recv(12) == b"HTTP/1.1 200"
        answer = node.post("/api/led", {"action": "on"}, key=KEY)
    assert answer.json["state"] == "on"
