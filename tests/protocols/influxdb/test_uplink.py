"""Summaries in a real InfluxDB: each once, whatever is sent again; and what is no receipt."""

from __future__ import annotations

import asyncio
import itertools
import math
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from outstation import clock
from outstation.core.delivery import judge_uplink
from outstation.plugins import Outcome, Parcel
from outstation.protocols.influxdb import wire
from outstation.protocols.influxdb.uplink import InfluxdbOptions, InfluxdbUplink
from tests.engine.receiving import OK, Server, answer
from tests.protocols.influxdb.lines import LINES
from tests.protocols.influxdb.served import PASSWORD, USER, Influxdb, influxdb
from tests.protocols.sending import MARCH, WINDOW, item, parcel, tombstone, uplink

NOON = MARCH // 1000

_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxdb]:
    with influxdb(tmp_path_factory.mktemp("influxdb")) as server:
        server.ask("CREATE DATABASE garden")
        yield server


def sent(served: Influxdb, *parcels: Parcel, **options: Any) -> list[Outcome]:
    """What came of parcels, sent one after another."""

    async def main() -> list[Outcome]:
        known = {"url": served.url, "database": "garden", "user": USER, "password": PASSWORD}
        link = uplink(InfluxdbUplink, **{**known, **options})
        return [await link.send(one) for one in parcels]

    return asyncio.run(main())


def to_receiver(one: Parcel, raw: bytes = OK, **options: Any) -> tuple[Outcome, Server]:
    """What came of a parcel that went to a server which answers so."""

    async def main() -> tuple[Outcome, Server]:
        async with Server().up() as server:
            server.otherwise = raw
            return await uplink(InfluxdbUplink, url=f"http://127.0.0.1:{server.port}/", **options).send(one), server

    return asyncio.run(main())


def rows(served: Influxdb, measurement: str, database: str = "garden") -> list[tuple[Any, ...]]:
    found = served.ask(f'SELECT * FROM "{measurement}"', database)
    return [tuple(row) for series in found for row in series["values"]]


def test_a_summary_arrives_with_its_tags_and_statistics(served: Influxdb) -> None:
    (outcome,) = sent(served, parcel(item()), measurement="whole", tags={"site": "north, by the = wall"})
    assert outcome.answer.status == 204
    (series,) = served.ask("SELECT * FROM whole", "garden")
    (row,) = series["values"]
    assert dict(zip(series["columns"], row, strict=True)) == {
        "time": NOON,
        "node": "greenhouse-1",
        "sensor": "air",
        "window": "5m",
        "site": "north, by the = wall",
        "count": 2,
        "mean": 20.5,
        "min": 20,
        "max": 21,
        "stdev": pytest.approx(0.5**0.5),
    }


def test_what_is_sent_again_or_revised_is_there_once(served: Influxdb) -> None:
    options = {"measurement": "again", "fields": ["mean"]}
    whole = parcel(*[item("air", window) for window in range(300)])
    outcomes = sent(served, whole, whole, parcel(item("air", 0, mean=3.0)), **options)
    assert [outcome.answer.status for outcome in outcomes] == [204] * 3
    found = rows(served, "again")
    assert len(found) == 300
    assert 3.0 in found[0]


def test_a_window_taken_back_has_a_count_of_nothing(served: Influxdb) -> None:
    sent(served, parcel(item("air"), item("air", 1)), parcel(tombstone("air")), measurement="gone")
    counted = served.ask("SELECT mean FROM gone WHERE count > 0", "garden")[0]["values"]
    assert counted == [[NOON + 300, 20.5]]


def test_whole_numbers_switches_and_fractions_share_a_field(served: Influxdb) -> None:
    numbers: dict[str, Any] = {"mean": 1, "lowest": 1, "highest": 2}
    switch: dict[str, Any] = {"mean": 0.5, "lowest": False, "highest": True}
    outcomes = sent(served, parcel(item("a", **numbers), item("b", **switch), item("c")), measurement="kinds")
    assert outcomes[0].answer.status == 204
    assert sorted(row[0] for row in served.ask("SELECT max FROM kinds GROUP BY sensor", "garden")[0]["values"]) == [
        NOON
    ]


def test_an_hour_is_a_series_of_its_own(served: Influxdb) -> None:
    sent(served, parcel(item(), item(width=12 * WINDOW)), measurement="hours")
    assert {row["tags"]["window"] for row in served.ask("SELECT mean FROM hours GROUP BY window", "garden")} == {
        "5m",
        "60m",
    }


def test_a_database_that_is_not_there_parks_nothing_and_says_what_is_wrong(served: Influxdb) -> None:
    (outcome,) = sent(served, parcel(item()), database="nope")
    assert judge_uplink(1, outcome.answer, 0.0).urgent
    assert 'database not found: "nope"' in outcome.answer.error


def test_a_wrong_password_waits_for_a_person_and_is_not_repeated(served: Influxdb) -> None:
    (outcome,) = sent(served, parcel(item()), password="let me in")
    assert outcome.answer.status == 401
    assert judge_uplink(1, outcome.answer, 0.0).urgent
    assert "let me in" not in repr(outcome)


