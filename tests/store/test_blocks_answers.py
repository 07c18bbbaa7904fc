"""Whatever happens, and whenever it is sealed: the answers are those of a store that was never sealed."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outstation.core.readings import Millis, Reading
from outstation.core.restarts import Stamp
from outstation.errors import StoreError
from outstation.store import chunks, log, merging, raw, sealer
from outstation.store.database import Boot, Store
from outstation.store.history import History
from outstation.store.recent import recent
from outstation.store.replay import opened, replay
from outstation.store.sealer import Sealer
from tests.store.disturbed import Disturbed
from tests.store.test_history import BATCHES, BOOTS, OFFSETS, SPANS, TIMES, readings_of

T = TypeVar("T")

MEMORY = "/dev/shm"
"""Where a file costs no time: what becomes of a commit is the matter of other tests."""

DEEDS = st.lists(
    st.one_of(BATCHES, BATCHES, BATCHES, BOOTS, st.just("restart"), st.integers(0, 12)), min_size=4, max_size=25
)
STAMPS = st.builds(Stamp, st.sampled_from(["k1", "k2"]), TIMES, OFFSETS.map(lambda at: 2 * at), st.booleans())


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every border come up in a story of some dozen readings."""
    monkeypatch.setattr(chunks, "CHUNK_READINGS", 5)
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 2)
    monkeypatch.setattr(log, "NEWEST_EVERY", 15)
    monkeypatch.setattr(merging, "BLOCK_READINGS", 4)
    monkeypatch.setattr(merging, "SMALL", 1)
    monkeypatch.setattr(merging, "GROWS_BY", 2)
    monkeypatch.setattr(sealer, "TOGETHER", 9)
    monkeypatch.setattr(sealer, "SENSORS_TOGETHER", 1)
    monkeypatch.setattr(sealer, "_LONGEST_PAUSE_NS", 0)


class KilledError(StoreError):
    """What a story of an interrupted sealing ends with."""


async def seal(store: Store, transactions: int) -> None:
    """Seal everything, unless it takes more transactions."""

    async def kill(written: int) -> None:
        if written == transactions:
            raise KilledError("killed")

    with contextlib.suppress(KilledError):
        await Sealer(Disturbed(store, kill)).seal(0, everything=True)


async def live_through(
    folder: Path, boot: Boot, deeds: list[Any], spans: list[tuple[int, int, int]], here: Stamp
) -> None:
    folders = folder / "plain", folder / "sealed"
    for each in folders:
        each.mkdir()
    stores = [Store(each, boot=boot) for each in folders]
    try:
        for deed in deeds:
            if isinstance(deed, Boot):
                boot = deed
                for store in stores:
                    await store.flush()  # what waits keeps the boot that it was read in
                    await store.set_boot(boot)
            elif deed == "restart":
                for store in stores:
                    store.close()
                stores = [Store(each, boot=boot) for each in folders]
            elif isinstance(deed, int):
                await seal(stores[1], deed)
                await compare(stores, spans, here)
            else:
                await record(stores, readings_of(deed, boot.offset))
        await compare(stores, spans, here)
        await stores[1].seal(everything=True)
        await compare(stores, spans, here)
        with stores[1].read() as connection:
            assert connection.execute("SELECT count(*) FROM sealed").get == 0
            assert connection.execute("SELECT count(*) FROM log_index").get <= 1
    finally:
        for store in stores:
            store.close()


async def record(stores: list[Store], batch: list[Reading]) -> None:
    """Store readings; in the store that is sealed our own wait in memory."""
    if any(reading.sender_stamped for reading in batch):
        await stores[1].flush()  # what waits would come to the log after these
        assert await stores[0].record(batch) == await stores[1].record(batch)
    else:
        await stores[0].record(batch)
        stores[1].record_soon(batch)


async def compare(stores: list[Store], spans: list[tuple[int, int, int]], here: Stamp) -> None:
    """What waits in memory is in the answers to people; the other questions are about what is on disk."""
    plain, of_sealed = map(History, stores)
    assert repr(sorted(of_sealed.latest().items())) == repr(sorted(plain.latest().items()))
    pages(stores, spans)
    await stores[1].flush()
    assert [*map(repr, answers(stores[1], spans, here))] == [*map(repr, answers(stores[0], spans, here))]
    pages(stores, spans)


def answers(store: Store, spans: list[tuple[int, int, int]], here: Stamp) -> list[object]:
    """Ask everything but pages."""
    found: list[object] = [sorted(History(store).latest().items()), History(store).count(), store.stats().readings]
    with store.read() as connection:
        ids = dict(connection.execute("SELECT name, id FROM sensors"))
        found.append([raw.said(connection, ids[name], start, end) for name in ids for start, end, _ in spans])
        found.append([raw.last_before(connection, ids[name], end) for name in ids for _, end, _ in spans])
        lengths: dict[str, Millis] = {"a": 200_000, "b": 900_000, "c": 10**7}
        found.append(sorted(recent(connection, lengths, here, lambda: True)[0].items()))
    with opened(store.path.parent) as connection:
        found.append(list(replay(connection)))
        found += [list(replay(connection, start=start, end=end, sensors=["a", "c"])) for start, end, _ in spans]
    return found


def pages(stores: list[Store], spans: list[tuple[int, int, int]]) -> None:
    """Walk the pages of both at once, with the tokens of one of them."""
    plain, of_sealed = map(History, stores)
    for start, end, limit in spans:
        for name in ("a", "b", "c", None):
            cursor, is_first = None, True
            while is_first or cursor:
                if name is None:
                    ask: Any = lambda history: history.instants(start=start, end=end, limit=limit, cursor=cursor)  # noqa: E731, B023
                else:
                    ask = lambda history: history.of_sensor(name, start=start, end=end, limit=limit, cursor=cursor)  # noqa: E731, B023
                page, other = ask(plain), ask(of_sealed)
                assert sorted_rows(other.rows) == sorted_rows(page.rows)
                assert other.next == page.next
                cursor, is_first = page.next, False


def sorted_rows(rows: list[Any]) -> list[str]:
    return [repr((row[0], sorted(row[1].items())) if isinstance(row, tuple) else row) for row in rows]


@pytest.mark.usefixtures("small")
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(first=BOOTS, deeds=DEEDS, spans=st.lists(SPANS, min_size=1, max_size=3), here=STAMPS)
def test_sealed_or_not_every_answer_is_the_same(
    first: Boot, deeds: list[Any], spans: list[tuple[int, int, int]], here: Stamp
) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY if Path(MEMORY).is_dir() else None) as folder:
        asyncio.run(live_through(Path(folder), first, deeds, spans, here))
