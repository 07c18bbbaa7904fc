"""Gorilla's codec, for `sealing.py` to compare with.

T. Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database", VLDB 2015, section 4.1: differences
of differences of times in buckets of 7, 9, 12 and 32 bits; values XORed with the one before, within its window of bits.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from outstation.core.readings import Value

BUCKETS = ((7, 0b10, 2), (9, 0b110, 3), (12, 0b1110, 4), (32, 0b1111, 4))


def gorilla(times: list[int], values: Sequence[Value | None]) -> bytes:
    """Return times (milliseconds) and values (as floats) packed."""
    bits = struct.unpack(f"<{len(values)}Q", struct.pack(f"<{len(values)}d", *values))
    parts = [(len(times), 32), (times[0], 64), (bits[0], 64)]
    lead = trail = before = 0
    window = 0
    for place in range(1, len(times)):
        step = times[place] - times[place - 1]
        parts.append(_time(step - before))
        before = step
        changed = bits[place] ^ bits[place - 1]
        if not changed:
            parts.append((0, 1))
            continue
        leading, trailing = min(31, 64 - changed.bit_length()), (changed & -changed).bit_length() - 1
        if window and leading >= lead and trailing >= trail:
            parts.append((0b10 << window | changed >> trail, 2 + window))
            continue
        lead, trail, window = leading, trailing, 64 - leading - trailing
        parts += [(0b11 << 11 | lead << 6 | window - 1, 13), (changed >> trail, window)]
    return _joined(parts)


def ungorilla(body: bytes) -> tuple[list[int], list[float]]:
    """Return times and values."""
    bits = _Bits(body)
    count, at, value = bits.take(32), bits.take(64), bits.take(64)
    times, values = [at], [value]
    step = window = trail = 0
    for _ in range(count - 1):
        step += _untime(bits)
        at += step
        times.append(at)
        if bits.take(1):
            if bits.take(1):
                lead, window = bits.take(5), bits.take(6) + 1
                trail = 64 - lead - window
            value ^= bits.take(window) << trail
        values.append(value)
    return times, list(struct.unpack(f"<{count}d", struct.pack(f"<{count}Q", *values)))


def _time(change: int) -> tuple[int, int]:
    if not change:
        return 0, 1
    for width, mark, length in BUCKETS:
        half = 1 << width - 1
        if -half <= change < half:
            return mark << width | change + half, length + width
    raise ValueError("A gap of more than 24 days.")


def _untime(bits: _Bits) -> int:
    if not bits.take(1):
        return 0
    for width, _, _ in BUCKETS[:-1]:
        if not bits.take(1):
            return bits.take(width) - (1 << width - 1)
    return bits.take(32) - (1 << 31)


def _joined(parts: list[tuple[int, int]]) -> bytes:
    return b"".join(_bytes(parts))


def _bytes(parts: list[tuple[int, int]]) -> Iterator[bytes]:
    waiting = length = 0
    for number, width in parts:
        waiting, length = waiting << width | number, length + width
        if length >= 512:
            rest = length % 8
            yield (waiting >> rest).to_bytes(length // 8, "big")
            waiting, length = waiting & (1 << rest) - 1, rest
    yield (waiting << -length % 8).to_bytes((length + 7) // 8, "big")


class _Bits:
    def __init__(self, body: bytes) -> None:
        self._body = body
        self._place = 0
        self._waiting = 0
        self._length = 0

    def take(self, width: int) -> int:
        while self._length < width:
            more = self._body[self._place : self._place + 32]
            self._place += 32
            self._waiting = self._waiting << 8 * len(more) | int.from_bytes(more, "big")
            self._length += 8 * len(more)
        self._length -= width
        number = self._waiting >> self._length
        self._waiting &= (1 << self._length) - 1
        return number
