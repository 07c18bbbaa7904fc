"""A hub: what it does not take is refused in words, and the next good batch is taken."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import msgspec
import pytest

from outstation.core.windows import FIVE_MINUTES, HOUR
from outstation.protocols.outstation import wire
from outstation.protocols.outstation.wire import Batch, Told
from tests.protocols.outstation.reporter import Reporter, said, windows
from tests.running import KEY, Running
from tests.web.boards import TRUSTED
from tests.web.keys import make_key

GZIP = {"Content-Encoding": "gzip"}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("hub") / "data", TRUSTED) as running:
        yield running


@pytest.fixture(scope="module")
def node(hub: Running) -> Reporter:
    return Reporter(hub, "greenhouse-1")


@pytest.fixture(autouse=True)
def _the_next_good_one_is_taken(node: Reporter) -> Iterator[None]:
    yield
    (start,) = windows(1)
    assert node.send([said("air", start)]).refused == ()
    assert node.plotted("air", start, start + FIVE_MINUTES)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b"{", {}, 400),
        (b"[]", {}, 422),
        (b"\xff\xfe", {}, 400),
        (b"[" * 100_000, {}, 422),
        (b'{"version": true, "sent_at": 1}', {}, 422),
        (b'{"version": 1}', {}, 422),
        (b"{}", GZIP, 422),
        (wire.packed(b'{"version": 1, "sent_at": 1}')[:-6], GZIP, 422),
        (wire.packed(b" " * 2_000_000), GZIP, 413),
        (b"{}", {"Content-Encoding": "br"}, 415),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b" " * (1 << 20) + b"{}", {}, 413),
    ],
)
def test_what_is_no_batch(node: Reporter, body: bytes, headers: dict[str, str], status: int) -> None:
    answer = node.raw(body, headers)
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"


def test_what_a_batch_may_not_say(node: Reporter) -> None:
    start = windows(1)[0]
    wrong: list[tuple[Batch, int]] = [
        (node.batch([said("air", start)] * 2_001), 413),
        (node.batch(upto=node.cursor - 1), 422),
        (node.batch(upto=2**60), 422),
        (node.batch(before=("e",) * 65), 422),
        (node.batch(before=("e" * 65,)), 422),
        (node.batch([said("air", start)], epoch=""), 422),
        (msgspec.structs.replace(node.batch(), version=2), 422),
        (msgspec.structs.replace(node.batch(), sent_at=-1), 422),
    ]
    assert [node.post(batch).status for batch, _ in wrong] == [status for _, status in wrong]


def test_what_is_no_number(node: Reporter) -> None:
    text = wire.encode(node.batch([said("air", windows(1)[0])]))
    for word in (b"NaN", b"Infinity", b"1e999", b'"20.0"', b"2" * 5_000):
        assert node.raw(text.replace(b"20.0", word, 1)).status in (400, 422)


def test_who_may_not_report(hub: Running, node: Reporter) -> None:
    unbound, reader = make_key(hub, "write"), make_key(hub, "read", device="greenhouse-1")
    no_node, another = make_key(hub, "write", device="porch"), Reporter(hub, "greenhouse-2")
    for key, status in ((unbound, 403), (reader, 403), (no_node, 403), (KEY, 403), ("a.b", 401)):
        batch = node.batch([said("soil", windows(1)[0])])
        assert Reporter(hub, "greenhouse-1", key=key).post(batch).status == status
    names = hub.get("/api/status").json["sensors"]
    assert not {"greenhouse-1/soil", "porch/soil"}.intersection(names)
    another.send([said("air", windows(1)[0], 5.0)])
    assert another.plotted("air", windows(1)[0], windows(1)[0] + FIVE_MINUTES)[0]["mean"] == 5.0


def test_alerts_that_cannot_be_are_named(node: Reporter) -> None:
    good = Told("d1", "raised", 1, "rule", "vent", "info", "m", "raised", 1_750_000_000_000)
    change = msgspec.structs.replace
    wrong = [
        change(good, severity="loud"),
        change(good, state="gone"),
        change(good, id=-1),
        change(good, raised_at=10**15),
        change(good, subject="s" * 200),
    ]
    long = change(good, id=2, delivery="d2", message="m" * 5_000, values={"a": "v" * 5_000, "b": True})
    receipt = node.send(alerts=(*wrong, good, long))
    assert [one.item for one in receipt.refused] == [0, 1, 2, 3, 4]
    assert receipt.alerts == ("d1", "d2")
    (kept,) = (one for one in node.hub.get("/api/alerts").json["alerts"] if "a" in one["values"])
    assert (len(kept["message"]), len(kept["values"]["a"]), kept["values"]["b"]) == (2_000, 255, True)


def test_a_batch_of_a_newer_node_with_more_fields_is_taken(node: Reporter) -> None:
    document = msgspec.json.decode(wire.encode(node.batch([said("air", windows(1)[0])])))
    document |= {"mood": "good", "node": {"version": [1, 2], "every": 60_000}}
    document["summaries"][0]["median"] = 3.5
    answer = node.raw(msgspec.json.encode(document))
    assert answer.status == 200
    node.token, node.cursor = wire.decode_receipt(answer.body).token, node.cursor + 1


def test_a_board_posts_plain_summaries(hub: Running) -> None:
    start = windows(1)[0]
    board = Reporter(hub, "board", key=make_key(hub, "write", device="board"))
    plain = {
        "period_start": start / 1000,
        "period_end": start / 1000 + 300,
        "count": 3,
        "mean": 2.0,
        "min": 1,
        "max": 3,
    }
    for query, sensor in (("?sensor=air", {}), ("", {"sensor": "soil", "kind": "summary", "node": "x"})):
        answer = board.raw(msgspec.json.encode({**plain, "stdev": 1.0, **sensor}), query=query)
        assert (answer.status, answer.json) == (200, {"accepted": 1})
    (row,) = board.plotted("air", start, start + FIVE_MINUTES)
    assert (row["count"], row["mean"], row["stdev"]) == (3, 2.0, 1.0)
    assert hub.get("/api/status").json["sensors"]["board/soil"]["value"] == 2.0
    hour = start - start % HOUR - HOUR
    whole = {**plain, "period_start": hour / 1000, "period_end": (hour + HOUR) / 1000}
    assert board.raw(msgspec.json.encode(whole), query="?sensor=air").json == {"accepted": 1}
    assert [row["mean"] for row in board.plotted("air", hour, hour + HOUR, "1h")] == [2.0]
    gone = {**plain, "count": 0, "mean": None, "min": None, "max": None, "stdev": None}
    assert board.raw(msgspec.json.encode(gone), query="?sensor=air").status == 200
    assert board.plotted("air", start, start + FIVE_MINUTES) == []
    for wrong in (
        {"mean": None},
        {"period_end": start / 1000 + 60},
        {"period_start": -1},
        {"mean": 9},
        {"count": -1},
        {"count": 10**400},
        {"stdev": 1e200},
    ):
        assert board.raw(msgspec.json.encode({**plain, **wrong}), query="?sensor=air").status == 422
    assert board.raw(msgspec.json.encode(plain)).status == 422


def test_a_board_posts_plain_alerts(hub: Running) -> None:
    board = Reporter(hub, "board-2", key=make_key(hub, "write", device="board-2"))
    raised = {"kind": "alert", "rule": "leak", "severity": "critical", "message": "wet", "state": "raised", "id": 7}
    raised |= {"values": {"water": True}, "raised_at": 1_750_000_000.5}
    for state in ("raised", "raised", "cleared"):
        assert board.raw(msgspec.json.encode({**raised, "state": state})).json == {"accepted": 1}
    found = [one for one in hub.get("/api/alerts").json["alerts"] if one["node"] == "board-2"]
    assert [(one["subject"], one["state"], one["values"]) for one in found] == [("leak", "cleared", {"water": True})]


def test_gzip_is_taken_here_alone(hub: Running) -> None:
    body = zlib.compress(b"[]", wbits=31)
    assert hub.request("POST", "/api/readings", body, GZIP, key=KEY).status == 415
