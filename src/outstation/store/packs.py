"""Summaries that are settled, as they lie in the file: many of a sensor and tier in one row of `packs`.

The law of this file: a row of `summaries` counts more than what a pack says of the same window, and the newest summary
of a sensor and tier is always such a row: who asks for that need not look into packs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain, repeat
from operator import itemgetter
from typing import Any

import apsw
import msgspec

from outstation.core.readings import Millis
from outstation.core.summaries import Stored, decode, encode, read, summary
from outstation.core.windows import DAY, WIDTHS, Tier, Window
from outstation.store import left_out
from outstation.store.sealing import summing

SPANS = {Tier.FIVE_MINUTES: DAY, Tier.HOUR: 16 * DAY}
"""What the windows of one pack begin in, from a multiple of it on: 288 and 384 of them, 1 to 8 kB. Days stay rows: they
are few, and those of a sensor lie beside one another."""


class Change(msgspec.Struct, frozen=True):
    """Rows that go into a pack. start: of the span. old: the pack's number and body before; None: there is none.

    rows: start and number of each. first, last: where the first and the last window of all begin. number: the highest.
    """

    sensor: int
    tier: Tier
    start: Millis
    old: tuple[int, bytes] | None
    rows: list[tuple[Millis, int]]
    first: Millis
    last: Millis
    number: int
    body: bytes


def stored(connection: apsw.Connection, sensor: int, tier: Tier, start: Millis, end: Millis) -> Iterator[Stored]:
    """Return the summaries of a sensor whose windows begin from `start` until before `end`, in order.

    Raises msgspec.DecodeError, StoreError.
    """
    rows = ((at, width, read(body)) for at, width, body in connection.execute(_ROWS, (sensor, tier, start, end)))
    if tier not in SPANS:
        return rows
    found = connection.execute(_BETWEEN, (sensor, tier, start - SPANS[tier], end, start))
    packs = (_inside(_kept_row(connection, row, WIDTHS[tier]), WIDTHS[tier], start, end) for row in found)
    return chain.from_iterable(_both(packs, rows))


def one(connection: apsw.Connection, sensor: int, window: Window) -> bytes | None:
    """Return what a pack says of a window, as a row would have it. Raises msgspec.DecodeError."""
    start, tier = window.start, window.tier
    if tier not in SPANS:
        return None
    row: Any = connection.execute(_BETWEEN, (sensor, tier, start - SPANS[tier], start + 1, start)).fetchone()
    if row is None:
        return None
    pack = _kept_row(connection, row, window.width)
    place = bisect_left(pack.starts, start)
    return encode(summary(window, pack.rows[place])) if start in pack.starts[place : place + 1] else None


def first(connection: apsw.Connection, sensor: int, tier: Tier, after: int = -1) -> Millis | None:
    """Return the first window with a number higher than this one. Raises msgspec.DecodeError."""
    row: Any = connection.execute(_NUMBERED, (sensor, tier, after)).fetchone()
    if row is None or after < 0:
        return None if row is None else int(row[0])
    pack = _unpacked(connection, row[1:], WIDTHS[tier])
    return next((at for at, number in zip(pack.starts, pack.numbers, strict=True) if number > after), int(row[0]))


def numbered(connection: apsw.Connection, sensor: int, tier: Tier, above: int) -> Iterator[tuple[Millis, int]]:
    """Return where the windows begin whose numbers are above this one, and the numbers. Raises msgspec.DecodeError."""
    rows: Any = connection.execute(_ALL_NUMBERED, (sensor, tier, above)).fetchall()
    for row in rows:
        pack = _unpacked(connection, row, WIDTHS[tier])
        yield from ((at, number) for at, number in zip(pack.starts, pack.numbers, strict=True) if number > above)


def whole(connection: apsw.Connection, number: int, tier: Tier) -> list[Stored]:
    """Return what is in a pack, by its id. Raises msgspec.DecodeError."""
    row: Any = connection.execute("SELECT id, body FROM packs WHERE id = ?", (number,)).fetchone()
    pack = _unpacked(connection, row, WIDTHS[tier])
    return list(zip(pack.starts, repeat(WIDTHS[tier]), pack.rows, strict=False))


def change(connection: apsw.Connection, sensor: int, tier: Tier, start: Millis) -> Change:
    """Return what becomes of a span with rows: it reads and packs, and writes nothing.

    Raises msgspec.DecodeError, StoreError.
    """
    old = _pack_at(connection, sensor, tier, start)
    rows: list[Any] = connection.execute(_NUMBERED_ROWS, (sensor, tier, start, start + SPANS[tier])).fetchall()
    pack = _unpacked(connection, old, WIDTHS[tier]) if old else _NONE
    old = old if pack.starts else None  # a damaged one stays where it is, and the swap is refused until it is moved
    all_ = {
        at: (number, summary(Window(at, WIDTHS[tier]), row))
        for at, number, row in zip(pack.starts, pack.numbers, pack.rows, strict=True)
    }
    all_ |= {at: (number, decode(Window(at, width), body)) for at, width, number, body in rows}
    packed = [all_[at] for at in sorted(all_)]
    numbers = [number for number, _ in packed]
    body = summing.pack([each for _, each in packed], numbers)
    now = [(at, number) for at, _, number, _ in rows]
    return Change(sensor, tier, start, old, now, min(all_), max(all_), max(numbers), body)


def swap(connection: apsw.Connection, change_: Change) -> bool:
    """Have a pack in place of the rows, if nothing was changed since it was packed; tell whether. In a transaction."""
    sensor, tier, start = change_.sensor, change_.tier, change_.start
    span = sensor, tier, start, start + SPANS[tier]
    if (
        connection.execute(_NUMBERS, span).fetchall() != change_.rows
        or _pack_at(connection, sensor, tier, start) != change_.old
    ):
        return False
    connection.execute("DELETE FROM summaries WHERE sensor = ? AND tier = ? AND start >= ? AND start < ?", span)
    if change_.old:
        connection.execute("DELETE FROM packs WHERE id = ?", (change_.old[0],))
    connection.execute(
        "INSERT INTO packs (sensor, tier, start, last, number, body) VALUES (?, ?, ?, ?, ?, ?)",
        (sensor, tier, change_.first, change_.last, change_.number, change_.body),
    )
    return True


def forget(connection: apsw.Connection, sensor: int, tier: Tier, before: Millis) -> bool:
    """Delete what begins before this; tell whether there was any. What else is in the same pack becomes rows again.

    In a transaction. Raises msgspec.DecodeError.
    """
    if tier not in SPANS:
        return False
    connection.execute(
        "DELETE FROM packs WHERE sensor = ? AND tier = ? AND start < ? AND last < ?", (sensor, tier, before, before)
    )
    is_any = bool(connection.changes())
    width = WIDTHS[tier]
    halves: list[Any] = connection.execute(_HALF, (sensor, tier, before)).fetchall()
    for number, body in halves:
        pack = _unpacked(connection, (number, body), width)
        if not pack.starts:
            continue
        rows = [
            (sensor, tier, at, width, its, encode(summary(Window(at, width), row)))
            for at, its, row in zip(pack.starts, pack.numbers, pack.rows, strict=True)
            if at >= before
        ]
        connection.executemany(_AGAIN, rows)
        connection.execute("DELETE FROM packs WHERE id = ?", (number,))
        is_any = True
    return is_any


def _both(packs: Iterator[list[Stored]], rows: Iterator[Stored]) -> Iterator[Iterable[Stored]]:
    """Return what is in packs, which are in order, and in rows: these count more."""
    row = next(rows, None)
    for pack in packs:
        inside: dict[Millis, Stored] = {}
        while row and pack and row[0] <= pack[-1][0]:
            inside[row[0]] = row
            row = next(rows, None)
        yield sorted(({each[0]: each for each in pack} | inside).values(), key=itemgetter(0)) if inside else pack
    if row:
        yield chain((row,), rows)


def _kept_row(connection: apsw.Connection, row: tuple[int, bytes], width: Millis) -> summing.Pack:
    """Return what is in a pack; nothing if it is damaged: see left_out.py."""
    try:
        return _kept(row[1], width)
    except msgspec.DecodeError as error:
        left_out.note(connection, "packs", row[0], error)
        return _NONE


def _unpacked(connection: apsw.Connection, row: tuple[int, bytes], width: Millis) -> summing.Pack:
    """Return the same, of one that is looked into once."""
    try:
        return summing.unpack(row[1], width)
    except msgspec.DecodeError as error:
        left_out.note(connection, "packs", row[0], error)
        return _NONE


def _inside(pack: summing.Pack, width: Millis, start: Millis, end: Millis) -> list[Stored]:
    some = slice(bisect_left(pack.starts, start), bisect_left(pack.starts, end))
    return list(zip(pack.starts[some], repeat(width), pack.rows[some], strict=False))


def _pack_at(connection: apsw.Connection, sensor: int, tier: Tier, start: Millis) -> tuple[int, bytes] | None:
    span = sensor, tier, start, start + SPANS[tier]
    row: tuple[int, bytes] | None = connection.execute(_PACK_AT, span).fetchone()
    return row


_NONE = summing.Pack((), (), ())

_kept = lru_cache(maxsize=4)(summing.unpack)
"""Those looked into last: windows that are made anew, and their parts, are often neighbours. Some 800 kB."""

_ROWS = (
    "SELECT start, width, body FROM summaries WHERE sensor = ? AND tier = ? AND start >= ? AND start < ? ORDER BY start"
)
_NUMBERED_ROWS = _ROWS.replace("width, body", "width, number, body")
_NUMBERS = _ROWS.replace("width, body", "number")

_OF = "FROM packs WHERE sensor = ? AND tier = ? AND"
_BETWEEN = f"SELECT id, body {_OF} start > ? AND start < ? AND last >= ? ORDER BY start"
_PACK_AT = f"SELECT id, body {_OF} start >= ? AND start < ?"
_NUMBERED = f"SELECT start, id, body {_OF} number > ? ORDER BY start LIMIT 1"
_ALL_NUMBERED = f"SELECT id, body {_OF} number > ? ORDER BY start"
_HALF = f"SELECT id, body {_OF} start < ?"

_AGAIN = "INSERT OR IGNORE INTO summaries (sensor, tier, start, width, number, body) VALUES (?, ?, ?, ?, ?, ?)"
