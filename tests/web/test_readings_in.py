"""POST /api/readings: what is taken, in every shape."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from outstation import clock
from tests.running import Running
from tests.web.boards import TRUSTED, refused, stored, values
from tests.web.keys import make_key


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Running]:
    with Running(folder / "data", TRUSTED) as running:
        yield running


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


def test_the_same_again_is_the_same_and_another_value_a_correction(node: Running, device: str) -> None:
    def send(value: float, at: int | None = 1_772_366_400) -> Any:
        return node.post("/api/readings", {"sensor": f"{device}/a", "value": value, "timestamp": at}).json

    assert send(1) == {"accepted": 1, "created": [f"{device}/a"]}
    assert send(1) == {"accepted": 1, "duplicates": 1, "corrected": 0}
    assert send(2) == {"accepted": 1, "duplicates": 0, "corrected": 1}
    assert values(node, f"{device}/a") == [2]
    assert send(3, None) == send(3, None) == {"accepted": 1}
    assert values(node, f"{device}/a") == [2, 3, 3]


def test_a_board_without_a_clock_says_how_long_ago_it_was(node: Running, device: str) -> None:
    sent = [{"values": {f"{device}/a": i}, "age": 600 - 60 * i} for i in range(10)]
    assert node.post("/api/readings", [*sent, {"sensor": f"{device}/a", "value": 10, "age": 0.5}]).status == 200
    now = time.time()
    found = stored(node, f"{device}/a")
    assert [value for _, value in found] == list(range(11))
    ages = [now - datetime.fromisoformat(at).timestamp() for at, _ in found]
    assert ages == pytest.approx([*range(600, 0, -60), 0.5], abs=5)


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


def test_a_time_that_no_page_could_show_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    config = '[node]\ntimezone = "Pacific/Kiritimati"\n'
    with Running(tmp_path / "data", config, module="tests.web.unset_clock") as node:
        refused(node, {"sensor": "porch/a", "value": 1, "timestamp": "9999-12-31T23:59:59Z"}, 422)
        refused(node, {"sensor": "porch/a", "value": 1, "timestamp": "5138-11-16T09:46:40Z"}, 422)
        assert "porch/a" not in node.get("/api/status").json["sensors"]
        assert (
            node.post("/api/readings", {"sensor": "porch/a", "value": 1, "timestamp": "5138-11-16T09:46:39Z"}).status
            == 200
        )
        assert node.get("/").status == 200
        picture = "/api/plot.svg?sensor=porch/a&end=9999-12-31T23:59:59Z"
        assert node.get(picture).status == 422


def test_a_board_keeps_what_is_older_than_our_clock_until_that_is_set(tmp_path: Path) -> None:
    """A node that starts in 1970 would have it drop all that it had saved up."""
    with Running(tmp_path / "data", module="tests.web.unset_clock") as node:
        answer = node.post("/api/readings", {"sensor": "porch/a", "value": 1, "age": 4_000_000_000})
        assert (answer.status, "retry-after" in answer.headers) == (503, True)
        assert "clock is not set" in answer.json["error"]


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
