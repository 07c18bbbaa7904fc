"""The reference is complete and true: every key, default, unit and driver; every command with its own help.

`python -m tests.test_reference` writes the commands' page anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from outstation import plugins
from outstation.__main__ import root
from outstation.config import RESERVED, AlertClause
from outstation.config.loading import REPEATED, SINGLE
from outstation.config.values import UNITS, parse_duration

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
CONFIG = (REFERENCE / "config.md").read_text()
COMMANDS = REFERENCE / "commands.md"
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \|", re.MULTILINE)

MODELS: dict[str, type[BaseModel]] = {
    **{f"## [{name}]": model for name, model in SINGLE.items()},
    **{f"## [[{name}]]": model for name, model in REPEATED.items()},
    "## alert = { ... }": AlertClause,
}


def section(heading: str, text: str = CONFIG) -> str:
    """Return what stands below a heading, up to the next of its level or above."""
    level = heading.partition(" ")[0]
    after = re.split(rf"^{re.escape(heading)}$", text, maxsplit=1, flags=re.MULTILINE)[1]
    return re.split(rf"^#{{1,{len(level)}}} ", after, maxsplit=1, flags=re.MULTILINE)[0]


def our_drivers() -> Iterator[tuple[str, str]]:
    for group in ("sensors", "actuators", "uplinks"):
        for point in entry_points(group=f"outstation.{group}"):
            if point.dist is not None and point.dist.name == "outstation":
                yield group, point.name


def as_written(field: FieldInfo, documented: str) -> object:
    """Return a field's default as the page would have it, told by what it has."""
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is None:
        return "—"
    value = documented.strip("`").strip('"')
    if isinstance(default, int) and not isinstance(default, bool) and documented.startswith('`"'):
        return documented if parse_duration(value) == default else default
    return f"`{json.dumps(default)}`"


def check_table(text: str, model: type[BaseModel]) -> None:
    documented = dict(ROW.findall(text))
    fields = {field.alias or key: field for key, field in model.model_fields.items()}
    assert sorted(documented) == sorted(fields)
    assert documented == {key: as_written(field, documented[key]) for key, field in fields.items()}


@pytest.mark.parametrize("heading", MODELS)
def test_every_key_of_the_config_is_described_with_its_default(heading: str) -> None:
    check_table(section(heading), MODELS[heading])


@pytest.mark.parametrize(("group", "driver"), [*our_drivers()])
def test_every_key_of_a_driver_is_described_with_its_default(group: str, driver: str) -> None:
    title, key = ("Kinds", "kind") if group == "uplinks" else ("Drivers", "driver")
    below = section(f"## {title} of {group}")
    check_table(section(f'### {key} = "{driver}"', below), plugins.load(group, driver).Options)


def test_the_page_has_no_table_that_the_config_has_not() -> None:
    assert set(re.findall(r"^## \[.*", CONFIG, re.MULTILINE)) == {heading for heading in MODELS if "[" in heading}


def test_every_unit_is_listed() -> None:
    assert re.findall(r"`(.+?)`", section("## Units")) == list(UNITS)


def test_every_reserved_name_is_listed() -> None:
    sentence = CONFIG.partition("the API's own:")[2].partition(".")[0]
    assert re.findall(r"`(\w+)`", sentence) == sorted(RESERVED)


def commands(command: click.Command = root, name: str = "outstation") -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for part, inner in sorted(command.commands.items()):
            yield from commands(inner, f"{name} {part}")


def the_page_of_commands() -> str:
    parts = ["# The command line\n\nEvery command exits 0, 1 (it could not) or 2 (asked wrongly)."]
    for name, _ in commands():
        words = [*name.split()[1:], "--help"]
        text = CliRunner().invoke(root, words, prog_name="outstation", terminal_width=100, max_content_width=100).output
        parts.append(f"## {name}\n\n```text\n{text.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def test_every_command_stands_on_its_page_with_its_own_help() -> None:
    assert COMMANDS.read_text() == the_page_of_commands()


@pytest.mark.parametrize(("name", "command"), [*commands()])
def test_every_command_has_an_example(name: str, command: click.Command) -> None:
    example = re.search(r"Examples?:\n(.*)", command.help or "", re.DOTALL)
    assert example is not None
    assert name in example[1]


if __name__ == "__main__":
    COMMANDS.write_text(the_page_of_commands())
