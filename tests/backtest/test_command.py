"""`outstation backtest`, as a person or a program calls it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from outstation.__main__ import root
from outstation.store.database import Store
from tests.store.given import in_store, own

RULES = """
[node]
timezone = "Europe/Berlin"

[[webhooks]]
name = "nobody"
url = "env:NO_SUCH_VARIABLE"

[[sensors]]
name = "air"
driver = "what_is_not_here"
every = "1m"

[[settings]]
name = "vent_at"
value = {limit}

[[actuators]]
name = "vent"

[[rules]]
name = "ventilate"
when = "air > vent_at"
claim = {{ vent = "on" }}
alert = {{ message = "{{air:.0f}} °C" }}
"""
TABLE = "time,air,soil\n" + "".join(f"2026-01-05 00:{minute:02d},{20 + minute % 10},5\n" for minute in range(60))


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two versions of a rule and a recording."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OUTSTATION_DATA", raising=False)
    for name, limit in (("old.toml", 24), ("new.toml", 27)):
        (tmp_path / name).write_text(RULES.format(limit=limit))
    (tmp_path / "air.csv").write_text(TABLE)
    return tmp_path


def called(*words: str) -> Result:
    return CliRunner().invoke(root, ["backtest", *words], prog_name="outstation")


def test_it_says_when_a_rule_would_have_fired() -> None:
    result = called("new.toml", "--csv", "air.csv")
    assert result.stdout.splitlines() == [
        "60 readings from 2026-01-05 01:00 to 2026-01-05 01:59, 59m. Times are local (UTC+01:00 at the end).",
        "",
        "ventilate: air > vent_at",
        "  fired 6 times, 11m in all, 6 alerts",
        *[f"    2026-01-05 01:{minute}8  2m         28 °C" for minute in range(5)],
        "    2026-01-05 01:58  1m and on  28 °C",
        "",
        "vent: switched 11 times, on for 11m, at most 2m at a stretch",
    ]


def test_two_versions_side_by_side() -> None:
    result = called("new.toml", "--against", "old.toml", "--csv", "air.csv", "--start", "2026-01-05T00:30Z")
    lines = result.stdout.splitlines()
    assert lines[2:5] == [
        "ventilate",
        "  new.toml  fired 3 times, 5m in all, 3 alerts: air > vent_at",
        "  old.toml  fired 3 times, 14m in all, 3 alerts: air > vent_at",
    ]
    assert lines[5:7] == [
        "    2026-01-05 01:35  5m         old.toml  25 °C",
        "    2026-01-05 01:38  2m         new.toml  28 °C",
    ]


def test_programs_get_json() -> None:
    found = json.loads(called("new.toml", "--csv", "air.csv", "--json").stdout)
    assert (found["start"], found["end"], found["readings"]) == (
        "2026-01-05T00:00:00.000Z",
        "2026-01-05T00:59:00.000Z",
        60,
    )
    rule = found["rules"]["ventilate"]
    assert (rule["fired"], rule["seconds"], rule["alerts"]) == (6, 660, 6)
    assert rule["spells"][0] == {
        "start": "2026-01-05T00:08:00.000Z",
        "end": "2026-01-05T00:10:00.000Z",
        "seconds": 120,
        "message": "28 °C",
    }
    assert rule["spells"][-1]["end"] is None
    assert found["outputs"]["vent"]["switches"] == 11
    both = json.loads(called("new.toml", "--against", "old.toml", "--csv", "air.csv", "--json").stdout)
    assert list(both) == ["new.toml", "old.toml"]


def test_it_tries_what_a_node_has_stored(files: Path) -> None:
    async def story(store: Store) -> None:
        for minute in range(60):
            await store.record([own("air", minute * 60_000, 20 + minute % 10), own("vent", minute * 60_000, True)])

    (files / "data").mkdir()
    in_store(files / "data", story)
    found = json.loads(called("new.toml", "--json").stdout)
    assert (found["readings"], found["rules"]["ventilate"]["fired"]) == (60, 6)


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("new.toml",), 1, "There are no data in data."),
        (("new.toml", "--csv", "nowhere.csv"), 1, "nowhere.csv cannot be read: No such file"),
        (("nowhere.toml", "--csv", "air.csv"), 1, "nowhere.toml cannot be read"),
        (("new.toml", "--csv", "air.csv", "--end", "2020-01-01"), 1, "Nothing was recorded"),
        (("new.toml", "--csv", "air.csv", "--rule", "nobody"), 2, "there is no rule 'nobody'; rules: ventilate."),
        (("new.toml", "--csv", "air.csv", "--start", "2026-02-01", "--end", "2026-01-01"), 2, "a time after --start"),
        (("new.toml", "--csv", "air.csv", "--start", "soon"), 2, "expected a time such as 2026-03-01"),
        (("new.toml", "--csv", "air.csv", "--where", "node"), 2, "expected NAME=VALUE, found 'node'"),
        (("new.toml", "--sensor", "air=x"), 2, "name it with --csv"),
        ((), 2, "Missing argument"),
    ],
)
def test_what_cannot_be_tried(words: tuple[str, ...], status: int, sentence: str) -> None:
    result = called(*words)
    assert (result.exit_code, result.stdout) == (status, "")
    assert sentence in result.stderr


def test_rules_over_what_was_not_recorded_are_refused(files: Path) -> None:
    (files / "odd.toml").write_text(
        '[[rules]]\nname = "r"\nwhen = "airr > 1 and soil > 2"\nalert = { message = "m" }\n'
    )
    result = called("odd.toml", "--csv", "air.csv")
    assert result.exit_code == 1
    assert 'odd.toml, [[rules]] 1 "r", key "when"' in result.stderr
    assert 'did you mean "air"?' in result.stderr


def test_rows_that_go_back_in_time_are_told(files: Path) -> None:
    (files / "air.csv").write_text(TABLE + "2026-01-05 00:10,50,5\n")
    result = called("new.toml", "--csv", "air.csv")
    assert (result.exit_code, result.stderr) == (0, "1 row that goes back in time was left out.\n")


def test_a_person_sees_how_far_it_has_got_and_a_pipe_does_not(files: Path) -> None:
    script = (
        "from outstation.cli import backtest; from outstation.__main__ import root; backtest._SHOW_EVERY_S = 0; "
        "root(['backtest', 'new.toml', '--csv', 'air.csv'])"
    )
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    assert os.read(ours, 1_000) == b"\r2026-01-05\r"
    os.close(ours)
    assert called("new.toml", "--csv", "air.csv").stderr == ""


def test_it_loads_no_web() -> None:
    script = (
        "import sys; from outstation.__main__ import root; "
        "root(['backtest', 'new.toml', '--csv', 'air.csv'], standalone_mode=False); "
        "print(sorted(name for name in sys.modules if name in ('fastapi', 'uvicorn', 'uvloop', 'outstation.web')))"
    )
    said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert said.splitlines()[-1] == "[]"
