"""The tutorial says what the program says: its commands are run in its order, on its configs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.running import Running

PAGE = Path(__file__).parent.parent / "docs" / "tutorial" / "a-vent-that-opens-by-itself.md"
BLOCK = re.compile(r"^```(toml|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_tutorial_is_true(tmp_path: Path) -> None:
    configs = [text for kind, text in BLOCK.findall(PAGE.read_text()) if kind == "toml"]
    parts = re.split(r"^```toml$", PAGE.read_text(), flags=re.MULTILINE)[1:]
    for number, (config, part) in enumerate(zip(configs, parts, strict=True)):
        commands = [text for kind, text in BLOCK.findall(part.split("```", 1)[1]) if kind == "console"]
        with Running(tmp_path / str(number) / "data", config) as node:
            for block in commands:
                said(node, block)


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


def shape(text: str) -> list[str]:
    """Return the lines with numbers, keys and times alike."""
    keys = re.sub(r"^Key \w+|^\w{8}\..+$", "KEY", text, flags=re.MULTILINE)
    return [re.sub(r"\d[\d.,:]*", "0", line).rstrip() for line in keys.splitlines()]
