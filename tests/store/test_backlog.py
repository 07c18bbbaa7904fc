"""Readings from before there were summaries: all of their windows come to be made, whatever interrupts it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from outstation.clock import Trust
from outstation.core.readings import Millis, Reading
from outstation.core.windows import DAY, FIVE_MINUTES, HOUR, Window
from outstation.store import file
from outstation.store.columns import Column
from outstation.store.database import Boot, Store
from tests.store.given import MORNING, own, sent
from tests.store.test_migrating import FIXTURES
from tests.store.test_tiers import Wall, by_hand, copied, made, opened, stored, unmade


@pytest.mark.parametrize("old", FIXTURES[:2], ids=lambda path: path.stem)
def test_what_an_older_program_stored_is_summed_up(tmp_path: Path, old: Path) -> None:
    shutil.copy(old, tmp_path / file.NAME)
    wall = Wall(MORNING + DAY)

    async def story() -> None:
        with opened(tmp_path, wall) as store:
            assert not any(stored(store, name) for name in store.names())
            await made(store, wall)
            for name in store.names():
                found = stored(store, name)
                assert found
                assert found == by_hand(store, name)
            assert not unmade(store)
            assert not backlog(store)

    asyncio.run(story())


def test_years_with_silences_are_summed_up_the_newest_first_and_a_kill_costs_nothing(tmp_path: Path) -> None:
    wall = Wall(MORNING + DAY)

    async def story() -> None:
        deaths: list[Path] = []
        with opened(tmp_path, wall) as store:
            await store_as_an_older_program(store)
            # Life goes on, and a late one comes.
            await store.record([own("a", 1_000), sent("a", HOUR - 400 * DAY, 9.0)])
            first: set[Window] = set()
            while backlog(store):
                wall.at += 10
                await store.flush()
                if len(deaths) < 3:
                    deaths.append(copied(store, tmp_path / f"death-{len(deaths)}"))
                first = first or set(stored(store, "b"))
            assert min(key.start for key in first) > MORNING - 5 * DAY
            await made(store, wall)
            assert {name: stored(store, name) for name in "ab"} == {name: by_hand(store, name) for name in "ab"}
        for folder in deaths:
            with opened(folder, wall) as store:
                await made(store, wall)
                assert {name: stored(store, name) for name in "ab"} == {name: by_hand(store, name) for name in "ab"}
                assert not unmade(store)

    asyncio.run(story())


def test_readings_that_move_meanwhile_are_summed_up_where_they_come_to(tmp_path: Path) -> None:
    """The clock is set: readings that were not looked at yet come to where everything was."""
    unset, wall = Boot("boot-1", MORNING - 9 * DAY, Trust.UNSET), Wall()

    async def story() -> None:
        with opened(tmp_path, wall, unset) as store:
            times = range(0, 6 * DAY, FIVE_MINUTES)
            await store.record([Reading("a", 1.5, unset.offset + now, now, unset.offset + now) for now in times])
            await store.write(lambda connection: connection.execute(_AS_IT_WAS).fetchall())
            while not stored(store, "a"):
                wall.at += 10
                await store.flush()
            assert backlog(store)
            await store.set_boot(Boot("boot-1", MORNING - 6 * DAY, Trust.SYNCHRONISED))
            await made(store, wall)
            assert stored(store, "a") == by_hand(store, "a")

    asyncio.run(story())


def backlog(store: Store) -> list[tuple[int, Millis]]:
    with store.read() as connection:
        return list(connection.execute("SELECT sensor, until FROM backlog"))


async def store_as_an_older_program(store: Store) -> None:
    """Store readings of two sensors without any summary: some now, some a week ago, some a year ago."""
    spans = [(-400 * DAY, 2 * HOUR), (-7 * DAY, 5 * HOUR), (-DAY, 8 * HOUR)]
    times = [MORNING + first + at for first, length in spans for at in range(0, length, 4 * FIVE_MINUTES // 3)]
    await store.record_columns([Column(name, times, [at % 7.0 for at in times]) for name in "ab"])
    await store.write(lambda connection: connection.execute(_AS_IT_WAS).fetchall())


_AS_IT_WAS = """
DELETE FROM unmade; DELETE FROM summaries; INSERT INTO backlog (sensor, until) SELECT id, 1 << 62 FROM sensors
"""
