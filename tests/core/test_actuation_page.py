"""docs/reference/outputs.md is true: its picture, its keys, its actions, its examples and its sentences."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from outstation.config import parse_duration
from outstation.core.actuation import ACTIONS, ActuatorSpec
from outstation.core.claims import LEASE, MANUAL_FOR, ORDER
from outstation.core.limits import contradictions
from tests.core.plant import PUMP, Plant, output

PAGE = (Path(__file__).parents[2] / "docs/reference/outputs.md").read_text()
EXAMPLES = re.findall(r"^```actuator\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
NOT_HERE = {"name", "label", "dimmable", "ruled"}
"""What is no key of the limits: of all outputs, of the driver, and of the rules."""


def drawn() -> str:
    """Draw the order: a line each, and what is asked where it applies."""
    rows = [[text.replace("`", "") for text in (line.name, line.applies, line.level)] for line in ORDER]
    left = max(len(name) for name, _, _ in rows) + 2
    right = max(len(applies) for _, applies, _ in rows) + 2
    lines = [f"{name:{left}}{f'{applies} ':─<{right - 1}}► {level}" for name, applies, level in rows]
    return "\n    │ no\n".join(lines) + "\n"


def specified(example: str) -> ActuatorSpec:
    table = tomllib.loads(example)
    for key in ("min_on", "min_off", "max_on", "lease", "manual_for"):
        if key in table:
            table[key] = parse_duration(table[key])
    for key in ("safe", "default"):
        if key in table:
            table[key] = {"on": True, "off": False}[table[key]]
    return msgspec.convert(table, ActuatorSpec)


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
    keys = {field.name for field in msgspec.structs.fields(ActuatorSpec)} - NOT_HERE
    assert set(re.findall(r"^\| `(\w+)` \|.*\|.*\|$", PAGE, re.MULTILINE)) >= keys
    assert {key for example in EXAMPLES for key in tomllib.loads(example)} == keys | {"name"}


def test_every_action_has_a_line() -> None:
    table = PAGE.partition("| action | |")[2].partition("\n\n")[0]
    assert [
        name for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    ] == [*ACTIONS]


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_contradict_nothing(example: str) -> None:
    spec = specified(example)
    others = [ActuatorSpec(name, interlock=("well",)) for name in ("roof_close", "valve_1")]
    assert contradictions([spec, *others]) == []


def test_defaults_are_as_said() -> None:
    assert (parse_duration("5m"), parse_duration("1h")) == (LEASE, MANUAL_FOR)
    assert '| `lease` | `"5m"` |' in PAGE


def test_the_sentences_are_what_the_program_says() -> None:
    assert "```standing\n{}\n```".format("\n".join(told())) in PAGE, "\n".join(told())
