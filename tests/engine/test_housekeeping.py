"""Chores are done again and again, soon at first where that is asked, and a failing one keeps no other back."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from outstation.engine.housekeeping import Chore, keep_house
from outstation.errors import StoreError

LONG = 3_600.0


async def done_by(chores: list[Chore], done: asyncio.Event) -> None:
    house = asyncio.create_task(keep_house(chores))
    async with asyncio.timeout(10):
        await done.wait()
    house.cancel()


def test_a_chore_with_a_second_time_is_done_at_pauses_that_double() -> None:
    times: list[float] = []

    async def story() -> None:
        done = asyncio.Event()

        async def work() -> None:
            times.append(time.monotonic())
            if len(times) == 4:
                done.set()

        await done_by([Chore("figures", work, every=LONG, second=0.01)], done)

    asyncio.run(story())
    assert times[-1] - times[0] >= 0.01 + 0.02 + 0.04


def test_one_that_fails_is_told_once_and_keeps_no_other_back(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        done, tries, others = asyncio.Event(), 0, 0

        async def fail() -> None:
            nonlocal tries
            tries += 1
            raise StoreError("The disk is away.")

        async def work() -> None:
            nonlocal others
            others += 1
            if others >= 3 and tries >= 3:
                done.set()

        await done_by([Chore("backup", fail, every=0.01), Chore("sealing", work, every=0.01)], done)

    with caplog.at_level(logging.WARNING):
        asyncio.run(story())
    assert [record.message for record in caplog.records] == [
        "backup: The disk is away. It is tried again every 0.01 s."
    ]
