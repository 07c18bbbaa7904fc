"""A hub: what nodes report is stored once, shown as sensors of theirs, told of, and known after a restart."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from outstation.core.readings import Millis
from outstation.core.windows import FIVE_MINUTES, HOUR
from outstation.protocols.outstation import wire
from outstation.protocols.outstation.wire import About, Sender, Sent, Told
from tests.protocols.outstation.reporter import Reporter, said, windows
from tests.running import KEY, Running

CONFIG = """
[node]
clock = "trust"

[[rules]]
name = "hot"
when = "hot-1/porch.air > 30"
alert = {{ severity = "warning", message = "hot" }}

[[webhooks]]
name = "phone"
url = "http://127.0.0.1:{port}/"
"""

_names = itertools.count(1)


class Phone(BaseHTTPRequestHandler):
    """Whoever is told of the hub's alerts."""

    told: list[tuple[str, str]]

    def do_POST(self) -> None:
        found = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).told.append((found["alert"]["message"], found["happened"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the parent's name
        pass


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    Phone.told = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Phone) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        with Running(tmp_path_factory.mktemp("hub") / "data", CONFIG.format(port=server.server_port)) as running:
            yield running
        server.shutdown()


@pytest.fixture
def node(hub: Running) -> Reporter:
    """A node that never reported before."""
    return Reporter(hub, f"greenhouse-{next(_names)}")


def eventually(what: Callable[[], object]) -> None:
    until = time.monotonic() + 5
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def alerts(hub: Running, node: str) -> list[dict[str, Any]]:
    """The alerts that a node reported, the oldest first."""
    found = hub.get("/api/alerts?limit=1000").json["alerts"]
    return [one for one in reversed(found) if one["node"] == node]


def of_the_hub(hub: Running, subject: str) -> list[str]:
    return [one["state"] for one in hub.get("/api/alerts?limit=1000").json["alerts"] if one["subject"] == subject]


def told(number: int, message: str, state: str = "raised", at: Millis = 1_750_000_000_000) -> Told:
    happened = "raised" if state == "raised" else "cleared"
    cleared = at + 60_000 if state == "cleared" else None
    fields = (f"{message}-{state}", happened, number, "rule", "vent", "warning", message, state, at)
    return Told(*fields, cleared_at=cleared)


def test_a_summary_is_stored_and_shown_as_a_sensor_of_the_node(hub: Running, node: Reporter) -> None:
    first, second = windows(2)
    sent = [said("air", first, 20.0), said("air", second, 21.5), said("porch/temp", second, 5.0)]
    doing = Sender("0.9", "synchronised", 60_000, 7, 1, 2)
    receipt = node.send(sent, sensors={"air": About("°C", "Air"), "rain": About("mm")}, node=doing)
    assert (receipt.epoch, receipt.cursor, receipt.refused, receipt.clock) == ("e1", 3, (), "synchronised")
    sensors = hub.get("/api/status").json["sensors"]
    air = sensors[f"{node.name}/air"]
    assert (air["value"], air["unit"], air["label"], air["stale"]) == (21.5, "°C", "Air", False)
    assert sensors[f"{node.name}/porch.temp"]["value"] == 5.0
    assert (sensors[f"{node.name}/rain"]["value"], sensors[f"{node.name}/rain"]["unit"]) == (None, "mm")
    assert [row["mean"] for row in node.plotted("air", first, second + FIVE_MINUTES)] == [20.0, 21.5]
    seen = node.seen()
    assert (seen["version"], seen["clock"], seen["every"], seen["silent"]) == ("0.9", "synchronised", 60.0, False)
    assert (seen["waiting"], seen["parked"], seen["lost"], seen["cloned"]) == (7, 1, 2, None)


def test_it_is_stale_after_three_windows(hub: Running, node: Reporter) -> None:
    (old,) = windows(1, back=5)
    node.send([said("air", old, 20.0)])
    air = hub.get("/api/status").json["sensors"][f"{node.name}/air"]
    assert (air["value"], air["stale"]) == (20.0, True)
    assert air["age"] > 1_200


def test_a_batch_whose_answer_was_lost_is_stored_once(node: Reporter) -> None:
    starts = windows(3)
    batch = node.batch([said("air", start) for start in starts])
    answers = [wire.decode_receipt(node.post(batch).body) for _ in range(3)]
    assert [one.cursor for one in answers] == [3, 3, 3]
    node.token, node.cursor = answers[-1].token, 3
    assert node.send([said("air", starts[-1], 25.0)]).cursor == 4
    assert [row["count"] for row in node.plotted("air", starts[0], starts[-1] + FIVE_MINUTES)] == [2, 2, 2]
    assert node.plotted("air", starts[-1], starts[-1] + FIVE_MINUTES)[0]["mean"] == 25.0


def test_a_batch_that_was_overtaken_on_its_way_takes_nothing_back(node: Reporter) -> None:
    first, second = windows(2)
    node.send([said("air", first)])
    late = node.batch([said("air", second, 20.0)])
    time.sleep(0.002)
    node.send([said("air", second, 25.0)], upto=3)
    assert node.post(late).status == 409
    assert node.plotted("air", second, second + FIVE_MINUTES)[0]["mean"] == 25.0
    assert node.send([]).cursor == 3


def test_what_is_no_more_is_taken_back(node: Reporter) -> None:
    first, second = windows(2)
    node.send([said("air", first), said("air", second)])
    node.send([Sent("air", first, FIVE_MINUTES)])
    assert len(node.plotted("air", first, second + FIVE_MINUTES)) == 1


def test_hours_are_of_their_five_minutes_and_stand_in_for_those_that_are_gone(node: Reporter) -> None:
    starts = [start for start in windows(48, back=40) if start % HOUR < 2 * FIVE_MINUTES][:4]
    whole = starts[-1] - starts[-1] % HOUR + 2 * HOUR
    node.send([said("air", start) for start in starts], hours=(said("air", whole, 7.0, width=HOUR),))
    rows = node.plotted("air", starts[0] - starts[0] % HOUR, whole + HOUR, "1h")
    assert sum(row["count"] for row in rows) == 2 * len(starts) + 2
    assert rows[-1]["mean"] == 7.0


def test_the_newest_comes_ahead_and_again_in_its_turn(hub: Running, node: Reporter) -> None:
    starts = windows(3)
    node.send([said("air", starts[0], 1.0)], ahead=(said("air", starts[2], 3.0),))
    assert hub.get("/api/status").json["sensors"][f"{node.name}/air"]["value"] == 3.0
    node.send([said("air", starts[1], 2.0), said("air", starts[2], 3.0)])
    assert [row["mean"] for row in node.plotted("air", starts[0], starts[2] + FIVE_MINUTES)] == [1.0, 2.0, 3.0]
    assert hub.get("/api/status").json["sensors"][f"{node.name}/air"]["value"] == 3.0


def test_one_wrong_item_is_named_and_the_others_are_taken(node: Reporter) -> None:
    (start,) = windows(1)
    ahead = said("air", start + 4 * FIVE_MINUTES)
    items = [said("air", start), said("Air!", start), said("soil", start, width=60_000), ahead, said("sky", start)]
    receipt = node.send(items)
    assert [(one.list, one.item, one.sensor) for one in receipt.refused] == [
        ("summaries", 1, "Air!"),
        ("summaries", 2, "soil"),
        ("summaries", 3, "air"),
    ]
    assert receipt.cursor == 5
    assert node.plotted("sky", start, start + FIVE_MINUTES)


def test_a_node_that_was_restored_is_told_where_the_hub_is(node: Reporter) -> None:
    starts = windows(4)
    node.send([said("air", starts[0])])
    backup = node.twin()
    node.send([said("air", starts[1])])
    node.send([said("air", starts[2])])
    answer = backup.post(backup.batch([said("soil", starts[3])]))
    assert (answer.status, answer.json["standing"]) == (409, {"epoch": "e1", "cursor": 3})
    assert f"{node.name}/soil" not in node.hub.get("/api/status").json["sensors"]
    backup.begin("e2", 3)
    backup.send([said("air", start) for start in starts[1:]])
    assert [row["count"] for row in node.plotted("air", starts[0], starts[3] + FIVE_MINUTES)] == [2, 2, 2, 2]


def test_two_with_one_card_are_refused_until_a_person_has_looked(hub: Running, node: Reporter) -> None:
    starts = windows(2)
    node.send([said("air", starts[0])])
    other = node.twin()
    answers = [one.report([said("air", starts[1])]) for _ in range(3) for one in (node, other)]
    assert [one.status for one in answers] == [200, 200, 200, 200, 409, 409]
    assert answers[-1].json["standing"]["cloned"]
    assert node.seen()["cloned"]
    eventually(lambda: of_the_hub(hub, f"cloned node {node.name}") == ["raised"])
    node.key = hub.post(f"/api/nodes/{node.name}/renew", {}).json["key"]
    assert other.post(other.batch()).status == 401
    answer = node.post(node.batch([said("air", starts[1])]))
    assert (answer.status, answer.json["standing"]["cursor"]) == (409, 0)
    node.begin("anew", 0)
    node.send([said("air", start) for start in starts])
    eventually(lambda: of_the_hub(hub, f"cloned node {node.name}") == ["cleared"])


def test_an_alert_is_told_once_and_shown_with_its_node(hub: Running, node: Reporter) -> None:
    message = f"vent stuck at {node.name}"
    raised = node.batch(epoch="", upto=0, after=0, alerts=(told(4, message),))
    for _ in range(2):
        assert wire.decode_receipt(node.post(raised).body).alerts == (f"{message}-raised",)
    assert [(one["message"], one["state"], one["node"]) for one in alerts(hub, node.name)] == [
        (message, "raised", node.name)
    ]
    node.post(node.batch(epoch="", upto=0, after=0, alerts=(told(4, message, "cleared"),)))
    node.post(raised)
    assert [one["state"] for one in alerts(hub, node.name)] == ["cleared"]
    eventually(lambda: [one for one in Phone.told if one[0] == message] == [(message, "raised"), (message, "cleared")])


def test_what_came_and_went_meanwhile_is_history(hub: Running, node: Reporter) -> None:
    gone, new = f"gone at {node.name}", f"new at {node.name}"
    node.send(alerts=(told(1, gone, "cleared"), told(1, gone), told(2, new)))
    assert [(one["message"], one["state"]) for one in alerts(hub, node.name)] == [(gone, "cleared"), (new, "raised")]
    eventually(lambda: (new, "raised") in Phone.told)
    assert not [one for one in Phone.told if one[0] == gone]


def test_rules_look_at_what_is_new_and_not_at_a_backlog(hub: Running) -> None:
    node = Reporter(hub, "hot-1")
    node.send([said("porch/air", start, 40.0) for start in windows(10, back=5)])
    node.send([said("porch/air", windows(1)[0], 20.0)])
    assert of_the_hub(hub, "hot") == []
    node.send([said("porch/air", windows(1, back=0)[0], 35.0)])
    eventually(lambda: of_the_hub(hub, "hot") == ["raised"])


def test_nor_does_a_hub_whose_clock_is_behind(tmp_path: Path) -> None:
    """To it the whole backlog is of the future; what is old is known by the clock of the node."""
    rule = '[[rules]]\nname = "hot"\nwhen = "hot-1/air > 30"\nalert = { severity = "warning", message = "hot" }\n'
    with Running(tmp_path / "data", rule, module="tests.protocols.outstation.late_hub") as hub:
        node = Reporter(hub, "hot-1")
        (newest,) = windows(1)
        node.send([said("air", start, 40.0) for start in windows(5, back=50)], ahead=(said("air", newest, 20.0),))
        node.send([said("air", start, 40.0) for start in windows(5, back=20)])
        sensors = hub.get("/api/status").json["sensors"]
        assert (sensors["hot-1/air"]["value"], of_the_hub(hub, "hot")) == (20.0, [])
        node.send([said("air", newest, 35.0)])
        eventually(lambda: of_the_hub(hub, "hot") == ["raised"])


def test_all_of_it_is_known_after_a_restart(hub: Running, node: Reporter) -> None:
    (start,) = windows(1)
    node.send([said("air", start, 22.0)], sensors={"air": About("°C")}, alerts=(told(1, f"last at {node.name}"),))
    hub.kill()
    hub.start()
    air = hub.get("/api/status").json["sensors"][f"{node.name}/air"]
    assert (air["value"], air["unit"], air["stale"]) == (22.0, "°C", False)
    assert hub.get(f"/api/readings?sensor={node.name}/air").json["readings"] == []
    assert node.send([said("air", start, 23.0)], alerts=(told(1, f"last at {node.name}"),)).cursor == 2
    assert len(alerts(hub, node.name)) == 1


def test_alerts_of_a_node_are_its_own_and_over_when_it_may_report_no_more(hub: Running, node: Reporter) -> None:
    node.send(alerts=(told(1, "stuck", "raised"),))
    (number,) = (one["id"] for one in alerts(hub, node.name))
    answer = hub.post(f"/api/alerts/{number}/acknowledge", {})
    assert (answer.status, "at that node" in answer.json["error"]) == (422, True)
    assert hub.request("DELETE", f"/api/nodes/{node.name}", key=KEY).status == 200
    assert [(one["state"], bool(one["cleared_at"])) for one in alerts(hub, node.name)] == [("cleared", True)]


def test_a_node_has_one_key_that_nobody_else_has(hub: Running) -> None:
    with ThreadPoolExecutor(4) as four:
        answers = list(four.map(lambda _: hub.post("/api/nodes", {"name": "twice"}), range(4)))
    assert sorted(one.status for one in answers) == [200, 422, 422, 422]
    assert hub.post("/api/keys", {"name": "k", "scopes": ["write"], "device": "porch"}).status == 201
    answer = hub.post("/api/nodes", {"name": "porch"})
    assert (answer.status, "has a key" in answer.json["error"]) == (422, True)
    assert "small letters" in hub.post("/api/nodes", {"name": "No/Node"}).json["error"]


def test_a_node_that_is_removed_is_refused_and_its_history_stays(hub: Running, node: Reporter) -> None:
    (start,) = windows(1)
    node.send([said("air", start)])
    assert hub.request("DELETE", f"/api/nodes/{node.name}", key=KEY).json == {"removed": node.name}
    assert node.post(node.batch()).status == 401
    assert node.plotted("air", start, start + FIVE_MINUTES)
    assert hub.request("DELETE", f"/api/nodes/{node.name}", key=KEY).status == 404
    assert hub.post("/api/nodes", {"name": node.name}).status == 200
    assert hub.post("/api/nodes", {"name": node.name}).status == 422
