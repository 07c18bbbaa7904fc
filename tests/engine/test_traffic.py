"""What a node that sends summaries costs on the line, beside one that posts every reading."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from outstation.core.delivery import Answer, Item
from outstation.core.summaries import Numbers, Summary
from outstation.core.windows import DAY, FIVE_MINUTES
from outstation.engine import forwarding, outgoing
from outstation.engine.traffic import Meter
from outstation.plugins import Request
from outstation.store.database import Store
from tests.engine.receiving import Server, answer, until
from tests.engine.reporting import NOON, Hub, at_work, native, summed_up, waiting
from tests.store.given import in_store


def dense(sensor: str) -> Item:
    numbers = Numbers(300, 21.437, 12.5, 20.25, 22.75, 20.5, 21.0, NOON, NOON + 299_000)
    return Item(1, sensor, Summary(NOON, FIVE_MINUTES, numbers, FIVE_MINUTES))


def test_the_other_way_is_composed_as_it_would_really_be_sent() -> None:
    meter, server = Meter(), Server()
    server.otherwise = answer(200, body=b"{}")
    headers = {"X-API-Key": "k" * 50, "Content-Encoding": "gzip"}

    async def one_by_one() -> Answer:
        async with server.up():
            meter.count(request := Request(server.url, b"batch", headers), await outgoing.exchange(request, within=5))
            body = b'{"sensor":"air","value":21.0,"timestamp":"2026-03-01T12:04:59.000Z"}'
            return await outgoing.exchange(Request(server.url, body, {"X-API-Key": "k" * 50}), within=5)

    real = asyncio.run(one_by_one())
    meter.passed([dense("air")])
    assert meter.traffic.readings == 300
    assert meter.traffic.naive == 300 * (real.sent + real.received)


def test_ten_sensors_at_1_hz_cost_a_five_hundredth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "own_moment", lambda *_: 0)
    hub = Hub()

    async def story(store: Store) -> None:
        names = [f"air_temperature_{number}" for number in range(10)]
        async with hub.up():
            async with at_work(store, native(hub.url, every=DAY)) as forwarder:
                await summed_up(store, range(1), *names)
                await until(lambda: not waiting(store))
                before = (await forwarder.reports())["hub"].traffic
            async with at_work(store, native(hub.url, every=DAY)) as forwarder:
                await until(lambda: len(hub.batches) > 1)
                await asyncio.sleep(0.05)
                after = (await forwarder.reports())["hub"].traffic
        assert (before.requests, before.readings) == (1, 20)
        assert after.requests == 2
        assert after.naive == before.naive
        # These have two readings a window; at 1 Hz there are 300, and the batch is as long.
        assert before.sent + before.received < 0.002 * before.naive * 150

    in_store(tmp_path, story)


def test_what_is_not_understood_begins_anew() -> None:
    meter = Meter()
    meter.recall('{"requests": 3, "sent": 9}')
    assert (meter.traffic.requests, meter.traffic.sent, meter.traffic.naive) == (3, 9, 0)
    for text in ("", "[]", '{"requests": "x"}'):
        meter.recall(text)
        assert msgspec.structs.asdict(meter.traffic) == msgspec.structs.asdict(Meter().traffic)
