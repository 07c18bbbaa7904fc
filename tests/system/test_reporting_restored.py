"""Nodes and hubs that are killed, restored from a backup, copied: what is missing comes again, nothing is merged."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import Running
from tests.system.reporting import NAME, Pair, known
from tests.system.test_reporting import PORCH, SENSORS
from tests.system.waiting import until

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

KILLS = 10


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with Pair(tmp_path, node=PORCH) as both:
        yield both


def backup(of: Running, path: Path) -> Path:
    of.said("backup", str(path), "--data", str(of.data))
    return path


def restore(of: Running, path: Path) -> None:
    of.stop()
    of.said("restore", str(path), "--data", str(of.data))
    of.start()


def test_what_a_restored_hub_has_not_comes_again(pair: Pair, tmp_path: Path) -> None:
    pair.fill(SENSORS, 20, before=40 * 300_000)
    pair.drain()
    copy = backup(pair.hub, tmp_path / "copy.db")
    pair.fill(SENSORS, 20)
    pair.drain()
    restore(pair.hub, copy)
    assert len(pair.missing()) >= 20 * len(SENSORS)
    pair.drain()
    pair.hub.kill()  # and this is on disk
    pair.hub.start()
    assert pair.missing() == []


def test_a_restored_node_goes_on_and_what_it_has_lost_stays_at_the_hub(pair: Pair, tmp_path: Path) -> None:
    pair.fill(SENSORS, 20, before=60 * 300_000)
    pair.drain()
    copy = backup(pair.node, tmp_path / "copy.db")
    pair.fill(SENSORS, 20, before=30 * 300_000)
    pair.drain()
    restore(pair.node, copy)
    pair.fill(SENSORS, 20)
    until(lambda: [one for one in pair.missing() if not one.endswith("too much")] == [], 30)
    assert len(pair.missing()) >= 20 * len(SENSORS)
    (node,) = pair.hub.get("/api/nodes").json["nodes"]
    assert not node["cloned"]


def test_a_hub_that_is_killed_again_and_again_loses_nothing_and_doubles_nothing(pair: Pair) -> None:
    pair.fill(SENSORS, 300 * KILLS)
    for _ in range(KILLS):
        before = len(pair.batches())
        # It may have everything already; then it is killed at rest.
        until(lambda before=before: len(pair.batches()) > before or not pair.missing(), 30)  # type: ignore[misc]
        time.sleep(random.uniform(0, 0.1))  # before its commit, within it, after it
        pair.hub.kill()
        pair.hub.start()
    pair.drain(60)


def test_a_copied_card_is_refused_and_reported_and_nothing_is_merged(pair: Pair) -> None:
    """Until a person says which of the two is the right one."""
    pair.fill(SENSORS, 10, before=40 * 300_000)
    pair.drain()
    with pair.twin() as twin:
        both = [pair.node, twin]
        pair.fill(["porch/t0"], 10)
        until(lambda: pair.hub.get("/api/nodes").json["nodes"][0]["cloned"], 60)
        before = known(pair.hub.data)
        (alert,) = until(lambda: pair.hub.get("/api/alerts?state=raised").json["alerts"])
        assert (alert["subject"], alert["severity"]) == (f"cloned node {NAME}", "critical")
        for node in both:
            until(lambda node=node: _words(node), 30)  # type: ignore[misc]
        assert known(pair.hub.data) == before
        printed = pair.hub.said("nodes", "renew", NAME, "--url", pair.line.url, "--data", str(pair.hub.data))
        pair.node.stop()
        twin.stop()
        old = pair.node.config_file.read_text()
        table = printed[printed.index("[[uplinks]]") :]
        pair.node.config_file.write_text(old[: old.index("[[uplinks]]")] + table + 'every = "10s"\n')
        pair.node.start()
        twin.start()
        pair.drain()
        until(lambda: not pair.hub.get("/api/alerts?state=raised").json["alerts"])
        assert until(lambda: _words(twin), 30)


def _words(node: Running) -> list[str]:
    return [one for one in node.get("/api/health").json["problems"] if '"hub"' in one]
