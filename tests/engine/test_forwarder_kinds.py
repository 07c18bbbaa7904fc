"""The kinds of uplinks at work: plain JSON, a real InfluxDB, a channel of ThingSpeak, a sign of life."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outstation.core import delivery
from outstation.core.windows import FIVE_MINUTES
from outstation.engine import forwarding
from outstation.protocols.heartbeat.uplink import HeartbeatUplink
from outstation.protocols.influxdb.uplink import InfluxdbUplink
from outstation.protocols.json.uplink import JsonUplink
from outstation.protocols.thingspeak.uplink import ThingSpeakUplink
from outstation.store.database import Store
from outstation.store.outbox import Outbox
from tests.engine.receiving import OK, Seen, Server, answer, until
from tests.engine.reporting import NOON, at_work, facts, raised, sending, summed_up, waiting
from tests.protocols.influxdb.served import PASSWORD, USER, influxdb
from tests.store.given import in_store

WEEK = 7 * 24 * 12
"""Windows in a week."""


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST", 10)
    for module in (delivery, forwarding):
        monkeypatch.setattr(module, "SELDOM", 50)


class Endpoint(Server):
    """Somebody's own program: what it confirms it has. is_full: it takes alerts alone."""

    def __init__(self) -> None:
        super().__init__()
        self.summaries: Counter[tuple[str, int]] = Counter()
        self.alerts_had: list[str] = []
        self.is_full = False

    def answer_to(self, seen: Seen) -> bytes:
        body: dict[str, Any] = msgspec.json.decode(seen.body)
        if body["kind"] == "alert":
            self.alerts_had.append(body["rule"])
        elif self.is_full:
            return answer(503)
        else:
            self.summaries[body["sensor"], body["period_start"]] += 1
        return OK


def periods(*numbers: int) -> set[int]:
    return {(NOON + number * FIVE_MINUTES) // 1000 for number in numbers}


def test_an_endpoint_has_each_summary_once_past_refusals_and_cuts(tmp_path: Path) -> None:
    endpoint = Endpoint()
    refusals = [answer(503), b"", answer(302, "Location: http://login.example/"), answer(404), answer(429)]

    async def story(store: Store) -> None:
        await summed_up(store, range(30), "air", "soil")
        endpoint.answers.extend(refusals)
        async with endpoint.up(), at_work(store, sending(JsonUplink, url=endpoint.url)):
            await until(lambda: len(endpoint.summaries) >= 5)
            endpoint.answers.extend([answer(422), *refusals])
            await until(lambda: not waiting(store))
        (parked,) = Outbox(store).parked("hub")
        assert parked.reason == "it answered 422"
        assert set(endpoint.summaries.values()) == {1}
        assert len(endpoint.summaries) == 59

    in_store(tmp_path, story)


def test_an_endpoint_is_told_at_once_of_what_receivers_are_told_of(tmp_path: Path) -> None:
    endpoint = Endpoint()
    endpoint.is_full = True

    async def story(store: Store) -> None:
        await summed_up(store, range(3))
        async with endpoint.up(), at_work(store, sending(JsonUplink, url=endpoint.url)) as forwarder:
            await raised(store, forwarder, 1, tell=False)
            await raised(store, forwarder, 2)
            await until(lambda: endpoint.alerts_had)
            endpoint.is_full = False
            await until(lambda: not waiting(store))
        assert len(endpoint.summaries) == 3
        assert endpoint.alerts_had == ["too hot"]

    in_store(tmp_path, story)


def test_influxdb_has_all_that_it_can_take_and_the_rest_is_parked(tmp_path: Path) -> None:
    with influxdb(tmp_path) as server:
        server.ask("CREATE DATABASE garden")
        # A field has one type in a week (a shard): there, nothing of ours fits any more.
        server.write(f'summaries mean="a text" {NOON // 1000}', "garden")

        async def story(store: Store) -> None:
            await summed_up(store, [*range(12), *range(WEEK, WEEK + 300)])
            where: dict[str, Any] = {"url": server.url, "database": "garden", "user": USER, "password": PASSWORD}
            async with at_work(store, sending(InfluxdbUplink, **where)):
                await until(lambda: not waiting(store))
            refused = {one.summary.start // 1000 for one in Outbox(store).parked("hub")}
            assert refused == periods(*range(12))
            (series,) = server.ask("SELECT count FROM summaries WHERE sensor = 'air'", "garden")
            assert {row[0] for row in series["values"]} == periods(*range(WEEK, WEEK + 300))

        in_store(tmp_path, story)


def test_a_channel_has_an_entry_for_each_window(tmp_path: Path) -> None:
    server = Server()
    server.otherwise = answer(202, "Content-Type: application/json", body=b'{"success":true}')

    async def story(store: Store) -> None:
        await summed_up(store, range(100), "air", "soil", "attic")
        url = f"http://127.0.0.1:{server.port}"
        fields = {"air": 1, "soil": 2}
        link = sending(ThingSpeakUplink, url=url, channel=5, key="k", fields=fields)
        async with server.up(), at_work(store, link):
            await until(lambda: not waiting(store))
        (seen,) = server.seen
        entries = msgspec.json.decode(seen.body)["updates"]
        assert len(entries) == 100
        assert entries[7] == {"created_at": "2026-03-01T12:35:00.000Z", "field1": 7.0, "field2": 7.0}

    in_store(tmp_path, story)


def test_a_sign_of_life_comes_while_all_is_well_and_not_otherwise(tmp_path: Path) -> None:
    server, is_well = Server(), True

    async def story(store: Store) -> None:
        nonlocal is_well
        known = facts(is_well=lambda: is_well)
        async with server.up(), at_work(store, sending(HeartbeatUplink, every=20, url=server.url), known=known):
            await until(lambda: len(server.seen) >= 3)
            is_well, before = False, len(server.seen)
            await asyncio.sleep(0.2)
            assert len(server.seen) <= before + 1  # one may have been under way
            is_well = True
            await until(lambda: len(server.seen) > before + 1)

    in_store(tmp_path, story)


def test_a_sign_of_life_that_fails_is_called_one(tmp_path: Path) -> None:
    server = Server()
    server.otherwise = answer(404)

    async def story(store: Store) -> None:
        async with server.up(), at_work(store, sending(HeartbeatUplink, every=20, url=server.url)) as forwarder:
            await until(forwarder.troubles)
            assert forwarder.troubles() == ['Signs of life do not reach "hub": it answered 404 (is its URL right?).']

    in_store(tmp_path, story)
