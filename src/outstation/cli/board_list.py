"""Reads the boards of a class from a CSV file: name, fields, mac, and whatever else a board may have."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from outstation.errors import OutstationError

_TEXTS = ("name", "write_key", "read_key", "key", "mac", "expected_when", "group")
_FLAGS = ("public", "expected")
_COLUMNS = (*_TEXTS, *_FLAGS, "fields", "units", "channel")
_YES, _NO = ("yes", "true", "on", "1"), ("no", "false", "off", "0")


def boards_in(file: Path, fields: str | None = None) -> list[dict[str, Any]]:
    """Return the boards as POST /api/devices takes them. fields: of those without. Raises OutstationError."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            text = opened.read()
    except (OSError, UnicodeDecodeError) as error:
        raise OutstationError(f"{file} cannot be read: {error}.") from error
    lines = text.splitlines()
    rows = csv.DictReader(lines, delimiter=";" if lines and lines[0].count(";") > lines[0].count(",") else ",")
    unknown = [name for name in rows.fieldnames or () if name.strip().lower() not in _COLUMNS]
    if unknown or "name" not in [name.strip().lower() for name in rows.fieldnames or ()]:
        found = f'found "{unknown[0]}"' if unknown else "there is no name"
        raise OutstationError(f"{file}: line 1: {found}.", cure=f"Columns: {', '.join(_COLUMNS)}.")
    boards = []
    for row in rows:
        try:
            boards.append(_board(row, fields))
        except ValueError as error:
            raise OutstationError(f"{file}: line {rows.line_num}: {error}.", cure="No board was let in.") from error
    if not boards:
        raise OutstationError(f"{file} has no boards.", cure="Its first line names the columns, each other is a board.")
    return boards


def _board(row: dict[str | Any, str | Any], fields: str | None) -> dict[str, Any]:
    """Return one row as a body. Raises ValueError."""
    if None in row:
        raise ValueError("it has more cells than there are columns; several fields stand with spaces between them")
    cells = {name.strip().lower(): (cell or "").strip() for name, cell in row.items()}
    named = (cells.get("fields") or fields or "").replace(",", " ").replace(";", " ").split()
    if not named:
        raise ValueError("it names no fields; for all boards the same: --fields temperature,humidity")
    board: dict[str, Any] = {key: cells[key] for key in _TEXTS if cells.get(key)}
    board |= {key: _flag(key, cells[key]) for key in _FLAGS if cells.get(key)}
    if channel := cells.get("channel"):
        if not (channel.isascii() and channel.isdecimal()):
            raise ValueError(f"expected the number of a channel, found {channel!r}")
        board["channel"] = int(channel)
    if units := cells.get("units"):
        # With commas between them one may be left out, as in "°C,,%": the others stay with their fields.
        board["units"] = [unit.strip() for unit in units.split(",")] if "," in units else units.split()
    return board | {"name": board.get("name", ""), "fields": named}


def _flag(key: str, word: str) -> bool:
    if word.lower() not in (*_YES, *_NO):
        raise ValueError(f"{key}: expected yes or no, found {word!r}")
    return word.lower() in _YES
