"""The format of a pack: summaries of one sensor, tier and width, in order, packed by columns.

    byte            format: 1
    varint          n, how many summaries: 1 to 65,536
    integers(n)     where their windows begin
    integers(n)     their numbers
    integers(n)     silence: the window less what was heard
    integers(n)     on: 0, or 1 and what was heard but not on
    integers(n)     texts
    varint(q)       how many qualities are counted, 0 where none came; integers(n * q): how many readings of each
    integers(n)     count
    plane(n)        kind: 0 no number, 1 all numbers say the same value, 2 they differ
    values(k)       first, of kinds 1 and 2
    integers(k)     from the start of the window to the first number, of kinds 1 and 2
    values(d) * 3   lowest, highest, last, of kind 2
    plane(d) * 8    mean, of kind 2: the first bytes of all (IEEE 754, little-endian), the second bytes, and so on
    plane(d) * 8    squares, likewise: few of their bits follow from anything, and so they are read five times as fast
    integers(d)     from the last number to the end of the window, of kind 2
    4 bytes         CRC-32 (zlib's) of all before, little-endian

Columns of nothing are left out. The parts are described in `planes`, `integers` and `values`. Kind 1: the mean is the
value as a float, the squares are 0, and first and last are one: what a sensor says that speaks every five minutes.

What stands here is law, as in `packing`: a file that was written once is read for ever.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any, TypeVar

import msgspec

from outstation.core.readings import Millis
from outstation.core.summaries import NO_BAD, Number, Numbers, Row, Summary
from outstation.store.sealing import integers, values
from outstation.store.sealing.planes import Cursor, plane, varint

T = TypeVar("T")

FORMAT = 1

MOST_SUMMARIES = 1 << 16
MOST_QUALITIES = 255

CHECKSUM = 4

NOTHING, ONE, SEVERAL = range(3)


class Pack(msgspec.Struct, frozen=True, gc=False):
    """What is in a pack, by columns of one length."""

    starts: Sequence[Millis]
    numbers: Sequence[int]
    rows: Sequence[Row]


def pack(summaries: Sequence[Summary], numbers: Sequence[int]) -> bytes:
    """Return the body of a pack. All have one width. Raises ValueError for none, and too many."""
    count = len(summaries)
    if not 1 <= count <= MOST_SUMMARIES or len(numbers) != count:
        raise ValueError(f"{count} summaries and {len(numbers)} numbers are no pack.")
    body = b"".join(
        (
            bytes((FORMAT,)),
            varint(count),
            integers.pack([each.start for each in summaries]),
            integers.pack(numbers),
            integers.pack([each.width - each.heard for each in summaries]),
            integers.pack([0 if each.on is None else 1 + each.heard - each.on for each in summaries]),
            integers.pack([each.texts for each in summaries]),
            *_bad(summaries),
            integers.pack([each.count for each in summaries]),
            *_of_numbers(summaries),
        )
    )
    return body + _checksum(body)


def unpack(body: bytes, width: Millis) -> Pack:
    """Return what is in a pack. Raises msgspec.DecodeError when it is damaged, or of a format not known here."""
    end = len(body) - CHECKSUM
    if body[:1] != bytes((FORMAT,)):
        raise msgspec.DecodeError(f"A pack of summaries begins with {body[:1]!r}, which is no format known here.")
    if end < 1 or body[end:] != _checksum(body[:end]):
        raise msgspec.DecodeError("The checksum of a pack of summaries is wrong.")
    cursor = Cursor(body, end)
    cursor.take(1)
    count = cursor.varint(MOST_SUMMARIES)
    if not count:
        raise msgspec.DecodeError("A pack of summaries has none.")
    starts, numbers, silence, on, texts = (integers.unpack(cursor, count) for _ in range(5))
    bad, counts = _read_bad(cursor, count), integers.unpack(cursor, count)
    rows = list(map(Row, silence, on, texts, bad, counts, *_read_numbers(cursor, count, width)))
    cursor.finish()
    return Pack(starts, numbers, rows)


def _bad(summaries: Sequence[Summary]) -> Iterable[bytes]:
    found = [count for each in summaries for count in each.bad]
    if not any(found):
        return (varint(0),)
    return varint(len(NO_BAD)), integers.pack(found)


def _of_numbers(summaries: Sequence[Summary]) -> Iterable[bytes]:
    kinds = bytes(map(_kind, summaries))
    yield plane(kinds)
    some = [(each, each.numbers) for each in summaries if each.numbers]
    if not some:
        return
    yield values.pack([found.first for _, found in some])
    yield integers.pack([found.first_at - each.start for each, found in some])
    some = [(each, found) for each, found in some if _kind(each) == SEVERAL]
    if not some:
        return
    yield values.pack([found.lowest for _, found in some])
    yield values.pack([found.highest for _, found in some])
    yield values.pack([found.last for _, found in some])
    yield _floats([found.mean for _, found in some])
    yield _floats([found.squares for _, found in some])
    yield integers.pack([each.start + each.width - found.last_at for each, found in some])


def _kind(summary: Summary) -> int:
    found = summary.numbers
    if found is None:
        return NOTHING
    alike = _alike(found)
    # By their bytes: 1, 1.0 and True differ there, and so do 0.0 and -0.0.
    return ONE if _encode(found) == _encode(alike) else SEVERAL


def _alike(found: Numbers) -> Numbers:
    """Return the numbers that kind 1 stands for."""
    first, at = found.first, found.first_at
    return Numbers(found.count, float(first), 0.0, first, first, first, first, at, at)


def _read_bad(cursor: Cursor, count: int) -> Iterable[tuple[int, ...]]:
    qualities = cursor.varint(MOST_QUALITIES)
    if not qualities:
        return repeat(())
    found = integers.unpack(cursor, count * qualities)
    several = zip(*[iter(found)] * qualities, strict=True)
    return [bad if any(bad) else () for bad in several]


def _read_numbers(cursor: Cursor, count: int, width: Millis) -> Iterable[Iterable[Any]]:
    """Return the columns of a row from the mean on."""
    kinds = cursor.plane(count)
    if max(kinds) > SEVERAL:
        raise msgspec.DecodeError(f"A pack of summaries has one of kind {max(kinds)}.")
    nothing, differing = kinds.count(NOTHING), kinds.count(SEVERAL)
    if nothing == count:
        return [0.0] * count, [0.0] * count, [None] * count, [()] * count, [0] * count, [0] * count
    first = _spread(kinds, _read_values(cursor, count - nothing), [0] * count)
    first_in = _spread(kinds, integers.unpack(cursor, count - nothing), [0] * count)
    lowest = highest = last = first
    mean: Sequence[float] = [*map(float, first)] if differing < count else []
    squares: Sequence[float] = [0.0] * count
    last_before: Sequence[Millis] = [width - into for into in first_in] if differing < count else []
    if differing:
        lowest, highest, last = (_over(kinds, _read_values(cursor, differing), first) for _ in range(3))
        mean = _over(kinds, _read_floats(cursor, differing), mean)
        squares = _over(kinds, _read_floats(cursor, differing), squares)
        last_before = _over(kinds, integers.unpack(cursor, differing), last_before)
    return mean, squares, repeat(None), zip(lowest, highest, first, last, strict=True), first_in, last_before


def _read_values(cursor: Cursor, count: int) -> Sequence[Number]:
    column: list[Any] = values.unpack(cursor, count)
    if not set(map(type, column)) <= _NUMBERS:
        raise msgspec.DecodeError("A pack of summaries has a value that cannot be averaged.")
    return column


def _floats(column: Sequence[float]) -> bytes:
    data = struct.pack(f"<{len(column)}d", *column)
    return b"".join(plane(data[place::8]) for place in range(8))


def _read_floats(cursor: Cursor, count: int) -> Sequence[float]:
    data = bytearray(8 * count)
    for place in range(8):
        data[place::8] = cursor.plane(count)
    return struct.unpack(f"<{count}d", data)


def _spread(kinds: bytes, column: Sequence[T], filler: Sequence[T]) -> Sequence[T]:
    """Return a column of those that have numbers as one of all."""
    return _placed(map(bool, kinds), column, filler) if len(column) < len(kinds) else column


def _over(kinds: bytes, column: Sequence[T], alike: Sequence[T]) -> Sequence[T]:
    """Return a column of those whose numbers differ, with what the others have in all columns."""
    return _placed((kind == SEVERAL for kind in kinds), column, alike) if len(column) < len(kinds) else column


def _placed(where: Iterable[bool], column: Iterable[T], others: Iterable[T]) -> list[T]:
    waiting = iter(column)
    return [next(waiting) if is_here else other for is_here, other in zip(where, others, strict=True)]


def _checksum(body: bytes) -> bytes:
    return zlib.crc32(body).to_bytes(CHECKSUM, "little")


_NUMBERS = {float, int, bool}

_encode = msgspec.msgpack.Encoder().encode
