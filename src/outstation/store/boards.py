"""Boards that were let in by hand, their secrets, and when each was last heard.

The law of this file: the secrets stay readable, in a table of their own: they must be shown again, and none of them
opens more than one board's door. Nothing here is a key of the API. The number of a channel is never given to another
board by itself: what the first one sent would be shown as the other's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import apsw
import msgspec

from outstation import clock
from outstation.core.readings import Millis
from outstation.errors import UnknownNameError
from outstation.store import entry_log

if TYPE_CHECKING:
    from outstation.store.database import Store


class Board(msgspec.Struct, frozen=True, omit_defaults=True):
    """A board that reports here. channel: the number that ThingSpeak clients know it by.

    write_key, read_key, key: its secrets; read_key "": none. key: what it sends as a weather station, which several
    boards may share; "": its write_key. fields: names of its sensors, the first is field 1; units: theirs, "" for none.
    mac: "6c:ef:7f:3b:9d:e8", or "". expected: people are told when it is silent, whenever that is; expected_when: the
    times at which they are, or "". group: boards of one that fall silent together are told of together. configured: it
    stands in the config.
    """

    name: str
    channel: int
    write_key: str = ""
    read_key: str = ""
    key: str = ""
    public: bool = False
    fields: tuple[str, ...] = ()
    mac: str = ""
    expected: bool = False
    expected_when: str = ""
    group: str = ""
    configured: bool = False
    units: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Board({self.name!r}, {self.channel})"

    def sensor(self, field: int) -> str | None:
        """Return the full name of a field's sensor, counted from 1; None: the field has no name here."""
        return f"{self.name}/{self.fields[field - 1]}" if 1 <= field <= len(self.fields) else None

    @property
    def sensors(self) -> list[str]:
        """The full names of its sensors."""
        return [f"{self.name}/{field}" for field in self.fields]

    def unit(self, field: str) -> str:
        """Return the unit of one of its fields; "": none is known."""
        return dict(zip(self.fields, self.units, strict=False)).get(field, "")


class Heard(msgspec.Struct, frozen=True):
    """When a board was last heard, UTC, and from where. every: how often it speaks; None until that is known."""

    at: Millis
    address: str
    every: Millis | None = None


class StoredBoards:
    """The boards of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self) -> list[Board]:
        """Return all boards, by name. Blocks. Raises StoreError."""
        with self._store.read() as connection:
            rows: Any = connection.execute(_BOARDS).fetchall()
        return [_board(*row) for row in rows]

    def heard(self) -> dict[str, Heard]:
        """Return when each board was last heard, those in the config too. Blocks. Raises StoreError."""
        with self._store.read() as connection:
            rows: Any = connection.execute("SELECT name, at, address, every FROM heard").fetchall()
        return {name: Heard(*row) for name, *row in rows}

    def last_channel(self) -> int:
        """Return the highest number that any channel ever had. Blocks. Raises StoreError."""
        with self._store.read() as connection:
            return max(int(connection.execute(_LAST_CHANNEL).get), *entry_log.numbers(connection), 0)

    async def add(self, boards: Iterable[Board]) -> None:
        """Let boards in, all of them or none. Raises StoreError."""
        rows, at = list(boards), clock.at()
        await self._store.write(lambda connection: _add(connection, rows, at))

    async def remove(self, name: str) -> None:
        """Forget a board; its history stays. Raises UnknownNameError, StoreError."""
        if not await self._store.write(lambda connection: _remove(connection, name)):
            raise UnknownNameError(f'There is no board "{name[:80]}".', cure="`outstation devices list` shows them.")

    async def keep_heard(self, heard: Mapping[str, Heard]) -> None:
        """Write when boards were heard. Raises StoreError."""
        rows = [(name, one.at, one.address, one.every) for name, one in heard.items()]
        await self._store.write(lambda connection: _keep_heard(connection, rows))


def _board(name: str, body: str, write_key: str, read_key: str, key: str) -> Board:
    board = msgspec.json.decode(body, type=Board)
    return msgspec.structs.replace(board, name=name, write_key=write_key, read_key=read_key, key=key)


def _add(connection: apsw.Connection, boards: list[Board], at: Millis) -> None:
    for board in boards:
        open_part = msgspec.structs.replace(board, write_key="", read_key="", key="")
        body = msgspec.json.encode(open_part).decode()
        connection.execute("INSERT OR REPLACE INTO boards (name, added, body) VALUES (?, ?, ?)", (board.name, at, body))
        secrets = board.name, board.write_key, board.read_key, board.key
        connection.execute("INSERT OR REPLACE INTO board_secrets VALUES (?, ?, ?, ?)", secrets)
        connection.execute("INSERT OR IGNORE INTO channels (id, last_entry_id) VALUES (?, 0)", (board.channel,))


def _remove(connection: apsw.Connection, name: str) -> bool:
    removed = connection.execute("DELETE FROM boards WHERE name = ? RETURNING 1", (name,)).fetchall()
    for table in ("board_secrets", "heard"):
        connection.execute(f"DELETE FROM {table} WHERE name = ?", (name,))  # noqa: S608  a name from the line above
    return bool(removed)


def _keep_heard(connection: apsw.Connection, rows: list[tuple[str, Millis, str, Millis | None]]) -> None:
    connection.executemany("INSERT OR REPLACE INTO heard (name, at, address, every) VALUES (?, ?, ?, ?)", rows)


_BOARDS = """
SELECT name, body, write_key, read_key, board_secrets.key FROM boards JOIN board_secrets USING (name) ORDER BY name
"""

_LAST_CHANNEL = "SELECT coalesce(max(body ->> 'channel'), 0) FROM boards"
