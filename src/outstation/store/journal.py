"""What happened and why, in words: the newest 20,000 lines. Older ones go by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import apsw

from outstation.core.readings import Note

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


def insert(connection: apsw.Connection, notes: Sequence[Note]) -> None:
    """Write lines, and let the oldest go."""
    connection.executemany(_INSERT, [(note.at, note.kind, note.subject, note.text) for note in notes])
    connection.execute("DELETE FROM journal WHERE id <= (SELECT max(id) FROM journal) - ?", (LINES_AT_MOST,))


_INSERT = """
INSERT INTO journal (boot, since, kind, subject, text)
SELECT id, ?1 - offset, ?2, ?3, ?4 FROM boots ORDER BY id DESC LIMIT 1
"""

_NEWEST = """
SELECT kind, subject, text, since + offset FROM journal JOIN boots ON boots.id = boot
ORDER BY journal.id DESC LIMIT ?
"""
