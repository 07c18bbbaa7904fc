"""The native uplink: what stands in a batch, and what counts as a receipt of it."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from outstation.core.delivery import Answer
from outstation.core.windows import HOUR
from outstation.plugins import About, Objection, Outcome, Parcel
from outstation.protocols.outstation import uplink as native
from outstation.protocols.outstation import wire
from outstation.protocols.outstation.uplink import NativeUplink
from tests.engine.reporting import Hub
from tests.protocols.sending import MARCH, item, news, uplink

PARCEL = Parcel(MARCH, (item(),), 4, 9, epoch="e", token="t", sensors={"air": About("°C"), "soil": About("%")})
RECEIPT = wire.Receipt(wire.VERSION, "e", 9, "next", MARCH)


def made(hub: Hub) -> NativeUplink:
    return uplink(NativeUplink, url=f"{hub.url}/api/ingest/", key="a key of the hub")


def heard(*answers: Answer) -> list[Outcome]:
    """What comes of a parcel that is answered so."""
    (batch, origin) = native._batch(PARCEL, {})
    return [native._outcome(answer, batch, origin) for answer in answers]


def receipt(**changes: Any) -> Answer:
    said = msgspec.structs.replace(RECEIPT, **changes)
    return Answer(200, body=wire.encode(said), type="application/json")


def test_what_stands_in_the_place_of_others_goes_where_it_belongs() -> None:
    hub = Hub()
    hub.cursor, hub.objects_to = 4, frozenset({item(window=30).summary.start})
    parcel = msgspec.structs.replace(
        PARCEL, items=(), upto=4, instead=(item("soil", width=HOUR), item(window=2), item(window=30))
    )

    async def story() -> Outcome:
        async with hub.up():
            up = made(hub)
            await up.send(PARCEL)
            return await up.send(parcel)

    outcome = asyncio.run(story())
    first, second = hub.batches
    assert (second.after, second.upto, second.token) == (4, 4, "t")
    assert [(one.sensor, one.width) for one in second.hours] == [("soil", HOUR)]
    assert [one.start for one in second.summaries] == [item(window=2).summary.start, item(window=30).summary.start]
    assert outcome.objections == (Objection("instead", 2, "it is odd"),)
    assert (first.sensors, second.sensors) == ({"air": wire.About("°C")}, {"soil": wire.About("%")})
    assert wire.summary(first.summaries[0]) == item().summary


def test_a_receipt_moves_the_cursor_and_gives_the_next_token() -> None:
    (outcome,) = heard(receipt(watched=True))
    assert (outcome.answer.status, outcome.cursor, outcome.token, outcome.watched) == (200, 9, "next", True)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (receipt(epoch="another"), "another file"),
        (receipt(cursor=3), "up to 3"),
        (receipt(cursor=10), "up to 10"),
        (Answer(200, body=wire.encode(RECEIPT), type="text/html"), "login page"),
        (Answer(202, body=wire.encode(RECEIPT), type="application/json"), "login page"),
    ],
)
def test_what_is_no_receipt(answer: Answer, why: str) -> None:
    (outcome,) = heard(answer)
    assert outcome.answer.status is None
    assert why in outcome.answer.error


def test_alerts_are_there_when_each_is_named_in_the_receipt() -> None:
    told = news()
    batch = wire.Batch(wire.VERSION, MARCH, alerts=(native._told(told),))
    refused = wire.Refused("alerts", 0, "", 0, "no\x1b[2J")
    answers = receipt(alerts=(told.key,)), receipt(), receipt(refused=(refused,))
    there, missing, unwanted = [native._outcome(one, batch, {"alerts": [("alerts", 0)]}) for one in answers]
    assert (there.answer.status, missing.answer.status, unwanted.answer.status) == (200, None, 200)
    assert unwanted.objections == (Objection("alerts", 0, "no?[2J"),)


def test_places_that_are_not_in_the_batch_are_passed_over() -> None:
    refused = [wire.Refused(name, place, "", 0, "x") for name, place in (("summaries", 1), ("summaries", -1), ("x", 0))]
    (outcome,) = heard(receipt(refused=tuple(refused)))
    assert outcome.objections == ()


def test_a_refusal_says_why_and_where_the_hub_stands() -> None:
    stands = {"error": "<b>gone</b>\n", "standing": {"epoch": "e", "cursor": 2}}
    answer = Answer(409, "it answered 409", body=msgspec.json.encode(stands), type="application/problem+json")
    behind, elsewhere, garbled = heard(
        answer, msgspec.structs.replace(answer, status=422), Answer(409, "it answered 409", body=b"<html>")
    )
    assert (behind.back_to, behind.cloned, behind.answer.error) == (2, False, "it answered 409: <b>gone</b>?")
    assert (elsewhere.back_to, garbled.back_to) == (None, None)
    assert garbled.answer.error == "it answered 409"


@example(409, b'{"error":"caf\xe9"}', "application/json")
@example(200, b'{"x":' + b"[" * 5_000, "application/json")
@example(422, b'{"x":' + b"[" * 5_000, "application/json")
@given(st.integers(100, 599), st.binary(max_size=60), st.sampled_from(["application/json", "text/html", ""]))
def test_no_answer_is_too_odd(status: int, body: bytes, kind: str) -> None:
    (outcome,) = heard(Answer(status, "it answered", body=body, type=kind))
    assert outcome.answer.status != 200
    assert outcome.cursor is None
