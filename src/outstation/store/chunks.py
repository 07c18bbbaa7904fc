"""The sparse index over the log: one row for some thousand readings.

The law of this file: nothing ever reads the whole log. When enough rows have gathered they are
closed as a chunk, and one row of `log_index` says which sensors and times are in it; only the
open tail after the last chunk is read without one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

import apsw
import msgspec

from outstation.core.readings import Millis
from outstation.store.rows import SENT, Columns, unpack

CHUNK_READINGS = 4_096
CHUNK_ROWS = 512
"""What closes a chunk: reading one stays at about a millisecond, and its index row is under a percent of it."""

LOWEST: Millis = -(1 << 62)
HIGHEST: Millis = 1 << 62

Span = tuple[Millis, Millis] | None
"""The least and the greatest; None: there is none."""


class Chunk(msgspec.Struct):
    """Rows of the log in a sequence, all of one boot. own: in boot time; sent: UTC; sensors: one bit an id."""

    first_id: int = 0
    last_id: int = 0
    rows: int = 0
    readings: int = 0
    count: int = 0
    own: Span = None
    sent: Span = None
    sensors: int = 0

    def add(self, row: int, count: int, columns: Columns) -> None:
        """Count one row in."""
        self.first_id = self.first_id or row
        self.last_id = row
        self.rows += 1
        self.readings += len(columns.sensors)
        self.count += count
        for sensor in set(columns.sensors):
            self.sensors |= 1 << sensor
        self._widen(columns)

    def fills_with(self, rows: int, readings: int) -> bool:
        """Say whether so many more make it time to close the chunk."""
        return self.rows + rows >= CHUNK_ROWS or self.readings + readings >= CHUNK_READINGS

    def _widen(self, columns: Columns) -> None:
        flags, times, offset = columns.flags, columns.times, columns.offset
        if isinstance(flags, int):
            own, sent = ([], times) if flags & SENT else (times, [])
        else:
            own = [time for time, flag in zip(times, flags, strict=True) if not flag & SENT]
            sent = [time for time, flag in zip(times, flags, strict=True) if flag & SENT]
        if own:
            self.own = _wider(self.own, min(own), max(own))
        if sent:
            self.sent = _wider(self.sent, min(sent) + offset, max(sent) + offset)


class Bounds(msgspec.Struct):
    """The newest time of any reading so far: of our own in this boot, and of all senders'."""

    own: Millis | None = None
    sent: Millis | None = None


class Found(msgspec.Struct, frozen=True):
    """A chunk that may hold what is looked for. highest: its newest UTC; bound: that of it and of all before it.

    hidden: what it has of sensors up to this one is in blocks already. lowest: its oldest UTC. count: of its readings,
    new ones; the open tail says neither.
    """

    first_id: int
    last_id: int
    offset: Millis
    highest: Millis
    bound: Millis
    sensors: int
    hidden: int = 0
    lowest: Millis = LOWEST
    count: int = 0

    def columns(self, connection: apsw.Connection) -> Iterator[tuple[int, Columns]]:
        """Return its rows, oldest first."""
        rows = connection.execute(
            "SELECT id, body FROM log WHERE id BETWEEN ? AND ? ORDER BY id", (self.first_id, self.last_id)
        )
        return ((row, unpack(body)) for row, body in rows)


