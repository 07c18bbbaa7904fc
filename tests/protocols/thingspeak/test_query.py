"""What a path and a query mean, and what is refused for not meaning anything."""

from __future__ import annotations

import datetime
import math
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outstation.errors import RefusedError
from outstation.protocols.thingspeak import query, wire
from outstation.protocols.thingspeak.query import HIGHEST, Asked, Group, Query

NOW = 1_772_366_400_000
"""2026-03-01T12:00:00Z."""
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def read(text: str) -> Query:
    return query.read(wire.parameters(text.encode()), NOW)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/channels/7", Asked(7, "channel")),
        ("/channels/7.json", Asked(7, "channel", form="json")),
        ("/channels/7/feeds", Asked(7, "feeds")),
        ("/channels/7/feed.csv", Asked(7, "feeds", form="csv")),
        ("/channels/7/feeds/last", Asked(7, "feeds", entry="last")),
        ("/channels/7/feeds/last.text", Asked(7, "feeds", entry="last", form="txt")),
        ("/channels/7/feed/12.json", Asked(7, "feeds", entry="12", form="json")),
        ("/channels/7/feeds/entry/12.json", Asked(7, "feeds", entry="12", form="json")),
        ("/channels/7/feeds/last_average.json", Asked(7, "feeds", entry="last_average", form="json")),
        ("/channels/7/fields/3.json", Asked(7, "fields", 3, form="json")),
        ("/channels/7/field/field3/last.txt", Asked(7, "fields", 3, "last", "txt")),
        ("/channels/7/fields/3/last_data_age", Asked(7, "fields", 3, "last_data_age")),
        ("/channels/7/status.json", Asked(7, "status", form="json")),
        ("/stream/channels/7/feeds", Asked(7, "feeds", form="csv", whole=True)),
        ("/channels/7/statuses/last.txt", Asked(7, "status", entry="last", form="txt")),
    ],
)
def test_a_path_names_a_channel_and_what_of_it(path: str, asked: Asked) -> None:
    assert query.asked(path) == asked


@pytest.mark.parametrize(
    "path",
    [
        "/channels/x",
        "/channels/7/",
        "/channels/7/feeds.xml",
        "/channels/7/fields",
        "/channels/7/fields/9.json",
        "/channels/7/fields/0/last",
        "/channels/7/fields/1/last_sum.json",
        "/channels/7/feeds/first.json",
        "/channels/7/feeds/last.json\n",
        "/channels/\u0661/feeds.json",
        "/channels/" + "9" * 30,
    ],
)
def test_any_other_path_names_nothing(path: str) -> None:
    assert query.asked(path) is None


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("", 100),
        ("results=", 100),
        ("results=3", 3),
        ("results=0", 0),
        ("results=9000", 8_000),
        ("days=2", 8_000),
        ("minutes=2", 8_000),
        ("end=2026-01-01", 8_000),
        ("start_entry_id=5", 8_000),
        ("days=2&results=7", 7),
        ("timezone=Europe/Rome&round=2", 100),
    ],
)
def test_how_many_entries_are_read(text: str, limit: int) -> None:
    assert read(text).limit == limit


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("start=2026-03-01%2010:00:00", NOW - 2 * HOUR, HIGHEST),
        ("start=2026-03-01 10:00:00&end=2026-03-01T11:00:00Z", NOW - 2 * HOUR, NOW - HOUR + 1000),
        ("start=2026-03-01%2005:00:00&timezone=America/New_York", NOW - 2 * HOUR, HIGHEST),
        ("start=2026-03-01%2005:00:00&offset=-5", NOW - 2 * HOUR, HIGHEST),
        ("start=2026-03-01%2015:30:00&offset=5.5&timezone=America/New_York", NOW - 2 * HOUR, HIGHEST),
        ("start=2026-03-01T12:00:00+02:00&timezone=America/New_York", NOW - 2 * HOUR, HIGHEST),
        ("start=2026-03-01T10:00:00.900Z&end=2026-03-01T10:00:00.100Z", NOW - 2 * HOUR, NOW - 2 * HOUR + 1000),
        ("minutes=90", NOW - 90 * MINUTE, HIGHEST),
        ("days=2", NOW - 2 * DAY, HIGHEST),
        ("days=0.5", NOW - DAY // 2, HIGHEST),
        ("minutes=5&days=2", NOW - 5 * MINUTE, HIGHEST),
        ("days=2&start=2026-03-01T10:00:00Z", NOW - 2 * HOUR, HIGHEST),
    ],
)
def test_times_are_those_of_the_zone_asked_for_and_both_ends_are_in(text: str, start: int, end: int) -> None:
    found = read(text)
    assert (found.start, found.end) == (start, end)


