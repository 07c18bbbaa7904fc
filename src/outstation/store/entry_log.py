"""One entry of a ThingSpeak channel, and the log of fresh ones: append only, one packed row a commit.

The law of this file: what is in the log and not sealed is some ten thousand entries at most, so all of it may be read.
A row of the file has entries whose times stand, or those of one boot that move when its clock is set.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apsw
import msgspec

from outstation.core.readings import Millis
from outstation.store import left_out

TABLE = "entry_log"

FIELDS = 8

Texts = tuple[str | None, ...]
"""Of all eight fields, as they were sent; None: that one was not."""

_SHORT = 256
"""Bytes: so many and less share a page of the file with others as they are."""

_DEFLATED = b"\x78"
"""The first byte of a zlib stream; no array of MessagePack begins so."""

_LONGEST = 64 << 20


class Entry(msgspec.Struct, frozen=True, gc=False, array_like=True, omit_defaults=True):
    """One entry. number: 0: the next one. sender_stamped: the board gave its time; not kept.

    offset: UTC minus boot time when this node gave it its time; None: nobody knows; not kept.
    """

    channel: int
    at: Millis
    fields: Texts
    status: str | None = None
    latitude: str | None = None
    longitude: str | None = None
    elevation: str | None = None
    number: int = 0
    sender_stamped: bool = False
    offset: Millis | None = None

    @property
    def texts(self) -> Texts:
        """All that it says: fields, status, latitude, longitude, elevation."""
        return (*self.fields, self.status, self.latitude, self.longitude, self.elevation)


Row = tuple[int, int, Millis, dict[int, str], int]
"""Channel, number, UTC, the texts that there are by their place in `Entry.texts`, and the boot whose clock was not set
when it gave that time; 0: the time stands."""

_Packed = tuple[int, int, Millis, dict[int, str]]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[_Packed]).decode


def entry(channel: int, number: int, at: Millis, texts: Sequence[str | None]) -> Entry:
    """Return an entry as it is shown."""
    status, latitude, longitude, elevation = texts[FIELDS:]
    return Entry(channel, at, tuple(texts[:FIELDS]), status, latitude, longitude, elevation, number)


def row(one: Entry, number: int, at: Millis, boot: int) -> Row:
    """Return an entry as it is kept in the log."""
    said = {place: text for place, text in enumerate(one.fields) if text is not None}
    if one.status or one.latitude or one.longitude or one.elevation:
        said = {place: text for place, text in enumerate(one.texts) if text is not None}
    return one.channel, number, at, said, boot


def put(connection: apsw.Connection, after: int, rows: Sequence[Row]) -> int:
    """Write entries behind a row of the log; return the last row. In a transaction."""
    for boot in sorted({one[4] for one in rows}):
        after += 1
        alike = [one[:4] for one in rows if one[4] == boot]
        connection.execute("INSERT INTO entry_log (id, body, boot) VALUES (?, ?, ?)", (after, pack(alike), boot))
    return after


def stamped_anew(connection: apsw.Connection, boot: int, by: Millis) -> None:
    """Move the entries of a boot whose clock was set just now. In a transaction."""
    rows: Any = connection.execute("SELECT id, body FROM entry_log WHERE boot = ? AND boot > 0", (boot,)).fetchall()
    for number, body in rows:
        with contextlib.suppress(msgspec.DecodeError):  # whoever reads it notes it
            moved = pack([(channel, one, at + by, texts) for channel, one, at, texts in unpack(body)])
            connection.execute("UPDATE entry_log SET body = ? WHERE id = ?", (moved, number))


def pack(rows: Sequence[_Packed]) -> bytes:
    """Return the body of a row of the log."""
    body = _encode(rows)
    return body if len(body) <= _SHORT else min(zlib.compress(body, 1), body, key=len)


def unpack(body: bytes) -> list[_Packed]:
    """Return the entries of a row of the log. Raises msgspec.DecodeError."""
    try:
        return _decode(inflated(body) if body[:1] == _DEFLATED else body)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from error


def inflated(body: bytes) -> bytes:
    """Return what was packed by zlib. Raises msgspec.DecodeError."""
    try:
        return zlib.decompressobj().decompress(body, _LONGEST)
    except zlib.error as error:
        raise msgspec.DecodeError(str(error)) from error


def walk(connection: apsw.Connection, after: int = 0) -> Iterator[tuple[int, int, list[_Packed]]]:
    """Return the rows of the log behind one: number, boot, entries. What is damaged is noted, and left out."""
    found: Any = connection.execute("SELECT id, boot, body FROM entry_log WHERE id > ? ORDER BY id", (after,))
    for number, boot, body in found:
        try:
            yield number, boot, unpack(body)
        except msgspec.DecodeError as error:
            left_out.note(connection, TABLE, number, error)


def unsealed(connection: apsw.Connection) -> tuple[dict[int, list[Row]], int]:
    """Return what the log has and no block has, by channel, and the last row of the log."""
    sealed: dict[int, int] = dict(connection.execute("SELECT id, sealed FROM channels"))
    found: dict[int, list[Row]] = {}
    last = max(sealed.values(), default=0)
    for number, boot, rows in walk(connection):
        last = max(last, number)
        for one in rows:
            if number > sealed.get(one[0], 0):
                found.setdefault(one[0], []).append((*one, boot))
    return found, last


def fresh(connection: apsw.Connection, channel: int) -> list[Row]:
    """Return what the log has of a channel and no block has."""
    sealed = connection.execute("SELECT sealed FROM channels WHERE id = ?", (channel,)).get or 0
    return [(*one, boot) for _, boot, rows in walk(connection, sealed) for one in rows if one[0] == channel]


def numbers(connection: apsw.Connection) -> dict[int, int]:
    """Return the number that each channel has given last."""
    found: dict[int, int] = dict(connection.execute("SELECT id, last_entry_id FROM channels"))
    for _, _, rows in walk(connection):
        found |= {row[0]: row[1] for row in rows if row[1] > found.get(row[0], 0)}
    return found


def skip(connection: apsw.Connection, given: Mapping[int, int]) -> None:
    """Go on behind these numbers: they were given, and what they were given to is not here. In a transaction."""
    connection.executemany(
        "INSERT INTO channels (id, last_entry_id) VALUES (?, ?)"
        " ON CONFLICT (id) DO UPDATE SET last_entry_id = max(last_entry_id, excluded.last_entry_id)",
        given.items(),
    )


def forget(connection: apsw.Connection, upto: int) -> None:
    """Delete the rows of the log that all channels have in blocks."""
    connection.execute("DELETE FROM entry_log WHERE id <= ?", (upto,))
