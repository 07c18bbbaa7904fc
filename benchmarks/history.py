"""A year of one sensor at 1 Hz: how big, how quick to plot, what deleting costs: `python benchmarks/history.py`.

The year (31.5 million readings) is made once, by way of the store and its sealing, which takes some minutes, and is
kept in ~/.cache/outstation-benchmarks; `--anew` makes it again, `--days N` a shorter one. Then a node is started over
a copy of it. Cold: the node has just started, and nothing of the file is in the page cache (posix_fadvise(2)).
What waits while the disk itself does (it may be virtual, or others' too) is told apart by a plain file beside it.
Memory is the proportional set size of all processes of the node (proc(5), smaps_rollup), looked at all the time. Exits
with 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

import servers
from servers import KEY, Server
from stalls import watched
from weighing import weighed

from outstation import clock
from outstation.clock import Trust
from outstation.core.readings import Reading
from outstation.store import file
from outstation.store.database import Boot, Store

SENSOR = "year/temperature"
DAY = 86_400_000
CACHE = Path.home() / ".cache" / "outstation-benchmarks"

BATCH = 10_000
PLOT_TARGET_MS, DAY_TARGET_MS, WAIT_TARGET_MS, MEMORY_TARGET_MB = 50.0, 250.0, 200.0, 110.0

SPANS = {"an hour": 1 / 24, "a day": 1, "a week": 7, "a month": 30, "the year": 365}

FIVE_MINUTES_S = 300
Wait = tuple[float, float]
"""Milliseconds, and when it was over (perf_counter)."""

_POSTS_A_SECOND = 1_000
_CLIENTS = 4


def main() -> int:
    """Print all tables; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--anew", action="store_true", help="make the year again")
    given = parser.parse_args()
    year = CACHE / f"seconds-{given.days}-days.db"
    if given.anew or not year.exists():
        make(year, given.days)
    with tempfile.TemporaryDirectory(dir=CACHE) as place:
        met = [*_questions(year, Path(place) / "asked"), *_deleting(year, Path(place) / "deleted", given.days)]
    return 0 if all(met) else 1