def close(connection: apsw.Connection, chunk: Chunk, boot: int, bounds: Bounds) -> None:
    """Write the index row of a chunk, and move the bounds."""
    bounds.own = _higher(bounds.own, chunk.own)
    bounds.sent = _higher(bounds.sent, chunk.sent)
    connection.execute("UPDATE closed SET readings = readings + ?", (chunk.count,))
    own, sent = chunk.own or (None, None), chunk.sent or (None, None)
    sensors = chunk.sensors.to_bytes(chunk.sensors.bit_length() // 8 + 1, "little")
    connection.execute(
        "INSERT INTO log_index (last_id, first_id, boot, count, own_min, own_max, own_bound,"
        " sent_min, sent_max, sent_bound, sensors) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (chunk.last_id, chunk.first_id, boot, chunk.count, *own, bounds.own, *sent, bounds.sent, sensors),
    )


def last_closed(connection: apsw.Connection) -> tuple[int, int, Bounds]:
    """Return the last row that is in a chunk (0: none is), its boot, and the bounds there."""
    row = connection.execute(
        "SELECT last_id, boot, own_bound, sent_bound FROM log_index ORDER BY last_id DESC LIMIT 1"
    ).fetchone()
    return (row[0], row[1], Bounds(row[2], row[3])) if row else (0, 0, Bounds())


def walk(connection: apsw.Connection, end: Millis) -> Iterator[Found]:
    """Return the chunks that may hold readings before `end`, the last written first; the open tail leads."""
    yield from _tail(connection)
    hidden, upto = sealed_until(connection)
    for first, last, offset, lowest, highest, bound, before, sensors, count in connection.execute(_WALK, (end,)):
        yield Found(
            first,
            last,
            offset,
            highest,
            bound if before is None else max(bound, before),
            int.from_bytes(sensors, "little"),
            hidden if last <= upto else 0,
            lowest,
            count,
        )


def first_own(connection: apsw.Connection, boot: int) -> Millis | None:
    """Return the boot time that no reading of our own in the log, of this boot, is before; None: there is none."""
    firsts = [first for (first,) in connection.execute(_FIRST_OWN, (boot,)) if first is not None]
    for (body,) in connection.execute(_OF_TAIL, (boot,)):
        columns = unpack(body)
        firsts += [at for at, flag in zip(columns.times, columns.each_flag(), strict=True) if not flag & SENT]
    return min(firsts, default=None)


def firsts(connection: apsw.Connection) -> list[Millis]:
    """Return the UTC of the first readings in the log: of all chunks, and of each row of the open tail."""
    found: list[Millis] = [first for (first,) in connection.execute(_FIRSTS) if first is not None]
    for chunk in _tail(connection):
        found += [min(each[1] for each in columns.each(chunk.offset)) for _, columns in chunk.columns(connection)]
    return found


def sealed_until(connection: apsw.Connection) -> tuple[int, int]:
    """Return up to which sensor, and up to which row, what the log has is in blocks already."""
    found: tuple[int, int] | None = connection.execute("SELECT sensor, log_id FROM sealed").get
    return found or (0, 0)


def walk_sent(connection: apsw.Connection, times: Sequence[Millis]) -> Iterator[Found]:
    """Return the chunks that span any of `times` (UTC, sorted) among what senders stamped, the last written first."""
    yield from _tail(connection)
    found = connection.execute(
        "SELECT first_id, last_id, sent_min, sent_max, sent_bound, sensors FROM log_index ORDER BY last_id DESC"
    )
    for first, last, low, high, bound, sensors in found:
        if bound is None or bound < times[0]:
            return
        if low is not None and bisect_left(times, low) < bisect_right(times, high):
            yield Found(first, last, 0, high, bound, int.from_bytes(sensors, "little"))


def count(connection: apsw.Connection) -> int:
    """Return the readings in the whole log; corrections are not counted."""
    total: int = connection.execute(
        "SELECT (SELECT readings FROM closed)"
        " + (SELECT coalesce(sum(count), 0) FROM log WHERE id > (SELECT coalesce(max(last_id), 0) FROM log_index))"
    ).get
    return total


def size(connection: apsw.Connection) -> int:
    """Return about how many bytes the log has: the first row of a chunk stands for all of it."""
    total: int = connection.execute(_SIZE).get
    return total


def _tail(connection: apsw.Connection) -> Iterator[Found]:
    for first, last, offset in connection.execute(_TAIL):
        yield Found(first, last, offset, HIGHEST, HIGHEST, -1)


_TAIL = """
SELECT min(log.id), max(log.id), b.offset FROM log JOIN boots b ON b.id = log.boot
WHERE log.id > (SELECT coalesce(max(last_id), 0) FROM log_index) HAVING count(*)
"""

_SIZE = """
SELECT (SELECT coalesce(sum((last_id - first_id + 1) * (length(body) + 16)), 0)
        FROM log_index JOIN log ON log.id = first_id)
       + (SELECT coalesce(sum(length(body) + 16), 0) FROM log
          WHERE id > (SELECT coalesce(max(last_id), 0) FROM log_index))
"""

_FIRST_OWN = "SELECT min(own_min) FROM log_index WHERE boot = ?"
_OF_TAIL = "SELECT body FROM log WHERE id > (SELECT coalesce(max(last_id), 0) FROM log_index) AND boot = ?"

_FIRSTS = """
SELECT min(own_min) + b.offset FROM log_index JOIN boots b ON b.id = boot GROUP BY b.id
UNION ALL SELECT min(sent_min) FROM log_index
"""

_WALK = """
SELECT i.first_id, i.last_id, b.offset,
       min(coalesce(i.own_min + b.offset, i.sent_min), coalesce(i.sent_min, i.own_min + b.offset)),
       max(coalesce(i.own_max + b.offset, i.sent_max), coalesce(i.sent_max, i.own_max + b.offset)),
       max(coalesce(i.own_bound + b.offset, i.sent_bound), coalesce(i.sent_bound, i.own_bound + b.offset)), b.bound,
       i.sensors, i.count
FROM log_index i CROSS JOIN boots b ON b.id = i.boot
WHERE min(coalesce(i.own_min + b.offset, i.sent_min), coalesce(i.sent_min, i.own_min + b.offset)) < ?
ORDER BY i.last_id DESC
"""


def _wider(span: Span, low: Millis, high: Millis) -> Span:
    return (low, high) if span is None else (min(span[0], low), max(span[1], high))


def _higher(bound: Millis | None, span: Span) -> Millis | None:
    if bound is None or span is None:
        return span[1] if span else bound
    return max(bound, span[1])
