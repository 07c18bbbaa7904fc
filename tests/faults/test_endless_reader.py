"""A reader that never ends: the write-ahead log stays small all the same, since nobody holds a snapshot for long."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from tests.running import KEY, Running

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

HUB = '[node]\nname = "hub"\nclock = "trust"\n'

BATCH, BATCHES = 10_000, 800

WAL_AT_MOST = 64 << 20


def test_exports_that_nobody_reads_do_not_let_the_log_grow(tmp_path: Path) -> None:
    with Running(tmp_path / "data", HUB) as node:
        fill(node, 20)
        with left_open(node, "/api/export"), left_open(node, "/api/readings?limit=10000"):
            assert highest_after(node, BATCHES) < WAL_AT_MOST
        assert node.get("/api/health").status == 200


def test_the_rig_notices_a_snapshot_that_is_held(tmp_path: Path) -> None:
    with Running(tmp_path / "data", HUB) as node:
        fill(node, 1)
        with closing(apsw.Connection(str(node.data / "outstation.db"))) as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM log").fetchall()
            assert highest_after(node, BATCHES) > WAL_AT_MOST


def highest_after(node: Running, batches: int) -> int:
    """Post so much; return how large the write-ahead log was at most, in bytes."""
    sizes = []
    for _ in range(batches // 20):
        fill(node, 20)
        sizes.append((node.data / "outstation.db-wal").stat().st_size)
    print(f"at most {max(sizes) / 1e6:.0f} MB, in the end {sizes[-1] / 1e6:.0f} MB")
    return max(sizes)


def fill(node: Running, batches: int) -> None:
    for _ in range(batches):
        rows = [{"sensor": f"board/s{random.randrange(50)}", "value": random.random()} for _ in range(BATCH)]
        assert node.post("/api/readings", rows).status == 200


@contextlib.contextmanager
def left_open(node: Running, path: str) -> Iterator[None]:
    """Ask for something, and read nothing of the answer."""
    with socket.create_connection(("127.0.0.1", node.port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\n\r\n".encode())
        yield
