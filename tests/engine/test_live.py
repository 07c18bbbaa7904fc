"""Live values: sent while somebody watches, or always, or never; and to a hub that fails ever more seldom."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from outstation.core.readings import Quality, Reading
from outstation.engine import live
from outstation.engine.feed import LOOKED, Feed
from outstation.protocols.outstation import wire
from outstation.protocols.outstation.uplink import NativeUplink
from outstation.store.database import Store
from tests.engine.receiving import Seen, answer, until
from tests.engine.reporting import Hub, at_work, facts, raised, sending
from tests.store.given import in_store


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "EVERY_S", 0.01)


class Watched(Hub):
    """A hub at which somebody watches, or not, and that fails so often."""

    is_watched = False
    fails = 0

    def answer_to(self, seen: Seen) -> bytes:
        if self.fails:
            self.fails -= 1
            return answer(503)
        body = super().answer_to(seen).partition(b"\r\n\r\n")[2]
        receipt = msgspec.structs.replace(wire.decode_receipt(body), watched=self.is_watched)
        return answer(200, "Content-Type: application/json", body=wire.encode(receipt))

    @property
    def shown(self) -> list[wire.Live]:
        return [value for batch in self.batches for value in batch.live]


class Air:
    """A sensor of a node, and one that has nothing to say."""

    def __init__(self) -> None:
        self.at = 1_000

    def __call__(self) -> Sequence[Reading]:
        spike = Reading("air", 21.5, self.at, 0, self.at, Quality.SPIKE)
        return [spike, Reading("soil", None, self.at, 0, self.at, Quality.FAULT)]


def test_nothing_is_sent_until_somebody_watches_and_nothing_after(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        air, hub = Air(), Watched()
        async with hub.up():
            to_hub = sending(NativeUplink, 3_600_000, url=hub.url, key="a key of the hub")
            async with at_work(store, to_hub, known=facts(newest=air)) as forwarder:
                await raised(store, forwarder, 1)
                await until(lambda: hub.alerts_by_key)
                await asyncio.sleep(0.05)
                assert not hub.shown
                hub.is_watched = True
                await raised(store, forwarder, 2)
                await until(lambda: hub.shown)
                assert hub.shown == [wire.Live("air", 1_000, 21.5, "spike")]
                assert hub.batches[-1].sensors == {"air": wire.About("°C", "Air")}
                await asyncio.sleep(0.05)
                assert len(hub.shown) == 1, "the same reading is sent once"
                hub.is_watched, air.at = False, 2_000
                await until(lambda: len(hub.shown) == 2)
                assert not hub.batches[-1].sensors
                air.at = 3_000
                await asyncio.sleep(0.05)
                assert len(hub.shown) == 2
                traffic = (await forwarder.reports())["hub"].traffic
                assert traffic.live > 0
                assert traffic.requests <= 2, "the alerts; live values are counted apart"

    in_store(tmp_path, story)


@pytest.mark.parametrize(("wish", "is_shown"), [("always", True), ("off", False)])
def test_who_wants_it_sends_always_or_never(tmp_path: Path, wish: str, is_shown: bool) -> None:
    async def story(store: Store) -> None:
        air, hub = Air(), Watched()
        hub.is_watched, hub.fails = not is_shown, 2 if is_shown else 0
        async with hub.up():
            to_hub = sending(NativeUplink, 3_600_000, url=hub.url, key="a key of the hub", live=wish)
            async with at_work(store, to_hub, known=facts(newest=air)) as forwarder:
                await raised(store, forwarder, 1)
                await until(lambda: hub.alerts_by_key and bool(hub.shown) is is_shown)
                await asyncio.sleep(0.05)
                assert bool(hub.shown) is is_shown
                assert not any(batch.live and batch.alerts for batch in hub.batches)

    in_store(tmp_path, story)


def test_who_has_looked_watches_for_a_minute() -> None:
    feed = Feed()
    assert not feed.attended(0)
    feed.look()
    assert feed.looked is not None
    assert feed.attended(feed.looked + LOOKED - 1)
    assert not feed.attended(feed.looked + LOOKED)
    with feed.watch():
        assert feed.attended(feed.looked + LOOKED)
