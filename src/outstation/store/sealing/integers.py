"""A column of 64-bit integers in few bytes.

Either plainly, by differences:

    0x00..0x02      order: how often differences were taken
    signed * order  the first number of the column, then the first of its differences
    signed          base: the rest is at least this
    byte            radix - 1
    byte            p: how many planes follow, 0 to 9
    plane(rest) * p the rest less its base, in digits: the lowest is that number modulo `radix`, the others
                    are the bytes of the quotient, the lowest first. No plane: all zero

or, where few numbers come again and again, by their ranks:

    0x03 varint(d) plain(d) plain(n)    the d numbers that there are, in order; the rank of each of the n

How many numbers there are is known beforehand; none take no bytes. A radix other than 256 is for
times that a sender's or a kernel's timer made: ticks in one plane, what is random in the other.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, repeat
from math import log2
from operator import add, floordiv, mod, mul, sub

import msgspec

from outstation.store.sealing.planes import Cursor, plane, signed, varint

RANKED = 3
MOST_ORDER = 2
MOST_PLANES = 9
LEAST, MOST = -(1 << 63), (1 << 63) - 1

BYTE = 256
RADIXES = (BYTE, 250, 200, 125, 100, 50, 20, 10, 4)
"""Timers tick in ms: 4 and 10 are Linux's (CONFIG_HZ 250 and 100), the others what people write into a loop."""

SAMPLE = 1_024
"""Numbers that the radix is chosen by."""

RANKED_FROM = 4
"""Ranks are tried where each number comes that often, on the average."""


def pack(numbers: Sequence[int]) -> bytes:
    """Return the column in the fewest bytes known here. Each number within 64 bits, with its sign."""
    if not numbers:
        return b""
    found = [_plain(numbers, order) for order in range(min(MOST_ORDER + 1, len(numbers)))]
    distinct = sorted(set(numbers))
    if 1 < len(distinct) <= len(numbers) // RANKED_FROM:
        found.append(_ranked(numbers, distinct))
    return min((packed for packed in found if packed), key=len)


def unpack(cursor: Cursor, count: int) -> list[int]:
    """Return the next `count` numbers. Raises msgspec.DecodeError where that is impossible."""
    if not count:
        return []
    how = cursor.byte()
    if how != RANKED:
        return _read_plain(cursor, how, count)
    distinct = cursor.varint(count)
    table = _read_plain(cursor, cursor.byte(), distinct)
    ranks = _read_plain(cursor, cursor.byte(), count)
    if min(ranks) < 0 or max(ranks) >= distinct:
        raise msgspec.DecodeError("A sealed block points to a number that it does not have.")
    return list(map(table.__getitem__, ranks))


def _ranked(numbers: Sequence[int], distinct: list[int]) -> bytes:
    rank = {number: place for place, number in enumerate(distinct)}
    ranks = list(map(rank.__getitem__, numbers))
    return bytes((RANKED,)) + varint(len(distinct)) + _shortest(distinct) + _shortest(ranks)


def _shortest(numbers: Sequence[int]) -> bytes:
    return min(filter(None, (_plain(numbers, order) for order in range(min(2, len(numbers))))), key=len)


def _plain(numbers: Sequence[int], order: int) -> bytes:
    """Return the column by differences; nothing where these do not fit in 64 bits."""
    firsts = b""
    for _ in range(order):
        firsts += signed(numbers[0])
        numbers = list(map(sub, numbers[1:], numbers))
    low, high = min(numbers), max(numbers)
    if high - low > MOST:
        return b"" if order else _wide(numbers, low)
    radix = _radix(numbers, low) if high - low >= BYTE else BYTE
    base = low - _room(numbers, low, radix) if high > low else low
    planes = [plane(digits) for digits in _digits(numbers, base, radix)]
    return bytes((order,)) + firsts + signed(base) + bytes((radix - 1, len(planes))) + b"".join(planes)
