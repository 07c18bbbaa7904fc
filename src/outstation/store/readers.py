"""Connections that only read: each its own snapshot, none for long.

The law of this file: a reader never writes, never checkpoints, and never holds its snapshot for
more than 30 s, since the write-ahead log cannot shrink meanwhile.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import apsw
import msgspec

from outstation import clock
from outstation.core.readings import Millis
from outstation.errors import StoreError
from outstation.store import file, left_out

LONGEST: Millis = 30_000

OnLeftOut = Callable[[int, Collection[left_out.Row]], None]

_KEPT = 4
"""Idle connections kept open: as many as there are threads that read at once on a small machine."""


class Readers:
    """A small pool. Any thread may borrow."""

    def __init__(self, path: Path, on_damage: Callable[[int], None], on_left_out: OnLeftOut) -> None:
        """on_damage: called when a reader finds the file damaged, with the number that one() was called with.

        on_left_out: called with the same, and the rows that a reader went on without.
        """
        self._path, self._on_damage, self._on_left_out = path, on_damage, on_left_out
        self._idle: deque[tuple[int, apsw.Connection]] = deque()
        self._closed = False

    @contextlib.contextmanager
    def one(self, opened: int) -> Iterator[apsw.Connection]:
        """Lend a connection inside a read transaction. opened: how often the writer has opened the file."""
        connection = self._take(opened)
        try:
            with _snapshot(connection):
                yield connection
        except apsw.InterruptError as error:
            raise StoreError("The question took more than 30 s.", cure="Ask for a shorter time.") from error
        except (apsw.Error, msgspec.MsgspecError) as error:
            if isinstance(error, file.BAD_DATA):
                self._on_damage(opened)
            raise file.as_store_error(self._path, error) from error
        finally:
            if rows := left_out.taken(connection):
                self._on_left_out(opened, rows)
            self._give_back(opened, connection)

    def close(self) -> None:
        """Close those that are idle; the others when they come back."""
        self._closed = True
        with contextlib.suppress(IndexError):
            while True:
                file.shut(self._idle.pop()[1])

    def _take(self, opened: int) -> apsw.Connection:
        with contextlib.suppress(IndexError):
            while True:
                number, connection = self._idle.pop()
                if number == opened:
                    return connection
                file.shut(connection)  # it may look at a file that was set aside
        return file.open_for_reading(self._path)

    def _give_back(self, opened: int, connection: apsw.Connection) -> None:
        if self._closed or len(self._idle) >= _KEPT:
            file.shut(connection)
        else:
            self._idle.append((opened, connection))


@contextlib.contextmanager
def _snapshot(connection: apsw.Connection) -> Iterator[None]:
    until = clock.now() + LONGEST
    connection.set_progress_handler(lambda: clock.now() > until, 20_000)
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.set_progress_handler(None)
        with contextlib.suppress(apsw.Error):
            connection.execute("ROLLBACK")
