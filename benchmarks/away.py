"""A hub that is away for a month: 20 sensors go on, 500 alerts are raised, and then it comes back."""

from __future__ import annotations

import asyncio
import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import servers
from hub import CONFIG, admit, judge, known
from weighing import pss, weighed

from outstation import clock
from outstation.clock import Trust
from outstation.core.readings import Millis, Reading
from outstation.core.windows import DAY, FIVE_MINUTES
from outstation.store import file
from outstation.store.database import Boot, Store

SENSORS, ALERTS = 20, 500
DRAIN_TARGET_S, SIZE_TARGET_MB, MEMORY_TARGET_MB = 120.0, 256.0, 110.0

_NODE = """
[node]
name = "far"
clock = "trust"
[[devices]]
name = "shelf"
channel = 1
write_key = "MZ7T4KQ9WPX2B6RD"
fields = ["temperature"]
[[rules]]
name = "too hot"
when = "shelf/temperature > 30"
alert = {{ severity = "warning", message = "{{shelf/temperature:.1f}} °C" }}
[[uplinks]]
name = "hub"
kind = "outstation"
url = "http://127.0.0.1:{port}"
key = "{key}"
"""

_UNMADE = "SELECT count(*) FROM unmade WHERE width = 300000 AND start < ?"


def month(place: Path, days: int = 30) -> list[bool]:
    """Live through it at speed; say how it went."""
    hub_folder, node_folder = place / "hub", place / "far"
    (key,) = admit(hub_folder, ["far"])
    port = servers.free_port()
    (place / "hub.toml").write_text(CONFIG, encoding="utf-8")
    (place / "far.toml").write_text(_NODE.format(port=port, key=key), encoding="utf-8")
    with servers.outstation(node_folder, config=place / "far.toml"):
        time.sleep(1)  # it learns that it has an uplink, of which nothing is owed yet
    asyncio.run(_live(node_folder, days))
    made = sum(map(len, known(node_folder).values()))
    with servers.outstation(node_folder, config=place / "far.toml") as node:
        _raise(node.port)
        time.sleep(2)
        size, before = _size(node_folder), pss(node.pid)
        print(f"\n{days} days offline: {made:,} summaries of {SENSORS} sensors and {ALERTS} alerts wait", flush=True)
        hub = servers.outstation(hub_folder, config=place / "hub.toml", port=port)
        with weighed(node) as most, hub as server, weighed(server) as hub_most:
            took, alerted = _drained(node.port, server.port)
        size = max(size, _size(node_folder))
    lost, doubled = _compared(node_folder, hub_folder)
    print(f"The last alert was there after {alerted:.1f} s; the node had {before:.0f} MB of memory before.")
    return [
        judge("Summaries lost", lost, 0, ""),
        judge("Summaries doubled or made otherwise", doubled, 0, ""),
        judge("Data file of the node", size, SIZE_TARGET_MB, "MB"),
        judge("Everything is at the hub after", took, DRAIN_TARGET_S, "s"),
        judge("Alerts before summaries: share of the time", alerted / took, 0.5, ""),
        judge("Memory of the node (PSS), at most", most[0], MEMORY_TARGET_MB, "MB"),
        judge("Memory of the hub (PSS), at most", hub_most[0], MEMORY_TARGET_MB, "MB"),
    ]


async def _live(folder: Path, days: int) -> None:
    """Store a month of readings by way of the store, and have them summed up."""
    end = clock.at() // FIVE_MINUTES * FIVE_MINUTES - FIVE_MINUTES
    starts = range(end - days * DAY, end, FIVE_MINUTES)
    boot = Boot("a month", 0, Trust.SYNCHRONISED)
    with Store(folder, boot=boot, at=lambda: clock.at() + FIVE_MINUTES) as store:
        for first in range(0, len(starts), 50):
            await store.record([one for start in starts[first : first + 50] for one in _readings(start)])
            if first % 2_000 == 0:
                await store.seal()
        while _is_behind(store, end):  # noqa: ASYNC110  nobody rings when it is done
            await asyncio.sleep(0.2)


def _is_behind(store: Store, end: Millis) -> bool:
    """Tell whether windows that are over wait to be summed up."""
    with store.read() as connection:
        return bool(connection.execute(_UNMADE, (end,)).get)


def _readings(start: Millis) -> Iterator[Reading]:
    for number in range(SENSORS):
        name = "shelf/temperature" if number == 0 else f"shelf/t{number}"
        for at in (start + 1_000, start + 151_000):
            value = round(20 + number / 7 + 5 * math.sin(at / 13_751_000 + number), 2)
            yield Reading(name, value, at, at, at, sender_stamped=True)


def _raise(port: int) -> None:
    """Have a rule raise its alert, and clear it, so many times."""
    for _ in range(ALERTS):
        for value in (31, 20):
            body = json.dumps({"sensor": "shelf/temperature", "value": value})
            status, answer = servers.ask(port, "POST", "/api/readings", body=body, key=True)
            if status != 200:
                raise SystemExit(f"FAILED: the node answered {status}: {answer[:500]!r}")


def _drained(node: int, hub: int) -> tuple[float, float]:
    """Wait until nothing waits any more; return the seconds until then, and until the hub had all alerts."""
    began, alerted = time.perf_counter(), math.inf
    while time.perf_counter() - began < 5 * DRAIN_TARGET_S:
        time.sleep(0.5)
        if alerted == math.inf and _alerts(hub) >= ALERTS:
            alerted = time.perf_counter() - began
        if alerted < math.inf and servers.ask_json(node, "/api/traffic")["uplinks"]["hub"]["waiting"] == 0:
            break
    return time.perf_counter() - began, alerted


def _alerts(port: int) -> int:
    found: list[Any] = servers.ask_json(port, f"/api/alerts?limit={2 * ALERTS}")["alerts"]
    return sum(one["subject"] == "too hot" for one in found)


def _compared(node: Path, hub: Path) -> tuple[int, int]:
    """Return how many summaries the hub lacks, and how many it has beside or otherwise."""
    lost = doubled = 0
    there = known(hub)
    for name, mine in known(node).items():
        theirs = there.pop(f"far/{name.replace('/', '.')}", {})
        lost += len(mine.keys() - theirs.keys())
        doubled += len(theirs.keys() - mine.keys()) + sum(mine[at] != theirs[at] for at in mine.keys() & theirs.keys())
    return lost, doubled + sum(map(len, there.values()))


def _size(folder: Path) -> float:
    return sum(each.stat().st_size for each in folder.glob(f"{file.NAME}*")) / 1e6


if __name__ == "__main__":
    sys.exit("This is a part of reporting.py.")
