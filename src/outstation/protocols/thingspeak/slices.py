"""What is made of entries before they are shown: one a slice of time, numbers out of bounds left out, digits rounded.

Pure. Source: iobridge/thingspeak, feed_helper.rb and feed_factory.rb. Its quirks are kept, since plots were drawn with
them: an average divides by all entries of the slice, so that one without a number counts as 0; a median does not; a
slice without entries stands there, empty; and a decimal comma stays one.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from outstation.core.readings import Millis
from outstation.protocols.thingspeak.query import MOST, Group, How, Query
from outstation.store.entries import Entry, Texts

_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?", re.ASCII)
_NOTHING: Texts = (None,) * 8

Numbers = Sequence[float]


def made(entries: Sequence[Entry], query: Query, fields: Sequence[int]) -> list[Entry]:
    """Return what a query makes of entries, oldest first. fields: those that are shown, counted from 1."""
    found = grouped(entries, query.group) if query.group else list(entries)
    if query.low > -math.inf or query.high < math.inf:
        found = [entry for entry in found if _is_within(entry, query, fields)]
    return found if query.digits is None else [rounded(entry, query.digits) for entry in found]


def grouped(entries: Sequence[Entry], group: Group) -> list[Entry]:
    """Return one entry a slice from the first's to the last's, at most the newest 8,000; they have no number."""
    slices = {start: list(those) for start, those in itertools.groupby(entries, lambda one: _floor(one.at, group))}
    if not slices:
        return []
    last = max(slices)
    first = max(min(slices), last - (MOST - 1) * group.width)
    channel = entries[0].channel
    return [
        one(slices[start], group.how, start) if start in slices else Entry(channel, start, _NOTHING)
        for start in range(first, last + 1, group.width)
    ]


def one(entries: Sequence[Entry], how: How, at: Millis) -> Entry:
    """Return what is made of the entries of one slice."""
    if how == "timescale":
        fields = entries[0].fields
    else:
        fields = tuple(_made(texts, _WAYS[how]) for texts in zip(*(entry.fields for entry in entries), strict=True))
    return Entry(entries[0].channel, at, fields)


def rounded(entry: Entry, digits: int) -> Entry:
    """Return an entry with its numbers rounded, with so many digits after the point; texts stay."""
    fields = tuple(text if (found := number(text)) is None else _written(text, found, digits) for text in entry.fields)
    return Entry(
        entry.channel, entry.at, fields, entry.status, entry.latitude, entry.longitude, entry.elevation, entry.number
    )


def number(text: str | None) -> float | None:
    """Return a field as the number that it is, in the dialect's sense: digits, and one point or comma."""
    if text is None or not _NUMBER.fullmatch(text.strip()):
        return None
    found = float(text.strip().replace(",", "."))
    return found if math.isfinite(found) else None


def _made(texts: Iterable[str | None], way: Callable[[Numbers, int], float]) -> str | None:
    every = list(texts)
    found = [(text, value) for text in every if (value := number(text)) is not None]
    if not found:
        return None
    result = repr(way([value for _, value in found], len(every)))
    return result.replace(".", ",") if any("," in (text or "") for text, _ in found) else result


_WAYS: dict[How, Callable[[Numbers, int], float]] = {
    "sum": lambda numbers, _: math.fsum(numbers),
    "average": lambda numbers, count: math.fsum(numbers) / count,
    "median": lambda numbers, _: _median(sorted(numbers)),
}


def _median(numbers: Numbers) -> float:
    middle = len(numbers) // 2
    return numbers[middle] if len(numbers) % 2 else (numbers[middle - 1] + numbers[middle]) / 2


def _floor(at: Millis, group: Group) -> Millis:
    return at - at % group.width


def _written(text: str | None, found: float, digits: int) -> str:
    written = f"{found:.{digits}f}"
    return written.replace(".", ",") if text and "," in text else written


def _is_within(entry: Entry, query: Query, fields: Sequence[int]) -> bool:
    return all(query.low <= value <= query.high for value in _numbers(entry, fields))


def _numbers(entry: Entry, fields: Sequence[int]) -> Iterator[float]:
    for field in fields:
        if (value := number(entry.fields[field - 1])) is not None:
            yield value
