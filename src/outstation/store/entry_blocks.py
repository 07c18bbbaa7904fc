"""Sealed entries of a channel: by columns, compressed, a thousand in a row of the file.

The law of this file: a channel is sealed in one transaction, so that each of its entries is in the log or in a block.
An entry that came late, or brings more of one that is sealed, goes into the block that has its time. A block has
entries whose times stand, or those of one boot that move when its clock is set: so its times begin with its `start`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, takewhile
from operator import sub
from typing import Any

import apsw
import msgspec

from outstation import clock
from outstation.clock import Trust
from outstation.core.readings import Millis
from outstation.store import boots, entry_log, left_out
from outstation.store.entry_log import Entry, Row, entry

MOST = 1_024
"""Entries in a block: unpacking takes a millisecond, and twice as many are hardly shorter."""

_ALIKE = 3
"""Blocks at the end of a channel that are about as large: so many become one with the entries that come after them."""

_SLICE_NS = 5_000_000
"""So long may one transaction seal: boards that send meanwhile wait for it."""

_MOST_SHARE = 10
"""As with readings: a clock that is wrong costs no more in a day. See core/retention.py."""

_PLACES = entry_log.FIELDS + 4

TABLE = "entry_blocks"

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
    """A block as it is found. boot: whose clock was not set when it gave the times; 0: they stand."""

    id: int
    boot: int
    start: Millis
    end: Millis
    first: int
    last: int
    count: int
    body: bytes

    def columns(self, connection: apsw.Connection) -> Columns:
        """Return what it holds; nothing, and it is noted, where it is damaged."""
        try:
            found = unpack(self.body)
        except msgspec.DecodeError as error:
            left_out.note(connection, TABLE, self.id, error)
            return Columns([], [], [None] * _PLACES)
        times = accumulate([self.start, *found.times[1:]])
        return Columns(list(times), list(accumulate(found.numbers)), found.texts)

    def entries(self, connection: apsw.Connection, channel: int) -> list[Entry]:
        """Return its entries in the order of time."""
        return self.columns(connection).entries(channel)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Columns).decode


def unpack(body: bytes) -> Columns:
    """Return the columns of a body as they are packed. Raises msgspec.DecodeError."""
    try:
        found = _decode(entry_log.inflated(body))
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from error
    if not {len(found.times)} == {len(found.numbers), *(len(one) for one in found.texts if one is not None)}:
        raise msgspec.DecodeError("its columns differ in length")
    return found


def of_span(connection: apsw.Connection, channel: int, start: Millis, end: Millis) -> Iterator[Block]:
    """Return the blocks with entries from `start` until before `end`, those that end last first."""
    return map(_block, connection.execute(_OF_SPAN, (channel, start, end)))


def of_number(connection: apsw.Connection, channel: int, number: int) -> Iterator[Block]:
    """Return the blocks that may have an entry."""
    return map(_block, connection.execute(_OF_NUMBER, (channel, number)))


def with_field(connection: apsw.Connection, channel: int, field: int) -> Iterator[Block]:
    """Return the blocks with texts of a field, the one with the highest number first."""
    return map(_block, connection.execute(_WITH_FIELD, (channel, 1 << field - 1)))


def stamped(connection: apsw.Connection) -> tuple[int, Millis] | None:
    """Return what tells whether entries were moved: the boot that is in force, and UTC minus its time."""
    known = boots.newest(connection)
    return None if known is None else (known.id, known.offset)


def stamped_anew(connection: apsw.Connection, boot: int, by: Millis) -> None:
    """Move the entries of a boot whose clock was set just now. In a transaction."""
    entry_log.stamped_anew(connection, boot, by)
    connection.execute(_STAMPED_ANEW, (by, by, boot))


def seal(
    connection: apsw.Connection, found: Sequence[tuple[int, list[Row]]], upto: int, at: tuple[int, Millis] | None
) -> int:
    """Put channels' entries of the log, up to one of its rows, into blocks; return how many channels were done.

    In a transaction: as many as a slice of time allows, at least one. None, when the clock was set since `at`.
    """
    if stamped(connection) != at:
        return 0
    begun = clock.monotonic_ns()
    for done, (channel, rows) in enumerate(found, 1):
        _seal(connection, channel, rows, upto)
        if clock.monotonic_ns() - begun > _SLICE_NS:
            return done
    return len(found)


def forget(connection: apsw.Connection, before: Millis, most: int) -> int:
    """Delete so many blocks at most that ended before a time, the oldest first; return how many. In a transaction."""
    connection.execute(_FORGET.format(""), (before, most))
    return connection.changes()


def age(connection: apsw.Connection, before: Millis, *, asked: bool) -> int:
    """Delete the blocks that are too old: a tenth of all at most, or one, unless a person says so. In a transaction.

    Of those whose clock was never set nobody knows how old they are.
    """
    count: int = connection.execute("SELECT count(*) FROM entry_blocks").get
    connection.execute(_FORGET.format(_KNOWN), (before, count if asked else max(1, count // _MOST_SHARE)))
    return connection.changes()


def merged(channel: int, known: Iterable[Entry], rows: Iterable[Row]) -> list[Entry]:
    """Return entries in the order of time; a row whose number is known adds to that entry."""
    found = {one.number: one for one in known}
    for _, number, at, texts, _ in rows:
        before = found[number].texts if number in found else (None,) * _PLACES
        found[number] = entry(channel, number, at, [texts.get(place, text) for place, text in enumerate(before)])
    return sorted(found.values(), key=lambda one: (one.at, one.number))


def _seal(connection: apsw.Connection, channel: int, rows: Sequence[Row], upto: int) -> None:
    for boot in {row[4] for row in rows}:
        _seal_alike(connection, channel, boot, [row for row in rows if row[4] == boot])
    connection.execute(_SEALED, (channel, max(row[1] for row in rows), upto))


def _seal_alike(connection: apsw.Connection, channel: int, boot: int, rows: Sequence[Row]) -> None:
    """Seal rows whose times all stand, or are all of one boot."""
    late, new = _sorted(connection, channel, boot, rows)
    for block, more in late.values():
        whole = _of_entries(merged(channel, block.entries(connection, channel), more))
        _replace(connection, channel, boot, [block], whole)
    if new:
        before = _to_join(connection, channel, boot, len(new), min(one[2] for one in new))
        known = [block.columns(connection) for block in reversed(before)]
        _replace(connection, channel, boot, before, _joined([*known, _of_rows(channel, new)]))


def _sorted(
    connection: apsw.Connection, channel: int, boot: int, rows: Sequence[Row]
) -> tuple[dict[int, tuple[Block, list[Row]]], Sequence[Row]]:
    """Tell what belongs into a block that is there, by its id, from the rest."""
    ends = "SELECT max(end) FROM entry_blocks WHERE channel = ? AND boot = ?"
    end = connection.execute(ends, (channel, boot)).get
    if end is None or end < min(row[2] for row in rows):
        return {}, rows
    late: dict[int, tuple[Block, list[Row]]] = {}
    new: list[Row] = []
    numbers: dict[int, frozenset[int]] = {}
    for row in rows:
        found = [one for one in of_span(connection, channel, row[2], row[2] + 1) if one.boot == boot]
        if found:
            block = _that_has(connection, found, row[1], numbers)
            late.setdefault(block.id, (block, []))[1].append(row)
        else:
            new.append(row)
    return late, new


def _that_has(
    connection: apsw.Connection, blocks: Sequence[Block], number: int, numbers: dict[int, frozenset[int]]
) -> Block:
    """Return which of blocks that overlap has an entry; where none has, the first. numbers: of those looked into."""
    likely = [one for one in blocks if one.first <= number <= one.last]
    if len(likely) < 2:
        return (likely or blocks)[0]
    for one in likely:
        if one.id not in numbers:
            numbers[one.id] = frozenset(one.columns(connection).numbers)
    return next((one for one in likely if number in numbers[one.id]), likely[0])


def _to_join(connection: apsw.Connection, channel: int, boot: int, count: int, start: Millis) -> list[Block]:
    """Return the channel's last blocks that are to be one with so many entries that come after them, the last first.

    Three that are not much larger at least: so an entry is written anew when its block grows fourfold, not each time
    that one is added.
    """
    last, joined = list(_last(connection, channel, boot, start)), 0
    while len(alike := _not_larger(last[joined:], count)) >= _ALIKE:
        joined += len(alike)
        count += sum(one[1] for one in alike)
    return [_block(connection.execute(f"{_BLOCKS} WHERE id = ?", one[:1]).fetchone()) for one in last[:joined]]


def _last(connection: apsw.Connection, channel: int, boot: int, start: Millis) -> Iterator[tuple[int, int]]:
    """Yield id and count of the channel's last blocks that are not full, as long as each ends before the next."""
    for number, count, begun, end in connection.execute(_LAST, (channel, boot)):
        if end >= start or count >= MOST:
            return
        yield number, count
        start = begun


