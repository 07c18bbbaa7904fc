"""What a cell of CSV says, and how a value is written into one: whoever exports and imports has the same value again.

The law of this file: `value_of(cell_of(value))` is that value, to the last bit and of the same type. A text that a
spreadsheet would run (OWASP, "CSV Injection": = + - @, tab, carriage return), or that reads like anything but a
text, has an apostrophe before it, which is taken off again. A number never has one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import msgspec

from outstation.core.readings import MAX_TEXT, Value

MAX_INT = 2**63

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_WORDS = {"true": True, "false": False}
_PLAIN = re.compile(r"(?!(?:true|false|nan|inf(?:inity)?)\s*\Z)[^\s\d=+\-@.'].*", re.DOTALL | re.IGNORECASE)
"""A text that can be read as nothing else. What begins with a digit is more often a mistyped number than a text."""

_QUOTED = re.compile(r'[",\r\n]')
_numbers = msgspec.json.Decoder(list[float | int | bool])


def cell_of(value: Value | None) -> str:
    """Return a value as a cell, quoted as RFC 4180 wants it; None is an empty one."""
    kind = type(value)
    if kind is float or kind is int:
        return repr(value)
    if kind is bool:
        return "true" if value else "false"
    if value is None:
        return ""
    text = str(value)
    safe = text if _PLAIN.fullmatch(text) else "'" + text
    return '"' + safe.replace('"', '""') + '"' if _QUOTED.search(safe) else safe


def value_of(cell: str) -> Value:
    """Return what a cell says that is not empty. Raises ValueError: what is wrong, as a sentence that goes on."""
    if cell.startswith("'"):
        return _text(cell[1:])
    word = cell.strip()
    if (found := _WORDS.get(word.lower())) is not None:
        return found
    if _NUMBER.fullmatch(word):
        return _number(word)
    if not _PLAIN.fullmatch(cell):
        raise ValueError("expected a number, true, false or a text; a text that begins like that has a ' before it")
    return _text(cell)


def values_of(cells: Sequence[str]) -> list[Value]:
    """Return what cells say, none of them empty, at a tenth of a microsecond a number. Raises ValueError."""
    try:
        # A cell with a comma in it makes more values than there are cells, and no cell can make less than one.
        found = _numbers.decode("[" + ",".join(cells) + "]")
    except (msgspec.DecodeError, UnicodeEncodeError):
        found = []
    if len(found) != len(cells) or not -MAX_INT <= min(found, default=0) <= max(found, default=0) < MAX_INT:
        return [value_of(cell) for cell in cells]
    values: list[Value] = [*found]
    return values


def _number(word: str) -> Value:
    if _WHOLE.fullmatch(word):
        whole = int(word) if len(word) < 40 else MAX_INT
        if not -MAX_INT <= whole < MAX_INT:
            raise ValueError("a whole number has at most 64 bits")
        return whole
    number = float(word)
    if not math.isfinite(number):
        raise ValueError("the number is too large")
    return number


def _text(text: str) -> str:
    if len(text.encode()) > MAX_TEXT or "\x00" in text:
        raise ValueError(f"a text has at most {MAX_TEXT} bytes and no NUL")
    return text
