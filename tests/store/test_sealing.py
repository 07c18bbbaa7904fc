"""What is sealed, when, and into which blocks; and that neither a kill nor anybody else gets in its way."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import apsw
import pytest

from outstation.core.readings import Millis, Value
from outstation.store import chunks, merging, sealer
from outstation.store.blocks import SENT_BOOT
from outstation.store.blocks import sealed as block
from outstation.store.database import Recorded, Store
from outstation.store.history import History
from outstation.store.replay import opened, replay
from outstation.store.sealer import OLD, Sealer
from outstation.store.sealing import packing
from outstation.store.segments import Segment
from tests.store.child import pair
from tests.store.disturbed import Disturbed
from tests.store.given import MORNING, in_store, own, sent

T = TypeVar("T")

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a few dozen readings as good as some thousand."""
    monkeypatch.setattr(chunks, "CHUNK_READINGS", 10)
    monkeypatch.setattr(merging, "BLOCK_READINGS", 20)
    monkeypatch.setattr(sealer, "BLOCK_READINGS", 20)
    monkeypatch.setattr(sealer, "_LONGEST_PAUSE_NS", 0)


async def fill(store: Store, times: Sequence[Millis], sensor: str = "a/x", value: Value = 1.5) -> None:
    """Store a sender's readings, ten in a commit: that is a chunk."""
    for first in range(0, len(times), 10):
        await store.record([sent(sensor, at, value) for at in times[first : first + 10]])


def blocks(store: Store) -> list[tuple[Millis, Millis, int]]:
    """Return what every block spans, and how many readings it has, in the order of time."""
    with store.read() as connection:
        found: Any = connection.execute(
            "SELECT start, end, count FROM blocks ORDER BY sensor, boot, start, id"
        ).fetchall()
    return [(start - MORNING, end - MORNING, count) for start, end, count in found]


def in_log(store: Store) -> int:
    with store.read() as connection:
        found: int = connection.execute("SELECT coalesce(sum(count), 0) FROM log").get
    return found


def test_a_part_of_the_log_is_sealed_when_it_makes_whole_blocks(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await fill(store, range(20))
        assert await Sealer(store).seal(MORNING, everything=False) == 0
        await fill(store, range(20, 30))
        assert await Sealer(store).seal(MORNING, everything=False) == 20
        assert blocks(store) == [(0, 19, 20)]
        assert in_log(store) == 10  # the numbers of rows go on from the newest chunk
        assert History(store).count() == store.stats().readings == 30

    in_store(tmp_path, story)


def test_a_part_of_the_log_is_sealed_when_it_is_a_day_old(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await fill(store, range(20))
        assert await Sealer(store).seal(MORNING + OLD, everything=False) == 0
        assert await Sealer(store).seal(MORNING + OLD + 10, everything=False) == 10
        assert blocks(store) == [(0, 9, 10)]

    in_store(tmp_path, story)


def test_a_big_log_is_sealed_however_little_it_has_of_each_sensor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealer, "LOG_READINGS", 40)

    async def story(store: Store) -> None:
        for at in range(9):
            await store.record([sent(f"{number}/x", at) for number in range(10)])
            assert await Sealer(store).seal(MORNING, everything=False) == (40 if at in {4, 8} else 0)
        assert [count for *_, count in blocks(store)] == [8] * 10

    in_store(tmp_path, story)


def test_small_blocks_grow_and_big_ones_are_left_alone(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await fill(store, range(25))
        await store.seal(everything=True)
        assert blocks(store) == [(0, 9, 10)]
        await fill(store, range(25, 95))
        await store.seal(everything=True)
        before = blocks(store)
        assert [count for *_, count in before] == [21, 21, 21, 22]
        await fill(store, range(95, 130))
        await store.seal(everything=True)
        assert blocks(store) == [*before, (85, 114, 30)]

    in_store(tmp_path, story)


def test_a_block_is_not_written_anew_for_a_few_readings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "BLOCK_READINGS", 100)
    monkeypatch.setattr(merging, "SMALL", 20)
    monkeypatch.setattr(merging, "GROWS_BY", 3)

    async def story(store: Store) -> None:
        for end, counts in ((30, [20]), (40, [30]), (70, [60]), (80, [60, 10]), (130, [60, 60]), (150, [60, 80])):
            await fill(store, range(History(store).count(), end))
            await store.seal(everything=True)
            assert [count for *_, count in blocks(store)] == counts

    in_store(tmp_path, story)


def test_readings_of_one_millisecond_stay_in_order_in_whatever_block_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "BLOCK_READINGS", 10)

    async def story(store: Store) -> None:
        for first in range(0, 60, 10):
            await store.record([own("a", 5, number) for number in range(first, first + 10)])
            await store.seal(everything=True)
        assert len(blocks(store)) == 5
        assert [row.value for row in History(store).of_sensor("a", limit=100).rows] == list(range(60))
        with opened(tmp_path) as connection:
            assert [each.value for each in replay(connection)] == list(range(60))

    in_store(tmp_path, story)


