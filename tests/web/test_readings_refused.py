"""POST /api/readings: what is refused, without a trace and without an echo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import Running
from tests.web.boards import TRUSTED, refused
from tests.web.keys import make_key


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Running]:
    with Running(folder / "data", TRUSTED) as running:
        yield running


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
        {"sensor": "porch/a", "timestamps": [1], "values": [1], "age": 1},
        {"sensor": "porch/a", "value": 1, "timestamp": 1, "age": 1},
        {"values": {"porch/b": 1}, "timestamp": 1, "age": 1},
        {"sensor": "porch/a", "value": 1, "age": -0.1},
        {"sensor": "porch/a", "value": 1, "age": 4_000_000_000},
        {"sensor": "porch/a", "value": 1, "age": 1e308},
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


def test_a_word_that_is_none_of_those_expected_is_told_where_it_is_and_not_repeated(node: Running) -> None:
    sent = {"sensor": "porch/a", "timestamps": [5], "values": [1], "qualities": ["OK"]}
    error = node.post("/api/readings", sent).json["error"]
    assert error.endswith("there is a word that is none of those expected - at `$.qualities[0]`.")


@pytest.mark.parametrize("stamp", ["1" + "0" * 400, "-1" + "0" * 400, "1" + "0" * 4_000])
def test_a_time_of_hundreds_of_digits_is_refused(node: Running, stamp: str) -> None:
    refused(node, f'{{"sensor": "porch/a", "value": 1, "timestamp": {stamp}}}', 422)
    refused(node, f'{{"sensor": "porch/a", "timestamps": [{stamp}], "values": [1]}}', 422)


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
