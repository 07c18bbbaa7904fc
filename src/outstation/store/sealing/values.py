"""A column of values, each of its own type and to the last bit.

    byte            kind: 0 None, 1 bool, 2 int, 3 float, 4 text, 5 of several kinds

    None            nothing more
    bool, int       integers
    float           byte k. k = 255: the bits (IEEE 754, little-endian) as signed integers.
                    Else two columns of integers, n and e: the value is n / 10**k, correctly rounded, whose bits,
                    as a signed integer, are then raised by e. e is 0 but where no decimal of k places is meant:
                    72.30 is 7230 with k = 2; NaN, infinities, -0.0 and the last bits of sums are in e
    text            varint(d), integers (bytes of each), varint (bytes of all), plane: the d texts that there are in
                    the order of their first coming, UTF-8; then integers: which one
    several         plane(n): the kind of each; then of each kind that is among them a column, the lowest first,
                    without the byte that says its kind

n, the number of values, is known beforehand.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise, repeat
from operator import add, sub, truediv
from typing import Any

import msgspec

from outstation.core.readings import Value
from outstation.store.sealing import integers
from outstation.store.sealing.planes import Cursor, plane, varint

Values = list[Value | None]

NONE, BOOL, INT, FLOAT, TEXT, SEVERAL = range(6)
KINDS: dict[type, int] = {type(None): NONE, bool: BOOL, int: INT, float: FLOAT, str: TEXT}

BITS = 255
MOST_PLACES = 12
"""Decimals that are tried: positions have seven, sums of a few hundredths shown as they are twelve."""

EXACT = 1 << 53
"""Integers below are floats without loss, so that n / 10**k is rounded once."""

SAMPLE = 64
MEANT = 0.75
"""The part of a sample that must be decimals of k places, if k is to be tried."""

MOST_TEXT = 4 << 20
"""Bytes that the texts of a block have at most: what a damaged one can make a reader allocate."""


def pack(values: Sequence[Value | None]) -> bytes:
    """Return the column. Raises TypeError for what is no value, ValueError for what is too large."""
    try:
        kinds = bytes(map(KINDS.__getitem__, map(type, values)))
    except KeyError as error:
        raise TypeError(f"{error.args[0].__name__} is no type of a reading's value.") from None
    if kinds.count(kinds[:1]) == len(kinds):
        return kinds[:1] + PACK[kinds[0]](values)
    columns = ([value for value, its in zip(values, kinds, strict=True) if its == kind] for kind in sorted(set(kinds)))
    return bytes((SEVERAL,)) + plane(kinds) + b"".join(PACK[KINDS[type(column[0])]](column) for column in columns)


def unpack(cursor: Cursor, count: int) -> Values:
    """Return the next `count` values. Raises msgspec.DecodeError where that is impossible."""
    kind = cursor.byte()
    if kind < SEVERAL:
        return UNPACK[kind](cursor, count)
    kinds = cursor.plane(count) if kind == SEVERAL else bytes((kind,))
    if max(kinds) >= SEVERAL:
        raise msgspec.DecodeError(f"A sealed block has a value of kind {max(kinds)}.")
    columns = {each: iter(UNPACK[each](cursor, kinds.count(each))) for each in sorted(set(kinds))}
    return [next(columns[each]) for each in kinds]


def _pack_none(_: Sequence[Any]) -> bytes:
    return b""


def _unpack_none(_: Cursor, count: int) -> Values:
    return [None] * count


def _unpack_bools(cursor: Cursor, count: int) -> Values:
    return list(map(bool, integers.unpack(cursor, count)))


def _unpack_integers(cursor: Cursor, count: int) -> Values:
    return [*integers.unpack(cursor, count)]


def _pack_floats(values: Sequence[float]) -> bytes:
    bits = _bits(values)
    found = []
    places = _places(values)
    if places is not None:
        decimals = [round(value * 10**places) if abs(value) * 10**places < EXACT else 0 for value in values]
        errors = list(map(sub, bits, _bits(list(map(truediv, decimals, repeat(10**places))))))
        found.append(bytes((places,)) + integers.pack(decimals) + integers.pack(errors))
        if not any(errors):
            return found[0]
    found.append(bytes((BITS,)) + integers.pack(bits))
    return min(found, key=len)


def _places(values: Sequence[float]) -> int | None:
    """Return the fewest decimals that most of these have, where they have few."""
    sample = [value for value in values[:: len(values) // SAMPLE + 1] if abs(value) < EXACT]
    for places in range(MOST_PLACES + 1):
        if sum(round(value, places) == value for value in sample) > MEANT * len(sample):
            return places
    return None


def _unpack_floats(cursor: Cursor, count: int) -> Values:
    places = cursor.byte()
    column = integers.unpack(cursor, count)
    if places == BITS:
        return [*_floats(column)]
    if places > MOST_PLACES:
        raise msgspec.DecodeError(f"A sealed block has numbers of {places} decimals.")
    errors = integers.unpack(cursor, count)
    values: list[float] = list(map(truediv, column, repeat(10**places)))
    return [*_floats(list(map(add, _bits(values), errors)))] if any(errors) else [*values]


def _bits(values: Sequence[float]) -> tuple[int, ...]:
    return struct.unpack(f"<{len(values)}q", struct.pack(f"<{len(values)}d", *values))


def _floats(bits: Sequence[int]) -> tuple[float, ...]:
    try:
        return struct.unpack(f"<{len(bits)}d", struct.pack(f"<{len(bits)}q", *bits))
    except struct.error as error:
        raise msgspec.DecodeError("A sealed block has a number of more than 64 bits.") from error


def _pack_texts(values: Sequence[str]) -> bytes:
    places: dict[str, int] = {}
    which = [places.setdefault(value, len(places)) for value in values]
    texts = [text.encode() for text in places]
    joined = b"".join(texts)
    if len(joined) > MOST_TEXT:
        raise ValueError(f"The texts of one block have {len(joined)} bytes; at most {MOST_TEXT} are possible.")
    lengths = integers.pack(list(map(len, texts)))
    return varint(len(texts)) + lengths + varint(len(joined)) + plane(joined) + integers.pack(which)


def _unpack_texts(cursor: Cursor, count: int) -> Values:
    lengths = integers.unpack(cursor, cursor.varint(count))
    joined = cursor.plane(cursor.varint(MOST_TEXT))
    which = integers.unpack(cursor, count)
    if min(lengths, default=0) < 0 or sum(lengths) != len(joined):
        raise msgspec.DecodeError("The texts of a sealed block have not the lengths that it says.")
    if min(which) < 0 or max(which) >= len(lengths):
        raise msgspec.DecodeError("A sealed block points to a text that it does not have.")
    texts = list(_cut(joined, lengths))
    return list(map(texts.__getitem__, which))


def _cut(joined: bytes, lengths: Sequence[int]) -> Iterator[str]:
    try:
        for start, end in pairwise(accumulate(lengths, initial=0)):
            yield joined[start:end].decode()
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError("A text in a sealed block is none.") from error


PACK: tuple[Callable[[Sequence[Any]], bytes], ...] = (
    _pack_none,
    integers.pack,
    integers.pack,
    _pack_floats,
    _pack_texts,
)
UNPACK: tuple[Callable[[Cursor, int], Values], ...] = (
    _unpack_none,
    _unpack_bools,
    _unpack_integers,
    _unpack_floats,
    _unpack_texts,
)
