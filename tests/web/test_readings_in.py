"""POST /api/readings: what is taken, in every shape, and what is refused without a trace."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outstation import clock
from tests.running import KEY, Answer, Running
from tests.web.keys import make_key

_devices = itertools.count(1)


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Running]:
    config = """
    [node]
    clock = "trust"

    [[sensors]]
    name = "door"
    driver = "gpio"
    pin = 27
    simulate = true
    """
    with Running(folder / "data", config) as running:
        yield running


@pytest.fixture
def device() -> str:
    """A device that sent nothing before."""
    return f"board-{next(_devices)}"


def stored(node: Running, sensor: str) -> list[tuple[str, Any]]:
    """Time and value of all that is stored of a sensor, oldest first; nothing where there is no such sensor."""
    answer = node.get(f"/api/readings?sensor={sensor}&limit=10000")
    return [(row["timestamp"], row["value"]) for row in answer.json["readings"]] if answer.status == 200 else []


def values(node: Running, sensor: str) -> list[Any]:
    return [value for _, value in stored(node, sensor)]


def count(node: Running) -> int:
    number: int = node.get("/api/health").json["readings_stored"]
    return number


def refused(node: Running, body: object, *statuses: int, key: str = KEY) -> Answer:
    """Send what must be refused: in words, at once, without a trace; and the next good request is served."""
    before, sensors, began = count(node), node.get("/api/sensors").json["count"], time.monotonic()
    answer = node.post("/api/readings", body, {"Content-Type": "application/json"}, key=key)
    assert time.monotonic() - began < 2
    assert answer.status in (statuses or (400, 422))
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == answer.status
    assert answer.json["error"]
    assert len(answer.body) < 800
    assert count(node) == before
    assert node.get("/api/sensors").json["count"] == sensors
    assert node.post("/api/readings", {"sensor": "porch/temperature", "value": 1}).json["accepted"] == 1
    assert "Traceback" not in node.log.read_text()
    return answer


def test_one_reading(node: Running, device: str) -> None:
    answer = node.post("/api/readings", {"sensor": f"{device}/temperature", "value": 21.5})
    assert (answer.status, answer.json) == (200, {"accepted": 1, "created": [f"{device}/temperature"]})
    assert node.post("/api/readings", {"sensor": f"{device}/temperature", "value": 22}).json == {"accepted": 1}
    assert values(node, f"{device}/temperature") == [21.5, 22]


def test_a_list(node: Running, device: str) -> None:
    sent = [{"sensor": f"{device}/a", "value": 1}, {"sensor": f"{device}/b", "value": 2}]
    assert node.post("/api/readings", sent).json == {"accepted": 2, "created": [f"{device}/a", f"{device}/b"]}
    assert values(node, f"{device}/b") == [2]


def test_values_by_name_share_a_time(node: Running, device: str) -> None:
    sent = {"timestamp": "2026-03-01T12:00:00Z", "values": {f"{device}/a": 1, f"{device}/b": True}}
    assert node.post("/api/readings", sent).json["accepted"] == 2
    assert stored(node, f"{device}/b") == [("2026-03-01T12:00:00.000Z", True)]


def test_columns(node: Running, device: str) -> None:
    times = ["2026-03-01T12:00:00Z", 1_772_366_401, 1_772_366_402_500]
    sent = {"sensor": f"{device}/a", "timestamps": times, "values": [1, 2.5, "three"]}
    assert node.post("/api/readings", sent).json["accepted"] == 3
    assert stored(node, f"{device}/a") == [
        ("2026-03-01T12:00:00.000Z", 1),
        ("2026-03-01T12:00:01.000Z", 2.5),
        ("2026-03-01T12:00:02.500Z", "three"),
    ]


def test_a_list_of_all_shapes(node: Running, device: str) -> None:
    sent = [
        {"sensor": f"{device}/a", "value": 1},
        {"values": {f"{device}/b": 2, f"{device}/c": 3}},
        {"sensor": f"{device}/d", "timestamps": [1, 2], "values": [4, 5]},
    ]
    assert node.post("/api/readings", sent).json["accepted"] == 5


@pytest.mark.parametrize("empty", [[], {"values": {}}, {"sensor": "porch/x", "timestamps": [], "values": []}])
def test_nothing_is_nothing(node: Running, empty: object) -> None:
    assert node.post("/api/readings", empty).json == {"accepted": 0}


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1,
        2**63 - 1,
        -(2**63),
        0.1,
        -1.5e300,
        5e-324,
        True,
        False,
        "",
        "on",
        "é" * 127,
        "a\r\nb\x1b[31m",
        "🌡",
        "=1+1",
    ],
)
def test_values_come_back_as_they_went_in(node: Running, device: str, value: object) -> None:
    assert node.post("/api/readings", {"sensor": f"{device}/a", "value": value}).status == 200
    found = values(node, f"{device}/a")
    assert found == [value]
    assert type(found[0]) is type(value)
    assert node.get("/api/status").json["sensors"][f"{device}/a"]["value"] == value


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"sensor": "porch/a"},
        {"value": 1},
        {"sensor": "porch/a", "value": None},
        {"sensor": None, "value": 1},
        {"sensor": 5, "value": 1},
        {"sensor": ["porch/a"], "value": 1},
        {"sensor": "porch/a", "value": {}},
        {"sensor": "porch/a", "value": [1]},
        {"sensor": "porch/a", "value": 1, "values": [1]},
        {"sensor": "porch/a", "value": 1, "values": {"porch/b": 1}},
        {"sensor": "porch/a", "value": 1, "timestamps": [1]},
        {"sensor": "porch/a", "values": {"porch/b": 1}},
        {"values": {"porch/b": 1}, "timestamps": [1]},
        {"values": {"porch/b": None}},
        {"values": {"porch/b": {"value": 1}}},
        {"sensor": "porch/a", "values": [1]},
        {"sensor": "porch/a", "timestamps": [1]},
        {"sensor": "porch/a", "timestamps": [1, 2], "values": [1]},
        {"sensor": "porch/a", "timestamps": 1, "values": 1},
        {"sensor": "porch/a", "timestamps": [1], "values": [1], "timestamp": 1},
        {"timestamps": [1], "values": [1]},
        {"sensor": "porch/a", "timestamps": [None], "values": [1]},
        {"sensor": "porch/a", "value": 1, "unit": "K"},
        [{"sensor": "porch/a", "value": 1}, []],
        [[{"sensor": "porch/a", "value": 1}]],
        "porch/a",
        5,
        True,
    ],
)
def test_other_shapes_are_refused(node: Running, document: object) -> None:
    refused(node, json.dumps(document), 422)


BROKEN = {
    "empty": b"",
    "blank": b"  \r\n",
    "null": b"null",
    "cut off": b'{"sensor": "porch/temperature", "val',
    "cut off in a text": b'{"sensor": "porch/temp',
    "more than one": b'{"sensor": "porch/a", "value": 1}{}',
    "not UTF-8 in a name": b'{"sensor": "porch/\xff", "value": 1}',
    "not UTF-8 in a value": b'{"sensor": "porch/a", "value": "\xc3("}',
    "not UTF-8 in a key": b'{"sen\xffsor": "porch/a", "value": 1}',
    "not UTF-8 in a time": b'{"sensor": "porch/a", "value": 1, "timestamp": "\xed\xa0\x80"}',
    "UTF-16": '{"sensor": "porch/a", "value": 1}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"sensor": "porch/a", "value": 1}',
    "a form": b"sensor=porch/a&value=1",
    "a NUL": b"\x00",
    "a hundred thousand brackets": b"[" * 100_000,
    "a hundred thousand braces": b'{"a":' * 100_000,
    "brackets for a value": b'{"sensor": "porch/a", "value": ' + b"[" * 100_000,
    "brackets for values": b'{"sensor": "porch/a", "timestamps": [1], "values": ' + b"[" * 100_000,
    "brackets by name": b'{"values": {"porch/a": ' + b'{"a":' * 100_000,
    "brackets for a time": b'{"sensor": "porch/a", "value": 1, "timestamp": ' + b"[" * 100_000,
    "5,000 digits": b'{"sensor": "porch/a", "value": ' + b"9" * 5_000 + b"}",
    "5,000 digits below zero": b'{"sensor": "porch/a", "value": -' + b"9" * 5_000 + b"}",
    "5,000 digits of time": b'{"sensor": "porch/a", "value": 1, "timestamp": ' + b"9" * 5_000 + b"}",
    "2^63": b'{"sensor": "porch/a", "value": 9223372036854775808}',
    "2^64": b'{"sensor": "porch/a", "value": 18446744073709551616}',
    "-2^63-1": b'{"sensor": "porch/a", "value": -9223372036854775809}',
    "NaN": b'{"sensor": "porch/a", "value": NaN}',
    "Infinity": b'{"sensor": "porch/a", "value": Infinity}',
    "-Infinity": b'{"sensor": "porch/a", "value": -Infinity}',
    "1e999": b'{"sensor": "porch/a", "value": 1e999}',
    "a time of NaN": b'{"sensor": "porch/a", "value": 1, "timestamp": NaN}',
    "a time of 1e999": b'{"sensor": "porch/a", "value": 1, "timestamp": 1e999}',
    "01": b'{"sensor": "porch/a", "value": 01}',
    "half a surrogate pair": b'{"sensor": "porch/a", "value": "\\ud800"}',
    "half a surrogate pair in a name": b'{"sensor": "porch/\\udc00aaaaaa", "value": 1}',
    "surrogates that do not fit": b'{"sensor": "porch/a", "value": "\\ud800\\u0041 and more"}',
    "NUL in a value": b'{"sensor": "porch/a", "value": "a\\u0000b"}',
    "NUL in a name": b'{"sensor": "porch/a\\u0000", "value": 1}',
    "true for a time": b'{"sensor": "porch/a", "value": 1, "timestamp": true}',
    "true for a name": b'{"sensor": true, "value": 1}',
    "a text of 256 bytes": b'{"sensor": "porch/a", "value": "' + b"x" * 256 + b'"}',
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
def test_broken_json_is_refused_and_leaves_no_trace(node: Running, body: bytes) -> None:
    refused(node, body)


NAMES = [
    "x" * 10_000,
    "porch/" + "x" * 10_000,
    "porch/🌡",
    "../../etc/passwd",
    "porch/../x",
    "=1+1",
    "porch/=1+1",
    "<script>alert(1)</script>",
    "porch/<script>",
    "porch/a\r\nSet-Cookie: a=b",
    "porch/a\n",
    "porch/\x1b[31m",
    "porch/\u202e",
    "porch/a b",
    "porch/é",
    "porch//a",
    "/a",
    "porch/",
    "porch/a/b",
    "Porch/a",
    "porch/A",
    "porch/1a",
    "-porch/a",
    "temperature",
    "",
    "porch/a`b",
    "porch/" + "x" * 65,
    "x" * 65 + "/a",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", ["name", "values", "field"])
def test_names_that_are_none_are_refused_and_not_repeated(node: Running, name: str, shape: str) -> None:
    documents: dict[str, object] = {
        "name": {"sensor": name, "value": 1},
        "values": {"values": {name: 1}},
        "field": {"sensor": "porch/a", "value": 1, name: 1},
    }
    answer = refused(node, json.dumps(documents[shape]), 422)
    assert not set(answer.json["error"]) & set("<>\r\n\x1b\u202e🌡")
    assert "xxxxxxxxxx" not in answer.json["error"] or len(name) < 80
    assert "passwd" not in answer.json["error"]


def test_all_is_taken_or_nothing(node: Running, device: str) -> None:
    good = [{"sensor": f"{device}/s{number}", "value": number} for number in range(20)]
    for bad in ({"sensor": f"{device}/S", "value": 1}, {"sensor": "door", "value": 1}, {"sensor": f"{device}/a"}):
        refused(node, [*good, bad], 422)
        assert f"{device}/s1" not in node.get("/api/status").json["sensors"]


def test_own_sensors_cannot_be_sent(node: Running) -> None:
    answer = refused(node, {"sensor": "door", "value": True}, 422)
    assert '"door" is this node\'s own' in answer.json["error"]


def test_the_key_of_a_device_supplies_its_name(node: Running, device: str) -> None:
    key = make_key(node, "write", device=device)
    assert node.post("/api/readings", {"sensor": "temperature", "value": 1}, key=key).json == {
        "accepted": 1,
        "created": [f"{device}/temperature"],
    }
    for document in (
        {"sensor": f"{device}/temperature", "value": 2},
        {"values": {"temperature": 3}},
        {"sensor": "temperature", "timestamps": [int(time.time()) + 1], "values": [4]},
        {"sensor": "door", "value": 5},
    ):
        assert node.post("/api/readings", document, key=key).status == 200
    assert values(node, f"{device}/temperature") == [1, 2, 3, 4]
    assert values(node, f"{device}/door") == [5], "its door, not ours"


def test_the_key_of_a_device_sends_for_no_other(node: Running, device: str) -> None:
    key = make_key(node, "write", device=device)
    node.post("/api/readings", {"sensor": f"{device}x/temperature", "value": 1})
    for name in (f"{device}x/temperature", f"{device}x/new", "porch/temperature", f"{device}/", f"/{device}"):
        refused(node, {"sensor": name, "value": 2}, 422, key=key)


def test_a_device_has_sixty_four_sensors(node: Running, device: str) -> None:
    first = {f"{device}/s{number}": number for number in range(60)}
    assert node.post("/api/readings", {"values": first}).json["accepted"] == 60
    answer = refused(node, {"values": {f"{device}/t{number}": number for number in range(5)}}, 422)
    assert "64" in answer.json["error"]
    assert node.post("/api/readings", {"values": {f"{device}/t{number}": number for number in range(4)}}).status == 200


@pytest.mark.parametrize("shape", ["list", "values", "columns", "lists"])
def test_ten_thousand_at_once_and_not_one_more(node: Running, device: str, shape: str) -> None:
    def document(number: int) -> object:
        half = {"sensor": f"{device}/a", "timestamps": list(range(number // 2)), "values": [1] * (number // 2)}
        return {
            "list": [{"sensor": f"{device}/a", "value": 1}] * number,
            "values": {"values": {f"{device}/s{place}": 1 for place in range(number)}},
            "columns": {"sensor": f"{device}/a", "timestamps": list(range(number)), "values": [1] * number},
            "lists": [half, half, *[{"values": {f"{device}/b": 1}}] * (number % 2)],
        }[shape]

    assert "10000" in refused(node, document(10_001), 413).json["error"]
    if shape != "values":
        assert node.post("/api/readings", document(10_000)).json["accepted"] == 10_000


def test_the_same_again_is_the_same_and_another_value_a_correction(node: Running, device: str) -> None:
    def send(value: float, at: int | None = 1_772_366_400) -> Any:
        return node.post("/api/readings", {"sensor": f"{device}/a", "value": value, "timestamp": at}).json

    assert send(1) == {"accepted": 1, "created": [f"{device}/a"]}
    assert send(1) == {"accepted": 1, "duplicates": 1, "corrected": 0}
    assert send(2) == {"accepted": 1, "duplicates": 0, "corrected": 1}
    assert values(node, f"{device}/a") == [2]
    assert send(3, None) == send(3, None) == {"accepted": 1}
    assert values(node, f"{device}/a") == [2, 3, 3]


@pytest.mark.parametrize(
    ("stamp", "at"),
    [
        ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00.000Z"),
        ("2026-03-01T12:00:00.123Z", "2026-03-01T12:00:00.123Z"),
        ("2026-03-01T12:00:00.123456Z", "2026-03-01T12:00:00.123Z"),
        ("2026-03-01T12:00:00+02:00", "2026-03-01T10:00:00.000Z"),
        ("2026-03-01T12:00:00-09:30", "2026-03-01T21:30:00.000Z"),
        ("2026-03-01 12:00:00+00:00", "2026-03-01T12:00:00.000Z"),
        ("2024-02-29T12:00:00Z", "2024-02-29T12:00:00.000Z"),
        (1_772_366_400, "2026-03-01T12:00:00.000Z"),
        (1_772_366_400.5, "2026-03-01T12:00:00.500Z"),
        (1_772_366_400_123, "2026-03-01T12:00:00.123Z"),
        (1.772366400123e12, "2026-03-01T12:00:00.123Z"),
        (0, "1970-01-01T00:00:00.000Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
    ],
)
def test_times_in_every_form(node: Running, device: str, stamp: object, at: str) -> None:
    assert node.post("/api/readings", {"sensor": f"{device}/a", "value": 1, "timestamp": stamp}).status == 200
    assert stored(node, f"{device}/a") == [(at, 1)]


@pytest.mark.parametrize(
    "stamp",
    [
        1e18,
        10**18,
        10**30,
        -1,
        -0.001,
        "2026-03-01T12:00:00",
        "2026-03-01",
        "2026-02-30T12:00:00Z",
        "2025-02-29T12:00:00Z",
        "2026-13-01T12:00:00Z",
        "2026-03-01T25:00:00Z",
        "1969-12-31T23:59:59Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "99999-01-01T00:00:00Z",
        "yesterday",
        "",
        "1772366400",
        "x" * 10_000,
        "\x1b[31m<script>",
    ],
)
def test_times_that_are_none_are_refused(node: Running, stamp: object) -> None:
    for document in (
        {"sensor": "porch/a", "value": 1, "timestamp": stamp},
        {"timestamp": stamp, "values": {"porch/a": 1}},
        {"sensor": "porch/a", "timestamps": [1, stamp], "values": [1, 2]},
    ):
        refused(node, json.dumps(document), 422)


def test_ten_minutes_ahead_is_too_far(node: Running, device: str) -> None:
    near, far = clock.at() + 590_000, clock.at() + 610_000
    assert node.post("/api/readings", {"sensor": f"{device}/a", "value": 1, "timestamp": near}).status == 200
    answer = refused(node, {"sensor": f"{device}/a", "value": 2, "timestamp": far}, 422)
    assert "ten minutes ahead" in answer.json["error"]
    assert values(node, f"{device}/a") == [1]


def test_while_our_own_clock_is_not_trusted_nobodys_is_judged(tmp_path: Path) -> None:
    with Running(tmp_path / "data", module="tests.web.unset_clock") as node:
        assert node.get("/api/health").json["clock"] == "unset"
        for ahead in (610_000, 20 * 365 * 86_400_000):
            at = clock.at() + ahead
            sent = {"sensor": "porch/a", "value": ahead, "timestamp": at}
            assert node.post("/api/readings", sent).status == 200
            assert stored(node, "porch/a")[-1] == (clock.iso(at), ahead)


def test_new_sensors_may_be_forbidden(tmp_path: Path) -> None:
    with Running(tmp_path / "data", "[web]\naccept_new_sensors = false\n") as node:
        answer = node.post("/api/readings", {"sensor": "porch/a", "value": 1})
        assert answer.status == 422
        assert "accept_new_sensors" in answer.json["error"]
        assert "porch/a" not in node.get("/api/status").json["sensors"]


def test_what_was_answered_is_there_after_a_kill(tmp_path: Path) -> None:
    with Running(tmp_path / "data") as node:
        sent = [{"sensor": f"porch/s{number}", "value": number} for number in range(64)]
        assert node.post("/api/readings", sent).json["accepted"] == 64
        node.kill()
        node.start()
        assert [values(node, f"porch/s{number}") for number in range(64)] == [[number] for number in range(64)]
