"""`outstation traffic` and `outstation uplinks`: what a node sends to its hub, what waits, and what it refused."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

from click.testing import CliRunner

from outstation.__main__ import root
from tests.running import Running, free_port

CONFIG = """
[node]
name = "greenhouse-1"
clock = "trust"
[[uplinks]]
name = "hub"
kind = "outstation"
url = "http://127.0.0.1:{port}"
key = "3f9a41.Jm3Qw8"
every = "10s"
"""


def told(data: Path, *words: str, status: int = 0) -> str:
    result = CliRunner().invoke(root, [*words, "--data", str(data)])
    assert result.exit_code == status, result.output
    return result.stdout if not status else result.stderr


def test_a_node_whose_hub_refuses_its_key(tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as hub, Running(tmp_path / "data", CONFIG.format(port=port)) as node:
        connection, _ = hub.accept()
        with connection:
            asked = connection.recv(65_536)
            assert asked.startswith(b"POST /api/ingest HTTP/1.1\r\n")
            assert b"X-API-Key: 3f9a41.Jm3Qw8\r\n" in asked
            connection.sendall(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")
            assert not connection.recv(1)
        while not (answer := node.get("/api/traffic").json["uplinks"]["hub"])["last_error"]:
            time.sleep(0.02)
        error = "it answered 401 (is its key right?)"
        assert (answer["kind"], answer["requests"], answer["last_error"]) == ("outstation", 1, error)
        assert (answer["bytes_sent"], answer["bytes_received"]) == (len(asked), 38)
        (problem,) = [one for one in node.get("/api/health").json["problems"] if "hub" in one]
        assert problem == f'Summaries do not reach "hub": {error}; 0 wait.'
        heading, line = told(node.data, "uplinks", "list").splitlines()
        assert heading.split()[:3] == ["UPLINK", "KIND", "WAITING"]
        assert line.split()[:3] == ["hub", "outstation", "0"]
        assert line.endswith(f"not yet    {error}")
        assert told(node.data, "traffic").splitlines()[1].split()[:3] == ["hub", "outstation", "1"]
        assert json.loads(told(node.data, "traffic", "--json"))["uplinks"]["hub"]["requests"] == 1
        assert told(node.data, "uplinks", "resend", "hub") == "0 summaries are sent to hub again.\n"
        assert "In the config: hub" in told(node.data, "uplinks", "resend", "office", status=1)


def test_a_node_that_sends_nothing(tmp_path: Path) -> None:
    with Running(tmp_path / "data", '[node]\nclock = "trust"\n') as node:
        assert node.get("/api/traffic").json == {"uplinks": {}}
        assert told(node.data, "traffic").startswith("Nothing is sent elsewhere")
        assert "[[uplinks]]" in told(node.data, "uplinks", "resend", "hub", status=1)
