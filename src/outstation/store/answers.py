"""What a question to the history is answered with: a page of readings as JSON.

The law of this file: an answer is made of the question, of the data file and of what waits for it in memory, and of
nothing else, so that it is the same bytes in whichever process it is made (engine/clerk.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from outstation import clock
from outstation.core.readings import Millis, Reading, Value
from outstation.store.history import History, Instant


class Question(msgspec.Struct, frozen=True):
    """Which readings, and what the node says about their names.

    sensor: None: a row an instant. flat: plain keys, by sensor or output. limits: of all that holds on in the rows
    after, the age at which it no longer does; None: never. outputs: those whose values are levels.
    """

    sensor: str | None = None
    start: Millis | None = None
    end: Millis | None = None
    limit: int = 50
    cursor: str | None = None
    unit: str = ""
    flat: Mapping[str, str] = {}
    limits: Mapping[str, Millis | None] = {}
    outputs: frozenset[str] = frozenset()


def answer(history: History, question: Question) -> bytes:
    """Return the page that is asked for. Blocks. Raises StoreError, RefusedError."""
    return _instants(history, question) if question.sensor is None else _of_sensor(history, question.sensor, question)


def _of_sensor(history: History, name: str, asked: Question) -> bytes:
    page = history.of_sensor(name, start=asked.start, end=asked.end, limit=asked.limit, cursor=asked.cursor)
    return _page((_row(reading, asked.unit) for reading in page.rows), len(page.rows), page.next)


def _row(reading: Reading, unit: str) -> dict[str, Any]:
    return {
        "sensor": reading.sensor,
        "timestamp": clock.iso(reading.at),
        "value": reading.value,
        "unit": unit,
        "quality": reading.quality.name.lower(),
    }


def _instants(history: History, asked: Question) -> bytes:
    """Return a flat row an instant: what was measured then, and what still holds."""
    page = history.instants(start=asked.start, end=asked.end, limit=asked.limit, cursor=asked.cursor)
    return _page(_flat_rows(history, asked, page.rows), len(page.rows), page.next)


def _flat_rows(history: History, asked: Question, instants: list[Instant]) -> Iterator[dict[str, Any]]:
    if instants:
        holding = _Holding(history, asked.limits, instants[0][0])
        for at, values in instants:
            yield {"timestamp": clock.iso(at)} | _flat(asked, {**values, **holding.after(at, values)})


def _flat(asked: Question, values: dict[str, Value | None]) -> dict[str, Any]:
    return {
        asked.flat.get(name, name): _word(value) if name in asked.outputs else value for name, value in values.items()
    }


class _Holding:
    """What a row says beyond its own instant.

    An output stays where it was until it is moved. Of the sensors only those with a flat key are said again, null
    once they would have been stale: short programs read these keys in every row.
    """

    def __init__(self, history: History, limits: Mapping[str, Millis | None], start: Millis) -> None:
        self._limits = limits
        found = {name: history.of_sensor(name, end=start, limit=1).rows for name in limits}
        self._newest = {name: (rows[0].at, rows[0].value) for name, rows in found.items() if rows}

    def after(self, at: Millis, values: dict[str, Value]) -> dict[str, Value | None]:
        """Take in the values of an instant; return what holds from then on."""
        self._newest |= {name: (at, values[name]) for name in self._limits if name in values}
        return {name: self._at(at, name) for name in self._limits}

    def _at(self, at: Millis, name: str) -> Value | None:
        since, value = self._newest.get(name, (at, None))
        limit = self._limits[name]
        return value if limit is None or at - since <= limit else None


def _word(value: Value | None) -> str | float:
    """Return an output's level in words: on, off, unknown; a dimmed one as its number."""
    if value is None or isinstance(value, str):
        return "unknown"
    return value if isinstance(value, float) else "on" if value else "off"


_encode = msgspec.json.Encoder().encode


def _page(rows: Iterator[dict[str, Any]], count: int, following: str | None) -> bytes:
    """Return the document of a page, put together row by row: all rows at once are ten times as much memory."""
    document = bytearray(b'{"count":%d,"readings":[' % count)
    for row in rows:
        document += _encode(row)
        document += b","
    if count:
        document.pop()
    document += b'],"next":%b}' % _encode(following)
    return bytes(document)
