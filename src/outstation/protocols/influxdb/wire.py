"""InfluxDB's line protocol: a line to text and back.

Pure. Sources: the reference of InfluxDB 1.8 and 2.7 ("Line protocol"), and what influxd 1.6.7 takes and refuses: the
words of a refusal are its own. A separator is escaped when the character before it is a backslash, and a backslash is
never escaped itself but in a text; so a name with a backslash has no spelling that all servers read alike, and none
is written.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator

import msgspec

from outstation.core.readings import Value
from outstation.errors import RefusedError

_BOOLS = {"t": True, "T": True, "true": True, "True": True, "TRUE": True}
_BOOLS |= {"f": False, "F": False, "false": False, "False": False, "FALSE": False}

_BEYOND = 2**63
"""The first whole number that 64 bits with a sign cannot say."""

_MEASUREMENT = r"(?:[^, \n]++|(?<=\\)[, ])++"
_NAME = r"(?:[^,= \n]++|(?<=\\)[,= ])++"
_VALUE = r'"(?:[^"\\]++|\\.)*+"|[^", \r\n]++'
_TAG = rf",{_NAME}={_NAME}"
_FIELD = rf"{_NAME}=(?:{_VALUE})"
_FIELDS = rf"{_FIELD}(?:,{_FIELD})*+"

_LINE = re.compile(
    rf"[ \t]*+({_MEASUREMENT})((?:{_TAG})*+) ++({_FIELDS})(?: ++(-?\d{{1,20}}))? *+\r?(?:\n|\Z)", re.DOTALL | re.ASCII
)
_SERIES = re.compile(rf"({_MEASUREMENT})((?:{_TAG})*+)", re.DOTALL | re.ASCII)
_EACH_TAG = re.compile(rf",({_NAME})=({_NAME})")
_EACH_FIELD = re.compile(rf"({_NAME})=({_VALUE})", re.DOTALL)
_PASSED_OVER = re.compile(r"[ \t\r]*+(?:#[^\n]*+)?+(?:\n|\Z)")


class Line(msgspec.Struct, frozen=True):
    """What one line says. at: in the precision of its request, from 1970; None: when the server has it."""

    measurement: str
    fields: dict[str, Value]
    tags: dict[str, str] = {}
    at: int | None = None


class Unread(msgspec.Struct, frozen=True):
    """A line that is none, and why."""

    text: str
    error: str


def write(line: Line) -> str:
    """Return a line as text, without its end. Raises RefusedError for what no line can say."""
    if not line.fields:
        raise RefusedError("A line has one field at least.")
    tags = "".join(f",{_spelt(name)}={_spelt(text)}" for name, text in sorted(line.tags.items()))
    fields = ",".join(f"{_spelt(name)}={_said(value)}" for name, value in line.fields.items())
    at = "" if line.at is None else f" {line.at}"
    return f"{_spelt(line.measurement, ', ')}{tags} {fields}{at}"


def read(text: str) -> Iterator[Line | Unread]:
    """Return what the lines of a body say, in order; comments and empty lines say nothing."""
    place = 0
    while place < len(text):
        if passed := _PASSED_OVER.match(text, place):
            place = passed.end()
            continue
        found = _LINE.match(text, place)
        if found:
            place = found.end()
            yield _line(found)
        else:
            end = text.find("\n", place) % (len(text) + 1)
            bad = text[place:end].strip(" \t\r")
            place = end + 1
            yield Unread(bad, _why(bad))


def is_writable(name: str) -> bool:
    """Tell whether a measurement, a tag's name or value, or a field's name has a spelling."""
    # "#": a measurement that begins so would be a comment.
    return name.isprintable() and "\\" not in name and bool(name.strip()) and not name.startswith("#")


def series(head: str) -> tuple[str, dict[str, str]] | None:
    """Return measurement and tags of what comes before the first space of a line; None: it is nothing of that kind."""
    found = _SERIES.fullmatch(head)
    if found is None:
        return None
    tags = _EACH_TAG.findall(found[2])
    named = {_plain(name): _plain(value) for name, value in tags}
    return None if len(named) < len(tags) else (_plain(found[1]), named)


def _line(found: re.Match[str]) -> Line | Unread:
    tags = _EACH_TAG.findall(found[2])
    named = {_plain(name): _plain(value) for name, value in tags}
    if len(named) < len(tags):
        return Unread(found[0].rstrip(), "duplicate tags")
    try:
        fields = {_plain(name): value(text) for name, text in _EACH_FIELD.findall(found[3])}
    except ValueError as error:
        return Unread(found[0].rstrip(), str(error))
    at = int(found[4]) if found[4] else None
    if at is not None and not -_BEYOND <= at < _BEYOND:
        return Unread(found[0].rstrip(), "bad timestamp")
    return Line(_plain(found[1]), fields, named, at)


def value(text: str) -> Value:
    """Return what a field says. Raises ValueError with the server's words."""
    last = text[-1]
    if last == '"':
        return re.sub(r'\\(["\\])', r"\1", text[1:-1]) if "\\" in text else text[1:-1]
    if last in "iu":
        return _whole(text[:-1], *((0, 2 * _BEYOND) if last == "u" else (-_BEYOND, _BEYOND)))
    if text in _BOOLS:
        return _BOOLS[text]
    if not text.isascii() or "_" in text or text[0].isalpha():
        raise ValueError("invalid boolean" if text[0].isalpha() else "invalid number")
    try:
        number = float(text)
    except ValueError:
        raise ValueError("invalid number") from None
    if not math.isfinite(number):
        raise ValueError("invalid float")
    return number


def _whole(text: str, least: int, beyond: int) -> int:
    if not re.fullmatch(r"[+-]?\d{1,20}", text, re.ASCII) or not least <= int(text) < beyond:
        raise ValueError("invalid number")
    return int(text)


def _why(line: str) -> str:
    """Return what is wrong with a line that is none, in the server's words as far as they are known."""
    if line.startswith((",", " ")):
        return "missing measurement"
    found = re.match(rf"{_MEASUREMENT}((?:{_TAG})*+)(.*)", line, re.DOTALL)
    rest = found[2] if found else ""
    if rest.startswith((",", "=")):
        return "missing tag key or value" if rest[0] == "," else "invalid tag format"
    rest = rest.strip(" ")
    if not rest:
        return "missing fields"
    fields = re.match(_FIELDS, rest, re.DOTALL)
    if fields and rest[fields.end() :].startswith(" "):
        return "bad timestamp"
    return "unbalanced quotes" if len(re.findall(r'(?<!\\)"', rest)) % 2 else "invalid field format"


def _plain(name: str) -> str:
    return re.sub(r"\\([,= ])", r"\1", name) if "\\" in name else name


@functools.lru_cache(maxsize=256)  # they are the same ones in line after line
def _spelt(name: str, separators: str = ",= ") -> str:
    if not is_writable(name):
        raise RefusedError(f"{name!a} has no spelling in the line protocol.", cure="No backslash, no line's end.")
    return re.sub(f"([{separators}])", r"\\\1", name)


def _said(value: Value) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return f"{value}i"
        case float():
            if not math.isfinite(value):
                raise RefusedError(f"{value} is no number in the line protocol.")
            return repr(value)
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