def test_late_ones_and_corrections_go_into_the_block_of_their_time(tmp_path: Path) -> None:
    late, wrong = range(1, 40, 2), range(60, 70, 2)

    async def story(store: Store) -> None:
        await fill(store, range(0, 120, 2))
        await store.seal(everything=True)
        assert await store.record([sent("a/x", at, 2.5) for at in wrong]) == Recorded(0, corrected=5)
        await fill(store, late)
        await fill(store, range(120, 150, 2))
        await store.seal(everything=True)
        assert all(20 <= count < 40 for *_, count in blocks(store))
        assert all(block[1] < following[0] for block, following in pairwise(blocks(store)))
        rows = History(store).of_sensor("a/x", limit=1_000).rows
        times = sorted([*range(0, 150, 2), *late])
        assert [(row.at - MORNING, row.value) for row in rows] == [(at, 2.5 if at in wrong else 1.5) for at in times]
        assert await store.record([sent("a/x", at) for at in late]) == Recorded(0, duplicates=20)
        assert await store.record([sent("a/x", 60, 2.5), sent("a/x", 60, 3.5)]) == Recorded(0, 1, 1)
        assert History(store).count() == len(times)

    in_store(tmp_path, story)


def test_a_start_needs_nothing_of_what_was_deleted(tmp_path: Path) -> None:
    async def before(store: Store) -> None:
        await store.record([own("old", 1, "only once"), sent("b/x", 1, "only once")])
        await fill(store, range(40))
        await store.seal(everything=True)

    async def after(store: Store) -> None:
        latest = History(store).latest()
        assert (latest["old"].value, latest["b/x"].value, latest["a/x"].at) == ("only once", "only once", MORNING + 39)
        assert await store.record([sent("b/x", 1, "only once")]) == Recorded(0, duplicates=1)
        assert store.stats().readings == History(store).count() == 42

    in_store(tmp_path, before)
    in_store(tmp_path, after)


def test_a_whole_number_without_a_sign_is_sealed_as_near_as_can_be() -> None:
    """The door lets none in any more, but a log of before may have one."""
    made = block(1, SENT_BOOT, Segment(0, True, [1, 2], [(1 << 64) - 1, 1.5], bytes(2)))
    assert list(packing.unpack(made.body).values) == [2.0**64, 1.5]


def test_what_a_deleted_sensor_left_in_the_log_is_not_sealed(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        for at in range(20):
            await store.record([own("a", at), own("b", at)])

        def delete(connection: apsw.Connection) -> None:
            connection.execute("INSERT INTO gone (id) SELECT id FROM sensors WHERE name = 'a'")
            connection.execute("DELETE FROM sensors WHERE name = 'a'")

        await store.write(delete)
        expected = [(MORNING + at, {"b": 1.5}) for at in range(20)]
        assert History(store).instants().rows == expected
        await store.seal(everything=True)
        assert [(start + MORNING, count) for start, _, count in blocks(store)] == [(0, 15)]
        assert History(store).instants().rows == expected

    in_store(tmp_path, story)


def test_blocks_that_somebody_deleted_meanwhile_do_not_come_back(tmp_path: Path) -> None:
    """Between the packing of others and their writing."""

    async def story(store: Store) -> None:
        async def meddle(written: int) -> None:
            if not written:
                await store.write(lambda connection: connection.execute("DELETE FROM blocks").fetchall())

        await fill(store, range(20))
        await store.seal(everything=True)
        await fill(store, range(20, 40))
        await Sealer(Disturbed(store, meddle)).seal(0, everything=True)
        assert blocks(store) == [(10, 29, 20)]

    in_store(tmp_path, story)


def test_a_replay_goes_on_where_the_log_is_sealed_under_it(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await fill(store, range(0, 200, 2))
        await fill(store, range(1, 100, 2))
        with opened(tmp_path) as connection:
            readings = replay(connection)
            found = [next(readings) for _ in range(15)]
            await store.seal(everything=True)
            found += [next(readings) for _ in range(15)]
            await fill(store, range(200, 300))
            await store.seal(everything=True)
            found += readings
        assert [each.at - MORNING for each in found][:150] == sorted([*range(0, 200, 2), *range(1, 100, 2)])

    in_store(tmp_path, story)


def test_killed_while_it_seals_nothing_is_lost_and_nothing_is_doubled(tmp_path: Path) -> None:
    answered: set[Value | None] = set()
    for _ in range(4):
        first = max((number for number in answered if isinstance(number, int)), default=-1) + 100
        words = (sys.executable, "-m", "tests.store.child", "seal_until_killed", str(tmp_path), str(first))
        with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT) as process:
            assert process.stdout
            answered.add(int(process.stdout.readline()))
            time.sleep(random.uniform(0.1, 0.4))
            process.kill()
            answered |= {int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")}
        in_store(tmp_path, partial(sound, answered=answered))
    assert len(answered) > 100


async def sound(store: Store, answered: set[Value | None]) -> None:
    """See that all that was answered is there once, sealed or not, and goes on being so."""
    history = History(store)
    for is_sealed in (False, True):
        theirs, ours = (
            Counter(row.value for row in history.of_sensor(name, limit=1_000_000).rows) for name in ("board/x", "own")
        )
        assert theirs == ours
        assert answered <= theirs.keys()
        assert set(theirs.values()) == {1}
        assert history.count() == store.stats().readings == 2 * len(theirs)
        known = [number for number in theirs if isinstance(number, int)][:50]
        assert (await store.record([pair(number)[0] for number in known])).duplicates == len(known)
        if not is_sealed:
            await store.seal(everything=True)