def test_one_refused_for_good_is_among_others_that_are_there(served: Influxdb) -> None:
    served.ask('CREATE DATABASE "short" WITH DURATION 1h')
    recent = (clock.at() - MARCH) // WINDOW
    whole = parcel(item("air"), item("soil", recent))
    (outcome,) = sent(served, whole, database="short")
    assert "partial write: points beyond retention policy dropped=1" in outcome.answer.error
    assert judge_uplink(1, outcome.answer, 0.0).then == "park"  # the engine halves, and parks the old one alone
    assert [row[0] for row in rows(served, "summaries", "short")] == [NOON + recent * WINDOW // 1000]


def test_what_no_line_can_say_is_parked_and_the_rest_is_there(served: Influxdb) -> None:
    """Of two readings, 1e300 and -1e300, the spread is infinite."""
    (outcome,) = sent(served, parcel(item(squares=math.inf), item(window=1)), measurement="beyond")
    ((_, error),) = [(one.item, one.error) for one in outcome.objections]
    assert outcome.objections[0].item == 0
    assert error
    assert len(rows(served, "beyond")) == 1
    (outcome,) = sent(served, parcel(item(squares=math.inf)), measurement="beyond")
    assert (judge_uplink(1, outcome.answer, 0).then, len(outcome.objections)) == ("done", 1)


@settings(max_examples=30)
@given(line=LINES)
def test_the_server_reads_a_line_as_it_was_meant(served: Influxdb, line: wire.Line) -> None:
    own = f"m{next(_NUMBERS)}{line.measurement}"  # the type of a field is settled by its first line
    fields = {f"f{name}": value for name, value in line.fields.items()}
    tags = {f"t{name}": text for name, text in line.tags.items()}
    status, said = served.write(wire.write(wire.Line(own, fields, tags, NOON)), "garden")
    assert status == 204, said
    quoted = own.replace('"', '\\"')
    (series,) = served.ask(f'SELECT * FROM "{quoted}" GROUP BY *', "garden")
    assert series.get("tags", {}) == tags
    found = dict(zip(series["columns"], series["values"][0], strict=True))
    assert found.pop("time") == NOON
    assert {name: type(fields[name])(value) for name, value in found.items()} == fields


def test_version_2_is_asked_with_a_token_and_a_long_body_is_gzip() -> None:
    options: dict[str, Any] = {"org": "my org", "bucket": "b&c", "token": "s3cret"}
    outcome, server = to_receiver(parcel(*[item("air", window) for window in range(100)]), **options)
    assert outcome.answer.status == 204
    (seen,) = server.seen
    assert seen.line == "POST /api/v2/write?org=my+org&bucket=b%26c&precision=s HTTP/1.1"
    assert seen.headers["authorization"] == "Token s3cret"
    assert seen.headers["content-encoding"] == "gzip"
    lines = zlib.decompress(seen.body, 31).decode().split("\n")
    assert len(lines) == 100
    assert lines[0].startswith("summaries,node=greenhouse-1,sensor=air,window=5m mean=20.5,min=20.0,max=21.0,stdev=0.7")
    assert lines[0].endswith(f",count=2i {NOON}")


@pytest.mark.parametrize(
    ("raw", "then", "words"),
    [
        (answer(200, body=b"<html>Our hotel"), "again", "only 204 confirms"),
        (
            answer(404, body=b'{"code":"not found","message":"bucket \\"b\\" not found"}'),
            "again",
            'bucket "b" not found',
        ),
        (answer(400, body=b'{"code":"invalid","message":"unable to parse"}'), "park", "(unable to parse)"),
        (answer(413), "park", "413"),
        (answer(429, "Retry-After: 30"), "again", "429"),
        (answer(503), "again", "503"),
    ],
)
def test_what_other_answers_mean(raw: bytes, then: str, words: str) -> None:
    outcome, _ = to_receiver(parcel(item()), raw, org="o", bucket="b", token="t")
    assert judge_uplink(1, outcome.answer, 0.0).then == then
    assert words in outcome.answer.error


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"database": "a", "bucket": "b", "org": "o", "token": "t"},
        {"database": "a", "token": "t"},
        {"database": "a", "user": "u"},
        {"bucket": "b", "org": "o"},
        {"bucket": "b", "org": "o", "token": "t", "user": "u"},
        {"database": "a", "measurement": "back\\slash"},
        {"database": "a", "tags": {"node": "x"}},
        {"database": "a", "tags": {"x": "two\nlines"}},
        {"database": "a", "fields": []},
        {"database": "a", "fields": ["median"]},
    ],
)
def test_mistakes_in_the_config(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        InfluxdbOptions.model_validate({"url": "http://127.0.0.1:8086", **keys})


def test_no_secret_is_shown() -> None:
    shown = repr(InfluxdbOptions.model_validate({"url": "http://x/", "org": "o", "bucket": "b", "token": "s3cret"}))
    assert "s3cret" not in shown
