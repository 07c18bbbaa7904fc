"""What the ThingSpeak dialect must not forget of a channel: the number of its last entry, and each field as last sent.

The law of this file: a number is given once, whatever happens to the entry that it was given to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import apsw
import msgspec

if TYPE_CHECKING:
    from outstation.store.database import Store


class Channel(msgspec.Struct, frozen=True):
    """A channel now. texts: by field, "1" to "8", as the board wrote them."""

    last_entry_id: int = 0
    texts: dict[str, str] = {}


class Channels:
    """The channels of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self) -> dict[int, Channel]:
        """Return the channels that ever had an entry. Blocks, for a moment: there is one row a board."""
        with self._store.read() as connection:
            rows: Any = connection.execute("SELECT id, last_entry_id, texts FROM channels").fetchall()
        return {channel: Channel(last, _texts(texts)) for channel, last, texts in rows}

    def enter(self, channel: int, texts: Mapping[str, str], *, after: int) -> asyncio.Future[Channel]:
        """Give the next number to an entry and remember its texts; the future ends when both are on disk.

        after: the last number that the caller knows of. A data file that was lost must not begin at 1 again.
        """
        document = msgspec.json.encode(texts).decode()
        return self._store.write(lambda connection: _enter(connection, channel, after, document))


def _enter(connection: apsw.Connection, channel: int, after: int, document: str) -> Channel:
    rows: Any = connection.execute(_ENTER, {"channel": channel, "after": after, "texts": document}).fetchall()
    last, texts = rows[0]
    return Channel(last, _texts(texts))


def _texts(document: str) -> dict[str, str]:
    return msgspec.json.decode(document, type=dict[str, str])


_ENTER = """
INSERT INTO channels (id, last_entry_id, texts) VALUES (:channel, :after + 1, :texts)
ON CONFLICT (id) DO UPDATE
SET last_entry_id = max(last_entry_id, :after) + 1, texts = json_patch(texts, excluded.texts)
RETURNING last_entry_id, texts
"""
