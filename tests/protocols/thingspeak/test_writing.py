"""Boards that write to the real server: one entry at a time as JSON, and many that they kept while away."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from outstation import clock
from outstation.protocols.thingspeak import shapes
from outstation.store.database import Boot, Store
from outstation.store.entries import Entries
from tests.protocols.thingspeak.given import OTHER, READ, WRITE, config
from tests.running import KEY, Answer, Running
from tests.store.given import DAY, in_store


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("writing") / "data", config()) as running:
        yield running


def feeds(node: Running, channel: int, query: str = "") -> list[dict[str, Any]]:
    answer = node.get(f"/channels/{channel}/feeds.json?{query}&status=true&location=true", {"X-THINGSPEAKAPIKEY": READ})
    found: list[dict[str, Any]] = answer.json["feeds"]
    return found


def bulk(node: Running, updates: object, *, channel: object = 1, key: str = WRITE) -> Answer:
    return node.request("POST", f"/channels/{channel}/bulk_update.json", {"write_api_key": key, "updates": updates})


def error(answer: Answer) -> tuple[int, str, str]:
    said = answer.json
    return answer.status, said["status"], said["error"]["error_code"]


@pytest.mark.parametrize("path", ["/update.json", "/s/update.json"])
def test_the_whole_entry_comes_back_compact_and_to_the_letter(node: Running, path: str) -> None:
    query = "field1=72.30&status=fine&lat=51.5&long=-0.10&created_at=2014-02-25T14:13:01"
    query += f"&timezone=America/New_York&api_key={WRITE}"
    answer = node.get(f"{path}?{query}")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    number = answer.json["entry_id"]
    assert answer.body == (
        b'{"channel_id":1,"field1":"72.30","field2":null,"field3":null,"field4":null,"field5":null,"field6":null,'
        b'"field7":null,"field8":null,"created_at":"2014-02-25T14:13:01-05:00","entry_id":%d,"status":"fine",'
        b'"latitude":"51.5","longitude":"-0.10","elevation":null}' % number
    )


def test_a_body_may_be_json_and_its_numbers_stay_as_they_were_written(node: Running) -> None:
    sent = '{"field1":72.30,"field2":null,"field3":"caf\\u00e9","field4":{"a":1},"api_key":"' + WRITE + '"}'
    answer = node.request("POST", "/update.json", sent, {"Content-Type": "application/json"})
    assert (answer.json["field1"], answer.json["field2"], answer.json["field3"]) == ("72.30", None, "café")
    assert answer.json["field4"] is None
    assert answer.json["created_at"].endswith("Z")


@pytest.mark.parametrize(
    "body", ["", "[]", "{", '{"field1":' + "[" * 9_000, '{"field1":"\\ud800"}', '{"field1":"a\\u0000"}', "\xff"]
)
def test_what_is_no_entry_is_refused_as_json(node: Running, body: str) -> None:
    headers = {"Content-Type": "application/json", "X-THINGSPEAKAPIKEY": WRITE}
    answer = node.request("POST", "/update.json", body.encode("latin-1"), headers)
    assert (answer.status, answer.body) == (400, b"0")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


def test_many_entries_with_their_times_and_the_same_again(node: Running) -> None:
    updates = [
        {"created_at": "2018-01-30 10:26:21 -0500", "field1": 1.50, "status": "woke", "latitude": 51},
        {"created_at": 1517326000, "field1": "2", "unheard_of": 3},
        {"created_at": "2018-01-30T15:27:00Z", "field2": "dry"},
    ]
    for _ in range(2):  # the answer to the first was lost
        answer = bulk(node, updates)
        assert (answer.status, answer.body) == (202, b'{"success":true}')
    found = feeds(node, 1, "start=2018-01-30%2000:00:00&end=2018-01-31%2000:00:00")
    assert [one["created_at"] for one in found] == [
        "2018-01-30T15:26:21Z",
        "2018-01-30T15:26:40Z",
        "2018-01-30T15:27:00Z",
    ]
    assert [(one["field1"], one["field2"]) for one in found] == [("1.5", None), ("2", None), (None, "dry")]
    assert (found[0]["status"], found[0]["latitude"]) == ("woke", "51")
    rows = node.get("/api/readings?sensor=porch/temperature&start=2018-01-30T00:00:00Z&end=2018-01-31T00:00:00Z").json
    assert [row["value"] for row in rows["readings"]] == [1.5, 2]


def test_entries_that_say_how_long_after_another_they_were_end_now(node: Running) -> None:
    lines = "updates=0,1,,,,,,,,51.5,-0.1,12,woke|3600,2|7200,3"
    body = f"write_api_key={OTHER}&time_format=relative&{lines}"
    answer = node.request("POST", "/channels/2/bulk_update.csv", body)
    assert (answer.status, answer.body) == (202, b'{"success":true}')
    found = feeds(node, 2, "results=3")
    assert [one["field1"] for one in found] == ["1", "2", "3"]
    assert (found[0]["elevation"], found[0]["status"]) == ("12", "woke")
    readings = node.get("/api/readings?sensor=shed/weight&limit=3").json["readings"]
    assert [row["value"] for row in readings] == [1, 2, 3]
    assert [row["timestamp"][:13] for row in readings] == [one["created_at"][:13] for one in found]
    shed = node.get("/api/status").json["sensors"]["shed/weight"]
    assert (shed["value"], shed["age"] < 5) == (3, True)


def test_what_is_refused_in_bulk_is_refused_whole_and_with_a_reason(node: Running) -> None:
    before = len(feeds(node, 1, "results=8000"))
    good = {"field1": 1}
    assert error(bulk(node, [good], key=OTHER)) == (401, "401", "error_auth_required")
    assert error(bulk(node, [good], key=READ)) == (401, "401", "error_auth_required")
    assert error(bulk(node, [good], channel=3)) == (404, "404", "error_resource_not_found")
    assert error(bulk(node, [good] * 10_001)) == (413, "413", "error_request_too_large")
    for wrong in ({"created_at": "soon"}, {"delta_t": -1}, {"delta_t": 1e99}, {"field1": "x" * 256}):
        assert error(bulk(node, [good, wrong])) == (400, "400", "error_bad_request")
    for body in (
        "{",
        '{"write_api_key":"x","updates":[{"a":' + "[" * 500_000,
        '{"updates":[]}',
        '{"write_api_key":"x","updates":[1]}',
    ):
        answer = node.request("POST", "/channels/1/bulk_update.json", body)
        assert error(answer) == (400, "400", "error_bad_request")
    assert len(feeds(node, 1, "results=8000")) == before


def test_a_write_key_is_no_key_of_the_api_and_opens_no_other_channel(node: Running) -> None:
    for key in (WRITE, READ):
        assert node.post("/api/led", {"action": "on"}, key=key).status in (401, 404)
        assert node.post("/api/readings", {"sensor": "porch/temperature", "value": 1}, key=key).status == 401
        assert node.get("/api/keys", key=key).status == 401
    assert node.get(f"/channels/1/feeds.json?api_key={OTHER}").status == 400
    assert node.get(f"/channels/1/feeds.json?api_key={KEY}").status == 400


def test_twenty_boards_behind_one_address_lose_nothing_though_one_has_a_wrong_key(node: Running) -> None:
    before = node.get(f"/update?api_key={OTHER}&field1=0").json
    refused: list[int] = []

    def board(number: int) -> None:
        key = OTHER if number else "WRONGWRONGWRONG0"
        answers = [node.get(f"/update?api_key={key}&field1={number}.{one}0") for one in range(5)]
        refused.extend(answer.status for answer in answers if answer.status != 200)

    boards = [threading.Thread(target=board, args=(number,)) for number in range(20)]
    for thread in boards:
        thread.start()
    for thread in boards:
        thread.join()
    assert refused == [400] * 5
    found = feeds(node, 2, "results=95")
    assert sorted(one["entry_id"] for one in found) == list(range(before + 1, before + 96))
    assert {one["field1"] for one in found} == {f"{number}.{one}0" for number in range(1, 20) for one in range(5)}


def test_guessing_is_429_and_neither_neighbours_nor_the_owner_suffer(node: Running) -> None:
    """A key of each kind is tried eleven times: the last is told to wait, whatever it asks for."""
    mac = "/mac=6c:ef:7f:3b:9d:e8/field=1/data=1"
    paths = {
        "/update?field1=1&api_key=GUESSED1": (400, b"0"),
        "/channels/1/feeds.json?api_key=GUESSED2": (400, b"-1"),
        "/channels/1/fields/1/last.txt?api_key=GUESSED3": (200, b"-1"),
        f"/update/API_key=GUESSED{mac}": (403, b"No station with this address writes with this key.\n"),
    }
    for path, said in paths.items():
        answers = [node.get(f"{path}{number}" if "field1=" in path else path) for number in range(10, 21)]
        assert {(answer.status, answer.body) for answer in answers[:10]} == {said}
        assert (answers[10].status, answers[10].headers["retry-after"]) == (429, "60")
    assert error(bulk(node, [{}], key="GUESSED1")) == (429, "429", "error_too_many_requests")
    answers = [node.get(f"/update?field1=1&api_key={number:016}") for number in range(70)]  # always another one
    assert (answers[-1].status, answers[-1].body) == (429, b"0")
    assert node.get(f"/update?api_key={OTHER}&field1=0").status == 200
    assert node.get(f"/channels/1/feeds.json?api_key={READ}").status == 200
    assert node.get("/api/devices", key=KEY).json["refusals"][0]["count"] >= 1


def test_no_spreadsheet_runs_what_a_board_sends_and_numbers_stay_to_the_letter(node: Running) -> None:
    sent = ["=1+1", "@SUM(A1)", "-5.0", "+1,5", "\t=x", "'=x", "'fine'", "-"]
    for text in sent:
        assert node.get(f"/update?api_key={OTHER}&field1={quote(text)}").status == 200
    answer = node.get(f"/channels/2/feeds.csv?results={len(sent)}").body.decode()
    cells = [row["field1"] for row in csv.DictReader(answer.splitlines())]
    assert cells == ["'=1+1", "'@SUM(A1)", "-5.0", "+1,5", "'\t=x", "''=x", "'fine'", "'-"]
    assert [shapes.said(cell) for cell in cells] == sent
    assert [one["field1"] for one in feeds(node, 2, f"results={len(sent)}")] == sent


def test_entries_of_a_clock_that_is_set_later_are_put_right(tmp_path: Path) -> None:
    board = f'name = "b"\nchannel = 9\nwrite_key = "{WRITE}"\nmac = "6c:ef:7f:3b:9d:e8"\nfields = ["a"]\n'
    with Running(tmp_path / "data", f"[[devices]]\n{board}", module="tests.web.unset_clock") as node:
        assert node.get(f"/update?api_key={WRITE}&field1=1").body == b"1"
        assert node.get(f"/update/API_key={WRITE}/mac=6c:ef:7f:3b:9d:e8/field=1/data=2").body == b"ok\n"
        assert bulk(node, [{"delta_t": 0, "field1": 3}], channel=9).status == 202
        assert node.get(f"/update?api_key={WRITE}&field1=4&created_at=2018-01-30T10:26:21Z").body == b"4"

    async def times(store: Store) -> list[float]:
        return [(one.at - clock.at()) / DAY for one in Entries(store).of_channel(9)]

    moment = clock.moment()
    later = Boot(clock.boot_id(), moment.at - moment.now + 900 * DAY, clock.Trust.SYNCHRONISED)
    given, *ours = in_store(tmp_path / "data", times, later)
    assert ours == pytest.approx([900] * 3, abs=0.01)
    assert given < 0


def test_bulk_is_spoken_on_a_raw_socket_by_http_1_0(node: Running) -> None:
    body = json.dumps({"write_api_key": OTHER, "updates": [{"delta_t": 0, "field1": 5}]}).encode()
    head = b"POST /channels/2/bulk_update.json HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    answer = node.raw(head % len(body) + body)
    assert answer.startswith(b"HTTP/1.1 202 Accepted\r\n")
    assert b"\r\nContent-Length: 16\r\n" in answer
    assert answer.endswith(b'\r\n\r\n{"success":true}')
