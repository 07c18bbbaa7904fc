"""Pages say what the program says: their commands are run, in their order."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.running import Running

DOCS = Path(__file__).parent.parent / "docs"
BLOCK = re.compile(r"^```(toml|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_tutorial_is_true(tmp_path: Path) -> None:
    page = (DOCS / "tutorial" / "a-vent-that-opens-by-itself.md").read_text()
    blocks = BLOCK.findall(page)
    nodes = [at for at, (kind, _) in enumerate(blocks) if kind == "toml"]
    for start, end in zip(nodes, [*nodes[1:], len(blocks)], strict=True):
        with Running(tmp_path / str(start) / "data", blocks[start][1]) as node:
            for _, commands in blocks[start + 1 : end]:
                said(node, commands)


def test_moving_in_is_as_its_page_says(tmp_path: Path) -> None:
    blocks = BLOCK.findall((DOCS / "how-to" / "move-in-from-thingspeak.md").read_text())
    _, _, export = blocks[0][1].partition("\n")
    tmp_path.joinpath("feeds.csv").write_text(export)
    with Running(tmp_path / "data", '[node]\nclock = "trust"\n') as node:
        for _, commands in blocks:
            said(node, commands)


def test_the_exercises_say_what_is_to_be_seen(tmp_path: Path) -> None:
    blocks = BLOCK.findall((DOCS / "tutorial" / "exercises.md").read_text())
    with Running(tmp_path / "data") as node:
        for _, commands in blocks:
            said(node, commands)


def test_an_outage_is_seen_as_its_page_says(tmp_path: Path) -> None:
    (_, config), (_, commands) = BLOCK.findall((DOCS / "how-to" / "survive-an-outage.md").read_text())
    with Running(tmp_path / "data", config) as node:
        said(node, commands)


def said(node: Running, block: str) -> None:
    """Run each command of a block, and compare what it says with what stands below it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        typed = command.replace(":5000", f":{node.port}")
        typed = re.sub(r"^outstation", f"{shlex.quote(sys.executable)} -m outstation", typed)
        found = subprocess.run(typed, shell=True, cwd=node.data.parent, capture_output=True, text=True, check=True)
        lines, told = shape(expected), shape(found.stdout)
        if lines[-1:] == ["..."]:
            lines, told = lines[:-1], told[: len(lines) - 1]
        assert told == lines, command


OTHERWISE = re.compile(r'^Key [\w-]+|^[\w-]{8}\..+$|(?<="next":)("[\w-]+"|null)|(?<="simulated":)\w+', re.MULTILINE)
"""What is another one each time, or on another machine: keys, where a list goes on, whether there are pins."""


def shape(text: str) -> list[str]:
    """Return the lines with numbers and times alike, and whatever else differs."""
    return [re.sub(r"\d[\d.,:]*", "0", line).rstrip() for line in OTHERWISE.sub("_", text).splitlines()]
