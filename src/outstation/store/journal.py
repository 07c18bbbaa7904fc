"""What happened and why, in words: the newest 20,000 lines. Older ones go by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import apsw
import msgspec

from outstation.core.readings import Millis, Note

if TYPE_CHECKING:
    from outstation.store.database import Store

LINES_AT_MOST = 20_000
"""About 3 MB: months of a quiet node."""


class Journal:
    """The journal of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, notes: Sequence[Note]) -> asyncio.Future[None]:
        """Write lines, in the same commit as whatever else waits."""
        return self._store.write(lambda connection: insert(connection, notes))

    def newest(self, limit: int) -> list[Note]:
        """Return the newest lines, oldest first. Blocks."""
        with self._store.read() as connection:
            rows = connection.execute(_NEWEST, (limit,)).fetchall()
        return [Note(kind, subject, text, at) for kind, subject, text, at in reversed(rows)]

    def between(
        self, subjects: Collection[str], kinds: Collection[str], start: Millis, end: Millis, limit: int
    ) -> list[Note]:
        """Return the newest lines about subjects from `start` on and before `end`, oldest first. Blocks."""
        wanted = (msgspec.json.encode(list(subjects)).decode(), msgspec.json.encode(list(kinds)).decode())
        with self._store.read() as connection:
            rows = connection.execute(_BETWEEN, (*wanted, start, end, limit)).fetchall()
        return [Note(*row) for row in reversed(rows)]

    def around(self, subject: str, kinds: Collection[str], at: Millis) -> tuple[Note | None, Note | None]:
        """Return the newest line about a subject until a moment, and the first after it. Blocks."""
        wanted = (subject, msgspec.json.encode(list(kinds)).decode(), at)
        with self._store.read() as connection:
            before = connection.execute(_BEFORE, wanted).fetchone()
            after = connection.execute(_AFTER, wanted).fetchone()
        return _note(before), _note(after)


def insert(connection: apsw.Connection, notes: Sequence[Note]) -> None:
    """Write lines, and let the oldest go."""
    connection.executemany(_INSERT, [(note.at, note.kind, note.subject, note.text) for note in notes])
    connection.execute("DELETE FROM journal WHERE id <= (SELECT max(id) FROM journal) - ?", (LINES_AT_MOST,))


def _note(row: Any) -> Note | None:
    return None if row is None else Note(*row)


_INSERT = """
INSERT INTO journal (boot, since, kind, subject, text)
SELECT id, ?1 - offset, ?2, ?3, ?4 FROM boots ORDER BY id DESC LIMIT 1
"""

_NEWEST = """
SELECT kind, subject, text, since + offset FROM journal JOIN boots ON boots.id = boot
ORDER BY journal.id DESC LIMIT ?
"""

_BETWEEN = """
SELECT kind, subject, text, since + offset AS at FROM journal JOIN boots ON boots.id = boot
WHERE subject IN (SELECT value FROM json_each(?1)) AND kind IN (SELECT value FROM json_each(?2))
AND since + offset >= ?3 AND since + offset < ?4
ORDER BY at DESC, journal.id DESC LIMIT ?5
"""

_ABOUT = """
SELECT kind, subject, text, since + offset FROM journal JOIN boots ON boots.id = boot
WHERE subject = ? AND kind IN (SELECT value FROM json_each(?))
"""

_BEFORE = f"{_ABOUT} AND since + offset <= ? ORDER BY since + offset DESC, journal.id DESC LIMIT 1"

_AFTER = f"{_ABOUT} AND since + offset > ? ORDER BY since + offset, journal.id LIMIT 1"
