"""What nginx writes down when something goes wrong: what an administrator has to know, and never a key."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.nginx import Nginx, needs_nginx
from tests.system.waiting import until
from tests.web.table import WRITE_KEY
from tests.web.wire import Wire, request

pytestmark = needs_nginx

KEYED = f"/update?api_key={WRITE_KEY}&field1=1"


@pytest.fixture
def silent() -> Iterator[int]:
    """A port where connections are taken, and nobody ever answers."""
    with socket.create_server(("127.0.0.1", 0)) as hung:
        yield int(hung.getsockname()[1])


def changed(site: Nginx, name: str, old: str, new: str) -> None:
    text = (site.folder / name).read_text()
    assert old in text
    (site.folder / name).write_text(text.replace(old, new))


def board(site: Nginx, where: str, *lines: str) -> int:
    with Wire(site.http) as wire:
        wire.send(request("GET", where, *lines, host="Host: x"))
        return wire.answer().status


def test_a_node_that_is_away_or_hangs_is_told_by_the_log_and_the_key_is_not(tmp_path: Path, silent: int) -> None:
    for port, status in ((9, 502), (silent, 504)):
        site = Nginx(tmp_path / str(status), port)
        changed(site, "outstation.conf", "proxy_read_timeout 60s", "proxy_read_timeout 100ms")
        with site:
            assert board(site, KEYED) == 503
            until(lambda site=site, status=status: f"GET /update 503 169 node: {status}\n" in site.said())  # type: ignore[misc]
        assert WRITE_KEY not in site.said()


def test_what_nginx_refuses_by_itself_has_no_key_in_its_logs(tmp_path: Path) -> None:
    site = Nginx(tmp_path / "site", 9)
    with site:
        assert board(site, KEYED, "Content-Length: 9999999") == 413
        assert board(site, f"/update%3Fapi_key={WRITE_KEY}") == 301, "a ? that is none"
        assert board(site, f"/channels/api_key={WRITE_KEY}") == 503
        for odd in ("/Update/", "/s/update/", "/update%23", "/write/"):
            assert board(site, f"{odd}{WRITE_KEY}") == 301
        assert board(site, "/channels/9/feeds.json") == 503
        with site.plain() as flood:
            flood.send(request("GET", KEYED, host="Host: x") * 300)
            assert 429 in {flood.answer().status for _ in range(300)}
        until(lambda: " 429 " in site.said())
    assert {"/update 413", "/update... 301", "/channels/api_key... 503", "/s... 301", "/channels/9/feeds.json 503"} <= {
        line.partition("GET ")[2].partition(" node")[0].rpartition(" ")[0] for line in site.said().splitlines()
    }
    assert WRITE_KEY not in site.said()


def test_nor_has_a_crowd_that_nginx_has_no_connections_for(tmp_path: Path, silent: int) -> None:
    """Each request to the node is a second connection: with one number or the next the last one cannot be had."""
    said = [_crowded(tmp_path / str(most), silent, most) for most in (14, 15)]
    assert any(" 503 " in each for each in said), "which is an alert, with the whole request in it"
    assert WRITE_KEY not in "".join(said)


def _crowded(folder: Path, node: int, most: int) -> str:
    """Return what stands in the logs of an nginx that had too few connections."""
    site = Nginx(folder, node)
    changed(site, "nginx.conf", "worker_connections 1024", f"worker_connections {most}")
    with site:
        with contextlib.ExitStack() as held:
            for _ in range(8):
                held.enter_context(Wire(site.http)).send(request("GET", KEYED, host="Host: x"))
            time.sleep(0.1)  # until those that can be taken are taken
        until(lambda: site.said().count("GET /update") >= 4)
    return site.said()
