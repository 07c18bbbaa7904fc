"""How entries are written for clients of ThingSpeak: JSON, CSV, and plain text.

Pure. Source of the shapes: traffic of the service, recorded in the tests of mchwalisz/thingspeak. JSON is compact and
every value in it a string or null: the Arduino library looks for `"field1":"` and for nothing else. In CSV a text that
a spreadsheet would run has an apostrophe before it, as in store/cells.py; a number never has.
"""

from __future__ import annotations

import csv
import datetime
import io
import re
from collections.abc import Callable, Iterable, Sequence

import msgspec

from outstation.core.readings import Millis
from outstation.http import TEXT, Response
from outstation.protocols.thingspeak import wire
from outstation.protocols.thingspeak.query import Asked, Form, Query
from outstation.protocols.thingspeak.refusals import JSON_UTF8
from outstation.store.boards import Board
from outstation.store.entries import Entry

CSV = b"text/csv; charset=utf-8"
NONE = b"-1"
"""What is said where there is nothing, or nothing for this client."""

PLACE = ("latitude", "longitude", "elevation")

Cell = str | int | None
Row = Sequence[Cell]

_encode = msgspec.json.Encoder().encode

_RUN = re.compile(r"'*[=+\-@\t\r]")
"""How a text begins that a spreadsheet would run (OWASP, "CSV Injection"), or that was written so that none does."""


def fields_of(board: Board, asked: Asked) -> tuple[int, ...]:
    """Return the fields that are shown: the one that is asked for, or those that have a name."""
    return (asked.field,) if asked.field else tuple(range(1, len(board.fields) + 1))


def columns(asked: Asked, query: Query, fields: Iterable[int]) -> tuple[str, ...]:
    """Return the names of what is shown of an entry, in order."""
    number = () if query.group or asked.grouped else ("entry_id",)
    if asked.what == "status":
        return ("created_at", *number, "status")
    place = PLACE if query.location else ()
    status = ("status",) if query.status else ()
    return ("created_at", *number, *(f"field{field}" for field in fields), *place, *status)


def rows(entries: Sequence[Entry], names: Iterable[str], form: Form | None, zone: datetime.tzinfo) -> list[Row]:
    """Return what is shown of entries, by column."""
    write = _written_for_csv if form == "csv" else wire.created
    columns = (_column(entries, name, lambda at: write(at, zone)) for name in names)
    return list(zip(*(map(_cell, column) for column in columns) if form == "csv" else columns, strict=True))


def channel(board: Board, asked: Asked, *, last: int, made_at: Millis, metadata: bool = False) -> dict[str, Cell]:
    """Return what is said of a channel. last: the number of its last entry; made_at: when its settings were made."""
    if asked.what == "status":
        return {"name": board.name, "latitude": "0.0", "longitude": "0.0"}
    labels = {f"field{number}": name for number, name in enumerate(board.fields, 1) if asked.field in (0, number)}
    at = wire.created(made_at, datetime.UTC)
    return {
        "id": board.channel,
        "name": board.name,
        **({"metadata": None} if metadata else {}),
        "latitude": "0.0",
        "longitude": "0.0",
        **labels,
        "created_at": at,
        "updated_at": at,
        "last_entry_id": last or None,
    }


def many(about: dict[str, Cell], names: Sequence[str], found: Iterable[Row], form: Form | None) -> Response:
    """Answer with a channel and its entries."""
    if form == "csv":
        return Response(lines([names, *found]), content_type=CSV)
    feeds = [dict(zip(names, row, strict=True)) for row in found]
    return Response(_encode({"channel": about, "feeds": feeds}), content_type=JSON_UTF8)


def single(names: Sequence[str], row: Row, asked: Asked, query: Query) -> Response:
    """Answer with one entry; as text, with the value alone where one is asked for."""
    if asked.form == "csv":
        return Response(lines([names, row]), content_type=CSV)
    if asked.form == "json" or (asked.form is None and asked.what == "status"):
        return Response(_encode(dict(zip(names, row, strict=True))), content_type=JSON_UTF8)
    if asked.what == "feeds":
        return Response(_encode(dict(zip(names, row, strict=True))), content_type=TEXT)
    alone = row[names.index("status" if asked.what == "status" else f"field{asked.field}")]
    return text(alone, query)


def text(value: Cell, query: Query) -> Response:
    """Answer with a bare value, between what the client wants before and after it."""
    bare = "" if value is None else value
    return Response(f"{query.prepend}{bare}{query.append}".encode(), content_type=TEXT)


def age(milliseconds: Millis, asked: Asked, query: Query) -> Response:
    """Answer with how old the last entry is, in whole seconds."""
    seconds = str(max(milliseconds, 0) // 1000)
    names = ("last_data_age", "last_data_age_units")
    if asked.form == "csv":
        return Response(lines([names, (seconds, "s")]), content_type=CSV)
    if asked.form == "json":
        return Response(_encode(dict(zip(names, (seconds, "s"), strict=True))), content_type=JSON_UTF8)
    return text(seconds, query)


def nothing(asked: Asked) -> Response:
    """Answer a client that wants one entry that it cannot have, or that there is not."""
    if asked.form == "json":
        return Response(b'"-1"', content_type=JSON_UTF8)
    return Response(NONE, content_type=CSV if asked.form == "csv" else TEXT)


def document(about: dict[str, Cell]) -> Response:
    """Answer with a channel alone."""
    return Response(_encode(about), content_type=JSON_UTF8)


def lines(found: Iterable[Row]) -> bytes:
    """Return rows as CSV (RFC 4180, but for the ends of its lines)."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(found)
    return written.getvalue().encode()


def said(cell: str) -> str:
    """Return the text that a cell of CSV stands for."""
    return cell[1:] if cell.startswith("'") and _RUN.match(cell) else cell


def _cell(value: Cell) -> Cell:
    if isinstance(value, str) and _RUN.match(value) and isinstance(wire.value(value), str):
        return "'" + value
    return value


def _column(entries: Sequence[Entry], name: str, stamp: Callable[[Millis], str]) -> list[Cell]:
    if name.startswith("field"):
        place = int(name[5]) - 1
        return [entry.fields[place] for entry in entries]
    if name == "created_at":
        return [stamp(entry.at) for entry in entries]
    return [getattr(entry, "number" if name == "entry_id" else name) for entry in entries]


def _written_for_csv(at: Millis, zone: datetime.tzinfo) -> str:
    when = datetime.datetime.fromtimestamp(at // 1000, zone)
    return when.strftime("%Y-%m-%d %H:%M:%S UTC" if str(zone) == "UTC" else "%Y-%m-%d %H:%M:%S %z")
