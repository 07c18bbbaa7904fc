"""An answer is a promise: what waits is committed together, and everybody is told for himself."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import apsw
import pytest

from outstation.core.readings import Quality, Reading, Value
from outstation.errors import RefusedError, StoreError
from outstation.store.database import Recorded, Store
from outstation.store.history import History
from outstation.store.rows import LATEST
from outstation.store.writer import OWN_TOGETHER
from tests.store.given import BOOT, MORNING, in_store, own, sent


def commits(store: Store) -> int:
    with store.read() as connection:
        rows: int = connection.execute("SELECT count(*) FROM log").get
    return rows


def on_disk(folder: Path) -> int:
    """Count with a connection of our own: what another program sees is on disk."""
    connection = apsw.Connection(str(folder / "outstation.db"))
    total: int = connection.execute("SELECT coalesce(sum(count), 0) FROM log").get
    connection.close()
    return total


def test_what_is_answered_is_on_disk(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        assert await store.record([own("a", 1), own("a", 2), own("b", 2)]) == Recorded(3)
        assert on_disk(tmp_path) == 3

    in_store(tmp_path, story)


def test_those_who_wait_share_one_commit(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await asyncio.gather(*(store.record([own("a", number)]) for number in range(50)))
        assert commits(store) <= 2

    in_store(tmp_path, story)


def test_one_of_sixteen_gives_up_in_mid_commit(tmp_path: Path) -> None:
    """Fifteen are answered, the sixteenth reading is stored all the same, and the next commit runs."""
    entered, go_on = threading.Event(), threading.Event()

    def hold(_: apsw.Connection) -> None:
        entered.set()
        assert go_on.wait(10)

    async def story(store: Store) -> None:
        held = store.write(hold)
        calls = [asyncio.ensure_future(store.record([own("a", number)])) for number in range(16)]
        assert await asyncio.to_thread(entered.wait, 10)
        assert on_disk(tmp_path) == 0  # in the middle of the commit: written, not yet there
        calls[7].cancel()
        go_on.set()
        await held
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert [answer for answer in answers if answer == Recorded(1)] == [Recorded(1)] * 15
        assert isinstance(answers[7], asyncio.CancelledError)
        assert on_disk(tmp_path) == 16
        assert await store.record([own("a", 99)]) == Recorded(1)

    in_store(tmp_path, story)


def test_who_comes_during_a_commit_shares_the_next(tmp_path: Path) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def hold(_: apsw.Connection) -> None:
        entered.set()
        assert go_on.wait(10)

    async def story(store: Store) -> None:
        held = store.write(hold)
        assert await asyncio.to_thread(entered.wait, 10)
        calls = [store.record([own("a", number)]) for number in range(20)]
        await asyncio.sleep(0.05)
        assert not any(call.done() for call in calls)
        go_on.set()
        await asyncio.gather(held, *calls)
        assert commits(store) == 1

    in_store(tmp_path, story)


def test_work_that_fails_is_undone_and_touches_nobody(tmp_path: Path) -> None:
    def spoil(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO channels (id, last_entry_id) VALUES (1, 1)")
        raise RefusedError("No.")

    async def story(store: Store) -> None:
        insert = "INSERT INTO channels (id, last_entry_id) VALUES (2, 1)"
        before = store.write(lambda connection: connection.execute(insert).get)
        spoilt, readings = store.write(spoil), store.record([own("a", 1)])
        after = store.write(lambda connection: connection.execute("SELECT group_concat(id) FROM channels").get)
        with pytest.raises(RefusedError):
            await spoilt
        assert await readings == Recorded(1)
        assert await before is None
        assert await after == "2"

    in_store(tmp_path, story)


def test_own_readings_are_on_disk_within_the_time_that_may_be_lost(tmp_path: Path) -> None:
    async def main() -> None:
        with Store(tmp_path, boot=BOOT, lose_at_most=500) as store:
            began = time.monotonic()
            store.record_soon([own("a", 1)])
            store.record_soon([own("a", 2)])
            await asyncio.sleep(0.1)
            assert on_disk(tmp_path) == 0
            while on_disk(tmp_path) < 2:  # noqa: ASYNC110  the disk sends no event
                await asyncio.sleep(0.01)
            assert time.monotonic() - began < 0.5

    asyncio.run(main())


def test_own_readings_ride_along_with_any_commit(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        store.record_soon([own("a", 1), own("a", 2)])
        await store.record([own("b", 3)])
        assert on_disk(tmp_path) == 3
        assert commits(store) == 1

    in_store(tmp_path, story)


def test_flush_brings_all_to_disk(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        store.record_soon([own("a", 1)])
        await store.flush()
        assert on_disk(tmp_path) == 1
        await store.flush()
        assert commits(store) == 1

    in_store(tmp_path, story)


def test_close_writes_what_waits_and_leaves_one_file(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await store.record([own("a", 1)])
        store.record_soon([own("a", 2)])
        store.close()
        store.close()
        with pytest.raises(StoreError, match="closed"):
            store.record([own("a", 3)])

    began = time.monotonic()
    in_store(tmp_path, story)
    assert time.monotonic() - began < 2
    assert [file.name for file in tmp_path.iterdir()] == ["outstation.db"]
    assert on_disk(tmp_path) == 2


VALUES: list[Any] = [1 << 63, 1 << 64, -(1 << 63) - 1, "\ud800", b"b", [1.0], Quality.OK, object()]
UNFIT = [
    *(own("a", 3, value) for value in VALUES),
    own("\ud800", 3), own("a", -LATEST - MORNING), sent("b/x", LATEST - MORNING), sent("b/x", -MORNING - 1),
    Reading("a", 1.5, MORNING, LATEST, MORNING), Reading("a", 1.5, MORNING, 3, -LATEST),
]  # fmt: skip


def test_readings_that_no_block_could_keep_are_refused_alone(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        good, bad = store.record([own("a", 1)]), [store.record([own("a", 2), unfit]) for unfit in UNFIT]
        store.record_soon([*UNFIT, own("a", 5)])
        other = store.write(lambda connection: connection.pragma("user_version"))
        assert [reading.now for reading in History(store).of_sensor("a").rows][-1] == 5
        for call in bad:
            with pytest.raises(RefusedError, match="cannot be stored"):
                await call
        assert await good == Recorded(1)
        assert await other
        assert (on_disk(tmp_path), store.stats().dropped) == (2, len(UNFIT))
        assert [reading.now for reading in History(store).of_sensor("a").rows] == [1, 5]

    in_store(tmp_path, story)


def test_ten_thousand_in_one_call(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        readings = [own(f"s{number % 7}", number, float(number)) for number in range(10_000)]
        assert await store.record(readings) == Recorded(10_000)
        history = History(store)
        assert history.count() == 10_000
        assert [reading.value for reading in history.of_sensor("s3", limit=10_000).rows] == [
            reading.value for reading in readings if reading.sensor == "s3"
        ]

    in_store(tmp_path, story)


def test_values_come_back_exactly(tmp_path: Path) -> None:
    values: list[Value | None] = [
        1, 1.0, True, False, 0, 0.0, -0.0, 0.1, 5e-324, 1.7976931348623157e308, float("inf"), -(1 << 63), (1 << 63) - 1,
        "", "é" * 127, "a\0b", "=1+1", None,
    ]  # fmt: skip

    async def story(store: Store) -> None:
        await store.record([own("a", number, value, Quality.STUCK) for number, value in enumerate(values)])
        rows = History(store).of_sensor("a").rows
        assert [repr(reading.value) for reading in rows] == list(map(repr, values))
        assert {reading.quality for reading in rows} == {Quality.STUCK}

    in_store(tmp_path, story)


def test_all_that_a_reading_says_survives_a_restart(tmp_path: Path) -> None:
    readings = [own("a", 5, 20.5, Quality.SPIKE), sent("b/x", -700, "text", arrived=0)]

    async def write(store: Store) -> None:
        await store.record(readings)

    async def read(store: Store) -> None:
        assert History(store).latest() == {
            "a": Reading("a", 20.5, MORNING + 5, 5, MORNING + 5, Quality.SPIKE),
            # when it arrived is not kept: it is given back as if it had arrived when it was measured
            "b/x": Reading("b/x", "text", MORNING - 700, -700, MORNING - 700, sender_stamped=True),
        }
        assert store.names() == ["a", "b/x"]

    in_store(tmp_path, write)
    in_store(tmp_path, read)


def test_many_own_readings_do_not_wait_for_their_day(tmp_path: Path) -> None:
    """However much may be lost, no more than some thousand readings are."""

    async def main() -> None:
        with Store(tmp_path, boot=BOOT, lose_at_most=86_400_000) as store:
            for now in range(OWN_TOGETHER):
                store.record_soon([own("a", now)])
                if now == 1:
                    await asyncio.sleep(0.1)  # it sleeps by now
            for _ in range(100):
                if on_disk(tmp_path):
                    break
                await asyncio.sleep(0.05)
            assert on_disk(tmp_path) == OWN_TOGETHER

    asyncio.run(main())
