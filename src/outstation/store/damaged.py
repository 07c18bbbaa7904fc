"""What becomes of a row of the history that cannot be unpacked: it is moved to `damaged`, and people are told.

The law of this file: a row is moved only when the writer finds it damaged as well, in one transaction that keeps the
count of readings exact. Summaries that are lost are made anew from what is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apsw
import msgspec

from outstation import clock
from outstation.core.readings import Millis
from outstation.core.windows import WIDTHS, Tier
from outstation.store import blocks, chunks, entry_blocks, entry_log, left_out
from outstation.store.left_out import Row
from outstation.store.rows import SENT, Columns
from outstation.store.sealing import packing, summing

TOLD_FOR: Millis = 7 * 86_400_000
"""So long after the last row was found damaged people are told of it, and no backup is deleted."""


class Lost(msgspec.Struct, frozen=True):
    """A row that is damaged. tier: of the summaries in it; RAW: of readings. start, end: UTC. count: of readings.

    Of entries of a channel sensor is its number, and count theirs.
    """

    row: Row
    sensor: int
    name: str
    tier: Tier
    boot: int
    start: Millis
    end: Millis
    count: int

    @property
    def of_entries(self) -> bool:
        """Whether it is of entries, and not of readings or their summaries."""
        return self.row.table in (entry_blocks.TABLE, entry_log.TABLE)

    @property
    def words(self) -> str:
        """What is lost."""
        if self.row.table == entry_log.TABLE:
            return "what some boards wrote at a time"
        if self.of_entries:
            return f"{self.count} entries of channel {self.sensor}, {clock.iso(self.start)} to {clock.iso(self.end)}"
        what = f"{self.count} readings" if self.tier is Tier.RAW else f"summaries of {_TIERS[self.tier]}"
        return f"{what} of {self.name or 'a sensor that was deleted'}, {clock.iso(self.start)} to {clock.iso(self.end)}"


class Told(msgspec.Struct, frozen=True):
    """What people are to know of all that was moved, and when the last of it was found."""

    text: str
    at: Millis


def move(connection: apsw.Connection, row: Row, at: Millis) -> Lost | None:
    """Move a row, if it is damaged; return what is lost with it. Inside a transaction."""
    if (found := _row(connection, row)) is None or _is_sound(*found):
        return None
    lost, body = found
    connection.execute(_MOVE, (row.table, lost.sensor, lost.tier, lost.start, lost.end, lost.count, body, at))
    connection.execute(_DELETE[row.table], (row.id,))
    return lost


def left(connection: apsw.Connection, lost: Lost, before: int) -> int:
    """Return how many readings there are without a block that was moved. before: there were, with it.

    Where some of it may have been corrected since, nobody knows of which that is true: all in the file are counted.
    """
    if lost.boot != blocks.SENT_BOOT or not _is_shared(connection, lost):
        return before - lost.count
    return _counted(connection)


def told(connection: apsw.Connection) -> Told | None:
    """Return what people are to know, as long as it is kept. Raises apsw.Error."""
    newest: Any = connection.execute(_NEWEST).fetchone()
    if newest is None:
        return None
    source, sensor, name, tier, start, end, count, at, others = newest
    last = Lost(Row(source, 0), sensor, name, Tier(tier), 0, start, end, count)
    more = f", and {others} other parts" if others else ""
    return Told(f"A part of the history was damaged, and is left out: {last.words}{more}.", at)


def left_out_of(connection: apsw.Connection) -> list[str]:
    """Return what a reader of its own went on without, in words."""
    found = (_row(connection, row) for row in sorted(left_out.taken(connection)))
    return [each[0].words for each in found if each]


def look_through(connection: apsw.Connection) -> Iterator[Lost]:
    """Return what is damaged among all blocks and packs of a file."""
    for table, numbers in _ALL.items():
        for (number,) in connection.execute(numbers):
            found = _row(connection, Row(table, number))
            if found and not _is_sound(*found):
                yield found[0]


def _row(connection: apsw.Connection, row: Row) -> tuple[Lost, bytes] | None:
    found: Any = connection.execute(_ROW[row.table], (row.id,)).fetchone()
    if found is None:
        return None
    sensor, name, tier, boot, start, end, count, body = found
    end += WIDTHS[Tier(tier)] if tier else 0
    return Lost(row, sensor, name, Tier(tier), boot, start, end, count), body


def _is_sound(lost: Lost, body: bytes) -> bool:
    try:
        if lost.row.table == entry_log.TABLE:
            entry_log.unpack(body)
        elif lost.of_entries:
            entry_blocks.unpack(body)
        elif lost.tier is Tier.RAW:
            packing.unpack(body)
        else:
            summing.unpack(body, WIDTHS[lost.tier])
    except msgspec.DecodeError:
        return False
    return True


def _is_shared(connection: apsw.Connection, lost: Lost) -> bool:
    """Tell whether anything else that its sensor's readings are in may be of the same time."""
    others = next(blocks.of_sensor(connection, lost.sensor, lost.start, lost.end + 1))
    if next(others, None):
        return True
    return any(
        _is_in(columns, lost)
        for chunk in chunks.walk(connection, lost.end + 1)
        if chunk.highest >= lost.start and chunk.sensors >> lost.sensor & 1 and chunk.hidden < lost.sensor
        for _, columns in chunk.columns(connection)
    )


