"""Alerts on their way to a hub: before all else, whatever waits or hangs, and each once."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from outstation import clock
from outstation.core import delivery
from outstation.core.readings import Note
from outstation.engine import forwarder as forwarder_module
from outstation.engine import forwarding
from outstation.protocols.outstation import wire
from outstation.store.database import Store
from outstation.store.deliveries import Deliveries
from tests.engine.receiving import Seen, answer, until
from tests.engine.reporting import Hub, at_work, native, raised, summed_up, waiting
from tests.store.given import in_store


class Picky(Hub):
    """A hub that hangs over summaries, or does not want one alert, or is busy for so many summaries."""

    hangs = False
    busy = 0
    unwanted = 0

    def answer_to(self, seen: Seen) -> bytes:
        batch = wire.decode_batch(wire.unpacked(seen.body) if "content-encoding" in seen.headers else seen.body)
        if self.hangs and batch.epoch:
            self.stays_open = True
            return b""
        self.stays_open = False
        if self.busy:
            self.busy -= bool(batch.summaries)
            return answer(503)
        if any(one.id == self.unwanted for one in batch.alerts):
            return answer(422)
        return super().answer_to(seen)


def hasty(monkeypatch: pytest.MonkeyPatch, first: int = 10) -> None:
    monkeypatch.setattr(delivery, "FIRST", first)
    for module in (delivery, forwarding):
        monkeypatch.setattr(module, "SELDOM", 50)


def test_alerts_that_were_raised_offline_come_first_and_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty(monkeypatch, first=60_000)
    monkeypatch.setattr(forwarding, "LONGEST_BATCH", 20)  # so summaries would be first
    hub = Picky()
    hub.busy = 8

    async def story(store: Store) -> None:
        await summed_up(store, range(100))
        async with at_work(store, native(hub.url)) as forwarder:
            for number in range(1, 151):
                await raised(store, forwarder, number)
            async with hub.up():
                await until(lambda: len(hub.alerts_by_key) == 150 and not waiting(store))
        told = [batch for batch in hub.batches if batch.alerts]
        assert hub.batches[0].alerts
        assert [one.id for batch in told for one in batch.alerts] == [*range(1, 151)]
        assert len(told) <= 4

    in_store(tmp_path, story)


def test_an_alert_waits_for_no_summary_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hasty(monkeypatch)
    hub = Picky()
    hub.hangs = True

    async def story(store: Store) -> None:
        await summed_up(store, range(3))
        async with hub.up(), at_work(store, native(hub.url)) as forwarder:
            await until(lambda: hub.seen)
            before = time.monotonic()
            await raised(store, forwarder, 1)
            await until(lambda: hub.alerts_by_key)
            assert time.monotonic() - before < 1.5
            assert waiting(store) == 3

    in_store(tmp_path, story)


def test_nothing_waits_behind_an_alert_that_is_not_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hasty(monkeypatch)
    hub, notes = Picky(), list[Note]()
    hub.unwanted = 3

    async def story(store: Store) -> None:
        async with at_work(store, native(hub.url), notes=notes) as forwarder:
            for number in range(1, 7):
                await raised(store, forwarder, number)
            async with hub.up():
                await until(lambda: not Deliveries(store).count("uplink:hub"))
        assert sorted(one.id for one in hub.alerts_by_key.values()) == [1, 2, 4, 5, 6]

    in_store(tmp_path, story)


def test_an_alert_that_flaps_offline_waits_once_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hasty(monkeypatch)
    hub = Picky()

    async def story(store: Store) -> None:
        async with at_work(store, native(hub.url)) as forwarder:
            await raised(store, forwarder, 1)
            for flap in range(50):
                await raised(store, forwarder, 2, tell=False)
                await raised(store, forwarder, 2, tell=False, cleared=flap)
            assert Deliveries(store).count("uplink:hub") == 2
            async with hub.up():
                await until(lambda: not Deliveries(store).count("uplink:hub"))
        last = [one for one in hub.alerts_by_key.values() if one.id == 2][-1]
        assert (last.state, last.cleared_at) == ("cleared", last.raised_at + 49)

    in_store(tmp_path, story)


def test_an_alert_that_is_over_before_it_could_be_told_is_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it was tried already: nobody is to be told of it as of something new."""
    hasty(monkeypatch)
    hub = Picky()

    async def story(store: Store) -> None:
        async with at_work(store, native(hub.url)) as forwarder:
            await raised(store, forwarder, 1)
            while not (await forwarder.reports())["hub"].last_error:  # noqa: ASYNC110  nobody rings
                await asyncio.sleep(0.01)
            await raised(store, forwarder, 1, tell=False, cleared=5)
            await asyncio.sleep(0.1)  # a try may be under way
            async with hub.up():
                await until(lambda: not Deliveries(store).count("uplink:hub"))
        assert [one.state for one in hub.alerts_by_key.values()] == ["cleared"]

    in_store(tmp_path, story)


def test_an_alert_that_flaps_costs_few_messages_and_its_last_state_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarder_module, "_APART", 400)
    hub = Picky()

    async def story(store: Store) -> None:
        async with hub.up(), at_work(store, native(hub.url)) as forwarder:
            begun = clock.now()
            for flap in range(40):
                await raised(store, forwarder, 2, tell=False)
                await raised(store, forwarder, 2, tell=False, cleared=flap)
                await asyncio.sleep(0.01)
            await raised(store, forwarder, 3)
            await until(lambda: any(one.cleared_at == one.raised_at + 39 for one in hub.alerts_by_key.values()))
            assert not waiting(store)
        messages = len([one for one in hub.alerts_by_key.values() if one.id == 2])
        assert 2 <= messages <= 3 + 2 * (clock.now() - begun) // 400

    in_store(tmp_path, story)
