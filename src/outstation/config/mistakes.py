"""Words for mistakes: where, what was expected, what was found. One line each.

A secret is never repeated: of a value whose key sounds like one, only the length is told.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pydantic_core import ErrorDetails

_SHOWN_AT_MOST = 60


class Place(NamedTuple):
    """A table in a file, as its owner would look for it: `outstation.toml, [[sensors]] 2 "air"`.

    written: keys that stand in the file in another's place.
    """

    file: str
    table: str = ""
    number: int = 0
    name: str = ""
    written: Mapping[str, str] = {}

    def __str__(self) -> str:
        words = [self.table, str(self.number) if self.number else "", f'"{self.name}"' if self.name else ""]
        title = " ".join(word for word in words if word)
        return f"{self.file}, {title}" if title else self.file

    def says(self, key: str, sentence: str) -> str:
        """Return one line about a key of this table."""
        key = self.written.get(key, key)
        return f'{self}, key "{key}": {_ended(sentence)}' if key else f"{self}: {_ended(sentence)}"


def of_details(place: Place, details: ErrorDetails, raw: Mapping[str, Any], known: Iterable[str]) -> str:
    """Return the line for one finding of pydantic in the table `raw`, whose keys may be those in `known`."""
    location = details["loc"]
    keys = [str(step)[:_SHOWN_AT_MOST] for step in location if isinstance(step, str)]
    key = ".".join(keys)
    if details["type"] == "missing":
        return place.says(key, "expected, but missing")
    if details["type"] == "extra_forbidden" and keys[-1] in place.written:
        return place.says(key, "nobody reads this key; this driver says one thing alone")
    if details["type"] == "extra_forbidden":
        return place.says(key, f"nobody reads this key; {nearest(keys[-1], sorted(known))}")
    expected, _, hint = _expected(details).partition("; ")
    if not keys or keys[0] not in raw:
        return place.says(key, expected)
    item = f"item {location[1] + 1}: " if len(location) > 1 and isinstance(location[1], int) else ""
    found = _found(keys, _inside(raw[keys[0]], location[1:]), with_kind=details["type"].endswith("_type"))
    return place.says(key, f"{item}{expected}, found {found}{hint and '; '}{hint}")


def unknown_table(file: str, key: str, value: object, known: Mapping[str, str], homes: Mapping[str, str]) -> str:
    """Return the line for a name outside all tables. known: how tables are written. homes: whose keys are whose."""
    short = key[:_SHOWN_AT_MOST]
    if isinstance(value, dict | list):
        close = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {known[close[0]]}?" if close else f"valid: {', '.join(known.values())}"
        place = Place(file, f"[{short}]" if isinstance(value, dict) else f"[[{short}]]")
        return place.says("", f"nobody reads this table; {hint}")
    hint = f"it belongs into {homes[key]}" if key in homes else f"keys stand in tables: {', '.join(known.values())}"
    return Place(file).says(short, f"nobody reads this key here; {hint}")


def nearest(word: str, valid: list[str]) -> str:
    """Return `did you mean "every"?`, or the list of what is valid."""
    close = difflib.get_close_matches(word.lower(), valid, n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else f"valid: {', '.join(valid)}"


def told(value: object) -> str:
    """Return a value and what it is, in the words of somebody who has not read the TOML specification."""
    match value:
        case bool():
            return shown(value)
        case str():
            return f"the text {shown(value)}"
        case int() | float():
            return f"the number {shown(value)}"
        case list():
            return f"the list {shown(value)}"
        case dict():
            return "a table"
    return f"the date or time {value}"


def shown(value: object) -> str:
    """Return a value as it stands in the file, cut short, without control characters."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, float):
        return str(value)
    text = json.dumps(value, ensure_ascii=False, default=str)
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return printable if len(printable) <= _SHOWN_AT_MOST else f"{printable[: _SHOWN_AT_MOST - 1]}…"


def is_secret(key: str) -> bool:
    """Tell whether the value of a key of this name must not be repeated. An address may hold a secret, too."""
    return re.search(r"(^|_)(key|secret|password|token|url|header)s?$", key) is not None


_EXPECTED = {
    "string_type": "a text in quotes",
    "float_type": "a number",
    "int_type": "a whole number",
    "bool_type": "true or false, without quotes",
    "tuple_type": "a list in brackets",
    "list_type": "a list in brackets",
    "dict_type": "a table",
    "model_type": "a table",
    "finite_number": "a finite number",
    "literal_error": "{expected}",
    "greater_than": "a number above {gt:.12g}",
    "greater_than_equal": "a number of at least {ge:.12g}",
    "less_than": "a number below {lt:.12g}",
    "less_than_equal": "a number of at most {le:.12g}",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "string_too_short": "a text of at least {min_length} characters",
    "string_too_long": "a text of at most {max_length} characters",
}
"""Plain words for the kinds of errors listed at docs.pydantic.dev, "Validation Errors"."""


def _expected(details: ErrorDetails) -> str:
    words = _EXPECTED.get(details["type"])
    if words is None:
        return details["msg"].removeprefix("Value error, ")
    return f"expected {words.format(**details.get('ctx', {}))}".replace("'", '"')


def _inside(value: Any, location: tuple[int | str, ...]) -> Any:
    for step in location:
        in_list = isinstance(value, list) and isinstance(step, int) and step < len(value)
        if in_list or (isinstance(value, dict) and step in value):
            value = value[step]
    return value


def _found(keys: Iterable[str], value: object, *, with_kind: bool) -> str:
    is_hidden = any(map(is_secret, keys))
    if is_hidden and not isinstance(value, str):
        return "one that is no text"  # without quotes it is a secret all the same
    if is_hidden and isinstance(value, str) and not value.startswith(("env:", "file:")):
        return f"one of {len(value)} characters"
    return told(value) if with_kind else shown(value)


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith(("?", ".", "…")) else f"{sentence}."
