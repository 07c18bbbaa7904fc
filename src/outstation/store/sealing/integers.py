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

How many numbers there are, one at least, is known beforehand. A radix other than 256 is for
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

TICKS_BELOW = 1 << 32
"""What is further apart is no time between two readings."""

SAMPLE = 1_024
"""Numbers that the radix is chosen by."""

_TIMES_LOG2 = (0.0, *(count * log2(count) for count in range(1, SAMPLE + 1)))

RANKED_FROM = 4
"""Ranks are tried where each number comes that often, on the average."""


def pack(numbers: Sequence[int]) -> bytes:
    """Return the column in the fewest bytes known here. Raises ValueError for a number of more than 64 bits."""
    if min(numbers) < LEAST or max(numbers) > MOST:
        raise ValueError("A number has more than 64 bits.")
    distinct = sorted(set(numbers))
    if 1 < len(distinct) <= len(numbers) // RANKED_FROM:
        return min(_plain(numbers), _ranked(numbers, distinct), key=len)
    return _plain(numbers)


def unpack(cursor: Cursor, count: int) -> list[int]:
    """Return the next `count` numbers. Raises msgspec.DecodeError where that is impossible."""
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
    return bytes((RANKED,)) + varint(len(distinct)) + _plain(distinct) + _plain(ranks)


def _plain(numbers: Sequence[int]) -> bytes:
    if min(numbers) == max(numbers):
        return bytes((0,)) + signed(numbers[0]) + bytes((BYTE - 1, 0))
    firsts = b""
    order = _order(numbers[:SAMPLE])
    for _ in range(order):
        firsts += signed(numbers[0])
        numbers = _differences(numbers)
    radix, base = _measure(numbers)
    planes = [plane(digits) for digits in _digits(numbers, radix, base)]
    return bytes((order,)) + firsts + signed(base) + bytes((radix - 1, len(planes))) + b"".join(planes)


def _differences(numbers: Sequence[int]) -> list[int]:
    return list(map(sub, numbers[1:], numbers))


def _order(sample: Sequence[int]) -> int:
    """Return how often to take differences."""
    costs = []
    for _ in range(min(MOST_ORDER + 1, len(sample))):
        costs.append(_bits(sample, BYTE, _centred(*_common(sample), BYTE)))
        sample = _differences(sample)
    return costs.index(min(costs))


def _measure(numbers: Sequence[int]) -> tuple[int, int]:
    """Return the radix that makes these shortest, and a base below all of them."""
    low, high = min(numbers), max(numbers)
    if low == high:
        return BYTE, low
    sample = numbers[:SAMPLE]
    common = _common(sample)
    radixes = RADIXES if BYTE <= high - low < TICKS_BELOW else RADIXES[:1]
    radix = min(radixes, key=lambda radix: _bits(sample, radix, _centred(*common, radix)))
    return radix, low - (low - _centred(*common, radix)) % radix


def _common(numbers: Sequence[int]) -> tuple[int, int]:
    """Return the lowest of these, and the commonest."""
    return min(numbers), Counter(numbers).most_common(1)[0][0]


def _centred(low: int, common: int, radix: int) -> int:
    """Return the base that is not above the lowest, with the commonest in the middle of a digit, others around it."""
    return low - (radix // 2 - (common - low)) % radix


def _bits(numbers: Sequence[int], radix: int, base: int) -> float:
    """Return how many bits all digits of these take at least (Shannon). numbers: no more than SAMPLE."""
    most = _TIMES_LOG2[len(numbers)]
    cost = _TIMES_LOG2.__getitem__
    return sum(most - sum(map(cost, Counter(digits).values())) for digits in _digits(numbers, radix, base))


def _digits(numbers: Sequence[int], radix: int, base: int) -> Iterator[bytes]:
    rest = list(map(sub, numbers, repeat(base)))
    most = max(rest)
    if not most:
        return
    yield bytes(map(mod, rest, repeat(radix)))
    quotients = struct.pack(f"<{len(rest)}Q", *map(floordiv, rest, repeat(radix)))
    for place in range(((most // radix).bit_length() + 7) // 8):
        yield quotients[place::8]


def _read_plain(cursor: Cursor, order: int, count: int) -> list[int]:
    if order > min(MOST_ORDER, count - 1):
        raise msgspec.DecodeError(f"A sealed block has a column of kind {order}.")
    firsts = [cursor.signed() for _ in range(order)]
    base, radix, planes = cursor.signed(), cursor.byte() + 1, cursor.byte()
    if planes > MOST_PLANES:
        raise msgspec.DecodeError(f"A sealed block has numbers of {planes} bytes.")
    digits = [cursor.plane(count - order) for _ in range(planes)]
    numbers: Iterable[int] = map(add, repeat(base), _composed(digits, radix)) if digits else [base] * (count - order)
    bound = abs(base) + (radix << 8 * planes)
    for first in reversed(firsts):
        numbers, bound = accumulate(numbers, initial=first), abs(first) + count * bound
    column = list(numbers)
    if bound > MOST and (min(column) < LEAST or max(column) > MOST):  # mostly none can be so great
        raise msgspec.DecodeError("A sealed block has a number of more than 64 bits.")
    return column


def _composed(digits: list[bytes], radix: int) -> Iterable[int]:
    """Return what stands in these planes."""
    lowest, *higher = digits
    if not higher:
        return lowest
    if len(higher) == 1:
        return map(add, lowest, map(mul, higher[0], repeat(radix)))
    quotients = bytearray(8 * len(lowest))
    for place, digit in enumerate(higher):
        quotients[place::8] = digit
    return map(add, lowest, map(mul, struct.unpack(f"<{len(lowest)}Q", quotients), repeat(radix)))
