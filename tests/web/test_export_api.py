"""GET /api/export, and `outstation import` into the node that answers it."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
import os
import signal
import socket
import time
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest

from outstation.clock import iso
from outstation.store.database import Store
from outstation.store.exporting import Wanted
from outstation.web.api import export
from tests.running import Running
from tests.store.given import in_store, sent
from tests.web.boards import TRUSTED, values

MORNING = 1_772_366_400_000


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Running]:
    with Running(folder / "data", TRUSTED) as running:
        yield running


def imported(node: Running, folder: Path, text: str, *words: str) -> Any:
    file = folder / "table.csv.gz"
    file.write_bytes(gzip.compress(text.encode()))
    return json.loads(node.said("import", str(file), "--json", "--data", str(node.data), *words))


def exported(node: Running, query: str = "") -> list[list[str]]:
    answer = node.get(f"/api/export{query}")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    return list(csv.reader(io.StringIO(answer.body.decode(), newline=""), strict=True))


def exporting(node: Running) -> list[int]:
    """The processes that make tables now."""
    tasks = Path(f"/proc/{node.server_pid}/task").glob("*/children")
    children = [int(word) for task in tasks for word in task.read_text().split()]
    return [child for child in children if b"export_child" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_what_was_imported_is_exported_and_what_was_sent_before_is_the_same(
    node: Running, device: str, tmp_path: Path
) -> None:
    numbers = [number / 3 for number in range(12_000)]
    rows = [f"{iso(MORNING + 1_000 * place)},{number!r},{place},'=x" for place, number in enumerate(numbers)]
    node.post("/api/readings", {"sensor": f"{device}/a", "timestamps": [MORNING], "values": [0.0]})
    done = imported(node, tmp_path, "\n".join(["timestamp,a,b,c", *rows]), "--device", device)
    assert (done["stored"], done["duplicates"], done["rows"]) == (3 * 12_000 - 1, 1, 12_000)
    table = exported(node, f"?sensor={device}/a&sensor={device}/b&sensor={device}/c&end={iso(MORNING + 60_000_000)}")
    assert table[0] == ["timestamp", f"{device}/a", f"{device}/b", f"{device}/c"]
    assert table[1:] == [row.split(",") for row in rows]
    assert values(node, f"{device}/b")[-1] == 11_999
    assert node.get("/api/status").json["sensors"][f"{device}/a"]["value"] is None, "what is imported is not news"


def test_bad_readings_go_through_a_running_node_with_their_quality(node: Running, device: str, tmp_path: Path) -> None:
    name = f"{device}/a"
    rows = (f"{MORNING},{name},,fault", f"{MORNING + 1},{name},99.5,spike", f"1,{name},1,ok")
    assert imported(node, tmp_path, "\n".join(["timestamp,sensor,value,quality", *rows]))["stored"] == 3
    answer = node.get(f"/api/export?format=long&sensor={device}/a")
    assert answer.headers["content-disposition"].startswith('attachment; filename="')
    assert answer.body.decode().splitlines() == [
        "timestamp,sensor,value,unit,quality",
        f"1970-01-01T00:00:01.000Z,{device}/a,1,,ok",
        f"{iso(MORNING)},{device}/a,,,fault",
        f"{iso(MORNING + 1)},{device}/a,99.5,,spike",
    ]
    sent = {"sensor": f"{device}/a", "timestamps": [5, 6], "values": [None, 1]}
    assert node.post("/api/readings", sent).status == 422
    assert node.post("/api/readings", {**sent, "qualities": ["fault"]}).status == 422
    assert node.post("/api/readings", {**sent, "qualities": ["fault", "ill"]}).status == 422
    assert node.post("/api/readings", {**sent, "qualities": ["fault", "ok"]}).json == {"accepted": 2}


def test_what_cannot_be_exported_is_refused_in_words(node: Running) -> None:
    for query, status in (("sensor=nix", 404), ("start=yesterday", 422), ("format=xml", 422), ("start=2&end=1", 422)):
        answer = node.get(f"/api/export?{query}")
        assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json"), query
        assert answer.json["error"]
    head = node.request("HEAD", "/api/export")
    assert (head.status, head.body, head.headers["content-type"]) == (200, b"", "text/csv; charset=utf-8")
    for query, status in (("sensor=nix", 404), ("start=2&end=1", 422)):
        assert node.request("HEAD", f"/api/export?{query}").status == status
    operation = node.get("/openapi.json").json["paths"]["/api/export"]["get"]
    assert "text/csv" in operation["responses"]["200"]["content"]


def test_who_reads_nothing_takes_a_place_and_no_more_until_he_leaves(
    node: Running, device: str, tmp_path: Path
) -> None:
    rows = "".join(f"{MORNING + 1_000 * place},{place / 7!r}\n" for place in range(150_000))
    imported(node, tmp_path, "timestamp,a\n" + rows, "--device", device)

    def asking() -> socket.socket:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.connect(("127.0.0.1", node.port))
        connection.sendall(f"GET /api/export?sensor={device}/a HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 200"
        return connection

    first, second = asking(), asking()
    refused = node.get("/api/export")
    assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    assert node.post("/api/readings", {"sensor": f"{device}/b", "value": 1}).json["accepted"] == 1
    for child in exporting(node):
        os.kill(child, signal.SIGKILL)
    told = b""
    while part := first.recv(1 << 20):
        told += part
    assert len(told) < 5_500_000
    assert not told.endswith(b"0\r\n\r\n"), "a table that broke off must not look whole"
    first.close()
    second.close()
    until = time.monotonic() + 10
    while node.get(f"/api/export?sensor={device}/b").status == 503:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert len(exported(node, f"?sensor={device}/a")) == 150_001
    assert exporting(node) == []
    assert "Traceback" not in node.log.read_text()
    assert "an export broke off" in node.log.read_text()


def test_who_takes_nothing_for_a_while_loses_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(export, "PATIENCE_S", 0.1)

    async def story(store: Store) -> None:
        await store.record([sent("a/b", at) for at in range(50)])
        counter, forever = export._Counter(store, "shed", None), asyncio.Event()

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.body":
                await forever.wait()

        async def receive() -> dict[str, Any]:
            await forever.wait()
            return {"type": "http.disconnect"}

        async with asyncio.timeout(10):
            await export._Table(counter, Wanted())({}, receive, send)
        assert counter.here == 0

    in_store(tmp_path, story)
    assert "an export broke off: its client took nothing for 0.1 s" in caplog.text
