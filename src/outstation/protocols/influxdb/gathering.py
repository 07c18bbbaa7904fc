"""A body of lines by columns: what thousands of lines say, by sensor and in order of time.

Pure. The law of this file: a body of plain lines is read in a tenth of the time, and what comes of it is the same as
what the careful reader in wire.py makes of it; whatever is not plain for certain is left to that one. Of readings of
one sensor at one time the last counts, as in InfluxDB.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence

import msgspec

from outstation.core.readings import Millis, Value
from outstation.protocols.influxdb import wire
from outstation.protocols.influxdb.naming import Naming
from outstation.store.columns import is_rising

PRECISIONS: dict[str, tuple[int, int]] = {
    "n": (1, 1_000_000),
    "ns": (1, 1_000_000),
    "u": (1, 1_000),
    "us": (1, 1_000),
    "ms": (1, 1),
    "s": (1_000, 1),
    "m": (60_000, 1),
    "h": (3_600_000, 1),
}
"""By what a time is multiplied, then divided, to be milliseconds."""

_NOT_PLAIN = "\\\t#"
"""Escapes, other blanks, comments: where any of these is, a line may be something else than it looks."""

_SHORT = 500
"""Letters: so few lines are read carefully before the quick way has begun."""

_PLAIN_LINE = re.compile(r"[^ \n]++ ([^ \n]++) [0-9]++")
_KINDS = {False: "([0-9.eE+-]++)", True: "(-?[0-9]++)i"}
"""A value with a point or an exponent, perhaps, and a whole number: which of them a field is, its first line says."""

_LONGEST_FIELDS = 2_000
"""Characters: a pattern takes twenty times that in memory, and is kept; forty fields of a machine have half of it."""

_SHAPES_AT_MOST = 16
"""A machine that tells of itself has about ten; each costs a look at the whole body."""

_BEYOND = 2**63


class Gathered(msgspec.Struct):
    """What a body says. columns: times and values by sensor; now: what has no time; bad: lines that are none."""

    columns: dict[str, tuple[list[Millis], list[Value]]]
    now: dict[str, Value]
    bad: list[wire.Unread]


def gather(text: str, precision: str, name_of: Naming) -> Gathered:
    """Return what the lines say. precision: a key of PRECISIONS."""
    scale = PRECISIONS[precision]
    quickly = _plain(text, scale, name_of) if len(text) > _SHORT else None
    return _in_order(quickly or _careful(text, scale, name_of))


def _in_order(gathered: Gathered) -> Gathered:
    for name, (times, values) in gathered.columns.items():
        if not is_rising(times):
            last = dict(zip(times, values, strict=True))
            rising = sorted(last)
            gathered.columns[name] = rising, [last[at] for at in rising]
    return gathered


def _careful(text: str, scale: tuple[int, int], name_of: Naming) -> Gathered:
    """Take any body, line by line."""
    gathered = Gathered({}, {}, [])
    for line in wire.read(text):
        if isinstance(line, wire.Unread):
            gathered.bad.append(line)
            continue
        for field, value in line.fields.items():
            name = name_of(line.measurement, line.tags, field)
            if line.at is None:
                gathered.now[name] = value
            else:
                times, values = gathered.columns.setdefault(name, ([], []))
                times.append(line.at * scale[0] // scale[1])
                values.append(value)
    return gathered


def _plain(text: str, scale: tuple[int, int], name_of: Naming) -> Gathered | None:
    """Take a body of plain lines that all have a time, a shape after the other; None for any other body."""
    if not text.isascii() or any(letter in text for letter in _NOT_PLAIN):
        return None
    gathered, left = Gathered({}, {}, []), text.strip("\n")
    for _ in range(_SHAPES_AT_MOST):
        if not left:
            return gathered
        shape = _shape(left.partition("\n")[0])
        if shape is None:
            return None
        rows = shape.pattern.findall(left)
        try:
            if not _add(gathered, shape, rows, scale, name_of):
                return None
        except ValueError:  # no number after all: the careful reader says what it is
            return None
        left = "" if len(rows) > left.count("\n") else shape.pattern.sub("", left).strip("\n")
    return None


class _Shape(msgspec.Struct, frozen=True):
    """The fields of a line, in their order: those of many are the same. pattern: of such a line, whole."""

    pattern: re.Pattern[str]
    fields: tuple[tuple[str, bool], ...]


def _shape(line: str) -> _Shape | None:
    """Return the shape of a line; None: it is not plain."""
    found = _PLAIN_LINE.fullmatch(line)
    if found is None or len(found[1]) > _LONGEST_FIELDS:
        return None
    pairs = [pair.partition("=") for pair in found[1].split(",")]
    fields = tuple((name, value.endswith("i")) for name, _, value in pairs)
    if not all(name for name, _ in fields) or len(dict(fields)) < len(fields):
        return None
    return _shape_of(fields)


@functools.lru_cache(maxsize=64)
def _shape_of(fields: tuple[tuple[str, bool], ...]) -> _Shape:
    values = ",".join(f"{re.escape(name)}={_KINDS[is_whole]}" for name, is_whole in fields)
    return _Shape(re.compile(rf"^([^ \n]++) {values} ([0-9]{{1,19}}+)$", re.MULTILINE), fields)


def _add(
    gathered: Gathered, shape: _Shape, rows: Sequence[tuple[str, ...]], scale: tuple[int, int], name_of: Naming
) -> bool:
    """Take in the lines of one shape; tell whether they could be. Raises ValueError for what is no number."""
    of_series: dict[str, list[tuple[str, ...]]] = {}
    for row in rows:
        of_series.setdefault(row[0], []).append(row)
    for head, its_rows in of_series.items():
        _, *columns, stamps = zip(*its_rows, strict=True)
        series, times = wire.series(head), _times(stamps, scale)
        if series is None or times is None:
            return False
        for (field, is_whole), texts in zip(shape.fields, columns, strict=True):
            name, values = name_of(*series, field), _numbers(texts, is_whole=is_whole)
            # Of two spellings of one sensor nobody knows here which line came last.
            if values is None or name in gathered.columns:
                return False
            gathered.columns[name] = times, values
    return bool(rows)


def _times(stamps: Sequence[str], scale: tuple[int, int]) -> list[Millis] | None:
    factor, divisor = scale
    numbers = list(map(int, stamps))
    return [number * factor // divisor for number in numbers] if max(numbers) < _BEYOND else None


def _numbers(texts: Sequence[str], *, is_whole: bool) -> list[Value] | None:
    """Return the values of one field; None: one of them is none. Raises ValueError."""
    if is_whole:
        wholes = list(map(int, texts))
        return [*wholes] if min(wholes) >= -_BEYOND and max(wholes) < _BEYOND else None
    numbers = list(map(float, texts))
    return [*numbers] if -math.inf < min(numbers) and max(numbers) < math.inf else None
