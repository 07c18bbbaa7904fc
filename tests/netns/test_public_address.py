"""On a rented server the neighbours in a data centre are on-link: without a word of the owner's they read nothing."""

from __future__ import annotations

import http.client
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netns.apart import Placed, namespaces, needs_namespaces, within
from tests.running import KEY

pytestmark = needs_namespaces

SERVER, NEIGHBOUR = "45.33.0.1", "45.33.0.2"
"""Public ones, in namespaces that nothing else is in."""


@pytest.fixture(scope="module")
def places() -> Iterator[list[str]]:
    with namespaces("server", "neighbour") as (server, neighbour):
        link = ["ip", "-n", server, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", neighbour]
        subprocess.run(link, check=True)
        for place, address in ((server, SERVER), (neighbour, NEIGHBOUR)):
            subprocess.run(["ip", "-n", place, "address", "add", f"{address}/24", "dev", "wire"], check=True)
            subprocess.run(["ip", "-n", place, "link", "set", "wire", "up"], check=True)
        yield [server, neighbour]


def asked(place: str, port: int, *, key: str = "") -> int:
    """Read the status from a machine; return the answer's."""

    def ask() -> int:
        connection = http.client.HTTPConnection(SERVER, port, timeout=5)
        connection.request("GET", "/api/status", headers={"X-API-Key": key} if key else {})
        status = connection.getresponse().status
        connection.close()
        return status

    return within(place, ask)


def test_without_a_word_neighbours_need_a_key_and_the_start_says_so(places: list[str], tmp_path: Path) -> None:
    server, neighbour = places
    with Placed(server, tmp_path / "data", "") as node:
        assert asked(neighbour, node.port) == 401
        assert asked(neighbour, node.port, key=KEY) == 200
        assert node.get("/api/status").status == 200, "from the machine itself"
        assert f"{SERVER} is public" in node.log.read_text()


def test_with_the_word_they_read(places: list[str], tmp_path: Path) -> None:
    server, neighbour = places
    with Placed(server, tmp_path / "data", '[web]\nreads = "local"\n') as node:
        assert asked(neighbour, node.port) == 200
        assert "is public" not in node.log.read_text()
