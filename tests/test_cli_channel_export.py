"""`outstation import --format thingspeak`: a channel moves in with its history, and goes on after its numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from outstation.__main__ import root
from outstation.errors import OutstationError
from tests.running import Running
from tests.store.given import in_store
from tests.test_cli_devices import devices
from tests.web.boards import TRUSTED, stored, values

HEAD = "created_at,entry_id,field1,field2,latitude,longitude,elevation,status\n"
ROWS = (
    "2018-01-30 10:26:21 UTC,16,72.30,,,,,\n",
    "2018-01-30T10:27:21+00:00,17,73,40,0.0,1.5,,on the roof\n",
    "2018-01-30 05:28:21 -0500,19,,41,,,,\n",
)


def bring(data: Path, file: Path, *words: str, status: int = 0, channel: int = 9) -> str:
    asked = ["import", str(file), "--format", "thingspeak", "--channel", str(channel), "--data", str(data), *words]
    result = CliRunner().invoke(root, asked)
    assert result.exit_code == status, result.output
    return result.stdout if not status else result.stderr


def test_a_channel_moves_in(tmp_path: Path) -> None:
    file, rest = tmp_path / "feeds.csv", tmp_path / "rest.csv"
    file.write_text("\ufeff" + HEAD + "".join(ROWS[:2]), newline="")
    rest.write_text(HEAD + "".join(ROWS))
    with Running(tmp_path / "data", TRUSTED) as node:
        devices(
            node.data, "add", "roof", "--channel", "9", "--write-key", "ROOFKEY", "--fields", "temperature,humidity"
        )
        assert "add NAME --channel 8" in bring(node.data, file, status=1, channel=8)
        for _ in range(2):  # the second time it is there already
            assert bring(node.data, file) == "Imported 2 entries of channel 9: they are roof's.\n"
        assert stored(node, "roof/temperature")[0] == ("2018-01-30T10:26:21.000Z", 72.3)
        assert values(node, "roof/temperature") == [72.3, 73]
    assert "Imported 3 entries" in bring(node.data, rest)
    with Running(node.data, TRUSTED) as node:
        feeds = node.get("/channels/9/feeds.json?api_key=ROOFKEY&status=true").json["feeds"]
        assert [(one["entry_id"], one["field1"], one["field2"], one["status"]) for one in feeds] == [
            (16, "72.30", None, None),
            (17, "73", "40", "on the roof"),
            (19, None, "41", None),
        ]
        assert values(node, "roof/humidity") == [40, 41]
        assert node.get("/update?api_key=ROOFKEY&field1=1").body == b"20"


def test_one_in_json_moves_in_for_a_board_that_stands_in_the_config_alone(tmp_path: Path) -> None:
    file, config = tmp_path / "feeds.json", tmp_path / "elsewhere.toml"
    board = 'name = "roof"\nchannel = 9\nwrite_key = "Q7WK2ZB9XHT4RM6C"\nfields = ["temperature"]\n'
    config.write_text(TRUSTED + "[[devices]]\n" + board)
    feeds = [
        {"created_at": "2018-01-30T10:26:21Z", "entry_id": 16, "field1": "72.30", "field2": None},
        {"created_at": "2018-01-30T05:26:22-05:00", "entry_id": 17, "field1": 73, "status": "on the roof"},
    ]
    file.write_text(json.dumps({"channel": {"id": 1}, "feeds": feeds}))
    (tmp_path / "data").mkdir()
    in_store(tmp_path / "data", lambda store: store.flush())
    assert "No board has the channel 9" in bring(tmp_path / "data", file, status=1)
    assert "Imported 2 entries" in bring(tmp_path / "data", file, "--config", str(config))
    with Running(tmp_path / "data", config.read_text()) as node:
        last = node.get("/channels/9/feeds/last.json?status=true&api_key=Q7WK2ZB9XHT4RM6C").json
        said = {"field1": "73", "status": "on the roof"}
        assert last == {"created_at": "2018-01-30T10:26:22Z", "entry_id": 17, **said}
        assert values(node, "roof/temperature") == [72.3, 73]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("timestamp,a\n1,2\n", "has no column created_at"),
        (HEAD + ROWS[0] + "yesterday,17,1,,,,,\n", "line 3: expected a time, found 'yesterday'"),
        (HEAD + "2018-01-30,x,1,,,,,\n", "line 2: expected the number of an entry, found 'x'"),
        ('{"feeds":[{"created_at":"2018-01-30","entry_id":[]}]}', "entry 1: expected the number of an entry, found ''"),
        ('{"feeds":[{"entry_id":1}]}', "entry 1: expected a time, found ''"),
        ('{"channel":{}}', "cannot be read: Object missing required field `feeds`"),
        ("{", "cannot be read"),
    ],
)
def test_what_is_no_export_is_told_with_its_line(tmp_path: Path, text: str, wrong: str) -> None:
    from outstation.cli import channel_export

    file = tmp_path / "feeds.csv"
    file.write_text(text)
    with pytest.raises(OutstationError, match=wrong):
        list(channel_export._batches(file, None))


@pytest.mark.parametrize("words", [["--format", "thingspeak"], ["--channel", "9"]])
def test_half_a_question_is_asked_wrongly(tmp_path: Path, words: list[str]) -> None:
    file = tmp_path / "feeds.csv"
    file.write_text(HEAD)
    result = CliRunner().invoke(root, ["import", str(file), *words])
    assert (result.exit_code, "needs both" in result.stderr) == (2, True)
