"""Entries for a ThingSpeak channel, before a server that takes them as the service does and refuses what it refuses."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from outstation.core.delivery import judge_uplink
from outstation.plugins import Outcome, Parcel
from outstation.protocols.thingspeak.uplink import ThingSpeakOptions, ThingSpeakUplink
from tests.engine.receiving import Seen, Server, answer
from tests.protocols.sending import item, parcel, tombstone, uplink

KEY = "Q7W1E9R3T5Y8U2I4"
OPTIONS = {"channel": 254616, "key": KEY, "fields": {"air": 1, "soil": 3}}


class Channel(Server):
    """The bulk update of the service, as its contract has it. entries: what it took, by their time."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[datetime.datetime, dict[str, Any]] = {}
        self.on_seen = lambda: self.answers.append(self._judged(self.seen[-1]))

    def _judged(self, seen: Seen) -> bytes:
        if seen.line != "POST /channels/254616/bulk_update.json HTTP/1.1":
            return _refused(404, "error_resource_not_found")
        body = msgspec.json.decode(seen.body)
        if body["write_api_key"] != KEY:
            return _refused(401, "error_auth_required")
        if len(body["updates"]) > 960:
            return _refused(413, "error_request_too_large")
        times = [datetime.datetime.fromisoformat(entry.pop("created_at")) for entry in body["updates"]]
        if len({*times, *self.entries}) < len(times) + len(self.entries):
            return _refused(409, "error_conflict")
        assert all(name in {f"field{number}" for number in range(1, 9)} for each in body["updates"] for name in each)
        self.entries |= dict(zip(times, body["updates"], strict=True))
        return answer(202, "Content-Type: application/json; charset=utf-8", body=b'{"success":true}')


def _refused(status: int, code: str) -> bytes:
    error = {"error_code": code, "message": "No", "details": "No."}
    return answer(status, "Content-Type: application/json", body=msgspec.json.encode({"status": "0", "error": error}))


def sent(*parcels: Parcel, raw: bytes = b"", **options: Any) -> tuple[Outcome, Channel]:
    """What came of the last of these parcels. raw: what the server says in place of the service's answer."""

    async def main() -> tuple[Outcome, Channel]:
        channel = Channel()
        if raw:
            channel.on_seen, channel.otherwise = lambda: None, raw
        async with channel.up():
            link = uplink(ThingSpeakUplink, url=f"http://127.0.0.1:{channel.port}", **{**OPTIONS, **options})
            outcomes = [await link.send(one) for one in parcels]
        return outcomes[-1], channel

    return asyncio.run(main())


def test_the_sensors_of_a_window_are_one_entry() -> None:
    outcome, channel = sent(parcel(item("soil", 1, mean=12), item("air"), item("attic"), item("air", 1)))
    assert outcome.answer.status == 202
    noon = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
    later = noon + datetime.timedelta(minutes=5)
    assert channel.entries == {noon: {"field1": 20.5}, later: {"field1": 20.5, "field3": 12}}
    assert len(channel.seen) == 1


@pytest.mark.parametrize("items", [[], [item("attic")], [tombstone("air")]])
def test_where_nothing_concerns_the_channel_nothing_is_asked(items: list[Any]) -> None:
    outcome, channel = sent(parcel(*items))
    assert outcome.answer.status == 200
    assert channel.seen == []


def test_a_full_parcel_is_within_the_limits_of_the_service() -> None:
    items = [item("air", window) for window in range(ThingSpeakUplink.batch)]
    outcome, channel = sent(parcel(*items))
    assert (outcome.answer.status, len(channel.entries)) == (202, 960)
    assert ThingSpeakUplink.apart == 15_000


def test_an_entry_that_is_there_is_refused_and_not_tried_for_ever() -> None:
    outcome, channel = sent(parcel(item("air")), parcel(item("air", mean=3.0)))
    assert outcome.answer.status == 409
    assert judge_uplink(1, outcome.answer, 0.0).then == "park"
    assert len(channel.entries) == 1


@pytest.mark.parametrize("raw", [answer(200, body=b"<html>Our hotel"), *map(answer, (401, 404, 429, 503))])
def test_only_202_is_a_receipt(raw: bytes) -> None:
    outcome, _ = sent(parcel(item()), raw=raw)
    assert judge_uplink(1, outcome.answer, 0.0).then == "again"


def test_the_key_is_told_to_the_service_alone() -> None:
    outcome, channel = sent(parcel(item()), key="A" * 16)
    assert outcome.answer.status == 401
    assert "A" * 16 not in channel.seen[0].line + outcome.answer.error + repr(outcome)
    assert KEY not in repr(ThingSpeakOptions.model_validate(OPTIONS))


@pytest.mark.parametrize(
    "wrong", [{"fields": {}}, {"fields": {"air": 9}}, {"fields": {"a": 1, "b": 1}}, {"channel": 0}]
)
def test_what_no_channel_has_is_a_mistake(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ThingSpeakOptions.model_validate({**OPTIONS, **wrong})


def test_the_service_itself_is_meant_where_no_url_is_given() -> None:
    assert ThingSpeakOptions.model_validate(OPTIONS).url == "https://api.thingspeak.com"