def _is_in(columns: Columns, lost: Lost) -> bool:
    """Tell whether a row of the log has anything of the same sensor and time."""
    return lost.sensor in columns.sensors and any(
        sensor == lost.sensor and flag & SENT and lost.start <= at + columns.offset <= lost.end
        for sensor, at, flag in zip(columns.sensors, columns.times, columns.each_flag(), strict=True)
    )


def _counted(connection: apsw.Connection) -> int:
    """Return how many readings there are; a correction is none."""
    gone = {sensor for (sensor,) in connection.execute("SELECT id FROM gone")}
    own, sent = 0, set[tuple[int, Millis]]()
    for chunk in chunks.walk(connection, chunks.HIGHEST):
        for _, columns in chunk.columns(connection):
            for sensor, at, flag in zip(columns.sensors, columns.times, columns.each_flag(), strict=True):
                if sensor <= chunk.hidden or sensor in gone:
                    continue
                if flag & SENT:
                    sent.add((sensor, at + columns.offset))
                else:
                    own += 1
    sealed: int = connection.execute("SELECT coalesce(sum(count), 0) FROM blocks").get
    return sealed + own + len(sent) - len(blocks.known(connection, sent))


_TIERS = {Tier.FIVE_MINUTES: "five minutes", Tier.HOUR: "hours", Tier.DAY: "days"}

_ROW = {
    "blocks": """
SELECT sensor, coalesce((SELECT name FROM sensors s WHERE s.id = sensor), ''), 0, boot,
       start + coalesce((SELECT offset FROM boots b WHERE b.id = boot), 0),
       end + coalesce((SELECT offset FROM boots b WHERE b.id = boot), 0), count, body
FROM blocks WHERE id = ?
""",
    "packs": """
SELECT sensor, coalesce((SELECT name FROM sensors s WHERE s.id = sensor), ''), tier, 0, start, last, 0, body
FROM packs WHERE id = ?
""",
    entry_log.TABLE: "SELECT 0, '', 0, boot, 0, 0, 0, body FROM entry_log WHERE id = ?",
    entry_blocks.TABLE: "SELECT channel, '', 0, boot, start, end, count, body FROM entry_blocks WHERE id = ?",
}

_ALL = {table: f"SELECT id FROM {table} ORDER BY id" for table in _ROW}  # noqa: S608  names from here

_DELETE = {table: f"DELETE FROM {table} WHERE id = ?" for table in _ROW}  # noqa: S608

_MOVE = "INSERT INTO damaged (source, sensor, tier, start, end, count, body, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"

_NEWEST = """
SELECT source, sensor, coalesce((SELECT name FROM sensors s WHERE s.id = sensor), ''), tier, start, end, count, at,
       (SELECT count(*) FROM damaged) - 1
FROM damaged ORDER BY id DESC LIMIT 1
"""
