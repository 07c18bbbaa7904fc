"""A flipped byte in a block or a pack costs that row: all else is answered, counted right, and people are told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from outstation.core.readings import Millis
from outstation.core.windows import DAY, FIVE_MINUTES, HOUR, Tier
from outstation.engine import exports
from outstation.store import backup, chunks, merging, sealer, tiers
from outstation.store.chunks import HIGHEST, LOWEST
from outstation.store.database import Store
from outstation.store.exporting import Wanted
from outstation.store.history import History
from outstation.store.journal import Journal
from outstation.store.left_out import Row
from tests.store.given import MORNING, in_store, sent

MIDNIGHT: Millis = -(MORNING % DAY)
"""The first of the day of MORNING, as `sent` counts."""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a few dozen readings as good as some thousand."""
    monkeypatch.setattr(chunks, "CHUNK_READINGS", 10)
    monkeypatch.setattr(merging, "BLOCK_READINGS", 20)
    monkeypatch.setattr(sealer, "BLOCK_READINGS", 20)


def flip(connection: apsw.Connection, table: str, number: int) -> None:
    """Change one bit in the middle of a row's body, as a card does that grows old."""
    with connection.blob_open("main", table, "body", number, True) as body:
        body.seek(body.length() // 2)
        byte = body.read(1)[0]
        body.seek(-1, 1)
        body.write(bytes([byte ^ 16]))


async def spoil(store: Store, table: str = "blocks", number: int = 2) -> None:
    await store.write(lambda connection: flip(connection, table, number))


async def fill(store: Store) -> None:
    """Fill three blocks of b/x, a reading in five minutes, and one of b/y."""
    for first in range(0, 60, 10):
        await store.record([sent("b/x", FIVE_MINUTES * at, at) for at in range(first, first + 10)])
        await store.seal(everything=True)
    await store.record([sent("b/y", at, at) for at in range(10)])
    await store.record([sent("b/end", at) for at in range(10)])
    await store.seal(everything=True)


async def moved(store: Store) -> str:
    """Return what people are told, when they are."""
    for _ in range(500):
        if store.lost:
            break
        await asyncio.sleep(0.01)
    await store.flush()  # it is known a moment before it is on disk
    return store.lost


def asked(store: Store, sensor: str = "b/x") -> list[object]:
    return [reading.value for reading in History(store).of_sensor(sensor, limit=1_000).rows]


def spans(store: Store) -> Iterator[tuple[int, int, int]]:
    with store.read() as connection:
        found: Any = connection.execute(
            "SELECT id, start, count FROM blocks WHERE sensor = 1 ORDER BY start"
        ).fetchall()
    yield from found


def test_a_flipped_bit_costs_its_block_and_nothing_else(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await fill(store)
        (_, _, first), (number, _, lost), *_ = spans(store)
        await spoil(store, number=number)
        before, left = store.stats().readings, [*range(first), *range(first + lost, 60)]
        assert asked(store) == left, "answered at once"
        assert "b/x" in await moved(store)
        assert (asked(store), asked(store, "b/y")) == (left, list(range(10)))
        assert (store.opened, store.damaged, store.stats().readings) == (1, "", before - lost)
        assert "damaged" in [note.subject for note in Journal(store).newest(9)]
        # Who has the readings still sends them again.
        recorded = await store.record([sent("b/x", FIVE_MINUTES * at, at) for at in range(60)])
        assert recorded.stored == lost
        assert (asked(store), store.stats().readings) == (list(range(60)), before)
        await store.seal(everything=True)

    in_store(tmp_path, story)

    async def told_after_a_restart(store: Store) -> None:
        assert "b/x" in store.lost
        assert store.stats().readings == 80

    in_store(tmp_path, told_after_a_restart)


def test_corrections_of_what_was_lost_are_counted(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await fill(store)
        (_, _, first), (number, _, lost), *_ = spans(store)
        corrected = [first + 1, first + 2]
        await store.record([sent("b/x", FIVE_MINUTES * at, -at) for at in corrected])
        before = store.stats().readings
        await spoil(store, number=number)
        assert len(asked(store)) == 60 - lost + 2
        await moved(store)
        assert store.stats().readings == before - lost + 2

    in_store(tmp_path, story)


def test_the_writer_that_meets_it_goes_on(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await fill(store)
        number, start, lost = list(spans(store))[-1]
        before = store.stats().readings
        await spoil(store, number=number)
        again = sent("b/x", start - MORNING, 7)
        await store.record([again])
        await moved(store)
        assert (store.opened, store.stats().readings) == (1, before - lost + 1)
        assert asked(store)[-1] == 7

    in_store(tmp_path, story)


def test_sealing_goes_on_beside_it(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await fill(store)
        number, _, lost = list(spans(store))[-1]
        before = store.stats().readings
        await spoil(store, number=number)
        for first in range(40, 60, 10):
            await store.record([sent("b/x", FIVE_MINUTES * at + 1, at) for at in range(first, first + 10)])
        await store.seal(everything=True)
        assert await moved(store)
        await store.seal(everything=True)
        assert (store.opened, store.stats().readings) == (1, before - lost + 20)
        assert asked(store) == list(range(60))

    in_store(tmp_path, story)


def test_lost_summaries_are_made_anew(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        every = HOUR // 2
        await store.record([sent("b/x", MIDNIGHT + every * at, at) for at in range(48 * 3)])
        await until_made(store)
        before = summed(store)
        await store.pack()
        with store.read() as connection:
            packed: int = connection.execute("SELECT min(id) FROM packs").get
        await spoil(store, "packs", packed)
        assert len(summed(store)) < len(before)
        assert "five minutes" in await moved(store)
        await until_made(store)
        assert summed(store)[: len(before)] == before
        assert store.opened == 1

    in_store(tmp_path, story)


async def until_made(store: Store) -> None:
    for _ in range(500):
        await asyncio.sleep(0.02)
        with store.read() as connection:
            if not connection.execute("SELECT count(*) FROM unmade WHERE width = 300000").get and summed(store):
                return


def summed(store: Store) -> list[object]:
    with store.read() as connection:
        return list(tiers.rows(connection, 1, Tier.FIVE_MINUTES, LOWEST, HIGHEST))


def test_an_export_goes_on_without_it_and_the_node_hears(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await fill(store)
        number, _, lost = list(spans(store))[1]
        await spoil(store, number=number)
        async with exports.exported(store, Wanted(("b/x",))) as pieces:
            text = b"".join([piece async for piece in pieces])
        assert text.count(b"\n") == 1 + 60 - lost
        assert "b/x" in await moved(store)

    in_store(tmp_path, story)


def test_a_damaged_copy_is_restored_and_what_is_lost_is_told(tmp_path: Path) -> None:
    for name in ("there", "here", "usb"):
        (tmp_path / name).mkdir()

    async def story(store: Store) -> None:
        await fill(store)
        await spoil(store, number=list(spans(store))[1][0])
        await backup.back_up(store, tmp_path / "usb" / "one.db")

    in_store(tmp_path / "there", story)
    done = backup.restore(tmp_path / "usb" / "one.db", tmp_path / "here")
    (lost,) = done.damaged
    assert "readings of b/x" in lost


def test_a_sound_row_stays_where_it_is(tmp_path: Path) -> None:
    """A reader may have met it in a bad moment of its own memory."""

    async def story(store: Store) -> None:
        await fill(store)
        store.move_damaged(store.opened, [Row("blocks", number) for number, _, _ in spans(store)])
        await store.flush()
        assert not store.lost
        assert asked(store) == list(range(60))

    in_store(tmp_path, story)
