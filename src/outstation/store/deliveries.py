"""What receivers of alerts have not confirmed yet.

The law of this file: a delivery is stored with the alert that it tells of, and leaves when its
receiver has it, or with a line in the journal that says why not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import apsw
import msgspec

from outstation.core.readings import SEVERITIES, Millis, Note, Severity
from outstation.store import journal

if TYPE_CHECKING:
    from outstation.store.database import Store

AT_MOST = 10_000
"""For one receiver: about 5 MB, a month at one every four minutes."""

_AT_ONCE = 100
"""A full queue is shortened by so many more than needed: not sorted and noted again for each new one."""


class Delivery(msgspec.Struct, frozen=True):
    """One message for one receiver. key: random, the same at every try. made: UTC. body: JSON, as it is sent.

    replaces: it says all that earlier ones about the same alert say, so that these need not wait any more.
    """

    receiver: str
    alert: int
    severity: Severity
    made: Millis
    body: str
    key: str
    replaces: bool = False


class Deliveries:
    """The deliveries of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def waiting(self, receiver: str, limit: int = 100) -> list[Delivery]:
        """Return what a receiver has not confirmed, the oldest first. Blocks."""
        with self._store.read() as connection:
            rows: Any = connection.execute(_WAITING, (receiver, limit)).fetchall()
        return [Delivery(receiver, alert, SEVERITIES[urgency], *rest) for alert, urgency, *rest in rows]

    def count(self, receiver: str, *, but: Collection[str] = ()) -> int:
        """Return how many wait for a receiver, `but` for those with these keys. Blocks."""
        with self._store.read() as connection:
            if not but:
                return _count(connection, receiver)
            row: Any = connection.execute(_COUNT_BUT, (receiver, msgspec.json.encode(list(but)).decode())).fetchone()
        return int(row[0])

    def done(self, keys: Collection[str], receiver: str, notes: Sequence[Note] = ()) -> asyncio.Future[None]:
        """Forget deliveries that their receiver has, or will never take; `notes` say why, in the same commit."""
        found = [(receiver, key) for key in keys]
        return self._store.write(lambda connection: _done(connection, found, notes))

    def forget_others(self, receivers: Collection[str], at: Millis) -> asyncio.Future[int]:
        """Forget what waits for receivers that are not in the config any more; return how many that were."""
        return self._store.write(lambda connection: _forget_others(connection, receivers, at))


def add(connection: apsw.Connection, deliveries: Sequence[Delivery]) -> None:
    """Store deliveries, in the transaction of the alert that they tell of. A full queue loses its least urgent."""
    rows = [
        (one.key, one.receiver, one.alert, SEVERITIES.index(one.severity), one.made, one.body) for one in deliveries
    ]
    replaced = [(one.receiver, one.alert) for one in deliveries if one.replaces]
    connection.executemany("DELETE FROM deliveries WHERE receiver = ? AND alert = ?", replaced)
    connection.executemany(_ADD, rows)
    for receiver, made in {one.receiver: one.made for one in deliveries}.items():
        if (over := _count(connection, receiver) - AT_MOST) > 0:
            _shorten(connection, receiver, over + _AT_ONCE, made)


def _shorten(connection: apsw.Connection, receiver: str, number: int, at: Millis) -> None:
    connection.execute(_SHORTEN, (receiver, number))
    text = f"{number} messages that it did not take for long were given up, the least urgent and oldest of {AT_MOST}"
    journal.insert(connection, [Note("delivery dropped", receiver, text, at)])


def _done(connection: apsw.Connection, rows: Sequence[tuple[str, str]], notes: Sequence[Note]) -> None:
    connection.executemany("DELETE FROM deliveries WHERE receiver = ? AND key = ?", rows)
    journal.insert(connection, notes)


def _forget_others(connection: apsw.Connection, receivers: Collection[str], at: Millis) -> int:
    rows: Any = connection.execute("SELECT receiver, count(*) FROM deliveries GROUP BY receiver").fetchall()
    gone = [(receiver, number) for receiver, number in rows if receiver not in receivers]
    for receiver, number in gone:
        connection.execute("DELETE FROM deliveries WHERE receiver = ?", (receiver,))
        text = f"{number} messages were given up: it is not in the config any more"
        journal.insert(connection, [Note("delivery dropped", receiver, text, at)])
    return sum(number for _, number in gone)


def _count(connection: apsw.Connection, receiver: str) -> int:
    row: Any = connection.execute("SELECT count(*) FROM deliveries WHERE receiver = ?", (receiver,)).fetchone()
    return int(row[0])


_WAITING = "SELECT alert, urgency, made, body, key FROM deliveries WHERE receiver = ? ORDER BY id LIMIT ?"

_COUNT_BUT = """
SELECT count(*) FROM deliveries WHERE receiver = ? AND key NOT IN (SELECT value FROM json_each(?))
"""

_ADD = "INSERT INTO deliveries (key, receiver, alert, urgency, made, body) VALUES (?, ?, ?, ?, ?, ?)"

_SHORTEN = """
DELETE FROM deliveries WHERE id IN (
    SELECT id FROM deliveries WHERE receiver = ? ORDER BY urgency, id LIMIT ?
)
"""
