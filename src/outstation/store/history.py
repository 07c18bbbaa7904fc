"""The questions: what is the newest, what was in a span of time, how much is there.

All block: they are asked in a thread. Every answer is one snapshot. A page holds the newest rows of
its span, oldest first, and a token for the older ones; rows that arrive between two pages neither
repeat nor hide a row. Where a sender corrected a reading, its last word is shown, in the first one's place.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Generic, Protocol, TypeVar

import apsw
import msgspec

from outstation.core.readings import Millis, Quality, Reading, Value
from outstation.errors import RefusedError
from outstation.store import chunks, newest, pages
from outstation.store.chunks import HIGHEST, LOWEST
from outstation.store.newest import Own, Sent
from outstation.store.pages import Instants, Place, Series, Span
from outstation.store.rows import QUALITY, SENT

R = TypeVar("R")

Instant = tuple[Millis, dict[str, Value]]
"""UTC, and the value of each sensor that has one at that millisecond."""


class Page(msgspec.Struct, Generic[R], frozen=True):
    """Rows, oldest first. next: the token for older ones; None: there are none."""

    rows: list[R]
    next: str | None


class Lender(Protocol):
    """Who lends connections: the store, or a process that only reads."""

    def read(self) -> AbstractContextManager[apsw.Connection]:
        """Lend one with a snapshot of its own."""


class History:
    """The questions to one store."""

    def __init__(self, store: Lender) -> None:
        self._store = store

    def latest(self) -> dict[str, Reading]:
        """Return the newest reading of every sensor that ever stored one."""
        with self._store.read() as connection:
            known, after = newest.load(connection)
            for _ in newest.replay(connection, known, after):
                pass
            names: dict[int, str] = dict(connection.execute("SELECT id, name FROM sensors"))
            offset, offsets = _offsets(connection)
        return {
            names[sensor]: _newer(names[sensor], known.own.get(sensor), known.sent.get(sensor), offset, offsets)
            for sensor in known.own.keys() | known.sent.keys()
        }

    def of_sensor(
        self,
        name: str,
        *,
        start: Millis | None = None,
        end: Millis | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Reading]:
        """Return the newest `limit` readings from `start` until before `end`. Raises RefusedError: a bad cursor."""
        span = _span(start, end, limit, pages.place_of(cursor, "sensor"))
        with self._store.read() as connection:
            found = connection.execute("SELECT id FROM sensors WHERE name = ?", (name,)).fetchone()
            if found is None:
                return Page([], None)
            series = Series(found[0], span)
            series.gather(connection)
            offset = _offsets(connection)[0]
        rows, has_older = series.page()
        readings = [_reading(name, row.at, row.value, row.flag, offset) for row in rows]
        return Page(readings, pages.token("sensor", rows[0].place) if has_older else None)

    def instants(
        self, *, start: Millis | None = None, end: Millis | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Instant]:
        """Return the newest `limit` instants from `start` until before `end`. Raises RefusedError: a bad cursor."""
        instants = Instants(_span(start, end, limit, pages.place_of(cursor, "instants")))
        with self._store.read() as connection:
            instants.gather(connection)
            found, has_older = instants.page()
            names = _names(connection, {sensor for _, values in found for sensor in values})
        rows = [(at, {names[sensor]: value for sensor, value in values.items()}) for at, values in found]
        return Page(rows, pages.token("instants", (rows[0][0], 0, 0)) if has_older else None)

    def count(self) -> int:
        """Return how many readings are stored; a corrected one is one."""
        with self._store.read() as connection:
            return chunks.count(connection)


def _span(start: Millis | None, end: Millis | None, limit: int, before: Place | None) -> Span:
    if limit < 1:
        raise RefusedError(f"The limit is {limit}.", cure="Ask for at least 1.")
    return Span(LOWEST if start is None else start, HIGHEST if end is None else end, before, limit)


def _offsets(connection: apsw.Connection) -> tuple[Millis, dict[int, Millis]]:
    """Return the offset that is in force, and that of each row of `boots`."""
    offsets: dict[int, Millis] = dict(connection.execute("SELECT id, offset FROM boots"))
    return offsets[max(offsets)], offsets


def _names(connection: apsw.Connection, sensors: set[int]) -> dict[int, str]:
    wanted = msgspec.json.encode(list(sensors)).decode()
    found = connection.execute("SELECT id, name FROM sensors WHERE id IN (SELECT value FROM json_each(?))", (wanted,))
    return dict(found)


def _reading(name: str, at: Millis, value: Value | None, flag: int, offset: Millis) -> Reading:
    """Return it as this boot sees it: the moment of its arrival is not kept, so it arrived when it was measured."""
    return Reading(name, value, at, at - offset, at, Quality(flag & QUALITY), bool(flag & SENT))


def _newer(name: str, own: Own | None, sent: Sent | None, offset: Millis, offsets: dict[int, Millis]) -> Reading:
    readings = []
    if own:
        boot, time, value, flag = own
        readings.append(_reading(name, time + offsets[boot], value, flag, offset))
    if sent:
        readings.append(_reading(name, *sent, offset))
    return max(readings, key=lambda reading: reading.at)
