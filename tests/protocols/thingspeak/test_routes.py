"""Boards against the real server, most of them by raw sockets, as their libraries do."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.protocols.thingspeak.given import OTHER, READ, WRITE, config
from tests.running import KEY, Running


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("boards") / "data", config()) as running:
        yield running


def entered(node: Running, query: str) -> int:
    answer = node.get(f"/update?{query}")
    assert answer.status == 200, answer
    return int(answer.body)


def last(node: Running, channel: int, field: int, key: str = "") -> str:
    return node.get(f"/channels/{channel}/fields/{field}/last.txt?api_key={key}").body.decode()


def test_a_reading_goes_in_and_comes_back_as_it_was_sent(node: Running) -> None:
    entered(node, f"api_key={WRITE}&field1=72.30&field2=open")
    assert last(node, 1, 1, READ) == "72.30"
    assert last(node, 1, 2, WRITE) == "open"
    sensors = node.get("/api/status").json["sensors"]
    assert sensors["porch/temperature"]["value"] == 72.3
    assert sensors["porch/humidity"]["value"] == "open"


def test_an_old_board_says_get_and_http_1_0_and_reads_until_the_end(node: Running) -> None:
    before = entered(node, f"api_key={WRITE}&field1=1")
    answer = node.raw(f"GET /update?api_key={WRITE}&field1=20.5 HTTP/1.0\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nContent-Length: %d\r\n" % len(body) in head
    assert b"chunked" not in head.lower()
    assert int(body) == before + 1
    answer = node.raw(f"GET /channels/1/fields/field1/last?key={READ} HTTP/1.0\r\n\r\n".encode())
    assert answer.endswith(b"\r\n\r\n20.5")


@pytest.mark.parametrize("query", ["field1=4?2&x=/", "x=%20&field1=4?2", "field1=4?2#field1=9", "?&field1=4?2"])
def test_a_query_ends_where_a_fragment_begins_and_nowhere_else(node: Running, query: str) -> None:
    node.raw(f"GET /update?api_key={WRITE}&{query} HTTP/1.0\r\n\r\n".encode())
    assert last(node, 1, 1, READ) == "4?2"


def test_the_arduino_library_posts_unencoded_under_a_foreign_host(node: Running) -> None:
    body = b"field1=21.5 C&field2=+55&lat=51.5&long=-0.1&status=caf\xc3\xa9 & co&headers=false"
    request = b"".join(
        (
            b"POST /update HTTP/1.1\r\nHost: api.thingspeak.com\r\nUser-Agent: tslib-arduino/2.1.1 (ESP8266)\r\n",
            b"X-THINGSPEAKAPIKEY: %s\r\nContent-Type: application/x-www-form-urlencoded\r\n" % WRITE.encode(),
            b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body),
        )
    )
    head, _, number = node.raw(request).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert re.search(rb"Content-Length: \d", head)
    assert int(number) > 0
    assert last(node, 1, 1, READ) == "21.5 C"
    assert last(node, 1, 2, READ) == " 55"
    assert node.get("/api/status").json["sensors"]["porch/humidity"]["value"] == 55


def test_entries_are_counted_by_channel_from_one(tmp_path: Path) -> None:
    with Running(tmp_path / "data", config()) as node:
        assert [entered(node, f"api_key={WRITE}&field1={number}") for number in range(3)] == [1, 2, 3]
        assert entered(node, f"api_key={OTHER}&field1=7") == 1


def test_numbers_and_texts_survive_a_kill(tmp_path: Path) -> None:
    with Running(tmp_path / "data", config()) as node:
        assert entered(node, f"api_key={WRITE}&field1=72.30&field2=a") == 1
        assert entered(node, f"api_key={WRITE}&field2=b") == 2
        node.kill()
        node.start()
        assert (last(node, 1, 1, READ), last(node, 1, 2, READ)) == ("72.30", "b")
        assert node.get("/api/status").json["sensors"]["porch/temperature"]["value"] == 72.3
        assert entered(node, f"api_key={WRITE}&field1=1") == 3


def test_boards_that_send_at_once_get_numbers_of_their_own(node: Running) -> None:
    numbers: list[int] = []

    def board() -> None:
        numbers.extend(entered(node, f"api_key={OTHER}&field1={number}") for number in range(20))

    boards = [threading.Thread(target=board) for _ in range(8)]
    for thread in boards:
        thread.start()
    for thread in boards:
        thread.join()
    assert len(set(numbers)) == 160
    assert max(numbers) - min(numbers) == 159


@pytest.mark.parametrize(
    "query",
    [
        "field1=1",
        "api_key=&field1=1",
        f"api_key={WRITE[:-1]}&field1=1",
        f"api_key={WRITE}0&field1=1",
        f"api_key={WRITE.lower()}&field1=1",
        f"api_key={READ}&field1=1",
        f"api_key={KEY}&field1=1",
        f"api_key={WRITE}&field1={'x' * 256}",
        f"api_key={WRITE}&field1=a%00b",
        f"api_key={WRITE}" + "&a=b" * 100,
    ],
)
def test_what_is_refused_is_answered_400_and_0(node: Running, query: str) -> None:
    before = last(node, 1, 1, READ)
    for answer in (
        node.get(f"/update?{query}"),
        node.request("POST", "/update", query, {"Content-Type": "application/x-www-form-urlencoded"}),
    ):
        assert (answer.status, answer.body) == (400, b"0")
        assert "traceback" not in str(answer).lower()
    assert last(node, 1, 1, READ) == before


def test_a_body_that_cannot_be_read_or_is_too_large_is_refused_not_dropped(node: Running) -> None:
    key = {"X-THINGSPEAKAPIKEY": WRITE}
    parts = {**key, "Content-Type": "multipart/form-data; boundary=x"}
    answer = node.request("POST", "/update", "--x--", parts)
    assert (answer.status, answer.body) == (415, b"0")
    answer = node.request("POST", "/update", "[1]", {**key, "Content-Type": "application/json"})
    assert (answer.status, answer.body) == (400, b"0")
    answer = node.request("POST", "/update", "field1=" + "1" * 20_000, key)
    assert (answer.status, answer.body) == (413, b"0")


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Purpose": "prefetch"}, {"Purpose": "prefetch"}]
)
def test_a_browsers_look_changes_nothing(node: Running, headers: dict[str, str]) -> None:
    before = entered(node, f"api_key={WRITE}&field1=1")
    answer = node.get(f"/update?api_key={WRITE}&field1=2", headers)
    assert (answer.status, answer.body) == (405, b"0")
    assert node.request("HEAD", f"/update?api_key={WRITE}&field1=2").status == 405
    assert entered(node, f"api_key={WRITE}&field1=1") == before + 1


def test_pages_of_any_origin_may_speak_to_it(node: Running) -> None:
    origin = {"Origin": "https://example.org"}
    for answer in (
        node.get("/channels/2/fields/1/last.txt", origin),
        node.request("OPTIONS", "/update", headers={**origin, "Access-Control-Request-Method": "POST"}),
    ):
        assert answer.headers["access-control-allow-origin"] == "*"
    assert "X-THINGSPEAKAPIKEY" in answer.headers["access-control-allow-headers"]


def test_who_may_read_a_channel(node: Running) -> None:
    entered(node, f"api_key={WRITE}&field1=5")
    entered(node, f"api_key={OTHER}&field1=6")
    assert last(node, 2, 1) == "6"
    assert last(node, 1, 1, READ) == "5"
    assert node.get("/channels/1/fields/1/last.txt", {"X-THINGSPEAKAPIKEY": WRITE}).body == b"5"
    for key in ("", OTHER, READ[:-1], KEY):
        answer = node.get(f"/channels/1/fields/1/last.txt?api_key={key}")
        assert (answer.status, answer.body) == (200, b"-1")


def test_a_field_without_an_entry_is_minus_one_and_an_unknown_channel_404(node: Running) -> None:
    assert last(node, 2, 8) == "-1"
    assert last(node, 2, 9) == "-1"
    for channel in ("3", "0", "-1", "x", "9" * 30, "%D9%A1"):
        answer = node.get(f"/channels/{channel}/fields/1/last.txt")
        assert (answer.status, answer.body) == (404, b"-1")


def test_a_time_that_the_board_gave_is_kept(node: Running) -> None:
    entered(node, f"api_key={OTHER}&field1=41&created_at=2018-06-03%2004:26:40%20UTC")
    rows = node.get("/api/readings?sensor=shed/weight&start=2018-06-03T00:00:00Z&end=2018-06-04T00:00:00Z").json
    assert [(row["timestamp"], row["value"]) for row in rows["readings"]] == [("2018-06-03T04:26:40.000Z", 41)]


@pytest.mark.parametrize("created_at", ["2199-01-01T00:00:00Z", "soon"])
def test_a_time_in_the_future_or_none_at_all_is_replaced_by_ours(node: Running, created_at: str) -> None:
    entered(node, f"api_key={OTHER}&field1=42&created_at={created_at}")
    shed = node.get("/api/status").json["sensors"]["shed/weight"]
    assert shed["value"] == 42
    assert shed["age"] < 5


def test_a_field_without_a_name_here_belongs_to_the_entry_alone(node: Running) -> None:
    entered(node, f"api_key={OTHER}&field1=1&field5=more")
    assert last(node, 2, 5) == "more"
    assert "shed/field5" not in node.get("/api/status").json["sensors"]


def test_while_nothing_can_be_stored_a_board_is_told_to_try_again_and_no_number_is_given_twice(tmp_path: Path) -> None:
    text = "x" * 255
    with Running(tmp_path / "data", config(), wrapper=("prlimit", "--fsize=300000:unlimited")) as node:
        answers = [node.get(f"/update?api_key={WRITE}&field1={text}&field2={text}")]
        while answers[-1].status == 200 and len(answers) < 1_000:
            answers.append(node.get(f"/update?api_key={WRITE}&field1={text}&field2={text}"))
        assert (answers[-1].status, answers[-1].body) == (503, b"0")
        assert "retry-after" in answers[-1].headers
        assert last(node, 1, 1, READ) == text
        subprocess.run(["prlimit", "--pid", str(node.server_pid), "--fsize=unlimited"], check=True)
        until = time.monotonic() + 10
        while (answer := node.get(f"/update?api_key={WRITE}&field1=1")).status == 503 and time.monotonic() < until:
            time.sleep(0.1)
        numbers = [int(answer.body) for answer in [*answers[:-1], answer]]
    assert numbers == sorted(set(numbers))


def test_keys_stand_in_no_log(node: Running) -> None:
    node.get(f"/update?api_key={READ}&field1=1")
    text = node.log.read_text()
    assert WRITE not in text
    assert READ not in text


def test_a_node_without_boards_takes_no_entry(tmp_path: Path) -> None:
    with Running(tmp_path / "data", "") as node:
        answer = node.get("/update?api_key=&field1=1")
        assert (answer.status, answer.body) == (400, b"0")
