"""Summaries of sensors that say more in five minutes than is read at once: made in steps, over some commits."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outstation.core.readings import Millis
from outstation.core.windows import DAY, FIVE_MINUTES, HOUR
from outstation.store import summarising, tiers
from outstation.store.columns import Column
from outstation.store.database import Store
from tests.store.given import MORNING, sent
from tests.store.test_tiers import Life, Step, Wall, by_hand, copied, in_life, made, opened, steps, stored, unmade

EVERY: Millis = 1_000


@pytest.fixture(params=["MOST", "LOOKED_THROUGH"])
def _little_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ordinary sensors dense: 100 readings a step, of theirs or of all in the log, and about a step a commit."""
    monkeypatch.setattr(tiers, request.param, 100)
    monkeypatch.setattr(tiers, "SHORTEST", 60_000)
    monkeypatch.setattr(tiers, "FEW", 10)
    monkeypatch.setattr(summarising, "SLICE", 100_000)


async def imported(store: Store) -> None:
    """Store two hours of a sensor at once, of which every fifth reading is worth nothing."""
    times = range(MORNING, MORNING + 2 * HOUR, EVERY)
    await store.record_columns([Column("a", times, [None if at % 5_000 == 0 else at % 7_919 / 8 for at in times])])


async def until_half_done(store: Store, wall: Wall) -> Millis:
    """Go on until some of a window is summed up; return the time up to which it is."""
    for _ in range(1_000):
        wall.at += FIVE_MINUTES
        await store.flush()
        working = store._writer.log.summarising._tiers
        if working.unfinished and working._dense and working._dense.upto > max(working.unfinished[2], MORNING):
            return working._dense.upto
    raise AssertionError


@pytest.mark.usefixtures("_little_at_once")
def test_a_window_made_in_steps_says_what_it_would_say_made_at_once(tmp_path: Path) -> None:
    wall = Wall(MORNING + DAY)

    async def story() -> None:
        with opened(tmp_path, wall) as store:
            await imported(store)
            await until_half_done(store, wall)
            killed = copied(store, tmp_path / "killed")
            await made(store, wall)
            assert stored(store, "a") == by_hand(store, "a")
            assert not unmade(store)
        with opened(killed, wall) as store:
            await made(store, wall)
            assert stored(store, "a") == by_hand(store, "a")

    asyncio.run(story())


@pytest.mark.usefixtures("_little_at_once")
@pytest.mark.parametrize("by_columns", [False, True])
def test_a_reading_that_comes_late_into_a_window_that_is_half_done_is_in_it(tmp_path: Path, by_columns: bool) -> None:
    wall = Wall(MORNING + DAY)

    async def story() -> None:
        with opened(tmp_path, wall) as store:
            await imported(store)
            for _ in range(3):
                late = await until_half_done(store, wall) - 1
                if by_columns:
                    await store.record_columns([Column("a", [late], [1e6])])
                else:
                    await store.record([sent("a", late - MORNING, 1e6, arrived=wall.at - MORNING)])
            await made(store, wall)
            assert stored(store, "a") == by_hand(store, "a")

    asyncio.run(story())


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(st.lists(steps, max_size=25))
def test_whatever_happens_steps_of_four_readings_miss_none(monkeypatch: pytest.MonkeyPatch, story: list[Step]) -> None:
    monkeypatch.setattr(tiers, "MOST", 4)
    monkeypatch.setattr(tiers, "FEW", 1)

    async def live(life: Life) -> None:
        for step in story:
            await life.happen(step)
        await made(life.store, life.wall)
        assert stored(life.store, "a") == by_hand(life.store, "a")

    in_life(live)
