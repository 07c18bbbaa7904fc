"""Readings by columns end as the same readings one by one, whatever was there before."""

from __future__ import annotations

import asyncio
import random
import tracemalloc
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import apsw
import msgspec
import pytest

from outstation import clock
from outstation.core.readings import Quality, Value
from outstation.core.summaries import Summary
from outstation.core.windows import FIVE_MINUTES, Tier
from outstation.errors import RefusedError, StoreError
from outstation.store import tiers
from outstation.store.columns import Column
from outstation.store.database import Recorded, Store
from outstation.store.history import History
from outstation.store.log import Log
from outstation.store.rows import LATEST, Columns, pack, unpack
from tests.store.given import BOOT, MORNING, in_store, sent

HOUR = 3_600_000


def column(times: Sequence[int], values: Sequence[Value | None] | None = None, sensor: str = "b/x") -> Column:
    return Column(sensor, [MORNING + at for at in times], [1.5] * len(times) if values is None else values)


def everything(store: Store, sensor: str = "b/x") -> list[tuple[int, Value | None, Quality]]:
    rows = History(store).of_sensor(sensor, limit=10_000).rows
    return [(row.at - MORNING, row.value, row.quality) for row in rows]


def test_a_recording_is_stored_without_a_look_at_the_disk_and_once_more_is_a_duplicate(
    tmp_path: Path, looks: list[int]
) -> None:
    async def story(store: Store) -> None:
        values: list[Value | None] = [1, 2.5, "three", True, None]
        bad = Column("b/y", [MORNING, MORNING + 1], [99.0, None], bytes((Quality.OUT_OF_RANGE, Quality.FAULT)))
        assert await store.record_columns([column(range(5), values), bad]) == Recorded(7)
        assert looks == []
        assert everything(store) == [(at, value, Quality.OK) for at, value in enumerate(values)]
        assert everything(store, "b/y") == [(0, 99.0, Quality.OUT_OF_RANGE), (1, None, Quality.FAULT)]
        assert await store.record_columns([column(range(7), [*values, 6, 7])]) == Recorded(2, duplicates=5)
        assert await store.record_columns([column([1, 2], [2.5, "four"])]) == Recorded(0, 1, 1)
        assert store.stats().readings == History(store).count() == 9

    in_store(tmp_path, story)


def test_a_history_from_before_a_board_was_live_and_one_that_fills_a_hole_need_no_look_either(
    tmp_path: Path, looks: list[int]
) -> None:
    async def story(store: Store) -> None:
        await store.record([sent("b/x", 10 * HOUR), sent("b/x", 20 * HOUR)])
        assert await store.record_columns([column(range(HOUR, 2 * HOUR, 1_000))]) == Recorded(3_600)
        assert await store.record_columns([column(range(2 * HOUR, 3 * HOUR, 1_000))]) == Recorded(3_600)
        assert await store.record_columns([column(range(11 * HOUR, 12 * HOUR, 1_000))]) == Recorded(3_600)
        assert looks == []
        assert await store.record_columns([column([10 * HOUR, 11 * HOUR])]) == Recorded(0, 2)
        assert looks

    in_store(tmp_path, story)


def test_columns_and_single_readings_by_chance_end_as_the_same(tmp_path: Path) -> None:
    chance = random.Random(20)

    def batch() -> list[tuple[int, float]]:
        first = chance.randrange(0, 40) * 60_000
        times = [first + chance.randrange(0, 100) * 5_000 for _ in range(chance.randrange(1, 12))]
        return [(at, chance.randrange(3)) for at in (sorted(set(times)) if chance.random() < 0.8 else times)]

    batches = [batch() for _ in range(60)]
    many, single = tmp_path / "many", tmp_path / "single"
    many.mkdir()
    single.mkdir()

    async def by_columns(store: Store) -> tuple[list[Recorded], list[tuple[int, Value | None, Quality]]]:
        found = [
            await store.record_columns([column([at for at, _ in one], [value for _, value in one])]) for one in batches
        ]
        return found, everything(store)

    async def one_by_one(store: Store) -> tuple[list[Recorded], list[tuple[int, Value | None, Quality]]]:
        found = [await store.record([sent("b/x", at, value) for at, value in one]) for one in batches]
        return found, everything(store)

    assert in_store(many, by_columns) == in_store(single, one_by_one)


