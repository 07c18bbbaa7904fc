"""`outstation explain`, as one types it who did not write the rule."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import Running

CONFIG = """
[node]
clock = "trust"
timezone = "UTC"

[[actuators]]
name = "vent"
driver = "gpio"
pin = 17
simulate = true

[[rules]]
name = "air"
when = "porch/temperature < 18"
claim = { vent = "on" }

[[rules]]
name = "open the windows"
when = "porch/temperature < bedroom/temperature - 1"
alert = { severity = "info", message = "Cooler outside" }
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("node") / "data", CONFIG) as running:
        running.post("/api/readings", {"values": {"porch/temperature": 15, "bedroom/temperature": 20}})
        yield running


def explain(node: Running, *words: str) -> str:
    return node.said("explain", *words, "--data", str(node.data))


def test_it_says_why(node: Running) -> None:
    lines = explain(node, "open the windows").splitlines()
    assert lines[0].startswith('Rule "open the windows" on ')
    assert lines[1].startswith("It has been firing since ")
    assert lines[2:6] == [
        "It fires when:",
        "    porch/temperature < bedroom/temperature - 1  (15 < 20 - 1: true)",
        "It clears when:",
        "    that is true no longer",
    ]
    assert lines[7].startswith("    bedroom/temperature: 20, measured ")
    assert len(lines) == 9


def test_it_says_why_then(node: Running) -> None:
    then = "2026-01-01 12:00"
    assert explain(node, "open the windows", "--at", then).startswith(
        'Rule "open the windows" on 2026-01-01 at 12:00:00 UTC\nIt does not fire, for its condition cannot be decided: '
    )
    assert (
        json.loads(explain(node, "open the windows", "--at", then, "--json"))["timestamp"] == "2026-01-01T12:00:00.000Z"
    )


def test_of_an_output_it_says_who_decides_and_who_else_asks(node: Running) -> None:
    lines = explain(node, "vent").splitlines()
    assert lines[0].startswith("vent is on since 20")
    assert 'What decides: on: rule "air"' in lines[0]
    assert lines[2].startswith('    on: rule "air", since 20')
    node.post("/api/vent", {"action": "off", "for": "10m"})
    lines = explain(node, "vent").splitlines()
    assert lines[0].startswith("vent is off since 20")
    assert [line.partition(",")[0] for line in lines[2:4]] == ["    off: environment", '    on: rule "air"']
    assert lines[4] == 'Why the rule fires: outstation explain "air"'
    assert json.loads(explain(node, "vent", "--json"))["decided_by"] == "manual"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nobody"], 'There is no rule "nobody". Known: "air", "open the windows".'),
        (["vent", "--at", "2026-01-01"], 'There is no rule "vent". Known: '),
        (["open the windows", "--at", "soon"], "A time is written like"),
        (["open the windows", "--at", "2999-01-01T00:00Z"], "That time has not come yet."),
        (["../../keys"], "There is no"),
    ],
)
def test_what_cannot_be_explained_is_said_in_a_line(node: Running, words: list[str], told: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        explain(node, *words)
    assert failed.value.returncode == 1
    assert told in failed.value.stderr
    assert failed.value.stdout == ""


def test_without_a_node_it_says_how_to_start_one(node: Running, tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        node.said("explain", "open the windows", "--data", str(tmp_path))
    assert f"No node runs on the data in {tmp_path}." in failed.value.stderr
