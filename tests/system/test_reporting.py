"""A node reports over a line that fails in every way: nothing is lost, nothing doubled, alerts come at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import proxy
from tests.proxy import Asked, Way, says
from tests.running import KEY, Running
from tests.system.reporting import NAME, Pair, at_hub, known, post_past
from tests.system.waiting import until

PORCH = """
[[devices]]
name = "porch"
channel = 1
write_key = "MZ7T4KQ9WPX2B6RD"
fields = ["temperature"]

[[rules]]
name = "too hot"
when = "porch/temperature > 30"
alert = { severity = "warning", message = "{porch/temperature:.1f} °C on the porch" }
"""

SENSORS = [f"porch/t{number}" for number in range(8)]

SOON = "Retry-After: 1"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with Pair(tmp_path, node=PORCH) as both:
        yield both


def measure(pair: Pair, *values: float) -> None:
    for value in values:
        assert pair.node.post("/api/readings", {"sensor": "porch/temperature", "value": value}).status == 200


def alerts_at_hub(pair: Pair) -> list[tuple[str, str]]:
    """What and in which state, the oldest first."""
    return alerts_of(pair.hub)


def alerts_of(node: Running) -> list[tuple[str, str]]:
    """The same, of a node."""
    answer = node.get("/api/alerts?limit=1000")
    assert answer.status == 200, answer
    found = answer.json["alerts"]
    return [(one["message"], one["state"]) for one in reversed(found) if one["subject"] == "too hot"]


def hurry(pair: Pair, has_happened: object) -> None:
    """A summary that waits for its next try waits no longer once an alert got through."""
    before = len(pair.batches())
    for value in (31, 20) * 10:
        measure(pair, value)
        give_up = time.monotonic() + 0.5
        while time.monotonic() < give_up:
            if len(pair.batches()) > before:
                return
            time.sleep(0.01)
    raise AssertionError(f"no batch came after {has_happened}")


def only_summaries(*ways: Way) -> proxy.Choose:
    """Spoil batches of summaries in these ways, one after another; alerts get through."""
    left = list(ways)
    return lambda asked: left.pop(0) if left and asked.json.get("summaries") else None


def test_the_hub_has_what_the_node_has_under_the_names_of_the_node(pair: Pair) -> None:
    pair.fill([], 0)
    post_past(pair.node, "porch/temperature", 30)
    name = at_hub("porch/temperature")
    until(lambda: len(known(pair.hub.data).get(name, {})) >= 29, 30)
    pair.drain()
    assert pair.hub.get("/api/status").json["sensors"][name]["value"] == 20
    (node,) = until(lambda: [one for one in pair.hub.get("/api/nodes").json["nodes"] if not one["waiting"]], 30)
    assert (node["name"], node["lost"], node["parked"]) == (NAME, 0, 0)


def test_what_fails_is_sent_again_and_nothing_doubles(pair: Pair) -> None:
    """Each status, cut and lie of a line in a row; whatever the hub had is not counted twice."""
    ways = [
        says(500), says(502), says(503, SOON), says(429), says(408), says(401), says(403),
        says(302, "Location: http://login.example/"), says(307, "Location: /elsewhere"),
        says(200, "Content-Type: text/html", body=proxy.PORTAL),
        says(200, "Content-Type: application/json", body=b'{"ok": true}'),
        says(204),
        proxy.UNSENT, proxy.TORN, proxy.GARBLED, proxy.LOST, proxy.HALF_HEARD, proxy.LOST, proxy.LOST,
    ]  # fmt: skip
    pair.line.choose = only_summaries(*ways)
    pair.fill(SENSORS, 50)
    for way in (*ways, proxy.PASS):
        hurry(pair, way)
    pair.drain()
    assert [asked.way for asked in pair.batches()][: len(ways)] == ways


def test_a_batch_that_is_too_big_is_halved_and_only_the_bad_item_is_left(pair: Pair) -> None:
    """And is sent when a person says so."""
    bad = "porch/t3", int(time.time()) // 300 * 300_000 - 20 * 300_000

    def choose(asked: Asked) -> Way | None:
        items = asked.json.get("summaries", [])
        if len(items) > 200:
            return says(413)
        return says(422) if bad in [(item["sensor"], item["start"]) for item in items] else None

    pair.line.choose = choose
    pair.fill(SENSORS, 50)
    until(lambda: len(pair.missing()) == 1, 30)
    assert pair.missing() == [f"{bad[0]} {bad[1]}: missing"]
    (refused,) = [one["refused"] for one in pair.node.get("/api/traffic", key=KEY).json["uplinks"].values()]
    assert refused == 1
    pair.line.choose = lambda _: None
    pair.node.said("uplinks", "resend", "hub", "--data", str(pair.node.data))
    pair.drain()


def test_alerts_come_at_once_whatever_waits(tmp_path: Path) -> None:
    """On a line of 256 kbit/s with a backlog of days, and when it was lost on the way, once."""
    with Pair(tmp_path, node=PORCH) as pair:
        pair.line.speed = 32_000
        pair.fill(SENSORS, 1_000)
        until(pair.batches)
        assert pair.missing()
        began = time.monotonic()
        measure(pair, 31)
        until(lambda: alerts_at_hub(pair) == [("31.0 °C on the porch", "raised")])
        assert time.monotonic() - began < 2
        ways = [proxy.LOST, proxy.LOST]
        pair.line.choose = lambda asked: ways.pop() if ways and asked.json.get("alerts") else None
        measure(pair, 20, 32)
        until(lambda: len(alerts_at_hub(pair)) == 2 and not ways)
        assert alerts_at_hub(pair) == [("31.0 °C on the porch", "cleared"), ("32.0 °C on the porch", "raised")]
        pair.line.speed = None
        pair.drain()


@pytest.mark.long
def test_a_black_hole_holds_up_no_alert_for_ever(tmp_path: Path) -> None:
    with Pair(tmp_path, node=PORCH, uplink='timeout = "1s"') as pair:
        pair.line.otherwise = proxy.HOLE
        pair.fill(SENSORS, 10)
        measure(pair, 31)
        until(lambda: any(asked.json.get("alerts") for asked in pair.line.asked))
        assert alerts_at_hub(pair) == []
        pair.line.otherwise = proxy.PASS
        until(lambda: alerts_at_hub(pair) == [("31.0 °C on the porch", "raised")])
        for _ in range(5):
            pair.line.down()
            measure(pair, 20, 31)
            pair.line.up()
        pair.drain()
        until(lambda: alerts_at_hub(pair) == alerts_of(pair.node))
        assert alerts_at_hub(pair)[-1][1] == "raised"


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_node_that_falls_silent_is_reported_until_it_speaks(pair: Pair) -> None:
    pair.fill([], 0)
    until(lambda: pair.hub.get("/api/nodes").json["nodes"][0]["last_seen"], 30)
    pair.node.stop()
    (alert,) = until(lambda: pair.hub.get("/api/alerts?state=raised").json["alerts"], 240)
    assert (alert["subject"], alert["severity"]) == (f"silent node {NAME}", "warning")
    pair.node.start()
    until(lambda: not pair.hub.get("/api/alerts?state=raised").json["alerts"], 30)