def _not_larger(last: Iterable[tuple[int, int]], count: int) -> list[tuple[int, int]]:
    """Return those before the first that has many more entries: sizes go in steps of four times."""
    size = count.bit_length() // 2
    return list(takewhile(lambda one: one[1].bit_length() // 2 <= size, last))


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


def _replace(connection: apsw.Connection, channel: int, boot: int, old: Sequence[Block], columns: Columns) -> None:
    for block in old:
        if not left_out.is_noted(connection, TABLE, block.id):  # what is damaged stays, to be looked at
            connection.execute("DELETE FROM entry_blocks WHERE id = ?", (block.id,))
    for start in range(0, len(columns.times), MOST):
        part = slice(start, start + MOST)
        texts: Texts = [one and one[part] for one in columns.texts]
        _insert(connection, channel, boot, Columns(columns.times[part], columns.numbers[part], texts))


def _insert(connection: apsw.Connection, channel: int, boot: int, columns: Columns) -> None:
    numbers, times = columns.numbers, columns.times
    bits = sum(1 << place for place, column in enumerate(columns.texts[: entry_log.FIELDS]) if column)
    body = zlib.compress(_encode(Columns(_steps(times), _steps(numbers), columns.texts)), 6)
    bounds = channel, times[0], times[-1], min(numbers), max(numbers)
    connection.execute(_INSERT, (*bounds, len(times), bits, body, boot))


def _steps(numbers: Sequence[int]) -> list[int]:
    return [numbers[0], *map(sub, numbers[1:], numbers)]


def _block(row: Any) -> Block:
    return Block(*row)


_BLOCKS = "SELECT id, boot, start, end, first, last, count, body FROM entry_blocks"

_OF_SPAN = f"""
{_BLOCKS}
WHERE channel = ? AND end >= ? AND start < ? ORDER BY end DESC
"""

_OF_NUMBER = f"{_BLOCKS} WHERE channel = ?1 AND last >= ?2 AND first <= ?2"

_WITH_FIELD = f"{_BLOCKS} WHERE channel = ? AND texts & ? ORDER BY last DESC"

_LAST = "SELECT id, count, start, end FROM entry_blocks WHERE channel = ? AND boot = ? ORDER BY end DESC LIMIT 32"

_INSERT = """
INSERT INTO entry_blocks (channel, start, end, first, last, count, texts, body, boot)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_SEALED = """
INSERT INTO channels (id, last_entry_id, sealed) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET last_entry_id = max(last_entry_id, excluded.last_entry_id), sealed = excluded.sealed
"""

_STAMPED_ANEW = "UPDATE entry_blocks SET start = start + ?, end = end + ? WHERE boot = ? AND boot > 0"

_FORGET = """
DELETE FROM entry_blocks WHERE id IN (SELECT id FROM entry_blocks WHERE end < ? {} ORDER BY end LIMIT ?)
"""

SINCE = """
SELECT sum(length(body) + ?), min(start), max(end) FROM entry_blocks WHERE end >= ? GROUP BY +channel
"""
"""Bytes with those of a row of the file, and the span, of each channel's blocks that end after a time."""

_KNOWN = f"AND (boot = 0 OR boot IN (SELECT id FROM boots WHERE trust = {Trust.SYNCHRONISED:d}))"  # noqa: S608  a number
