"""A node that is moved into another time zone: its days are cut anew, and plots of them are right meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

from outstation.core.readings import Millis
from outstation.core.summaries import Numbers
from outstation.core.windows import DAY, HOUR, Offset, Tier, Window
from outstation.store import days, plots
from outstation.store.database import Store
from outstation.store.plots import Asked
from tests.store.given import BOOT, MORNING, sent
from tests.store.test_tiers import IST, REACH, Wall, by_hand, copied, made, opened, stored, unmade

BERLIN: Millis = 2 * HOUR


def opened_in(folder: Path, wall: Wall, offset: Millis) -> Store:
    return Store(folder, boot=BOOT, reach=lambda _: REACH, offset=lambda _: offset, at=lambda: wall.at)


def in_days(store: Store, wall: Wall, offset: Offset) -> list[tuple[object, ...]]:
    """Return a plot of days, the mean up to rounding."""
    asked = Asked({"a": REACH}, MORNING - 8 * DAY, MORNING, 100, DAY, wall.at, offset)
    columns = plots.draw(store, asked).sensors["a"].columns
    return [(each.start, each.heard, *_told(each.numbers)) for each in columns]


def _told(numbers: Numbers | None) -> tuple[object, ...]:
    return (numbers.count, numbers.lowest, numbers.highest, round(numbers.mean, 9)) if numbers else ()


def days_of(store: Store) -> set[Window]:
    return {key for key in stored(store, "a") if key.tier is Tier.DAY}


async def with_days(store: Store, wall: Wall) -> None:
    times = range(-8 * DAY, -HOUR, HOUR // 2)
    await store.record([sent("a", at, at % 7.0) for at in times])
    await made(store, wall)


def test_days_of_another_zone_are_cut_anew(tmp_path: Path) -> None:
    wall = Wall()

    async def story() -> None:
        with opened_in(tmp_path, wall, BERLIN) as store:
            await with_days(store, wall)
            assert len(days_of(store)) == 9
        with opened(tmp_path, wall) as store:
            before, drawn = days_of(store), [in_days(store, wall, lambda _: IST)]
            deaths = [copied(store, tmp_path / "moved")]
            while store._writer.log.summarising.due_in() is not None:
                wall.at += 5_000
                await store.flush()
                drawn.append(in_days(store, wall, lambda _: IST))
                deaths.append(copied(store, tmp_path / f"death-{len(deaths)}"))
            assert before.isdisjoint(days_of(store))
            assert stored(store, "a") == by_hand(store, "a")
            for each in drawn:
                assert each == drawn[-1]
        for folder in (deaths[0], deaths[len(deaths) // 2], deaths[-1]):
            with opened(folder, wall) as store:
                await made(store, wall)
                assert stored(store, "a") == by_hand(store, "a")
                assert not unmade(store)

    asyncio.run(story())


def test_days_whose_hours_were_deleted_stay_as_they_are(tmp_path: Path) -> None:
    wall = Wall()
    until = MORNING - 4 * DAY

    async def story() -> None:
        with opened_in(tmp_path, wall, BERLIN) as store:
            await with_days(store, wall)
            before = {key for key in days_of(store) if key.start < until}
            deleted = f"DELETE FROM summaries WHERE tier = 2 AND start < {until}"
            forgotten = f"{deleted}; INSERT INTO forgotten VALUES (1, 2, {until})"
            await store.write(lambda connection: connection.execute(forgotten).fetchall())
        with opened_in(tmp_path, wall, 3 * HOUR) as store:
            await made(store, wall)
            assert before < days_of(store)
            assert {key for key in days_of(store) if key.start < until} == before

    asyncio.run(story())


def test_a_start_in_the_same_zone_looks_at_no_day(tmp_path: Path) -> None:
    wall = Wall()

    async def story() -> None:
        with opened(tmp_path, wall) as store:
            await with_days(store, wall)
        with opened(tmp_path, wall) as store, store.read() as connection:
            assert days.are_right(connection)

    asyncio.run(story())
