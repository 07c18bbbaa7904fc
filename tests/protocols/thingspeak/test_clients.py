"""Clients as they are in the world: the Arduino library's way of reading, the package of PyPI, a little page."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator

import pytest
import thingspeak

from tests.protocols.thingspeak.arduino import BAD_RESPONSE, NOT_INSERTED, OK, ThingSpeak, value_of
from tests.protocols.thingspeak.given import OTHER, READ, WRITE, config
from tests.running import KEY, Running


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("clients") / "data", config(254616)) as running:
        yield running


@pytest.fixture
def board(node: Running) -> ThingSpeak:
    return ThingSpeak(node.port)


def test_a_sketch_writes_and_reads_its_own_words_back(board: ThingSpeak) -> None:
    sent = {"field1": "72.30", "field2": "55", "lat": "51.5", "long": "-0.1", "status": "door is open"}
    assert board.write_fields(WRITE, **sent) == OK
    assert board.read_string_field(254616, 1, READ) == "72.30"
    found = board.read_multiple_fields(254616, READ)
    assert [value_of(found, key) for key in ("field1", "field2", "latitude", "longitude", "status")] == list(
        sent.values()
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value_of(found, "created_at"))
    assert value_of(found, "elevation") == "", "null is how an absent value is told"


def test_a_sketch_is_told_what_went_wrong_in_the_librarys_numbers(board: ThingSpeak) -> None:
    assert board.write_fields("WRONGWRONGWRONGW", field1="1") == 400
    assert board.read_string_field(77, 1) == ""
    assert board.status == 404
    assert board.read_string_field(254616, 1) == "-1"


@pytest.mark.parametrize(
    "suffix",
    [
        "/feeds/last",
        "/feeds/last.json",
        "/feeds.json",
        "/feeds.json?average=10",
        "/feeds.csv",
        "/fields/1/last.csv",
        "/fields/1/last_data_age.json",
        "/status.json",
        "/feeds/last_average.json?average=3",
        "/feeds/entry/1.json",
    ],
)
def test_a_sketch_can_read_every_answer_whole(node: Running, board: ThingSpeak, suffix: str) -> None:
    board.write_fields(WRITE, field1="1", field2="caf\u00e9")
    found = board.read_raw(254616, suffix, READ)
    assert board.status == OK
    if "json" in suffix:
        json.loads(found)
    else:
        assert found


def test_the_way_a_sketch_reads_is_as_narrow_as_the_librarys() -> None:
    assert value_of('{"field1": "1"}', "field1") == ""
    assert value_of('{"field1":1}', "field1") == ""
    assert (BAD_RESPONSE, NOT_INSERTED) == (-303, -401)


def test_the_package_of_pypi_writes_and_reads_unchanged(node: Running) -> None:
    url = f"http://127.0.0.1:{node.port}"
    porch = thingspeak.Channel(254616, api_key=WRITE, server_url=url)
    written = json.loads(porch.update({"field1": "72.30", "field2": 41}))
    assert (written["channel_id"], written["field1"], written["field2"], written["field8"]) == (
        254616,
        "72.30",
        "41",
        None,
    )
    found = json.loads(porch.get({"results": 1}))
    assert found["feeds"] == [
        {"created_at": written["created_at"], "entry_id": written["entry_id"], "field1": "72.30", "field2": "41"}
    ]
    assert found["channel"]["last_entry_id"] == written["entry_id"]
    assert json.loads(porch.get_field(2, {"results": 1}))["feeds"][0]["field2"] == "41"
    assert json.loads(porch.get_field_last(1))["field1"] == "72.30"
    assert json.loads(porch.get_last_data_age(1))["last_data_age_units"] == "s"
    assert json.loads(porch.view())["field1"] == "temperature"
    assert thingspeak.Channel(254616, api_key=READ, fmt="txt", server_url=url).get_field_last(1) == "72.30"
    with pytest.raises(OSError, match="400"):
        thingspeak.Channel(254616, server_url=url).get()


def test_a_little_page_of_another_site_may_show_a_public_value(node: Running) -> None:
    node.get(f"/update?api_key={OTHER}&field1=20.50")
    answer = node.get(
        "/channels/2/fields/1/last.txt", {"Origin": "https://example.org", "Sec-Fetch-Site": "cross-site"}
    )
    assert (answer.status, answer.body, answer.headers["access-control-allow-origin"]) == (200, b"20.50", "*")


def test_many_who_look_at_once_are_all_answered(node: Running) -> None:
    answers: list[int] = []
    watchers = [
        threading.Thread(target=lambda: answers.append(node.get("/channels/2/feeds.json?results=8000").status))
        for _ in range(30)
    ]
    for thread in watchers:
        thread.start()
    for thread in watchers:
        thread.join()
    assert answers == [200] * 30


def test_a_write_key_reads_its_own_channel_alone_and_is_no_key_of_the_api(node: Running) -> None:
    assert node.get(f"/channels/254616/feeds.json?api_key={OTHER}").status == 400
    refused = node.get("/api/devices", key=KEY).json["refusals"][0]
    assert (refused["device"], refused["address"]) == ("porch", "127.0.0.1"), "people see which channel it tried"
    for header in ({"X-API-Key": OTHER}, {"Authorization": f"Bearer {OTHER}"}):
        assert node.get("/api/keys", header).status == 401
        assert node.get("/api/status", header).status == 401


def test_a_long_history_comes_out_whole_and_in_order(node: Running) -> None:
    count, at = 8_640, 1_767_225_600
    for first in range(0, count, 960):
        updates = [{"created_at": at + number, "field1": number} for number in range(first, first + 960)]
        body = {"write_api_key": OTHER, "updates": updates}
        assert node.request("POST", "/channels/2/bulk_update.json", body).status == 202
    rows = node.get("/stream/channels/2/feeds.csv?end=2026-01-02").body.decode().splitlines()
    assert rows[0] == "created_at,entry_id,field1"
    assert [int(row.rpartition(",")[2]) for row in rows[1:]] == list(range(count))
    newest = node.get("/channels/2/feeds.json?end=2026-01-02&results=100000").json["feeds"]
    assert [int(one["field1"]) for one in newest] == list(range(count - 8_000, count))
    counted = node.get("/channels/2/fields/1.json?end=2026-01-02&median=60").json["feeds"]
    assert [one["field1"] for one in counted] == ["2119.5", "5399.5", "7919.5"]
