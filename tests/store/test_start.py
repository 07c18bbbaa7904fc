"""A start with much on disk: ready at once, since little of it is read."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import msgspec
import pytest

from outstation.core.readings import Reading
from outstation.store import file, newest
from outstation.store.chunks import CHUNK_READINGS
from outstation.store.database import Store
from outstation.store.history import History
from outstation.store.rows import SENT, unpack
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
    """Write a gigabyte of closed chunks, and the newest of each sensor, into a file that knows its sensors."""
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA synchronous = off; BEGIN IMMEDIATE; DELETE FROM log; DELETE FROM log_index")
    turns = [
        chunk_of(range(first, min(first + CHUNK_READINGS, sensors))) for first in range(0, sensors, CHUNK_READINGS)
    ]
    values, known = [number / 7 for number in range(CHUNK_READINGS)], newest.Newest()
    size = row = 0
    while size < GIGABYTE:
        row += 1
        ids, bits = turns[row % len(turns)]
        first = row * CHUNK_READINGS
        # Rows of older programs are as MessagePack makes them; today's take a third, and are not made as fast.
        body = msgspec.msgpack.encode((MORNING, ids, [first, *STEPS], values, SENT))
        low, high = MORNING + first, MORNING + first + CHUNK_READINGS - 1
        connection.execute("INSERT INTO log VALUES (?, 1, ?, ?)", (row, CHUNK_READINGS, body))
        connection.execute(_INDEX, (row, row, CHUNK_READINGS, low, high, high, bits))
        size += len(body)
    for last in range(row - len(turns), row + 1):
        known.learn(1, unpack(connection.execute("SELECT body FROM log WHERE id = ?", (last,)).get))
    newest.save(connection, known, row)
    connection.execute("UPDATE closed SET readings = ?", (row * CHUNK_READINGS,))
    connection.execute("COMMIT")
    connection.close()


STEPS = [1] * (CHUNK_READINGS - 1)


def chunk_of(numbers: range) -> tuple[list[int], bytes]:
    """Return the ids of a chunk of these sensors in turn, and its bits."""
    ids = [1 + numbers[place % len(numbers)] for place in range(CHUNK_READINGS)]
    return ids, sum(1 << sensor for sensor in set(ids)).to_bytes(max(ids) // 8 + 1, "little")


_INDEX = """
INSERT INTO log_index (last_id, first_id, boot, count, sent_min, sent_max, sent_bound, sensors)
VALUES (?, ?, 1, ?, ?, ?, ?, ?)
"""


def forget_cache(path: Path) -> None:
    with path.open("rb") as content:
        os.fsync(content.fileno())
        os.posix_fadvise(content.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@pytest.mark.long
@pytest.mark.parametrize("sensors", [10, 20_000], ids=["a node", "a hub"])
def test_a_gigabyte_is_open_in_a_second(tmp_path: Path, sensors: int) -> None:
    path = tmp_path / file.NAME
    in_store(tmp_path, lambda store: record(store, batches(sensors, 0, max(sensors, 4_000), 4_000)))
    grow(path, sensors)
    later = batches(sensors, 1_000_000_000, 140_000, 400)
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
