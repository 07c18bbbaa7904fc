"""Takes what the service's own export of a channel has: entries under the numbers that they had there.

The law of this file: a number is given once. An entry whose number this channel has given already gets the next one;
the same entry again is the same. What is imported comes late: it decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec

from outstation import clock
from outstation.core.readings import Millis, Reading
from outstation.engine.boards import Board
from outstation.engine.site import Site
from outstation.errors import UnknownNameError
from outstation.http import Answer, Later, Request, json
from outstation.protocols.thingspeak import wire
from outstation.protocols.thingspeak.writing import readings_of
from outstation.routes import BATCH, Route
from outstation.store.entries import Entries, Entry

AT_MOST = 500
"""Rows at once: while they are taken in, everybody else waits."""

_SUMMARY = "Bring in entries that the channel had elsewhere, under their numbers"


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """A row of an export: its number, its time in UTC, and its other columns, such as field1, by name."""

    entry_id: Annotated[int, msgspec.Meta(ge=1, lt=2**53)]
    created_at: Annotated[Millis, msgspec.Meta(ge=0, lt=10**14)]
    columns: dict[str, str]


_decoder = msgspec.json.Decoder(Annotated[list[Row], msgspec.Meta(max_length=AT_MOST)])


def route(site: Site, entries: Entries) -> Route:
    """Return the door for rows of an export."""

    def take(request: Request) -> Answer:
        """Handle POST /api/devices/{name}/entries. Raises RefusedError, StoreError, msgspec's errors."""
        rows = _decoder.decode(request.body)
        board = site.boards.by_name(request.params["name"])
        if board is None:
            raise UnknownNameError("There is no such board.", cure="`outstation devices list` shows them.")
        return Later(enter(entries, board, rows, site.runner.decide), lambda numbers: json({"entries": len(numbers)}))

    path = "/api/devices/{name}/entries"
    return Route("POST", path, "admin", take, body=BATCH, json=True, summary=_SUMMARY, takes=list[Row])


def enter(
    entries: Entries, board: Board, rows: Sequence[Row], decide: Callable[[Sequence[Reading]], Sequence[Reading]]
) -> asyncio.Future[list[int]]:
    """Store rows with their readings; the result is their numbers here. Raises RefusedError, StoreError."""
    moment = clock.moment()
    brought = [_entry(board, row) for row in rows]
    return entries.enter(brought, decide([one for entry in brought for one in readings_of(board, entry, moment)]))


def _entry(board: Board, row: Row) -> Entry:
    texts = wire.fields(row.columns, ""), wire.status(row.columns), *wire.place(row.columns)
    return Entry(board.channel, row.created_at, *texts, number=row.entry_id, sender_stamped=True)
