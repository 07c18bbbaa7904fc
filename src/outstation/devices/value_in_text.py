"""Where the value stands in a text that something else wrote: a line, a page, the output of a program.

The law of this file: a text that is not as expected is a fault; never a number that only looks right.
"""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Annotated, Any

import msgspec
from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from outstation.core.readings import Value
from outstation.errors import DeviceError
from outstation.plugins import DriverOptions

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_STATES = {"on": True, "true": True, "off": False, "false": False}
_SHOWN_AT_MOST = 80

_DIGITS = 400
"""No number that can be stored is longer."""

SEARCHED_HERE = 8_192
"""Characters. While `re` looks at a text nothing else of the node runs, and `.*` may take a minute for a long line."""

_SEARCHES_S = 5.0
_SEARCH = """
import json, re, sys
pattern, text, group = json.load(sys.stdin.buffer)
found = re.search(pattern, text)
print(json.dumps(found and found[group]))
"""


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"expected a regular expression; {error}") from None
    return text


class TextOptions(DriverOptions):
    """pattern: a regular expression; its first group is the value, or the one named `quantity`; else all it matches.

    json_path: keys and places in a list with dots between them; `quantity` is one more key. text: words are values.
    Without either the whole text is the value.
    """

    pattern: Annotated[str, AfterValidator(_pattern)] | None = None
    json_path: str | None = None
    quantity: str | None = Field(default=None, validate_default=True)
    text: bool = False

    @field_validator("json_path")
    @classmethod
    def _alone(cls, path: str | None, info: ValidationInfo) -> str | None:
        if path is not None and info.data.get("pattern") is not None:
            raise ValueError("expected either this or `pattern`, not both")
        return path

    @field_validator("quantity")
    @classmethod
    def _is_a_group(cls, quantity: str | None, info: ValidationInfo) -> str | None:
        """Let a pattern with several named groups leave no doubt which one is meant."""
        pattern = info.data.get("pattern")
        groups = [*re.compile(pattern or "").groupindex]
        if pattern is None or quantity in groups or (quantity is None and len(groups) < 2):
            return quantity
        there = f"one of {', '.join(groups)}" if groups else "such as (?P<temperature>...)"
        raise ValueError(f"expected which named group of `pattern` is meant, {there}; several are quantities = [...]")


def find(text: str, options: TextOptions) -> object:
    """Return what stands in a text where the value should be; None: there is nothing. Raises DeviceError."""
    if options.pattern is not None:
        group = options.quantity or min(1, re.compile(options.pattern).groups)
        if len(text) > SEARCHED_HERE:
            return _found_apart(options.pattern, text, group)
        found = re.search(options.pattern, text)
        return found and found[group]
    path = ".".join(filter(None, (options.json_path, options.quantity)))
    return _at(text, path.split(".")) if path else text


def value(found: object, options: TextOptions) -> Value:
    """Return a value from what was found. Raises DeviceError: no number, and `text` is not set."""
    if isinstance(found, bool | int | float):
        return found
    if isinstance(found, str):
        word = found.strip()
        if len(word) <= _DIGITS and _NUMBER.fullmatch(word):
            return int(word) if word.lstrip("+-").isdecimal() else float(word)
        if options.text:
            return word
        if word.lower() in _STATES:
            return _STATES[word.lower()]
    raise DeviceError(f"Expected a number, on or off, found {shown(found)}.", cure="If words are meant: text = true.")


def sought(options: TextOptions) -> str:
    """Return what is looked for, for a message: `pattern`, or `json_path` with its keys."""
    if options.pattern is not None:
        return f"match for `pattern` {options.pattern!r}"
    return f"value at {'.'.join(filter(None, (options.json_path, options.quantity)))!r} in JSON"


def shown(found: object) -> str:
    """Return a text of somebody else's for a message: on one line, not long, nothing that moves a cursor."""
    text = found if isinstance(found, str) else msgspec.json.encode(found).decode()
    return f"{text[:_SHOWN_AT_MOST]!r}{'...' if len(text) > _SHOWN_AT_MOST else ''}"


def _found_apart(pattern: str, text: str, group: str | int) -> object:
    """Search in a process of its own, which can be ended. Raises DeviceError: it took too long."""
    asked = msgspec.json.encode((pattern, text, group))
    command = [sys.executable, "-I", "-S", "-c", _SEARCH]
    try:
        said = subprocess.run(command, input=asked, capture_output=True, timeout=_SEARCHES_S, check=True).stdout
    except subprocess.TimeoutExpired as error:
        raise DeviceError(
            f"`pattern` {pattern!r} was not done with {len(text)} characters in {_SEARCHES_S:g} s.",
            cure="Begin it with words that stand there, and not with `.*`.",
        ) from error
    except (OSError, subprocess.SubprocessError) as error:
        raise DeviceError(f"{len(text)} characters could not be searched: {error}.") from error
    return msgspec.json.decode(said)


def _at(text: str, keys: list[str]) -> object:
    try:
        at: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    for key in keys:
        if isinstance(at, dict):
            at = at.get(key)
        elif isinstance(at, list) and key.isdecimal() and int(key) < len(at):
            at = at[int(key)]
        else:
            return None
    return at