def test_what_cannot_be_stored_is_refused_before_anything_of_it_is(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        far = (column([-MORNING - 1]), column([LATEST - MORNING]))
        for wrong in (column([1], [2**70]), column([1], [2**63]), *far, column([1, 2], [1]), column([1], ["\ud800"])):
            with pytest.raises(RefusedError):
                store.record_columns([column(range(5)), wrong])
        assert await store.record_columns([column(range(5)), column([])]) == Recorded(5)

    in_store(tmp_path, story)


def test_a_commit_that_fails_leaves_nothing_of_it_in_memory_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(store: Store) -> None:
        await store.record_columns([column([1])])
        whole = Log.append

        def broken(self: Log, batch: object) -> None:
            whole(self, batch)  # type: ignore[arg-type]
            raise apsw.SQLError("a mistake of this program, after the rows were written")

        with monkeypatch.context() as patch:
            patch.setattr(Log, "append", broken)
            with pytest.raises(StoreError):
                await store.record_columns([column([2, 3])])
        while True:
            try:
                assert await store.record_columns([column([2, 3], [7, 8])]) == Recorded(2), "it was here never before"
                break
            except StoreError:
                await asyncio.sleep(0.05)
        assert [row[:2] for row in everything(store)] == [(1, 1.5), (2, 7), (3, 8)]

    in_store(tmp_path, story)


def test_columns_are_there_after_a_restart_with_what_is_known_of_them(tmp_path: Path, looks: list[int]) -> None:
    async def before(store: Store) -> None:
        await store.record_columns([column(range(0, 70_000_000, 1_000)), column([1], ["y"], "b/y")])

    async def after(store: Store) -> None:
        assert store.stats().readings == 70_001
        assert await store.record_columns([column([70_000_000])]) == Recorded(1)
        assert looks == []
        assert await store.record_columns([column([69_999_000])]) == Recorded(0, 1)

    in_store(tmp_path, before)
    in_store(tmp_path, after)


def test_what_came_while_no_node_ran_is_summed_up_when_one_does(tmp_path: Path) -> None:
    times = [MORNING - MORNING % HOUR + at for at in range(0, 2 * HOUR, 10_000)]

    ahead = 0

    def at() -> int:
        return clock.at() + ahead

    async def main() -> None:
        nonlocal ahead
        with Store(tmp_path, boot=BOOT, summarises=False, at=at) as store:
            for first in (0, 360):
                await store.record_columns([Column("b/x", times[first : first + 360], [1.0] * 360)])
                ahead += HOUR  # what the first ones touched is due with the second
            await store.flush()
            assert summed(store) == []
            assert store._writer.log.summarising.due_in() is None, "it would try all the time"
        with Store(tmp_path, boot=BOOT, at=at) as store:
            while len(found := summed(store)) < 24:
                ahead += 10_000
                await store.flush()
            assert [(one.start, one.count) for one in found] == [(times[0] + n * FIVE_MINUTES, 30) for n in range(24)]

    asyncio.run(main())


def summed(store: Store) -> list[Summary]:
    with store.read() as connection:
        return [one for one in tiers.rows(connection, 1, Tier.FIVE_MINUTES, 0, 1 << 60) if one.count]


def test_a_long_row_is_packed_into_half_the_room_and_comes_back_the_same() -> None:
    row = Columns(7, [1, 2] * 50, list(range(1_000, 1_100)), [20.5, True, 7, None, "wet"] * 20, 0)
    body = pack(row)
    assert len(body) < 256
    assert unpack(body) == row


@pytest.mark.parametrize("spoil", [lambda body: body[:-9], lambda body: body[:40] + b"\0" + body[41:]])
def test_a_long_row_that_is_damaged_says_so(spoil: Callable[[bytes], bytes]) -> None:
    body = pack(Columns(0, [1] * 200, list(range(200)), [n / 7 for n in range(200)], 0))
    with pytest.raises(msgspec.DecodeError):
        unpack(spoil(body))


def test_a_row_that_would_fill_the_memory_is_not_unpacked() -> None:
    bomb = zlib.compress(msgspec.msgpack.encode((0, [1] * (40 << 20), [], [], 0)))
    tracemalloc.start()
    with pytest.raises(msgspec.DecodeError):
        unpack(bomb)
    assert tracemalloc.get_traced_memory()[1] < 60 << 20
    tracemalloc.stop()
