"""docs/reference/outputs.md is true: its picture, its keys, its actions, its examples and its sentences."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from outstation.config import ActuatorTable, parse_duration
from outstation.core.actuation import ACTIONS
from outstation.core.claims import LEASE, MANUAL_FOR, ORDER
from tests.core.plant import PUMP, Plant, output

REFERENCE = Path(__file__).parents[2] / "docs/reference"
PAGE, CONFIG = ((REFERENCE / name).read_text() for name in ("outputs.md", "config.md"))
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
KEYS = set(ActuatorTable.model_fields) - {"name", "label", "driver"}


def drawn() -> str:
    """Draw the order: a line each, and what is asked where it applies."""
    rows = [[text.replace("`", "") for text in (line.name, line.applies, line.level)] for line in ORDER]
    left = max(len(name) for name, _, _ in rows) + 2
    right = max(len(applies) for _, applies, _ in rows) + 2
    lines = [f"{name:{left}}{f'{applies} ':─<{right - 1}}► {level}" for name, applies, level in rows]
    return "\n    │ no\n".join(lines) + "\n"


def told() -> list[str]:
    """Tell the story of the sentences."""
    plant = Plant(output(PUMP, min_off=300, max_on=900, interlock=("well_pump",)), output("well_pump"))
    said = [plant.stands().text]
    plant.fire(1_000, "fill")
    plant.wait(1_060)
    said.append(plant.stands().text)
    plant.clear(1_060, "fill")
    plant.fire(1_060, "fill")
    plant.wait(1_120)
    said.append(plant.stands().text)
    plant.clear(1_130, "fill")
    plant.order(1_500, "on")
    plant.wait(2_100)
    said.append(plant.stands().text)
    plant.order(2_100, "release")
    plant.fire(2_400, "fill")
    plant.wait(3_600)
    said.append(plant.stands().text)
    plant.clear(3_600, "fill")
    plant.fire(3_600, "fill")
    plant.doubt(3_660, "fill")
    plant.wait(5_160)
    said.append(plant.stands().text)
    plant.clear(5_200, "fill")
    plant.order(5_300, "on", "well_pump")
    plant.fire(5_400, "fill")
    said.append(plant.stands().text)
    plant.order(5_400, "lock", who="ben")
    plant.wait(5_460)
    return [*said, plant.stands().text]


def test_the_picture_is_drawn_from_the_table() -> None:
    assert f"```\n{drawn()}```\n" in PAGE, drawn()


def test_every_key_has_a_line_and_an_example() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|.*\|.*\|$", PAGE.partition("## Commands")[0], re.MULTILINE)) == KEYS
    tables = [table for example in EXAMPLES for table in tomllib.loads(example)["actuators"]]
    assert {key for table in tables for key in table} == KEYS | {"name", "driver", "pin"}


def test_every_action_has_a_line() -> None:
    table = PAGE.partition("| action | |")[2].partition("\n\n")[0]
    assert [
        name for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    ] == [*ACTIONS]


def test_no_line_of_config_and_page_differs() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", PAGE.partition("## Commands")[0], re.MULTILINE))
    assert {row for row in (f"| `{key}` | {default} |" for key, default in rows.items()) if row not in CONFIG} == set()


def test_defaults_are_as_said() -> None:
    assert (parse_duration("5m"), parse_duration("1h")) == (LEASE, MANUAL_FOR)
    assert '| `lease` | `"5m"` |' in PAGE


def test_the_sentences_are_what_the_program_says() -> None:
    assert "```standing\n{}\n```".format("\n".join(told())) in PAGE, "\n".join(told())
