"""Live values at the hub: shown at once, looked at by rules, never stored; asked for while somebody looks."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest

from outstation.protocols.outstation import wire
from outstation.protocols.outstation.live import NODES
from outstation.protocols.outstation.wire import About, Live, Receipt
from tests.protocols.outstation.reporter import Reporter, said, windows
from tests.running import KEY, Running

CONFIG = """
[node]
clock = "trust"

[[rules]]
name = "hot"
when = "hot/air > 30"
alert = { message = "hot" }
"""

_names = itertools.count(1)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("live") / "data", CONFIG) as running:
        yield running


@pytest.fixture
def node(hub: Running) -> Reporter:
    return Reporter(hub, f"greenhouse-{next(_names)}")


def now() -> int:
    return time.time_ns() // 1_000_000


def show(node: Reporter, *values: Live, **fields: Any) -> Receipt:
    """Send live values; return the receipt."""
    answer = node.post(wire.Batch(wire.VERSION, now(), live=values, **fields))
    assert answer.status == 200, answer.body
    return wire.decode_receipt(answer.body)


def sensors(hub: Running) -> dict[str, Any]:
    found: dict[str, Any] = hub.get("/api/status").json["sensors"]
    return found


def test_nodes_are_asked_for_them_while_somebody_looks(hub: Running, node: Reporter) -> None:
    assert not node.send().watched
    assert not show(node, Live("air", now(), 20.5)).watched
    hub.get("/api/status")
    assert node.send().watched
    assert show(node, Live("air", now(), 20.5)).watched


def test_they_are_shown_and_not_kept(hub: Running, node: Reporter) -> None:
    about = {"air": About("°C", "Air")}
    at = now()
    show(node, Live("air", at, 20.5, "spike"), Live("door", at, True), Live("porch/sky", at, "grey"), sensors=about)
    found = sensors(hub)
    air = found[f"{node.name}/air"]
    assert (air["value"], air["unit"], air["label"], air["quality"]) == (20.5, "°C", "Air", "spike")
    assert found[f"{node.name}/door"]["value"] is True
    assert found[f"{node.name}/porch.sky"]["value"] == "grey"
    assert hub.get(f"/api/readings?sensor={node.name}/air", key=KEY).json.get("readings", []) == []
    assert node.send().cursor == 0


def test_a_summary_that_comes_after_them_is_older_news(hub: Running, node: Reporter) -> None:
    show(node, Live("air", now(), 20.5))
    (start,) = windows(1)
    node.send([said("air", start, 19.0)])
    assert sensors(hub)[f"{node.name}/air"]["value"] == 20.5
    show(node, Live("air", start, 18.0))
    assert sensors(hub)[f"{node.name}/air"]["value"] == 20.5
    assert len(node.plotted("air", start, start + 1)) == 1


def test_rules_look_at_them(hub: Running) -> None:
    show(Reporter(hub, "hot"), Live("air", now(), 31.0))
    until = time.monotonic() + 5
    while not any(one["subject"] == "hot" for one in hub.get("/api/alerts").json["alerts"]):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_what_cannot_be_is_passed_over(hub: Running, node: Reporter) -> None:
    odd = [Live("AIR", now(), 1), Live("ahead", now() + 3_600_000, 1), Live("huge", now(), 2**63), Live("old", -1, 1)]
    show(node, *odd, Live("long", now(), "x" * 256), Live("fine", now(), 1, "quality of tomorrow"))
    assert [name for name in sensors(hub) if name.startswith(f"{node.name}/")] == [f"{node.name}/fine"]
    too_many = wire.Batch(wire.VERSION, now(), live=(Live("air", now(), 1),) * (wire.LIVE_ITEMS + 1))
    assert node.post(too_many).status == 422


def test_a_cloned_node_is_not_shown(hub: Running, node: Reporter) -> None:
    node.send()
    twin = node.twin()
    twin.epoch = "e2"
    twin.send()
    assert node.post(node.batch()).status == 409
    assert node.post(wire.Batch(wire.VERSION, now(), live=(Live("air", now(), 1),))).status == 409


def test_only_some_nodes_are_asked_at_a_time(hub: Running) -> None:
    hub.get("/api/status")
    asked = [Reporter(hub, f"many-{number}").send().watched for number in range(NODES + 1)]
    assert asked.count(True) <= NODES
    assert asked[0]
    assert not asked[-1]
