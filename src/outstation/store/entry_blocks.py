"""Sealed entries of a channel: by columns, compressed, a thousand in a row of the file.

The law of this file: a channel is sealed in one transaction, so that each of its entries is in the log or in a block.
An entry that came late, or brings more of one that is sealed, goes into the block that has its time.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from operator import sub
from typing import Any

import apsw
import msgspec

from outstation import clock
from outstation.core.readings import Millis
from outstation.store import entry_log
from outstation.store.entry_log import Entry, Row, entry

MOST = 1_024
"""Entries in a block: unpacking takes a millisecond, and twice as many are hardly shorter."""

_SLICE_NS = 5_000_000
"""So long may one transaction seal: boards that send meanwhile wait for it."""

_MOST_SHARE = 10
"""As with readings: a clock that is wrong costs no more in a day. See core/retention.py."""

_PLACES = entry_log.FIELDS + 4

log = logging.getLogger(__name__)


Texts = list[list[str | None] | None]


class Columns(msgspec.Struct, array_like=True, gc=False):
    """Entries in the order of time; packed, times and numbers each as the difference to the one before.

    texts: by their place in `Entry.texts`; None where no entry has one.
    """

    times: list[int]
    numbers: list[int]
    texts: Texts

    def entries(self, channel: int) -> list[Entry]:
        """Return them one by one."""
        none = [None] * len(self.times)
        texts = zip(*(none if one is None else one for one in self.texts), strict=True)
        moments = zip(self.numbers, self.times, texts, strict=True)
        return [entry(channel, number, at, said) for number, at, said in moments]


class Block(msgspec.Struct, frozen=True, gc=False):
    """A block as it is found."""

    id: int
    end: Millis
    first: int
    last: int
    count: int
    body: bytes

    def columns(self) -> Columns:
        """Return what it holds; nothing, and a word in the log, where it is damaged."""
        try:
            found = _decode(entry_log.inflated(self.body))
        except msgspec.DecodeError as error:
            log.warning("Entries of a channel are damaged and left out: block %d: %s", self.id, error)
            return Columns([], [], [None] * _PLACES)
        return Columns(list(accumulate(found.times)), list(accumulate(found.numbers)), found.texts)

    def entries(self, channel: int) -> list[Entry]:
        """Return its entries in the order of time."""
        return self.columns().entries(channel)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Columns).decode


def of_span(connection: apsw.Connection, channel: int, start: Millis, end: Millis) -> Iterator[Block]:
    """Return the blocks with entries from `start` until before `end`, those that end last first."""
    return map(_block, connection.execute(_OF_SPAN, (channel, start, end)))


def of_number(connection: apsw.Connection, channel: int, number: int) -> Iterator[Block]:
    """Return the blocks that may have an entry."""
    return map(_block, connection.execute(_OF_NUMBER, (channel, number)))


def with_field(connection: apsw.Connection, channel: int, field: int) -> Iterator[Block]:
    """Return the blocks with texts of a field, the one with the highest number first."""
    return map(_block, connection.execute(_WITH_FIELD, (channel, 1 << field - 1)))


def seal(connection: apsw.Connection, found: Sequence[tuple[int, list[Row]]], upto: int) -> int:
    """Put channels' entries of the log, up to one of its rows, into blocks; return how many channels were done.

    In a transaction: as many as a slice of time allows, at least one.
    """
    begun = clock.monotonic_ns()
    for done, (channel, rows) in enumerate(found, 1):
        _seal(connection, channel, rows, upto)
        if clock.monotonic_ns() - begun > _SLICE_NS:
            return done
    return len(found)


def forget(connection: apsw.Connection, before: Millis, most: int) -> int:
    """Delete so many blocks at most that ended before a time, the oldest first; return how many. In a transaction."""
    connection.execute(_FORGET, (before, most))
    return connection.changes()


def age(connection: apsw.Connection, before: Millis, *, asked: bool) -> int:
    """Delete the blocks that are too old: a tenth of all at most, or one, unless a person says so. In a transaction."""
    count: int = connection.execute("SELECT count(*) FROM entry_blocks").get
    return forget(connection, before, count if asked else max(1, count // _MOST_SHARE))


def merged(channel: int, known: Iterable[Entry], rows: Iterable[Row]) -> list[Entry]:
    """Return entries in the order of time; a row whose number is known adds to that entry."""
    found = {one.number: one for one in known}
    for _, number, at, texts in rows:
        before = found[number].texts if number in found else (None,) * _PLACES
        found[number] = entry(channel, number, at, [texts.get(place, text) for place, text in enumerate(before)])
    return sorted(found.values(), key=lambda one: (one.at, one.number))


def _seal(connection: apsw.Connection, channel: int, rows: Sequence[Row], upto: int) -> None:
    late, new = _sorted(connection, channel, rows)
    for block, more in late.values():
        _replace(connection, channel, [block], _of_entries(merged(channel, block.entries(channel), more)))
    if new:
        before = _to_join(connection, channel, len(new), min(one[2] for one in new))
        known = [block.columns() for block in reversed(before)]
        _replace(connection, channel, before, _joined([*known, _of_rows(channel, new)]))
    connection.execute(_SEALED, (channel, max(row[1] for row in rows), upto))


def _sorted(
    connection: apsw.Connection, channel: int, rows: Iterable[Row]
) -> tuple[dict[int, tuple[Block, list[Row]]], list[Row]]:
    """Tell what belongs into a block that is there, by its id, from the rest."""
    late: dict[int, tuple[Block, list[Row]]] = {}
    new: list[Row] = []
    end = connection.execute("SELECT max(end) FROM entry_blocks WHERE channel = ?", (channel,)).get
    for row in rows:
        if end is None or row[2] > end:
            new.append(row)
            continue
        found = list(of_span(connection, channel, row[2], row[2] + 1))
        block = next((one for one in found if one.first <= row[1] <= one.last), found[0] if found else None)
        if block is None:
            new.append(row)
        else:
            late.setdefault(block.id, (block, []))[1].append(row)
    return late, new


def _to_join(connection: apsw.Connection, channel: int, count: int, start: Millis) -> list[Block]:
    """Return the channel's last blocks that are to be one with so many that come after them.

    None that is larger: so an entry is written anew as often as its block doubles, not each time that one is added.
    """
    found: list[Block] = []
    for block in map(_block, connection.execute(_LAST, (channel,))):
        if block.end >= start or block.count > count or block.count + count > MOST:
            break
        found.append(block)
        count += block.count
    return found


def _of_rows(channel: int, rows: Sequence[Row]) -> Columns:
    if len({row[1] for row in rows}) < len(rows):
        return _of_entries(merged(channel, (), rows))
    ordered = sorted(rows, key=lambda row: (row[2], row[1]))
    there = {place for row in ordered for place in row[3]}
    texts: Texts = [[row[3].get(place) for row in ordered] if place in there else None for place in range(_PLACES)]
    return Columns([row[2] for row in ordered], [row[1] for row in ordered], texts)


def _of_entries(entries: Sequence[Entry]) -> Columns:
    columns = (list(column) for column in zip(*(one.texts for one in entries), strict=True))
    texts = [column if any(text is not None for text in column) else None for column in columns]
    return Columns([one.at for one in entries], [one.number for one in entries], texts)


def _joined(parts: Sequence[Columns]) -> Columns:
    """Return columns that follow one another as one."""
    texts: Texts = [None] * _PLACES
    for place in range(_PLACES):
        if any(part.texts[place] is not None for part in parts):
            texts[place] = [text for part in parts for text in part.texts[place] or [None] * len(part.times)]
    return Columns([at for part in parts for at in part.times], [one for part in parts for one in part.numbers], texts)


def _replace(connection: apsw.Connection, channel: int, old: Sequence[Block], columns: Columns) -> None:
    for block in old:
        connection.execute("DELETE FROM entry_blocks WHERE id = ?", (block.id,))
    for start in range(0, len(columns.times), MOST):
        part = slice(start, start + MOST)
        texts: Texts = [one and one[part] for one in columns.texts]
        _insert(connection, channel, Columns(columns.times[part], columns.numbers[part], texts))


def _insert(connection: apsw.Connection, channel: int, columns: Columns) -> None:
    numbers, times = columns.numbers, columns.times
    bits = sum(1 << place for place, column in enumerate(columns.texts[: entry_log.FIELDS]) if column)
    body = zlib.compress(_encode(Columns(_steps(times), _steps(numbers), columns.texts)), 6)
    bounds = channel, times[0], times[-1], min(numbers), max(numbers)
    connection.execute(_INSERT, (*bounds, len(times), bits, body))


def _steps(numbers: Sequence[int]) -> list[int]:
    return [numbers[0], *map(sub, numbers[1:], numbers)]


def _block(row: Any) -> Block:
    return Block(*row)


_OF_SPAN = """
SELECT id, end, first, last, count, body FROM entry_blocks
WHERE channel = ? AND end >= ? AND start < ? ORDER BY end DESC
"""

_OF_NUMBER = "SELECT id, end, first, last, count, body FROM entry_blocks WHERE channel = ? AND ? BETWEEN first AND last"

_WITH_FIELD = """
SELECT id, end, first, last, count, body FROM entry_blocks WHERE channel = ? AND texts & ? ORDER BY last DESC
"""

_LAST = "SELECT id, end, first, last, count, body FROM entry_blocks WHERE channel = ? ORDER BY end DESC"

_INSERT = """
INSERT INTO entry_blocks (channel, start, end, first, last, count, texts, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""

_SEALED = """
INSERT INTO channels (id, last_entry_id, sealed) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET last_entry_id = max(last_entry_id, excluded.last_entry_id), sealed = excluded.sealed
"""

_FORGET = """
DELETE FROM entry_blocks WHERE id IN (SELECT id FROM entry_blocks WHERE end < ? ORDER BY end LIMIT ?)
"""
