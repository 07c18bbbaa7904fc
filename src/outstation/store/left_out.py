"""Rows of the history whose body cannot be unpacked: whoever meets one goes on without it, and it is noted.

The law of this file: a flipped byte costs the row that it is in, and no other. The writer moves what is noted here out
of the way: see damaged.py.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import apsw
import msgspec


class Row(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A row that cannot be unpacked. table: "blocks", "packs", "entry_blocks" or "entry_log"."""

    table: str
    id: int


class Connection(apsw.Connection):
    """One that remembers what was left out."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.left_out: set[Row] = set()


def note(connection: apsw.Connection, table: str, number: int, error: msgspec.DecodeError) -> None:
    """Note a row, so that one can go on without it. Raises the error where nobody would look at the notes."""
    if not isinstance(connection, Connection):
        raise error
    connection.left_out.add(Row(table, number))


def is_noted(connection: apsw.Connection, table: str, number: int) -> bool:
    """Tell whether a row was noted."""
    return isinstance(connection, Connection) and Row(table, number) in connection.left_out


def taken(connection: apsw.Connection | None) -> Collection[Row]:
    """Return what was noted since the last call."""
    if not isinstance(connection, Connection) or not connection.left_out:
        return ()
    found, connection.left_out = connection.left_out, set()
    return found
