"""Entries go as readings do: by age a tenth a day and never in doubt, and to make room the oldest of both first."""

from __future__ import annotations

import asyncio
from pathlib import Path

from outstation.core.retention import Limits, Now
from outstation.core.windows import DAY, HOUR
from outstation.store.database import Store
from outstation.store.entries import Entries, Entry
from outstation.store.retention import Retention
from outstation.store.stock import Stock
from tests.store.given import in_store, noise
from tests.store.stocked import NEW_YEAR, sealed

NOW = Now(NEW_YEAR + 100 * DAY, trusted=True)
FREELY = 1 << 40


async def a_block_a_day(store: Store, texts: int) -> Entries:
    """Give each of a hundred channels entries on a day of its own, and seal them."""
    entries = Entries(store)
    for day in range(100):
        said = [(noise(1000 * day + one), *[None] * 7) for one in range(texts)]
        await entries.enter([Entry(day + 1, NEW_YEAR + day * DAY, fields) for fields in said], [])
    await entries.seal()
    return entries


def days(entries: Entries) -> list[int]:
    return [day for day in range(100) if entries.of_channel(day + 1)]


def test_by_age_a_tenth_goes_in_a_day_and_all_by_a_persons_word(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        entries, retention = await a_block_a_day(store, 1), Retention(store)
        limits = Limits(FREELY, keep=30 * DAY)
        assert (await retention.by_age(limits, Now(NOW.at, trusted=False))).kept
        assert days(entries) == list(range(100))
        for _ in range(3):  # once a day, however often it is looked at
            await retention.by_age(limits, NOW)
        assert days(entries) == list(range(10, 100))
        await retention.by_age(limits, NOW, asked=True)
        assert days(entries) == list(range(70, 100))
        assert await entries.enter([Entry(1, NOW.at, (None,) * 8)], []) == [2]

    in_store(tmp_path, story)


def test_to_make_room_the_oldest_of_readings_and_entries_go_first(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await sealed(store, "air", [(NEW_YEAR + day * DAY, 100) for day in range(50, 100)], size=5_000)
        entries, retention = await a_block_a_day(store, 40), Retention(store)
        used = await asyncio.to_thread(retention.look, Stock.used)
        assert not (await retention.make_room(Limits(used * 99 // 100), NOW.at)).full
        there = days(entries)
        assert there == list(range(there[0], 100))
        assert 0 < there[0] <= 50
        with store.read() as connection:
            assert connection.execute("SELECT count(*) FROM blocks").get == 50
        await retention.make_room(Limits(used // 10), NOW.at)  # less than the write-ahead log alone has
        assert days(entries) == []

    in_store(tmp_path, story)


def test_entries_are_growth(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        entries = Entries(store)
        said = [Entry(1, NEW_YEAR + hour * HOUR, (noise(hour), *[None] * 7)) for hour in range(48)]
        await entries.enter(said, [])
        await entries.seal()
        at = NEW_YEAR + 2 * DAY
        (growth,) = await asyncio.to_thread(Retention(store).look, lambda seen: seen.growing(Limits(FREELY, DAY), at))
        assert 24 * 50 < growth.a_day < 24 * 250
        assert growth.until == NEW_YEAR + DAY
        later = at + 30 * DAY
        assert not await asyncio.to_thread(Retention(store).look, lambda seen: seen.growing(Limits(FREELY), later))

    in_store(tmp_path, story)
