"""What goes by age: whole chunks, never much at once, and the room goes back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from outstation.store import chunks
from outstation.store.database import Store
from outstation.store.history import History
from tests.store.given import MORNING, in_store, own, sent


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_READINGS", 10)


async def fill(store: Store, readings: int) -> None:
    for at in range(0, readings, 10):
        await store.record([own("a", at + step, at + step) for step in range(10)])


def kept(store: Store) -> list[int]:
    return [reading.now for reading in History(store).of_sensor("a", limit=10_000).rows]


def test_chunks_wholly_before_the_time_go(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await fill(store, 1_000)
        assert await store.forget_before(MORNING + 35) == 30
        assert kept(store) == list(range(30, 1_000))
        assert store.stats().readings == History(store).count() == 970

    in_store(tmp_path, story)


def test_no_more_than_a_tenth_goes_in_one_run(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await fill(store, 1_000)
        assert await store.forget_before(MORNING + 900) == 100
        assert await store.forget_before(MORNING + 900) == 90
        assert kept(store) == list(range(190, 1_000))

    in_store(tmp_path, story)


def test_a_late_reading_keeps_its_chunk_until_its_newest_is_old(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await store.record([sent("b/x", at) for at in range(9)] + [sent("b/x", 500)])
        await fill(store, 1_000)
        assert await store.forget_before(MORNING + 60) == 60
        assert len(History(store).of_sensor("b/x").rows) == 10

    in_store(tmp_path, story)


def test_numbers_go_on_after_nearly_all_is_gone(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await fill(store, 100)
        for _ in range(50):
            await store.forget_before(MORNING + 10_000)

    async def more(store: Store) -> None:
        before = kept(store)
        await store.record([own("a", 2_000, 1)])
        assert kept(store) == [*before, 2_000]
        assert History(store).latest()["a"].now == 2_000

    in_store(tmp_path, story)
    in_store(tmp_path, more)


def test_the_newest_of_a_sensor_outlives_its_readings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outstation.store.log.NEWEST_EVERY", 20)

    async def story(store: Store) -> None:
        await store.record([own("gone", 0, 7)] * 10)
        await fill(store, 1_000)
        await store.forget_before(MORNING + 50)
        assert History(store).of_sensor("gone").rows == []
        assert History(store).latest()["gone"].value == 7

    in_store(tmp_path, story)


def test_room_is_given_back(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        for at in range(0, 20_000, 1_000):
            await store.record([own("a", at + step, os.urandom(60).hex()) for step in range(1_000)])
        for _ in range(8):
            await store.forget_before(MORNING + 20_000)
        with store.read() as connection:
            free, pages = connection.pragma("freelist_count"), connection.pragma("page_count")
        assert free <= pages // 9
        assert pages * connection.pragma("page_size") < 20_000 * 150 * 0.7

    in_store(tmp_path, story)
