"""Which readings are new: a sender's is known by (sensor, at), the node's own always is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import apsw
import pytest

from outstation.core.readings import Reading, Value
from outstation.core.retention import Limits, Now
from outstation.store import chunks, log
from outstation.store.database import Recorded, Store
from outstation.store.history import History
from outstation.store.log import Log
from outstation.store.retention import Retention
from outstation.store.rows import Columns, unpack
from tests.store.given import DAY, MORNING, in_store, own, sent


def test_the_same_again_is_a_duplicate(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await store.record([sent("b/x", at, at) for at in range(5)])
        assert await store.record([sent("b/x", at, at) for at in range(7)]) == Recorded(2, duplicates=5)
        assert History(store).count() == 7

    in_store(tmp_path, story)


def test_another_value_is_a_correction_and_the_last_word_is_shown(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await store.record([sent("b/x", at, 0) for at in range(5)])
        assert await store.record([sent("b/x", 2, 7)]) == Recorded(0, corrected=1)
        assert await store.record([sent("b/x", 2, 8), sent("b/x", 4, 9)]) == Recorded(0, corrected=2)
        assert await store.record([sent("b/x", 2, 8)]) == Recorded(0, duplicates=1)
        history = History(store)
        assert [reading.value for reading in history.of_sensor("b/x").rows] == [0, 0, 8, 0, 9]
        assert history.latest()["b/x"].value == 9
        assert history.count() == 5

    in_store(tmp_path, story)


@pytest.mark.parametrize(("value", "other"), [(1, 1.0), (1, True), (0.0, -0.0), ("1", 1), (None, 0), ("", None)])
def test_values_that_python_calls_equal_are_not_the_same(tmp_path: Path, value: Value, other: Value) -> None:
    async def story(store: Store) -> None:
        await store.record([sent("b/x", 0, value), sent("b/x", 9, 0)])
        assert await store.record([sent("b/x", 0, other)]) == Recorded(0, corrected=1)

    in_store(tmp_path, story)


def test_identity_holds_within_one_call(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        batch = [sent("b/x", 5, 1), sent("b/x", 5, 1), sent("b/x", 3, 1), sent("b/x", 3, 2), sent("b/x", 3, 2)]
        assert await store.record(batch) == Recorded(2, duplicates=2, corrected=1)

    in_store(tmp_path, story)


def test_another_value_of_what_was_deleted_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 1)  # the newest chunk is not sealed

    async def story(store: Store) -> None:
        for name in ("b/x", "b/y", "b/y"):
            await store.record([sent(name, len(name), 1)])
        await store.seal(everything=True)
        await Retention(store).by_age(Limits(1 << 40, keep=0), Now(MORNING + DAY, trusted=True), asked=True)
        assert not History(store).of_sensor("b/x").rows
        assert await store.record([sent("b/x", 3, 2)]) == Recorded(1)
        assert await store.record([sent("b/x", 3, 4)]) == Recorded(0, corrected=1)
        assert History(store).count() == sum(len(History(store).of_sensor(name).rows) for name in ("b/x", "b/y"))

    in_store(tmp_path, story)


def test_own_readings_are_always_new(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        assert await store.record([own("door", 5, True)] * 3) == Recorded(3)
        assert await store.record([own("door", 5, True)]) == Recorded(1)
        assert len(History(store).of_sensor("door").rows) == 4

    in_store(tmp_path, story)


def test_a_restart_forgets_nobody(tmp_path: Path) -> None:
    readings = [sent("b/x", 0, 0), sent("b/x", DAY, 1), sent("b/x", 3 * DAY, 2), sent("b/y", 9, 3)]
    in_store(tmp_path, lambda store: store.record(readings))
    assert in_store(tmp_path, lambda store: store.record(readings)) == Recorded(0, duplicates=4)


def test_a_live_board_never_asks_the_disk(tmp_path: Path, looks: list[int]) -> None:
    async def story(store: Store) -> None:
        for at in range(0, 100_000, 1_000):
            await store.record([sent("b/x", at, at), sent("b/y", at, 0)])
        await store.record([sent("b/x", 99_000, 99_000)])  # the answer was lost: once more

    in_store(tmp_path, story)
    assert looks == []


def test_a_backlog_that_fills_its_own_hole_never_asks_the_disk(tmp_path: Path, looks: list[int]) -> None:
    async def story(store: Store) -> None:
        await store.record([sent("b/x", 0, 0)])
        for minute in range(60):
            live = sent("b/x", DAY + minute * 60_000, 1)
            backlog = [sent("b/x", 1_000 + minute * 600_000 + second * 10_000, 2) for second in range(60)]
            assert await store.record([live, *backlog]) == Recorded(61)

    in_store(tmp_path, story)
    assert looks == []


def test_a_sender_from_the_future_does_not_make_the_present_doubtful(tmp_path: Path, looks: list[int]) -> None:
    async def story(store: Store) -> None:
        await store.record([sent("b/x", 0, 0)])
        await store.record([sent("b/x", 5_000 * DAY, 0)])
        for at in range(1_000, 50_000, 1_000):
            assert await store.record([sent("b/x", at, at)]) == Recorded(1)

    in_store(tmp_path, story)
    assert looks == []


def test_a_look_reads_only_the_chunks_that_may_hold_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_READINGS", 10)
    read: list[bytes] = []

    def counting(body: bytes) -> Columns:
        read.append(body)
        return unpack(body)

    monkeypatch.setattr(chunks, "unpack", counting)
    rows: list[int] = []
    ask = Log._known

    def looking(self: Log, wanted: set[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        read.clear()  # summaries read rows, too
        found = ask(self, wanted)
        rows.append(len(read))
        return found

    monkeypatch.setattr(Log, "_known", looking)

    async def story(store: Store) -> None:
        for at in range(0, 1_000, 10):
            await store.record([sent("b/x", at + step, 0) for step in range(10)])
        assert await store.record([sent("b/x", 505, 0)]) == Recorded(0, duplicates=1)

    in_store(tmp_path, story)
    assert rows == [1]


@pytest.mark.parametrize("reopen", [False, True], ids=["in one run", "after a restart"])
def test_corrections_across_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, reopen: bool) -> None:
    """The value of a corrected reading lies in a later chunk than the reading itself."""
    monkeypatch.setattr(chunks, "CHUNK_READINGS", 3)
    monkeypatch.setattr(log, "NEWEST_EVERY", 9)
    batches: list[list[Reading]] = [[sent("b/x", at, 0), own("a", at)] for at in range(30)]
    batches += [[sent("b/x", 4, 1)], [own("a", 50)] * 3, [sent("b/x", 4, 2)], [own("a", 51)] * 3, [sent("b/x", 4, 2)]]

    told = [in_store(tmp_path, _all([batch]))[0] for batch in batches] if reopen else in_store(tmp_path, _all(batches))
    assert told[30::2] == [Recorded(0, corrected=1), Recorded(0, corrected=1), Recorded(0, duplicates=1)]


def _all(batches: list[list[Reading]]) -> Callable[[Store], Awaitable[list[Recorded]]]:
    async def story(store: Store) -> list[Recorded]:
        return [await store.record(batch) for batch in batches]

    return story


def test_the_file_is_what_sqlite_calls_sound(tmp_path: Path) -> None:
    in_store(tmp_path, lambda store: store.record([sent("b/x", at, at) for at in range(9_000)]))
    connection = apsw.Connection(str(tmp_path / "outstation.db"))
    assert connection.execute("PRAGMA integrity_check").get == "ok"
    connection.close()
