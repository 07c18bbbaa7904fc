"""Summaries of what is at another time than now: a clock that was set, or one that is ahead."""

from __future__ import annotations

import asyncio
from pathlib import Path

from outstation.clock import Trust
from outstation.core.readings import Reading
from outstation.core.windows import DAY, HOUR, Tier, window
from outstation.store.columns import Column
from outstation.store.database import Boot
from tests.store.given import BOOT, MORNING, sent
from tests.store.test_tiers import IST, Wall, by_hand, made, opened, stored


def test_a_clock_that_is_set_moves_readings_that_are_older_than_what_was_deleted(tmp_path: Path) -> None:
    unset = Boot("boot-1", 0, Trust.UNSET)

    async def story() -> None:
        with opened(tmp_path, Wall(0), unset) as store:
            await store.record([Reading("a", 1.5, 0, 0, 0)])
            forgotten = f"INSERT INTO forgotten VALUES (1, 0, {MORNING - HOUR})"
            await store.write(lambda connection: connection.execute(forgotten).fetchall())
        wall = Wall(0)
        with opened(tmp_path, wall, unset) as store:
            for now in range(HOUR, 3 * HOUR, 60_000):
                wall.at = now
                await store.record([Reading("a", 1.5, now, now, now)])
            wall.at = MORNING + 3 * HOUR
            await store.set_boot(BOOT)
            await made(store, wall)
            there = {key: each for key, each in stored(store, "a").items() if key.start > MORNING - HOUR}
            assert there == {key: each for key, each in by_hand(store, "a").items() if key.start > MORNING - HOUR}
            assert len(there) > 25

    asyncio.run(story())


def test_a_day_that_something_late_is_in_is_made_when_it_is_over(tmp_path: Path) -> None:
    wall = Wall()

    async def story() -> None:
        with opened(tmp_path, wall) as store:
            await store.record([sent("a", 2 * DAY)])  # a clock that is ahead
            await store.record_columns([Column("a", [MORNING - 1_000], [9.0])])
            wall.at += 60_000
            await store.flush()
            await made(store, wall)
            assert stored(store, "a").keys() >= {window(Tier.DAY, MORNING - 1_000, lambda _: IST)}

    asyncio.run(story())
