"""A sign of life: one request with nothing in it, and only while all is well."""

from __future__ import annotations

import asyncio

from outstation.core.delivery import judge_uplink
from outstation.plugins import Outcome
from outstation.protocols.heartbeat.uplink import HeartbeatUplink
from tests.engine.receiving import Server, answer
from tests.protocols.sending import parcel, uplink


def beat(raw: bytes) -> tuple[Outcome, Server]:
    async def main() -> tuple[Outcome, Server]:
        async with Server().up() as server:
            server.otherwise = raw
            return await uplink(HeartbeatUplink, url=server.url).send(parcel()), server

    return asyncio.run(main())


def test_it_asks_for_its_url() -> None:
    outcome, server = beat(answer(200, body=b"OK"))
    assert outcome.answer.status == 200
    assert [(seen.line, seen.body) for seen in server.seen] == [("GET /hook HTTP/1.1", b"")]


def test_it_is_a_sign_of_life_and_carries_nothing() -> None:
    kind = HeartbeatUplink
    assert (kind.idle, kind.only_well, kind.batch, kind.alerts) == (True, True, 0, "none")


def test_a_wrong_address_waits_for_a_person() -> None:
    outcome, _ = beat(answer(404))
    assert judge_uplink(1, outcome.answer, 0.0).urgent
