"""What uplinks have not had, for those who delete, pack and put back: rows, inside their transactions.

The law of this file: nothing that an uplink has not had goes silently. It is counted, the hour that it is in takes its
place, and the journal says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apsw
import msgspec

from outstation import clock
from outstation.core.readings import Millis, Note
from outstation.core.windows import HOUR, Tier
from outstation.store import journal, packs

EPOCHS_KEPT = 16
"""So far back a hub can tell that this is the node that it knows."""


class Skipped(msgspec.Struct):
    """What is deleted before an uplink has had it. first, last: where the windows begin."""

    count: int
    first: Millis
    last: Millis


def heard_by_all(connection: apsw.Connection) -> int | None:
    """Return the last number that every uplink has had; None: there is none to wait for, or nothing is waited for."""
    lowest, newest = next(connection.execute("SELECT (SELECT min(cursor) FROM uplinks), number FROM sequence"))
    return None if lowest is None or lowest >= newest else lowest


def is_any(connection: apsw.Connection, sensor: int, start: Millis, end: Millis) -> bool:
    """Say whether rows of five minutes are among those that some uplink has not had."""
    return bool(connection.execute(_ANY, (sensor, start, end)).get)


def first_hour(connection: apsw.Connection, sensor: int) -> Millis | None:
    """Return the first of a sensor's hours that is to be sent."""
    found: Millis | None = connection.execute(
        "SELECT min(start) FROM aside WHERE sensor = ? AND width = ? AND reason IS NULL", (sensor, HOUR)
    ).get
    return found


def begin_epoch(connection: apsw.Connection) -> str:
    """Begin a new epoch; return it."""
    epoch: str = connection.execute("INSERT INTO epochs (epoch) VALUES (lower(hex(randomblob(8)))) RETURNING epoch").get
    connection.execute("DELETE FROM epochs WHERE id <= (SELECT max(id) FROM epochs) - ?", (EPOCHS_KEPT,))
    return epoch


class Leaving:
    """What is deleted in one transaction, seen before it goes; at the end `tell` writes it down."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._cursors: dict[str, int] = dict(connection.execute("SELECT name, cursor FROM uplinks"))
        self._lowest = heard_by_all(connection)
        self._gone: dict[str, Skipped] = {}
        self._hours: dict[str, int] = {}

    def see(self, sensor: int, tier: Tier, before: Millis) -> None:
        """Look at what is going to be deleted. Raises msgspec.DecodeError."""
        if tier is Tier.HOUR:
            self._see_hours(sensor, before)
        if tier is not Tier.FIVE_MINUTES or self._lowest is None:
            return
        found = list(_numbered(self._connection, sensor, before, self._lowest))
        for name, cursor in self._cursors.items():
            if starts := sorted({start for start, number in found if number > cursor}):
                self._skip(name, sensor, starts)

    def tell(self) -> None:
        """Count it, and write it into the journal."""
        at = clock.at()
        for name, gone in self._gone.items():
            self._connection.execute("UPDATE uplinks SET lost = lost + ? WHERE name = ?", (gone.count, name))
            span = f"{clock.iso(gone.first)} to {clock.iso(gone.last)}"
            text = f"There was no room for {gone.count} summaries that it had not had, {span}: their hours are sent."
            journal.insert(self._connection, [Note("uplink skipped", name, text, at)])
        for name, count in self._hours.items():
            text = f"There was no room for {count} summaries of hours that it had not had: nothing is sent of these."
            journal.insert(self._connection, [Note("uplink skipped", name, text, at)])

    def _skip(self, name: str, sensor: int, starts: list[Millis]) -> None:
        gone = self._gone.setdefault(name, Skipped(0, starts[0], starts[-1]))
        gone.count += len(starts)
        gone.first, gone.last = min(gone.first, starts[0]), max(gone.last, starts[-1])
        for hour in sorted({start - start % HOUR for start in starts}):
            if next(packs.stored(self._connection, sensor, Tier.HOUR, hour, hour + 1), None):
                self._connection.execute(_INSTEAD, (name, sensor, HOUR, hour))

    def _see_hours(self, sensor: int, before: Millis) -> None:
        deleted: Any = self._connection.execute(_NOT_EVEN_HOURS, (sensor, HOUR, before)).fetchall()
        for (name,) in deleted:
            self._hours[name] = self._hours.get(name, 0) + 1


def _numbered(connection: apsw.Connection, sensor: int, before: Millis, above: int) -> Iterator[tuple[Millis, int]]:
    """Return where windows of five minutes begin, and their numbers, of those above this one."""
    rows: Any = connection.execute(_ROWS, (sensor, before, above))
    yield from rows
    for start, number in packs.numbered(connection, sensor, Tier.FIVE_MINUTES, above):
        if start < before:
            yield start, number


_ANY = """
SELECT EXISTS (SELECT * FROM summaries WHERE sensor = ? AND tier = 1 AND start >= ? AND start < ?
               AND number > (SELECT min(cursor) FROM uplinks))
"""

_ROWS = "SELECT start, number FROM summaries WHERE sensor = ? AND tier = 1 AND start < ? AND number > ?"

_INSTEAD = "INSERT OR REPLACE INTO aside (uplink, sensor, width, start) VALUES (?, ?, ?, ?)"

_NOT_EVEN_HOURS = "DELETE FROM aside WHERE sensor = ? AND width = ? AND start < ? AND reason IS NULL RETURNING uplink"
