"""A start with much on disk: ready at once, since little of it is read."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from outstation.core.readings import Reading, Value
from outstation.store import file
from outstation.store.chunks import CHUNK_READINGS
from outstation.store.database import Store
from outstation.store.history import History
from outstation.store.rows import SENT, Columns, pack
from tests.store.given import BOOT, MORNING, in_store, sent

GIGABYTE = 1 << 30


def batches(sensors: int, first: int, readings: int, size: int) -> list[list[Reading]]:
    return [
        [sent(f"b{number % sensors}/x", number, number / 7) for number in range(start, start + size)]
        for start in range(first, first + readings, size)
    ]


async def record(store: Store, batches: list[list[Reading]]) -> None:
    for batch in batches:
        await store.record(batch)


def grow(path: Path, sensors: int) -> None:
    """Write a gigabyte of closed chunks into a file that knows its sensors and holds nothing else."""
    connection = apsw.Connection(str(path))
    ids = [1 + number % sensors for number in range(CHUNK_READINGS)]
    values: list[Value | None] = [number / 7 for number in range(CHUNK_READINGS)]
    bits = sum(1 << sensor for sensor in set(ids)).to_bytes(max(ids) // 8 + 1, "little")
    connection.execute("PRAGMA synchronous = off; BEGIN IMMEDIATE; DELETE FROM log; DELETE FROM log_index")
    size = 0
    for row in itertools.count(1):
        first = row * CHUNK_READINGS
        times = list(range(first, first + CHUNK_READINGS))
        body = pack(Columns(MORNING, ids, times, values, SENT))
        low, high = MORNING + times[0], MORNING + times[-1]
        connection.execute("INSERT INTO log VALUES (?, 1, ?, ?)", (row, CHUNK_READINGS, body))
        connection.execute(_INDEX, (row, row, CHUNK_READINGS, low, high, high, bits))
        size += len(body)
        if size > GIGABYTE:
            break
    connection.execute("UPDATE closed SET readings = ?", (row * CHUNK_READINGS,))
    connection.execute("COMMIT")
    connection.close()


_INDEX = """
INSERT INTO log_index (last_id, first_id, boot, count, sent_min, sent_max, sent_bound, sensors)
VALUES (?, ?, 1, ?, ?, ?, ?, ?)
"""


def forget_cache(path: Path) -> None:
    with path.open("rb") as content:
        os.fsync(content.fileno())
        os.posix_fadvise(content.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@pytest.mark.long
@pytest.mark.parametrize("sensors", [10, 4_000], ids=["a node", "a hub"])
def test_a_gigabyte_is_open_in_a_second(tmp_path: Path, sensors: int) -> None:
    path = tmp_path / file.NAME
    in_store(tmp_path, lambda store: record(store, batches(sensors, 0, 4_000, 4_000)))
    grow(path, sensors)
    later = batches(sensors, 1_000_000_000, 140_000, 100)
    in_store(tmp_path, lambda store: record(store, later))
    assert path.stat().st_size > GIGABYTE
    forget_cache(path)

    began = time.monotonic()
    store = Store(tmp_path, boot=BOOT)
    opened = time.monotonic() - began
    history = History(store)
    took = {"open": opened}
    questions: dict[str, Callable[[], object]] = {
        "latest": history.latest,
        "count": history.count,
        "of_sensor": lambda: history.of_sensor("b1/x"),
        "of_sensor, 10,000": lambda: history.of_sensor("b1/x", limit=10_000),
        "of_sensor, long ago": lambda: history.of_sensor("b1/x", end=MORNING + 1_000_000),
        "instants": history.instants,
        "instants, 10,000": lambda: history.instants(limit=10_000),
        "an empty span": lambda: history.of_sensor("b1/x", start=MORNING + 999_000_000, end=MORNING + 999_500_000),
    }
    for name, ask in questions.items():
        began = time.monotonic()
        ask()
        took[name] = time.monotonic() - began
    began = time.monotonic()
    asyncio.run(record(store, [[sent("b1/x", 500_000_001)]]))
    took["a doubtful reading"] = time.monotonic() - began
    store.close()
    print({name: round(seconds, 3) for name, seconds in took.items()})
    assert took["open"] + took["latest"] < 1
