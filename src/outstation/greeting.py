"""What a person sees at a start: where to look, with which key, and what to do next."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from outstation.ops.service import installed_program
from outstation.store.keys import SCOPES, Keys

_SHORT = 16
_PLACEHOLDERS = frozenset({"changeme", "change-me", "secret", "password", "your-api-key", "key", "test"})


async def first_key(keys: Keys, *, always: bool) -> str | None:
    """Return a new key with every scope, when the node has none and somebody is there to read it.

    OUTSTATION_API_KEY gives a fixed one instead, which is not shown.
    """
    fixed = os.environ.get("OUTSTATION_API_KEY")
    if fixed:
        keys.fix("environment", fixed)
        if len(fixed) < _SHORT or fixed.lower() in _PLACEHOLDERS:
            print("warning: OUTSTATION_API_KEY is easy to guess; use 16 characters or more.", file=sys.stderr)
        return None
    if keys.list() or not (always or sys.stdout.isatty()):
        return None
    _, text = await keys.create("first", SCOPES)
    return text


def greet(urls: list[str], key: str | None, output: str | None, data: Path, notes: list[str]) -> None:
    """Print the addresses to open, the key if there is a new one, and the next step."""
    lines = [f"Outstation is running: {urls[0]}", *(f"          from elsewhere: {url}" for url in urls[1:])]
    lines += notes
    if key is None:
        known = "the one in OUTSTATION_API_KEY, or " if os.environ.get("OUTSTATION_API_KEY") else ""
        make = f"{program()} keys create NAME --scope control --data {shlex.quote(str(data))}"
        lines.append(f"To move outputs you need a key: {known}a new one from\n  {make}")
    else:
        lines += [f"Your key, shown this once: {key}"]
        lines += [f"Try it:\n  {_example(urls[0], output, key)}"] if output else []
    print("\n".join(lines), flush=True)


def program() -> str:
    """Return how a shell calls this program: by its name where that finds it, else by where it is."""
    installed = installed_program()
    return "outstation" if shutil.which("outstation") == installed[0] else shlex.join(installed)


def _example(url: str, output: str, key: str) -> str:
    header = shlex.quote(f"X-API-Key: {key}")
    return f"curl -X POST {url}api/{output} -H 'Content-Type: application/json' -H {header} -d '{{\"action\": \"on\"}}'"