def make(path: Path, days: int) -> None:
    """Store the readings, seal them, and say how long that took and how big they are."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as place:
        began = time.perf_counter()
        count = asyncio.run(_store(Path(place), days))
        took = time.perf_counter() - began
        made = Path(place) / file.NAME
        size = made.stat().st_size
        print(f"Made {count:,} readings in {took:.0f} s ({count / took:,.0f} a second, sealing in):", end=" ")
        print(f"{size / 1e6:.0f} MB, {size / count:.2f} bytes a reading with its summaries")
        made.rename(path)


async def _store(folder: Path, days: int) -> int:
    end = clock.at() // DAY * DAY
    boot = Boot("a year", 0, Trust.SYNCHRONISED)
    readings = _readings(end - days * DAY, days * 86_400)
    stored = 0
    with Store(folder, boot=boot) as store:
        while batch := [reading for _, reading in zip(range(BATCH), readings, strict=False)]:
            await store.record(batch)
            stored += len(batch)
            if stored % (BATCH * 100) == 0:
                await store.seal()
        await store.seal(everything=True)
        await _settled(store)
        await store.pack()
    return stored


async def _settled(store: Store) -> None:
    """Wait until every window of five minutes is summed up: the last ones are some seconds after the last reading."""
    while True:
        with store.read() as connection:
            if not connection.execute("SELECT count(*) FROM unmade WHERE width = 300000").get:
                return
        await asyncio.sleep(0.5)


def _readings(start: int, count: int) -> Iterator[Reading]:
    """Return a temperature at 1 Hz with two decimals, up to 2 ms late."""
    chance = random.Random(1)  # noqa: S311  the same each time
    drift = accumulate(chance.gauss(0, 0.002) for _ in range(count))
    for second, off in enumerate(drift):
        at = start + second * 1_000 + int(chance.random() * 3)
        value = round(12 + 8 * math.sin(second / 5_019_000) + 5 * math.sin(second / 13_751) + off, 2)
        yield Reading(SENSOR, value, at, at, at, sender_stamped=True)


def _questions(year: Path, folder: Path) -> list[bool]:
    """Ask a node that has the year."""
    with _node(year, folder) as server, weighed(server) as most:
        pass
    print("\nGET /api/readings?every=auto&points=800, ms\n")
    print(f"{'':12}{'cold':>10}{'warm':>10}{'rows':>8}{'KB':>8}")
    met = []
    for name, days in SPANS.items():
        path = _plot(days)
        cold, body = _cold(folder, path)
        with _running(folder) as server:
            _ask(server, path)
            warm = statistics.median(_ask(server, path)[0] for _ in range(9))
        rows = len(json.loads(body)["readings"])
        print(f"{name:12}{cold:>10.1f}{warm:>10.1f}{rows:>8}{len(body) / 1e3:>8.0f}")
        met.append(cold <= PLOT_TARGET_MS)
    print(f"{'ok' if all(met) else 'MISSED'}: each within {PLOT_TARGET_MS:g} ms cold\n")
    path = _raw_day()
    cold, body = _cold(folder, path)
    with _running(folder) as server, weighed(server) as most:
        _ask(server, path)
        warm = statistics.median(_ask(server, path)[0] for _ in range(5))
    print(f"A day's raw readings as CSV: {cold:.0f} ms cold, {warm:.0f} ms warm, {body.count(10) - 1:,} rows")
    met.append(_judge("A day's raw readings, cold", cold, DAY_TARGET_MS, "ms"))
    met.append(_judge("Memory, all processes (PSS), at most", most[0], MEMORY_TARGET_MB, "MB"))
    return met


def _plot(days: float) -> str:
    end = clock.at() // DAY * DAY
    start = int(end - days * DAY)
    return f"/api/readings?sensor={SENSOR}&start={start}&end={end}&every=auto&points=800"


def _raw_day() -> str:
    end = clock.at() // DAY * DAY - 100 * DAY
    return f"/api/export?sensor={SENSOR}&start={end - DAY}&end={end}"


def _cold(folder: Path, path: str) -> tuple[float, bytes]:
    """Return the milliseconds of a question to a node that has nothing of its file in memory, and the answer."""
    times, body = [], b""
    for _ in range(5):
        with _running(folder) as server:
            _ask(server, "/api/readings?limit=1")  # the framework is loaded at the first question
            _forget_pages(folder / file.NAME)
            took, body = _ask(server, path)
            times.append(took)
    return statistics.median(times), body


def _forget_pages(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


def _deleting(year: Path, folder: Path, days: int) -> list[bool]:
    """Start a node that keeps eleven months of the year, and post to it while it deletes the twelfth."""
    config = folder.with_suffix(".toml")
    config.write_text(f'[node]\nclock = "trust"\n[store]\nkeep = "{days * 11 // 12}d"\n', encoding="utf-8")
    _copy(year, folder)
    before = (folder / file.NAME).stat().st_size
    with servers.outstation(folder, config=config) as server, weighed(server) as most, watched(folder.parent) as disk:
        stored = _stored(server)
        waits = _post_while(server, folder)
        gone = stored + len(waits) - _stored(server)
    after = (folder / file.NAME).stat().st_size
    times = sorted(wait for wait, _ in waits)
    ours = max(wait for wait, at in waits if not disk.stalled(at - wait / 1e3, at))
    stalled = max(disk.waits) * 1e3
    print(f"\nA month deleted: {before / 1e6:.0f} MB to {after / 1e6:.0f} MB, {gone:,} fewer readings;", end=" ")
    print(f"{_POSTS_A_SECOND:,} readings a second arrived meanwhile:", end=" ")
    print(f"p50 {times[len(times) // 2]:.1f} ms, p99 {times[len(times) * 99 // 100]:.1f} ms")
    print(f"Longest fdatasync of a plain file beside it: {stalled:.0f} ms; longest wait beside no such: {ours:.0f} ms")
    return [
        _judge("Longest wait of a request", times[-1], WAIT_TARGET_MS, "ms"),
        _judge("Memory, all processes (PSS), at most", most[0], MEMORY_TARGET_MB, "MB"),
    ]


def _post_while(server: Server, folder: Path) -> list[Wait]:
    """Post single readings at a steady rate while a month is deleted, and until a window of five minutes is over."""
    waits: list[Wait] = []
    stop = threading.Event()
    threads = [threading.Thread(target=_post, args=(server, number, waits, stop)) for number in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(5)
    subprocess.run([servers.PROGRAM, "retention", "--now", "--data", str(folder)], check=True, capture_output=True)
    time.sleep(FIVE_MINUTES_S - time.time() % FIVE_MINUTES_S + 15)
    stop.set()
    for thread in threads:
        thread.join()
    return waits


def _post(server: Server, number: int, waits: list[Wait], stop: threading.Event) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    headers = {"Content-Type": "application/json", "X-API-Key": KEY}
    due, value = time.perf_counter(), 0
    while not stop.is_set():
        due += _CLIENTS / _POSTS_A_SECOND
        time.sleep(max(0.0, due - time.perf_counter()))
        value += 1
        began = time.perf_counter()
        connection.request("POST", "/api/readings", f'{{"sensor": "board-{number}/v", "value": {value}}}', headers)
        answer = connection.getresponse()
        answer.read()
        ended = time.perf_counter()
        waits.append(((ended - began) * 1e3, ended))
        if answer.status != 200:
            raise SystemExit(f"FAILED: a reading was answered with {answer.status}")


def _stored(server: Server) -> int:
    _, body = _ask(server, "/api/health")
    stored: int = json.loads(body)["readings_stored"]
    return stored


def _ask(server: Server, path: str) -> tuple[float, bytes]:
    began = time.perf_counter()
    status, body = servers.ask(server.port, "GET", path, key=True)
    if status != 200:
        raise SystemExit(f"FAILED: GET {path} was answered with {status}: {body[:500]!r}")
    return (time.perf_counter() - began) * 1e3, body


def _copy(year: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    shutil.copy(year, folder / file.NAME)


@contextmanager
def _node(year: Path, folder: Path) -> Iterator[Server]:
    _copy(year, folder)
    with _running(folder) as server:
        yield server


@contextmanager
def _running(folder: Path) -> Iterator[Server]:
    with servers.outstation(folder) as server:
        yield server


def _judge(what: str, found: float, target: float, unit: str) -> bool:
    met = found <= target
    print(f"{'ok' if met else 'MISSED'}: {what}: {found:.1f} {unit} (at most {target:g})")
    return met


if __name__ == "__main__":
    sys.exit(main())
