"""The questions: what is the newest, what was in a span of time, how much is there.

All block: they are asked in a thread. Every answer is one snapshot, of the log, of blocks, and of our own readings
that wait in memory. A page holds the newest rows of its span, oldest first, and a token for the older ones; rows
that arrive between two pages neither repeat nor hide a row. Their order is that of segments.py.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Generic, Protocol, TypeVar

import apsw
import msgspec

from outstation.core.readings import Millis, Quality, Reading, Value
from outstation.errors import RefusedError
from outstation.store import chunks, newest, pages, unsaved
from outstation.store.chunks import HIGHEST, LOWEST
from outstation.store.newest import Own, Sent
from outstation.store.pages import Instants, Place, Series, Span
from outstation.store.rows import QUALITY, SENT
from outstation.store.unsaved import Unsaved

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

    def unsaved(self) -> Unsaved:
        """Return our own readings that wait in memory. It is asked for before a connection is."""


class Lent:
    """Lends the one connection that it has, which is in no other hands."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def read(self) -> AbstractContextManager[apsw.Connection]:
        """Lend it."""
        return nullcontext(self._connection)

    def unsaved(self) -> Unsaved:
        """Return none: whoever has the connection to himself has written them."""
        return Unsaved()


class History:
    """The questions to one store."""

    def __init__(self, store: Lender) -> None:
        self._store = store

    def latest(self) -> dict[str, Reading]:
        """Return the newest reading of every sensor that ever stored one."""
        memory = self._store.unsaved()
        with self._store.read() as connection:
            known, after = newest.load(connection)
            for _ in newest.replay(connection, known, after):
                pass
            names: dict[int, str] = dict(connection.execute("SELECT id, name FROM sensors"))
            offset, offsets = _offsets(connection)
            if waiting := unsaved.waiting(connection, memory):
                names |= {number: name for name, number in waiting.numbers.items()}
                for sensor, time, value, flag in waiting.readings:
                    known.learn_own(sensor, (waiting.boot, time, value, flag))
        return {
            names[sensor]: _newer(names[sensor], known.own.get(sensor), known.sent.get(sensor), offset, offsets)
            for sensor in (known.own.keys() | known.sent.keys()) & names.keys()
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
        memory = self._store.unsaved()
        with self._store.read() as connection:
            waiting = unsaved.waiting(connection, memory)
            sensor: int | None = connection.execute("SELECT id FROM sensors WHERE name = ?", (name,)).get
            if sensor is None and waiting:
                sensor = waiting.numbers.get(name)
            if sensor is None:
                return Page([], None)
            series = Series(sensor, span)
            if waiting and (mine := waiting.segments().get(sensor)):
                series.take([mine])
            series.gather(connection)
            offset = _offsets(connection)[0]
        rows, older = series.page()
        readings = [_reading(name, *row, offset) for row in zip(rows.at, rows.values, rows.flags, strict=True)]
        return Page(readings, None if older is None else pages.token("sensor", older))

    def instants(
        self, *, start: Millis | None = None, end: Millis | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Instant]:
        """Return the newest `limit` instants from `start` until before `end`. Raises RefusedError: a bad cursor."""
        span = _span(start, end, limit, pages.place_of(cursor, "instants"))
        memory = self._store.unsaved()
        with self._store.read() as connection:
            instants = Instants(span, _gone(connection))
            waiting = unsaved.waiting(connection, memory)
            for sensor, segment in waiting.segments().items() if waiting else ():
                instants.take(sensor, segment)
            instants.gather(connection)
            found, has_older = instants.page()
            names = _names(connection, {sensor for _, values in found for sensor in values})
            names |= {number: name for name, number in waiting.numbers.items()} if waiting else {}
        rows = [(at, {names[sensor]: value for sensor, value in values.items()}) for at, values in found]
        return Page(rows, pages.token("instants", (rows[0][0], 0)) if has_older else None)

    def count(self) -> int:
        """Return how many readings are on disk; a corrected one is one."""
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


def _gone(connection: apsw.Connection) -> frozenset[int]:
    """Return the sensors that were deleted, and are in the log still."""
    return frozenset(number for (number,) in connection.execute("SELECT id FROM gone"))


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
