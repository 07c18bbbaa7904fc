"""`outstation devices`: boards come and go while the node runs or not, with what they have burnt in."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from outstation.__main__ import root
from outstation.cli.board_list import boards_in
from outstation.errors import OutstationError
from tests.running import KEY, Running
from tests.web.boards import TRUSTED, values

TAKEN = """
[[devices]]
name = "roof"
channel = 7
write_key = "Q7RW2MZ9K4TB6XHD"
fields = ["temperature"]
"""

CLASS = "Name;fields;mac;expected\nb1;temperature humidity;6C-EF-7F-3B-9D-E8;yes\nb2;temperature;;no\n"


def devices(data: Path, *words: str, status: int = 0, config: Path | None = None) -> str:
    more = ["--config", str(config)] if config else []
    result = CliRunner().invoke(root, ["devices", *words, "--data", str(data), *more])
    assert result.exit_code == status, result.output
    return result.stdout if not status else result.stderr


def listed(data: Path, config: Path | None = None) -> dict[str, Any]:
    found = json.loads(devices(data, "list", "--json", config=config))["devices"]
    return {one["name"]: one for one in found}


def test_the_units_of_a_boards_fields_are_shown_before_it_speaks_and_after_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    sheet = devices(data, "add", "porch", "--fields", "temperature,humidity,a", "--units", "°C,%")
    assert "field1 temperature in °C, field2 humidity in %, field3 a\n" in sheet
    for _ in range(2):
        with Running(data, TRUSTED) as node:
            shown = {one["name"]: one["unit"] for one in node.get("/api/sensors").json["sensors"]}
            assert shown == {"door": "", "porch/temperature": "°C", "porch/humidity": "%", "porch/a": ""}
            node.post("/api/readings", {"porch/temperature": 20.5})


def test_a_unit_that_is_left_out_in_a_file_leaves_the_others_with_their_fields(tmp_path: Path) -> None:
    file = tmp_path / "boards.csv"
    file.write_text('name,fields,units\nporch,t state h,"°C, ,%"\nshed,t h,°C %\n', encoding="utf-8")
    assert [board["units"] for board in boards_in(file)] == [["°C", "", "%"], ["°C", "%"]]


def test_a_board_moves_in_with_what_it_has_burnt_in_while_the_node_runs(tmp_path: Path) -> None:
    with Running(tmp_path / "data", TRUSTED + TAKEN) as node:
        words = "--channel 254616 --write-key CLASSKEY --read-key K --public --fields temperature,humidity".split()
        assert "read_key" in devices(node.data, "add", "porch", *words, status=1)
        words[5] = "READKEY"
        sheet = devices(node.data, "add", "porch", *words)
        assert node.get("/update?api_key=CLASSKEY&field1=72.30&field2=40").body == b"1"
        assert values(node, "porch/temperature") == [72.3]
        assert node.get("/channels/254616/fields/1/last.txt").body == b"72.30"
        for word in ("254616", "CLASSKEY", "field2 humidity", f":{node.port}/update?api_key=CLASSKEY", "writeFields("):
            assert word in sheet
        assert devices(node.data, "sheet", "porch") == sheet
        assert node.get("/update?api_key=CLASSKEX&field1=1").status == 400
        assert node.get("/update?api_key=CLASSKEX&field1=1").status == 400
        shown = devices(node.data, "list")
        assert "CLASSKE" not in shown
        heard, refused = shown.split("\n\n")
        assert "porch  254616" in heard
        assert "127.0.0.1" in heard
        assert refused.splitlines()[2].split()[:4] == ["key", "CL...", "127.0.0.1", "2"]
        assert "perhaps roof" in refused
        assert "stands in the config" in devices(node.data, "remove", "roof", status=1)
        assert "its channel is that" in devices(node.data, "add", "b", "--fields", "a", "--channel", "7", status=1)
        assert "its name is that" in devices(node.data, "add", "roof", "--fields", "temperature", status=1)
        sensors = [one["name"] for one in node.get("/api/sensors").json["sensors"]]
        assert {name for name in sensors if "/" in name} == {
            "porch/temperature",
            "porch/humidity",
            "roof/temperature",
        }
        assert node.request("DELETE", "/api/sensors/porch/temperature", key=KEY).status == 422
        devices(node.data, "remove", "porch")
        assert node.get("/update?api_key=CLASSKEY&field1=1").status == 400
        assert values(node, "porch/temperature") == [72.3]
        assert node.post("/api/readings", {"sensor": "roof/x", "value": 1}, key="CLASSKEY").status == 401
    assert node.log.read_text().count("Traceback") == 0


def test_the_channel_of_one_that_left_is_shown_as_nobodys(tmp_path: Path) -> None:
    def add(name: str, **more: object) -> Any:
        return node.post("/api/devices", {"name": name, "fields": ["a"], **more}, key=KEY)

    with Running(tmp_path / "data", TRUSTED) as node:
        gone = add("gone").json["devices"][0]
        assert node.get(f"/update?api_key={gone['write_key']}&field1=a-secret").body == b"1"
        assert node.request("DELETE", "/api/devices/gone", key=KEY).status == 200
        with ThreadPoolExecutor(8) as pool:  # and each of many at once has a number of its own
            answers = list(pool.map(lambda number: add(f"b{number}", public=True), range(8)))
        numbers = [answer.json["devices"][0]["channel"] for answer in answers]
        assert sorted(numbers) == list(range(gone["channel"] + 1, gone["channel"] + 9))
        assert node.get(f"/channels/{gone['channel']}/feeds.json").status == 404
        assert add("last", channel=2**31 - 1).status == 200
        answer = add("one-more")
        assert (answer.status, "Name one that is free" in answer.json["error"]) == (422, True)


def test_of_a_node_that_is_stopped(tmp_path: Path) -> None:
    with Running(tmp_path / "data", TRUSTED + TAKEN) as node:
        devices(node.data, "add", "shed", "--fields", "a", "--expected-when", "weekday")
        devices(node.data, "add", "attic", "--fields", "a")
        native = node.post("/api/keys", {"name": "attic", "scopes": ["write"], "device": "attic"}).json["key"]
        assert node.post("/api/readings", {"sensor": "a", "value": 1}, key=native).status == 200
        key = json.loads(devices(node.data, "add", "garage", "--fields", "a", "--json"))["devices"][0]["write_key"]
        assert node.get(f"/update?api_key={key}&field1=1").body == b"1"
    data, config = node.data, node.config_file
    before = listed(data, config)
    assert [(one["name"], one["channel"]) for one in before.values()] == [
        ("roof", 7),
        ("attic", 9),
        ("garage", 10),
        ("shed", 8),
    ]
    assert before["attic"]["last_heard"] is not None  # by the native API
    assert (before["shed"]["expected_when"], before["shed"]["silent"]) == ("weekday", None)
    assert (before["garage"]["address"], before["garage"]["silent"]) == ("127.0.0.1", False)
    file = tmp_path / "class.csv"
    file.write_text(CLASS)
    printed = devices(data, "add", "--from", str(file), config=config).splitlines()
    assert [line.split()[:2] for line in printed[3:]] == [["b1", "11"], ["b2", "12"]]
    assert "6c:ef:7f:3b:9d:e8" in printed[3]
    assert "name is that of" in devices(data, "add", "--from", str(file), config=config, status=1)
    assert devices(data, "sheet", "--all", config=config).count("Board ") == 6
    assert listed(data, config)["b1"]["expected"] is True
    assert "reports here" in CliRunner().invoke(root, ["nodes", "add", "shed", "--data", str(data)]).stderr
    devices(data, "remove", "b1", config=config)
    assert "There is no board" in devices(data, "remove", "b1", config=config, status=1)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("nam,fields\nb1,a\n", 'line 1: found "nam"'),
        ("fields\na\n", "line 1: there is no name"),
        ("name,fields\n", "has no boards"),
        ("name,fields\nb1,a\nb2,\n", "line 3: it names no fields"),
        ("name,fields\nb1,a,b\n", "line 2: it has more cells"),
        ("name,fields,channel\nb1,a,x1\n", "line 2: expected the number of a channel, found 'x1'"),
        ("name,fields,public\nb1,a,maybe\n", "line 2: public: expected yes or no, found 'maybe'"),
    ],
)
def test_a_mistake_in_a_class_says_where_it_is(tmp_path: Path, text: str, wrong: str) -> None:
    file = tmp_path / "class.csv"
    file.write_text(text)
    with pytest.raises(OutstationError, match=wrong):
        boards_in(file)


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("add porch", "has a name and --fields"),
        ("add", "has a name and --fields"),
        ("sheet", "Name a board"),
    ],
)
def test_what_is_asked_wrongly(tmp_path: Path, words: str, wrong: str) -> None:
    assert wrong in devices(tmp_path, *words.split(), status=2)


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("--mac 6c:ef", 'porch: mac: expected an address such as "6c:ef:7f:3b:9d:e8".'),
        ("--key K!", "porch: key: expected the 6 to 64 letters and digits that the board has built in."),
        ("--expected-when door", "porch: expected_when: expected"),
        ("--group A!", "porch: group: expected a name"),
        ("--fields Hot", "fields"),
        ("--units °C,%", "porch: there are more units than fields."),
        ("--units C", 'porch: units: expected a unit that others know; did you mean "°C"?.'),
        ("--fields a,a", "porch: each field has a name of its own."),
    ],
)
def test_a_board_that_cannot_be(tmp_path: Path, words: str, wrong: str) -> None:
    tmp_path.joinpath("data").mkdir()
    more = [] if "fields" in words else ["--fields", "a"]
    assert wrong in devices(tmp_path / "data", "add", "porch", *words.split(), *more, status=1)