def test_all_that_changes_how_an_answer_looks() -> None:
    found = read("min=-5&max=7,5&round=2&status=TRUE&location=true&metadata=True&prepend=a&append=%20b&callback=f")
    assert (found.low, found.high, found.digits) == (-5.0, 7.5, 2)
    assert (found.status, found.location, found.metadata) == (True, True, True)
    assert (found.prepend, found.append) == ("a", " b")
    assert read("status=1&offset=0") == Query()
    assert str(read("timezone=UTC").zone) == "UTC"
    assert str(read("timezone=Europe/London").zone) == "Europe/London"
    assert read("timezone=Nowhere/Land").zone is datetime.UTC


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("average=10", Group("average", 10 * MINUTE)),
        ("median=daily", Group("median", DAY)),
        ("sum=60&timescale=1440", Group("timescale", DAY)),
        ("sum=0&average=20", Group("average", 20 * MINUTE)),
        ("average=7", None),
        ("timescale=soon", None),
    ],
)
def test_a_slice_has_one_of_the_widths_of_the_service(text: str, group: Group | None) -> None:
    assert read(text).group == group


@pytest.mark.parametrize(
    "text",
    [
        "results=-1",
        "results=many",
        "results=1e3",
        "results=" + "9" * 40,
        "days=-1",
        "minutes=soon",
        "start=yesterday",
        "end=2026-13-01",
        "round=-1",
        "round=16",
        "min=low",
        "max=nan",
        "offset=23.9999",
        "offset=east",
        "end_entry_id=last",
    ],
)
def test_what_cannot_be_read_is_refused_by_name(text: str) -> None:
    with pytest.raises(RefusedError, match=f"^{text.partition('=')[0]}: expected "):
        read(text)


def test_how_many_entries_the_last_average_is_made_of() -> None:
    assert query.last_of({}) == 30
    assert query.last_of({"sum": "7"}) == 7
    assert query.last_of({"average": "5000"}) == 100
    with pytest.raises(RefusedError):
        query.last_of({"median": "0"})


times = st.integers(DAY // 1000, 95_000_000_000).map(
    lambda seconds: datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(tzinfo=None)
)
accepted = st.fixed_dictionaries(
    {},
    optional={
        "results": st.integers(0, 8_000),
        "start": times,
        "end": times,
        "start_entry_id": st.integers(0, 10**17),
        "end_entry_id": st.integers(0, 10**17),
        "round": st.integers(0, 15),
        "min": st.floats(-1e9, 1e9),
        "max": st.floats(-1e9, 1e9),
        "average": st.sampled_from([10, 15, 20, 30, 60, 240, 720, 1440]),
        "prepend": st.text(max_size=5),
    },
)


@given(accepted)
def test_what_is_accepted_is_what_was_asked(given: dict[str, Any]) -> None:
    found = query.read(wire.parameters(urlencode(given).encode()), NOW)
    if "results" in given:
        assert found.limit == given["results"]
    for name, value, shift in (("start", found.start, 0), ("end", found.end, 1000)):
        if name in given:
            at = given[name].replace(tzinfo=datetime.UTC).timestamp()
            assert value == round(at * 1000) + shift
    assert found.first == given.get("start_entry_id", 1)
    assert found.last == given.get("end_entry_id", HIGHEST)
    assert found.digits == given.get("round")
    assert (found.low, found.high) == (given.get("min", -math.inf), given.get("max", math.inf))
    assert found.group == (Group("average", given["average"] * MINUTE) if "average" in given else None)
    assert found.prepend == given.get("prepend", "")


NAMES = (
    "results",
    "start",
    "end",
    "days",
    "minutes",
    "offset",
    "timezone",
    "round",
    "min",
    "max",
    "sum",
    "end_entry_id",
)


@given(st.dictionaries(st.sampled_from(NAMES), st.text() | st.integers().map(str) | st.floats().map(str)))
def test_whatever_is_asked_is_bounded_or_refused(params: dict[str, str]) -> None:
    try:
        found = query.read(params, NOW)
    except RefusedError:
        return
    assert 0 <= found.limit <= 8_000
    for number in (found.start, found.end, found.first, found.last):
        assert abs(number) <= 2**63 - 1


@given(st.from_regex(r"/channels/[0-9]{1,12}(/[a-z]{0,8}){0,3}(\.[a-z]{0,4})?") | st.text())
def test_any_path_can_be_looked_at(path: str) -> None:
    found = query.asked(path)
    assert found is None or 0 <= found.field <= 8
