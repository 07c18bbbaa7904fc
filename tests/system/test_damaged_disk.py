"""What people have asked for outlives a crash also where no disk takes it; and they are told of a disk that fails."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import apsw
import msgspec
import pytest

from outstation.store import chunks
from outstation.store.database import Store
from tests.engine.receiving import Server
from tests.running import Running
from tests.store.given import in_store, sent
from tests.system.waiting import until

CONFIG = """
[[actuators]]
name = "pump"
driver = "gpio"
pin = 18
simulate = true

[[rules]]
name = "water"
when = "bed/dry > 50"
claim = { pump = "on" }
"""

TOLD = """
[[webhooks]]
name = "hub"
url = "{url}"
"""


def garbage(folder: Path) -> None:
    """Make of the data file what a dying card makes of it."""
    for path in folder.glob("outstation.db*"):
        path.write_bytes(os.urandom(20_000))


def test_a_lock_outlives_a_crash_on_a_damaged_disk(tmp_path: Path) -> None:
    with Running(tmp_path / "data", CONFIG) as node:
        assert node.post("/api/pump", {"action": "lock"}).json["recorded"]
        before = node.server_pid
        garbage(node.data)
        os.kill(before, signal.SIGKILL)
        node.wait_for_server(other_than=before)
        node.post("/api/readings", {"sensor": "bed/dry", "value": 90})
        until(lambda: node.get("/api/rules").json["rules"][0]["firing"])
        assert node.get("/api/status").json["actuators"]["pump"]["state"] == "off"
        assert node.post("/api/pump", {"action": "on"}).status == 409
        assert "damaged-" in until(lambda: alert(node))


def alert(node: Running, state: str = "raised") -> str:
    """Return what people are told about the data file."""
    found = node.get(f"/api/alerts?state={state}").json.get("alerts", [])  # none while the file is being set aside
    return next((one["message"] for one in found if (one["kind"], one["subject"]) == ("node", "data file")), "")


def summary(folder: Path) -> None:
    spoil(folder, "UPDATE summaries SET body = x'0100'")


def page(folder: Path) -> None:
    """As a card does it that forgets what it was told: in the middle of the file that is open."""
    with (folder / "outstation.db").open("r+b") as file:
        file.seek(8 << 10)
        file.write(os.urandom(64 << 10))


def spoil(folder: Path, statement: str) -> None:
    """Damage rows on sound pages: no start finds that, only whoever reads them."""
    connection = apsw.Connection(str(folder / "outstation.db"))
    connection.execute(statement)
    assert connection.changes()
    connection.close()


QUESTIONS = (
    "/api/readings?sensor=bed/old&start=2025-06-15T15:00:00Z&end=2025-06-15T18:00:00Z&limit=10000",
    "/api/readings?sensor=bed/old&start=2025-06-15T15:00:00Z&end=2025-06-15T18:00:00Z&every=5m",
)


@pytest.mark.parametrize(
    "spoil",
    [summary, pytest.param(page, marks=pytest.mark.long)],
    ids=lambda it: it.__name__,
)
def test_damage_that_is_found_when_it_is_read_is_told_and_rules_and_outputs_go_on(
    tmp_path: Path, spoil: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_READINGS", 500)
    (tmp_path / "data").mkdir()
    in_store(tmp_path / "data", fill)

    async def story() -> list[tuple[str, str]]:
        server = Server()
        async with server.up():
            if spoil is not page:
                spoil(tmp_path / "data")
            with Running(tmp_path / "data", CONFIG + TOLD.format(url=server.url)) as node:
                if spoil is page:
                    spoil(node.data)
                await asyncio.to_thread(live, node)
                await asyncio.to_thread(lambda: until(lambda: len(server.seen) == 2))
            told = [msgspec.json.decode(seen.body) for seen in server.seen]
        assert told[0]["alert"]["message"].startswith("The data file was damaged: outstation.db.damaged-")
        return [(one["happened"], one["alert"]["severity"]) for one in told]

    assert asyncio.run(story()) == [("raised", "critical"), ("cleared", "critical")]


def test_a_damaged_block_costs_itself_and_is_told_and_rules_and_outputs_go_on(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    in_store(tmp_path / "data", fill_blocks)
    spoil(tmp_path / "data", "UPDATE blocks SET body = zeroblob(length(body)) WHERE id = 1")
    with Running(tmp_path / "data", CONFIG) as node:
        begun = node.get("/api/health").json["readings_stored"]
        lost = 10_001 - node.get("/api/export?sensor=bed/old").body.count(b"\n")
        assert 0 < lost < 10_000, "it has two blocks at least"
        assert f"{lost} readings of bed/old" in until(lambda: alert(node), 60)
        assert f"{lost} readings of bed/old" in " ".join(node.get("/api/health").json["problems"])
        assert node.get("/api/readings?sensor=bed/other&limit=100").json["count"] == 10
        stored = node.get("/api/health").json["readings_stored"]
        assert begun - lost <= stored <= begun - lost + 10, "the pump stores its own"
        node.post("/api/readings", {"sensor": "bed/dry", "value": 90})
        until(lambda: node.get("/api/status").json["actuators"]["pump"]["state"] == "on")
        assert not list(node.data.glob("*damaged*"))
        before = node.server_pid
        os.kill(before, signal.SIGKILL)
        node.wait_for_server(other_than=before)
        assert "bed/old" in alert(node)
        assert node.get("/api/readings?sensor=bed/old&limit=10000").json["count"] == 10_000 - lost


async def fill_blocks(store: Store) -> None:
    """Fill two blocks of a sensor, and have something of another."""
    for first in range(0, 10_000, 5_000):
        await store.record([sent("bed/old", 1000 * at, at) for at in range(first, first + 5_000)])
        await store.record([sent("bed/other", first + at, at) for at in range(5)])
        await store.record([sent("bed/end", first + at, at) for at in range(5_000)])
        await store.seal(everything=True)
    await store.seal(everything=True)


async def fill(store: Store) -> None:
    for first in range(0, 3_000, 500):
        await store.record([sent("bed/old", 1000 * at, at) for at in range(first, first + 500)])
    await store.seal(everything=True)
    await asyncio.sleep(0.1)


def live(node: Running) -> None:
    """Live with the damage: it is found, told, and no restart makes one forget it, until the file is elsewhere."""
    until(lambda: [node.get(path) for path in QUESTIONS] and alert(node), 60)
    (aside,) = node.data.glob("outstation.db.damaged-????????T*Z")
    assert aside.name in alert(node)
    node.post("/api/readings", {"sensor": "bed/dry", "value": 90})
    until(lambda: node.get("/api/status").json["actuators"]["pump"]["state"] == "on")
    assert node.get("/api/health").json["status"] == "degraded"
    before = node.server_pid
    os.kill(before, signal.SIGKILL)
    node.wait_for_server(other_than=before)
    assert aside.name in alert(node)
    for part in node.data.glob("*damaged*"):
        part.rename(node.data.parent / part.name)
    until(lambda: alert(node, "cleared"), 30)
