"""A history for stories about what is kept: blocks and summaries as if they had been sealed and made long ago."""

from __future__ import annotations

import os
from collections.abc import Sequence

import apsw

from outstation.core.readings import Millis
from outstation.core.summaries import Summary, encode
from outstation.core.windows import DAY, FIVE_MINUTES, HOUR, Tier
from outstation.store.database import Store
from outstation.store.sealing.packing import Block, pack

NEW_YEAR: Millis = 1_735_689_600_000
"""1 January 2025, UTC."""


async def add(store: Store, sensor: str, days: Sequence[Millis], *, boot: int = 0) -> None:
    """Give a sensor a block of a hundred readings for each of these days (of the year, or UTC), and their summaries."""
    days = [day if day > 100_000 else NEW_YEAR + day * DAY for day in days]
    await sealed(store, sensor, [(day, 100) for day in days], boot=boot)
    await summarised(store, sensor, days)


async def sealed(
    store: Store, sensor: str, days: Sequence[tuple[Millis, int]], *, boot: int = 0, size: int = 0
) -> None:
    def work(connection: apsw.Connection) -> None:
        for start, count in days:
            times = [start + step * HOUR // count for step in range(count)]
            body = os.urandom(size) if size else pack(Block(times, [1.5] * count, bytes(count)))
            row = (number(connection, sensor), boot, times[0], times[-1], count, body)
            connection.execute(
                "INSERT INTO blocks (sensor, boot, start, end, count, body) VALUES (?, ?, ?, ?, ?, ?)", row
            )
            connection.execute("UPDATE closed SET readings = readings + ?", (count,))
            store._writer.log.count += count

    await store.write(work)


async def summarised(store: Store, sensor: str, days: Sequence[Millis], tier: Tier = Tier.FIVE_MINUTES) -> None:
    """Write the summaries of an hour of each day, numbered one after the other."""

    def work(connection: apsw.Connection) -> None:
        for day in days:
            for start in range(day, day + HOUR, FIVE_MINUTES):
                last = connection.execute("UPDATE sequence SET number = number + 1 RETURNING number").get
                body = encode(Summary(start, FIVE_MINUTES, heard=1))
                row = (number(connection, sensor), tier, start, FIVE_MINUTES, last, body)
                connection.execute("INSERT INTO summaries VALUES (?, ?, ?, ?, ?, ?)", row)

    await store.write(work)


def number(connection: apsw.Connection, sensor: str) -> int:
    # Far from the numbers that the store itself gives out.
    connection.execute("INSERT OR IGNORE INTO sensors (id, name) SELECT 1000 + count(*), ? FROM sensors", (sensor,))
    found: int = connection.execute("SELECT id FROM sensors WHERE name = ?", (sensor,)).get
    return found
