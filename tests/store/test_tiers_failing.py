"""Commits that fail with summaries in them: nothing is lost, nothing is counted twice, and all is made afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import apsw
import pytest

from outstation.core.windows import FIVE_MINUTES, HOUR
from outstation.errors import DiskFullError
from outstation.store import writer
from outstation.store.database import Store
from outstation.store.history import History
from tests.store.given import DAY, MORNING, own, sent
from tests.store.test_tiers import Wall, by_hand, made, opened, stored, unmade


@pytest.fixture(autouse=True)
def tried_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_RETRY", 10)


async def until_done(work: Callable[[], Awaitable[object]]) -> int:
    """Do something as a board does: again until it is told that it is done. Return how often it failed."""
    failures = 0
    while True:
        try:
            await work()
        except DiskFullError:
            failures += 1
            await asyncio.sleep(0.02)
        else:
            return failures


async def room(store: Store, pages: int) -> None:
    """Let the file grow by so many pages, and no more until it is opened anew: SQLite itself says that it is full."""

    def limit(connection: apsw.Connection) -> None:
        connection.pragma("max_page_count", connection.pragma("page_count") + pages)

    await until_done(lambda: store.write(limit))


@pytest.mark.parametrize("pages", [0, 1])
def test_a_disk_that_is_full_again_and_again(tmp_path: Path, pages: int) -> None:
    wall = Wall()

    async def story() -> None:
        failures = 0
        with opened(tmp_path, wall) as store:
            for at in range(0, 2 * HOUR, FIVE_MINUTES):
                wall.at = MORNING + at
                await room(store, pages)
                store.record_soon([own("ours", at + second * 1_000) for second in range(3)])
                some = [sent("a", at + place, at / 7 + place, arrived=at) for place in range(0, 120_000, 700)]
                late = sent("a", at - HOUR + 350, 99.0, arrived=at)
                corrected = sent("a", at, -1.0, arrived=at)
                failures += await until_done(partial(store.record, [*some, late]))
                failures += await until_done(partial(store.record, [corrected]))
            wall.at += DAY
            await until_done(store.flush)
            await room(store, 1 << 30)
            assert failures
            assert History(store).count() == 24 * (3 + 172 + 1)
            await made(store, wall)
            assert not unmade(store)
            for name in ("a", "ours"):
                assert stored(store, name) == by_hand(store, name)

    asyncio.run(story())
