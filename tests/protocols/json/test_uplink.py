"""Plain JSON for any web endpoint: what is posted, what is a receipt, and that secrets stay in their headers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from outstation.core.delivery import Item, judge
from outstation.plugins import Outcome
from outstation.protocols.json.uplink import JsonOptions, JsonUplink, alert_document, summary_document
from outstation.protocols.outstation import plain, wire
from tests.engine.receiving import OK, Seen, Server, answer
from tests.protocols.sending import WINDOW, item, news, parcel, tombstone, uplink


def told(send: Callable[[JsonUplink], Awaitable[Outcome]], raw: bytes = OK, **options: Any) -> tuple[Outcome, Seen]:
    """What came of sending something to a real server that answers so, and what that has seen."""

    async def main() -> tuple[Outcome, Seen]:
        async with Server().up() as server:
            server.otherwise = raw
            outcome = await send(uplink(JsonUplink, url=server.url, **options))
            (seen,) = server.seen
            return outcome, seen

    return asyncio.run(main())


def posted(item: Item, raw: bytes = OK, **options: Any) -> tuple[Outcome, Seen]:
    return told(lambda link: link.send(parcel(item)), raw, **options)


def body(item: Item) -> dict[str, Any]:
    _, seen = posted(item)
    found: dict[str, Any] = msgspec.json.decode(seen.body)
    return found


def test_a_summary_is_posted_whole_and_by_itself() -> None:
    outcome, seen = posted(item(), headers={"Authorization": "Bearer s3cret"})
    assert outcome.answer.status == 204
    assert seen.line == "POST /hook HTTP/1.1"
    assert seen.headers["authorization"] == "Bearer s3cret"
    assert seen.headers["content-type"] == "application/json"
    assert msgspec.json.decode(seen.body) == {
        "kind": "summary",
        "node": "greenhouse-1",
        "sensor": "air",
        "period_start": 1_772_366_400,
        "period_end": 1_772_366_700,
        "count": 2,
        "mean": 20.5,
        "min": 20.0,
        "max": 21.0,
        "stdev": pytest.approx(0.5**0.5),
    }
    assert JsonUplink.batch == 1


def test_one_reading_has_no_spread() -> None:
    one = body(item(count=1, squares=0.0, lowest=True, highest=True))
    assert (one["count"], one["stdev"], one["min"], one["max"]) == (1, 0.0, True, True)


def test_a_window_taken_back_has_no_numbers() -> None:
    gone = body(tombstone())
    assert [gone[name] for name in ("count", "mean", "min", "max", "stdev")] == [0, None, None, None, None]
    assert (gone["period_start"], gone["period_end"]) == (1_772_366_400, 1_772_366_700)


def test_an_hour_in_place_of_five_minutes_says_so() -> None:
    hour = body(item(width=12 * WINDOW))
    assert hour["period_end"] - hour["period_start"] == 3600


def test_a_refusal_says_why() -> None:
    outcome, _ = posted(item(), answer(422, body=b'{"error":"no such sensor\x1b[2J"}'.replace(b"\x1b", b"\\u001b")))
    assert outcome.answer.error == "it answered 422 (no such sensor?[2J)"
    assert judge(1, outcome.answer, 0.0).then == "park"


@pytest.mark.parametrize("raw", [answer(503, "Retry-After: 7"), answer(302, "Location: http://login.example/"), b""])
def test_whatever_is_no_2xx_is_no_receipt(raw: bytes) -> None:
    outcome, _ = posted(item(), raw)
    assert judge(1, outcome.answer, 0.0).then == "again"


def test_an_alert_goes_whole_and_by_itself() -> None:
    outcome, seen = told(lambda link: link.tell([news()]))
    assert outcome.answer.status == 204
    assert msgspec.json.decode(seen.body) == {
        "kind": "alert",
        "node": "greenhouse-1",
        "delivery": "k" * 32,
        "happened": "raised",
        "id": 7,
        "about": "rule",
        "rule": "frost",
        "severity": "critical",
        "state": "raised",
        "message": "Frost: -0.5 °C.",
        "values": {"air": -0.5},
        "raised_at": 1_772_366_400.5,
        "acknowledged_by": None,
        "acknowledged_at": None,
        "cleared_at": None,
    }


@pytest.mark.parametrize("headers", [{"Host": "x"}, {"a b": "x"}, {"": "x"}, {"X": "a\r\nY: b"}, {"X": "ü"}, {"X": ""}])
def test_headers_that_would_break_a_request_are_mistakes(headers: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        JsonOptions.model_validate({"url": "http://127.0.0.1/", "headers": headers})


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "Bearer s3cret")
    options = JsonOptions.model_validate({"url": "https://x.org/s3cret", "headers": {"Authorization": "env:TOKEN"}})
    assert options.headers == {"Authorization": "Bearer s3cret"}
    assert "s3cret" not in repr(options)


@pytest.mark.parametrize("sent", [item(), item("lamp", lowest=False, highest=True, mean=0.5), tombstone()])
def test_a_hub_reads_what_is_posted(sent: Item) -> None:
    batch = plain.batch(msgspec.json.encode(summary_document("greenhouse-1", sent)), b"")
    assert batch
    (read,) = map(wire.summary, batch.summaries)
    assert (read.window, read.count) == (sent.summary.window, sent.summary.count)
    if read.numbers and (meant := sent.summary.numbers):
        assert (read.numbers.mean, read.numbers.lowest, read.numbers.highest) == (
            meant.mean,
            meant.lowest,
            meant.highest,
        )
        assert read.numbers.stdev == pytest.approx(meant.stdev)


def test_a_hub_reads_an_alert() -> None:
    batch = plain.batch(msgspec.json.encode(alert_document("greenhouse-1", news())), b"")
    assert batch
    (told,) = batch.alerts
    assert (told.delivery, told.subject, told.severity, told.state) == ("k" * 32, "frost", "critical", "raised")
