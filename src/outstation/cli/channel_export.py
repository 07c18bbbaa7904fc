"""`import --format thingspeak`: a channel's history, as the service exports it (CSV or JSON), with its numbers.

The law of this file: an entry is known by channel and time, so an import that broke off is simply called again.
"""

from __future__ import annotations

import asyncio
import csv
import datetime as dt
import gzip
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

import msgspec

from outstation.cli import offline
from outstation.cli.control import NotRunningError, ask, segment
from outstation.engine.boards import Board, Boards
from outstation.errors import OutstationError
from outstation.owner import Owner
from outstation.protocols.thingspeak import importing, wire
from outstation.protocols.thingspeak.importing import Row
from outstation.protocols.thingspeak.shapes import said
from outstation.store.database import Store
from outstation.store.entries import Entries

_AT_ONCE = 250


Cells = dict[Any, Any]


class _Feeds(msgspec.Struct):
    feeds: list[dict[str, msgspec.Raw]]


def bring_in(file: Path, data: Path, config: Path | None, channel: int, zone: dt.tzinfo | None) -> dict[str, Any]:
    """Bring a file in, through the running node or into the file of one that is stopped. Raises OutstationError.

    config: of a node that does not run.
    """
    try:
        known = ask(data, "GET", "/api/devices")["devices"]
    except NotRunningError:
        return asyncio.run(_into_file(file, data, config, channel, zone))
    name = next((one["name"] for one in known if one["channel"] == channel), None)
    if name is None:
        raise _unknown(channel)
    path = f"/api/devices/{segment(name)}/entries"
    count = 0
    for rows in _batches(file, zone):
        count += ask(data, "POST", path, msgspec.json.encode(rows))["entries"]
    return {"device": name, "entries": count}


async def _into_file(
    file: Path, data: Path, config: Path | None, channel: int, zone: dt.tzinfo | None
) -> dict[str, Any]:
    tables = offline.config_of(config).devices
    with Owner(data), Store(data, boot=offline.boot(), summarises=False) as store:
        board: Board | None = Boards(tables, store).by_channel(channel)
        if board is None:
            raise _unknown(channel)
        entries, count = Entries(store), 0
        for rows in _batches(file, zone):
            count += len(await importing.enter(entries, board, rows, lambda readings: readings))
        return {"device": board.name, "entries": count}


def _unknown(channel: int) -> OutstationError:
    cure = f"Let its board in first: outstation devices add NAME --channel {channel} --fields temperature"
    return OutstationError(f"No board has the channel {channel}.", cure=cure)


def _batches(file: Path, zone: dt.tzinfo | None) -> Iterator[list[Row]]:
    """Return the rows of an export, some at a time. Raises OutstationError that names the line."""
    opener: Callable[..., Any] = gzip.open if file.suffix == ".gz" else open
    try:
        with opener(file, "rt", encoding="utf-8-sig", newline="") as text:
            is_json = text.read(1) == "{"
            text.seek(0)
            found = _feeds(text) if is_json else _table(file, text)
            rows = (_row(file, line, cells, zone) for line, cells in found)
            while batch := list(islice(rows, _AT_ONCE)):
                yield batch
    except (OSError, EOFError, zlib.error, csv.Error, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise OutstationError(f"{file} cannot be read: {error}.") from error


def _table(file: Path, text: IO[str]) -> Iterator[tuple[str, Cells]]:
    table = csv.DictReader(text, strict=True)
    if missing := {"created_at", "entry_id"} - {*(table.fieldnames or ())}:
        cure = "The service exports a channel as feeds.csv; it is taken as it is."
        raise OutstationError(f"{file} has no column {min(missing)}.", cure=cure)
    for row in table:
        yield f"line {table.line_num}", {name: cell and said(cell) for name, cell in row.items() if name is not None}


def _feeds(text: IO[str]) -> Iterator[tuple[str, Cells]]:
    feeds = msgspec.json.decode(text.read(), type=_Feeds).feeds
    for place, entry in enumerate(feeds, 1):
        yield f"entry {place}", {name: wire.json_text(raw) for name, raw in entry.items()}


def _row(file: Path, line: str, cells: Cells, zone: dt.tzinfo | None) -> Row:
    created, number = cells.pop("created_at", "") or "", cells.pop("entry_id", "") or ""
    at = wire.moment(created, zone or dt.UTC)
    if at is None or not (number.isascii() and number.isdecimal()):
        what = f"a time, found {created[:80]!r}" if at is None else f"the number of an entry, found {number[:80]!r}"
        raise OutstationError(f"{file}, {line}: expected {what}.", cure="What stands before it is in.")
    columns = {name: cell for name, cell in cells.items() if name and cell}
    return Row(int(number), at, columns)
