"""Summaries of what is at another time than now: a clock that was set, or one that is ahead."""

from __future__ import annotations

import asyncio
from pathlib import Path

from outstation.clock import Trust
from outstation.core.readings import Millis, Reading
from outstation.core.windows import DAY, FIVE_MINUTES, HOUR, Tier, window
from outstation.store import plots
from outstation.store.columns import Column
from outstation.store.database import Boot, Store
from outstation.store.plots import Asked
from tests.store.given import BOOT, MORNING, sent
from tests.store.test_tiers import IST, REACH, Wall, by_hand, made, opened, stored


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


def test_a_clock_that_was_ahead_and_came_back_hides_nothing_of_now_in_plots(tmp_path: Path) -> None:
    """Neither before a restart nor after it, for as long as the newest by UTC are of the clock that was ahead."""
    wall, ahead, now = Wall(), 6 * HOUR, 0

    async def live(store: Store, length: Millis, offset: Millis) -> None:
        nonlocal now
        for _ in range(0, length, 30_000):
            now += 30_000
            wall.at = offset + now
            await store.record([Reading("a", 1.0, offset + now, now, offset + now)])

    def drawn(store: Store) -> tuple[int, Millis]:
        start = wall.at - wall.at % FIVE_MINUTES - HOUR
        plot = plots.draw(store, Asked({"a": REACH}, start, wall.at + 1, 800, FIVE_MINUTES, wall.at, lambda _: IST))
        return sum(column.count for column in plot.sensors["a"].columns), plot.sensors["a"].until

    async def story() -> None:
        with opened(tmp_path, wall) as store:
            await live(store, 2 * HOUR, MORNING)
            await store.set_boot(Boot("boot-1", MORNING + ahead, Trust.SYNCHRONISED))
            await live(store, HOUR // 2, MORNING + ahead)
            await store.set_boot(BOOT)
            await live(store, 2 * HOUR, MORNING)
            assert drawn(store) == (120 + wall.at % FIVE_MINUTES // 30_000 + 1, wall.at)
        with opened(tmp_path, wall) as store:
            for _ in range(10):
                await live(store, 90_000, MORNING)
                assert drawn(store) == (120 + wall.at % FIVE_MINUTES // 30_000 + 1, wall.at)

    asyncio.run(story())


def test_what_is_open_between_two_clocks_that_were_ahead_is_in_plots(tmp_path: Path) -> None:
    wall, now = Wall(), 0

    async def said(store: Store, ahead: Millis, times: int) -> None:
        nonlocal now
        wall.at = MORNING + ahead + now
        await store.set_boot(Boot("boot-1", MORNING + ahead, Trust.SYNCHRONISED))
        for _ in range(times):
            now += 30_000
            wall.at = MORNING + ahead + now
            await store.record([Reading("a", 1.0, wall.at, now, wall.at)])

    async def story() -> None:
        with opened(tmp_path, wall) as store:
            for ahead, times in ((0, 20), (6 * HOUR, 60), (2 * HOUR, 3)):
                await said(store, ahead, times)
        with opened(tmp_path, wall, Boot("boot-1", MORNING + 2 * HOUR, Trust.SYNCHRONISED)) as store:
            for ahead, times in ((2 * HOUR, 60), (0, 0)):
                await said(store, ahead, times)
            # As a kill may leave it: see the law of summarising.py.
            await store.write(lambda connection: connection.execute("DELETE FROM unmade").fetchall())
            start = MORNING - MORNING % FIVE_MINUTES
            asked = Asked({"a": REACH}, start, wall.at + 3 * HOUR, 800, FIVE_MINUTES, wall.at, lambda _: IST)
            assert sum(column.count for column in plots.draw(store, asked).sensors["a"].columns) == 83

    asyncio.run(story())
