"""Summaries of a time whose readings were deleted: they stay, and what comes after that has its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from outstation.core.readings import Millis
from outstation.core.retention import READINGS, Limits, Now
from outstation.core.windows import DAY, FIVE_MINUTES, HOUR, Tier
from outstation.store import chunks
from outstation.store.columns import Column
from outstation.store.database import Store
from outstation.store.retention import Retention
from tests.store.given import MORNING, sent
from tests.store.test_tiers import Wall, by_hand, made, opened, stored, unmade

MIDNIGHT = MORNING - MORNING % DAY
FREELY = 1 << 40


def minutes(start: Millis, end: Millis, value: float) -> Column:
    times = list(range(start, end, 60_000))
    return Column("a", times, [value] * len(times))


@pytest.fixture(autouse=True)
def _short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 1)


async def sealed(store: Store) -> None:
    for at in (0, 1_000):  # the newest chunk is not sealed
        await store.record([sent("b", at)])
    await store.seal(everything=True)


async def forgotten(store: Store) -> None:
    """Delete all that is sealed."""
    await sealed(store)
    seen = Retention(store).look(
        lambda stock: [old for what in READINGS for old in stock.readings_for_room(what, FREELY)]
    )
    assert seen
    await store.forget(seen, MIDNIGHT + DAY)


def test_what_was_deleted_is_not_made_anew_from_the_rest(tmp_path: Path) -> None:
    wall = Wall()

    async def story() -> None:
        with opened(tmp_path, wall) as store:
            await store.record_columns([minutes(MIDNIGHT, MIDNIGHT + HOUR, 20.0)])
            await made(store, wall)
            await forgotten(store)
            await store.record_columns([minutes(MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR, 20.0)])
            await made(store, wall)
            before = stored(store, "a")
            for late in (1_000, HOUR + FIVE_MINUTES + 1_000):
                await store.record([sent("a", MIDNIGHT - MORNING + late, 99.0)])
            await made(store, wall)
            after = stored(store, "a")
            revised = [key.start - MIDNIGHT for key in before if after[key] != before[key] and key.tier is Tier(1)]
            assert revised == [HOUR + FIVE_MINUTES]
            assert not unmade(store)

    asyncio.run(story())


def test_what_is_imported_older_than_what_was_deleted_is_summed_up(tmp_path: Path) -> None:
    wall = Wall()

    async def story() -> None:
        with opened(tmp_path, wall) as store:
            await store.record_columns([minutes(MIDNIGHT, MIDNIGHT + HOUR, 20.0)])
            await made(store, wall)
            before = {key: each for key, each in stored(store, "a").items() if key.end <= MIDNIGHT + HOUR}
            await forgotten(store)
            start, middle = MIDNIGHT - 5 * DAY, MIDNIGHT - 4 * DAY + 100_000
            await store.record_columns([minutes(start, middle, 5.0)])
            await made(store, wall)
            await store.record_columns([minutes(middle + 20_000, middle + HOUR, 7.0)])  # on in the same window
            await made(store, wall)
            fresh = {key: each for key, each in stored(store, "a").items() if key.start < MIDNIGHT - 2 * DAY}
            assert fresh == by_hand(store, "a")
            assert {key: stored(store, "a")[key] for key in before} == before

    asyncio.run(story())


def test_what_is_imported_goes_by_age_only_when_it_is_summed_up(tmp_path: Path) -> None:
    wall = Wall()

    async def story() -> None:
        with opened(tmp_path, wall) as store:
            await store.record_columns([minutes(MIDNIGHT, MIDNIGHT + HOUR, 20.0)])
            await made(store, wall)
            await forgotten(store)
            await store.record_columns([minutes(MIDNIGHT - 5 * DAY, MIDNIGHT - 4 * DAY, 5.0)])
            await sealed(store)
            retention, limits, now = Retention(store), Limits(FREELY, own={"a": HOUR}), Now(wall.at, trusted=True)
            assert (await retention.by_age(limits, now, asked=True)).readings == 0
            await made(store, wall)
            assert (await retention.by_age(limits, now, asked=True)).readings == 1_440
            kept = [key for key in stored(store, "a") if key.tier is Tier.HOUR and key.start < MIDNIGHT - 4 * DAY]
            assert len(kept) == 24

    asyncio.run(story())
