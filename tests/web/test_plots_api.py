"""GET /api/readings with `every`: columns for a plot, from whatever holds the readings."""

from __future__ import annotations

from typing import Any

import pytest

from outstation import clock
from tests.running import Running
from tests.web.test_readings_out import MORNING, ask, send

MINUTE = 60_000
SPAN = "start=2026-03-01T12:00:00Z&end=2026-03-01T13:00:00Z"


def rows(node: Running, query: str) -> list[dict[str, Any]]:
    answer = ask(node, query)
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = answer.json["readings"]
    assert answer.json["count"] == len(found)
    return found


def test_a_row_says_what_a_window_held_and_a_gap_is_one_row(node: Running, device: str) -> None:
    sensor = f"{device}/temperature"
    send(node, sensor, [MORNING + 10_000 * number for number in range(60)], [20.0, 22.0] * 30)
    send(node, sensor, [MORNING + 40 * MINUTE], [5])
    first, second, gap, last, after = rows(node, f"sensor={sensor}&{SPAN}&every=5m")
    assert first["stdev"] == pytest.approx((30 / 29) ** 0.5)
    assert first | {"stdev": 1} == {
        "sensor": sensor,
        "timestamp": "2026-03-01T12:00:00.000Z",
        "count": 30,
        "mean": 21,
        "min": 20,
        "max": 22,
        "stdev": 1,
        "first": 20,
        "last": 22,
        "coverage": 1,
    }
    assert (second["timestamp"], second["count"]) == ("2026-03-01T12:05:00.000Z", 30)
    empty = dict.fromkeys(("mean", "min", "max", "stdev", "first", "last"))
    assert gap == {"sensor": sensor, "timestamp": gap["timestamp"], "count": 0, "coverage": 0, **empty}
    assert (last["timestamp"], last["count"], last["mean"], last["stdev"]) == ("2026-03-01T12:40:00.000Z", 1, 5, 0)
    assert after["count"] == 0


def test_columns_are_as_wide_as_asked_for_or_as_many(node: Running, device: str) -> None:
    sensor = f"{device}/temperature"
    send(node, sensor, [MORNING + 10_000 * number for number in range(360)])
    for every, tier, count in [("1m", "raw", 60), ("5m", "5m", 12), ("20m", "5m", 3), ("1h", "1h", 1), ("1d", "1d", 1)]:
        found = ask(node, f"sensor={sensor}&{SPAN}&every={every}").json
        assert (found["every"], found["tier"]) == (every, tier)
        assert [row["count"] for row in found["readings"]] == [360 // count] * count
    found = ask(node, f"sensor={sensor}&{SPAN}&points=13").json
    assert (found["every"], found["tier"], found["count"]) == ("5m", "5m", 12)
    found = ask(node, f"sensor={sensor}&{SPAN}&every=auto").json
    assert (found["every"], found["tier"], found["count"]) == ("4506ms", "raw", 360)
    assert [row["min"] for row in found["readings"]] == list(range(360))


def test_several_sensors_have_the_same_columns(node: Running, device: str) -> None:
    names = [f"{device}/{name}" for name in ("slow", "fast", "silent")]
    send(node, names[0], [MORNING + 10 * MINUTE * number for number in range(6)])
    send(node, names[1], [MORNING + 1_000 * number for number in range(3_600)])
    send(node, names[2], [MORNING - 60 * MINUTE])
    query = "&".join(f"sensor={name}" for name in [*names, names[0]])
    found = rows(node, f"{query}&{SPAN}&every=10m")
    seen = [(row["sensor"], row["timestamp"], row["count"]) for row in found]
    stamps = [f"2026-03-01T12:{minute:02d}:00.000Z" for minute in range(0, 60, 10)]
    counts = dict(zip(names[:2], (1, 600), strict=True))
    heard = [(name, stamp, count) for name, count in counts.items() for stamp in stamps]
    assert seen == [*heard, (names[2], stamps[0], 0)]


def test_a_contact_has_a_share_of_time_and_a_text_is_counted(node: Running, device: str) -> None:
    door, sky = f"{device}/door", f"{device}/sky"
    stamps = [MORNING + MINUTE * number for number in range(60)]
    send(node, door, stamps, [True, False] * 30)
    send(node, sky, stamps, ["cloudy"] * 60)
    [seen] = rows(node, f"sensor={door}&{SPAN}&every=1h")
    assert (seen["on"], seen["min"], seen["max"], seen["count"]) == (0.5, False, True, 60)
    [seen] = rows(node, f"sensor={sky}&{SPAN}&every=1h")
    assert (seen["count"], seen["mean"], seen["min"], seen["coverage"]) == (60, None, None, 1)
    assert "on" not in seen


def test_the_last_column_is_there_though_it_is_not_over(node: Running) -> None:
    """Of an output and of an own sensor; without a span it is the last day."""
    node.post("/api/led", {"action": "on"})
    found = rows(node, "sensor=cpu_temp&sensor=led&every=1d")
    assert {row["sensor"] for row in found if row["count"]} == {"cpu_temp", "led"}
    assert [row["timestamp"] <= clock.iso(clock.at()) for row in found]


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("sensor=cpu_temp&every=soon", "auto"),
        ("sensor=cpu_temp&every=0s", "longer than zero"),
        ("sensor=cpu_temp&every=-5m", "auto"),
        ("sensor=cpu_temp&every=7m", "multiple of 5 minutes"),
        ("sensor=cpu_temp&every=1s", "86,400 columns, and 10,000"),
        ("sensor=cpu_temp&points=0", "points"),
        ("sensor=cpu_temp&points=10001", "points"),
        ("sensor=cpu_temp&sensor=button&sensor=led&points=9000", "27,000 rows, and 20,000"),
        ("every=auto", "1 to 20 sensors"),
        ("sensor=cpu_temp&every=auto&start=2026-03-02&end=2026-03-01", "time"),
        ("sensor=cpu_temp&every=auto&start=1772366400&end=1772366400", "before the end"),
        ("sensor=cpu_temp&sensor=button", "every=auto"),
    ],
)
def test_what_cannot_be_plotted_is_refused_in_words(node: Running, query: str, word: str) -> None:
    answer = ask(node, query)
    assert answer.status == 422
    assert word in answer.json["error"]


def test_too_many_sensors_are_refused_and_unknown_ones_named(node: Running, device: str) -> None:
    names = [f"{device}/s{number}" for number in range(21)]
    node.post("/api/readings", {"values": dict.fromkeys(names, 1)})
    query = "&".join(f"sensor={name}" for name in names)
    answer = ask(node, f"{query}&every=auto")
    assert (answer.status, "1 to 20 sensors, and this asks for 21" in answer.json["error"]) == (422, True)
    answer = ask(node, "sensor=cpu_temp&sensor=nobody&every=auto")
    assert (answer.status, '"nobody"' in answer.json["error"]) == (404, True)
