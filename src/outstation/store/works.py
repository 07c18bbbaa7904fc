"""What is done in a commit beside storing readings: each piece of work for itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import apsw

from outstation import clock
from outstation.core.readings import Note
from outstation.store import file, journal
from outstation.store.waiting import Done

T = TypeVar("T")

OnDisk = Callable[[apsw.Connection], T]
"""Work for the writer's thread."""


class AllOrNothing(Generic[T]):
    """Work with which the whole commit fails: what the log knows has moved on with it."""

    def __init__(self, work: OnDisk[T]) -> None:
        self._work = work

    def __call__(self, connection: apsw.Connection) -> T:
        return self._work(connection)


def do(connection: apsw.Connection, work: OnDisk[Any]) -> Done:
    """Do one piece of work; one that fails is undone and does not touch its neighbours, unless it is AllOrNothing."""
    if isinstance(work, AllOrNothing):  # nothing of it is undone alone, so no savepoint: each statement costs here
        return work(connection), None
    connection.execute("SAVEPOINT work")
    try:
        result = work(connection)
    except Exception as error:  # it belongs to the one who asked
        if connection.get_autocommit() or isinstance(error, (apsw.FullError, apsw.IOError, *file.DAMAGE)):
            raise  # the whole transaction is lost
        connection.execute("ROLLBACK TO work; RELEASE work")
        return None, error
    connection.execute("RELEASE work")
    return result, None


def noting(subject: str, text: str) -> OnDisk[None]:
    """Return the work of writing a line of the store's own into the journal."""
    note = Note("store", subject, text, clock.at())
    return lambda connection: journal.insert(connection, [note])


def begin_wal_anew(connection: apsw.Connection, *, is_full: bool) -> None:
    """Let nothing that is promised from now on hang on pages that a failed fsync may have left behind.

    The kernel calls such pages clean; a power cut would cut the write-ahead log off there, with all after it.
    """
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.BusyError:  # a reader is at work
        if not is_full:
            raise
