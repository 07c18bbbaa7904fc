"""The smallest parts of a sealed block: varints, and planes of bytes.

    varint      an unsigned number, 7 bits a byte, the lowest first; the top bit says that more follow (LEB128)
    signed      a varint: 2n for n >= 0, -2n - 1 for n < 0 (zigzag)
    plane(n)    n bytes, n known beforehand:
                0x00 byte               n times this byte
                0x01 n bytes            as they are
                0x02 varint(k) k bytes  a raw DEFLATE stream (RFC 1951) of n bytes

Whatever the bytes are, reading them raises msgspec.DecodeError or gives at most what was asked for.
"""

from __future__ import annotations

import zlib

import msgspec

CONSTANT, RAW, DEFLATED = 0, 1, 2

VARINT_BITS = 70
"""A signed one of 66 bits, the widest that a block holds, fits in ten bytes."""

STRATEGIES = (zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_DEFAULT_STRATEGY)
"""Noise, long silences, and what repeats. All three give the same kind of stream; the shortest is kept."""

BARE = -15
"""zlib's word for a stream without header and checksum: the block has its own."""

SHORT = 1_024
SMALL, LARGE = (-12, 5), (BARE, 9)
"""Window and memory of zlib (zlib.h, deflateInit2). The small ones make the same of a short plane, in a tenth of the
time: to begin with the large ones, half a megabyte is cleared."""


def varint(number: int) -> bytes:
    """Return an unsigned number as a varint."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def signed(number: int) -> bytes:
    """Return a number of either sign as a varint."""
    return varint(2 * number if number >= 0 else -2 * number - 1)


def plane(data: bytes) -> bytes:
    """Return these bytes as a plane."""
    if data.count(data[:1]) == len(data):
        return bytes((CONSTANT,)) + (data[:1] or b"\0")
    deflated = min((_deflated(data, strategy) for strategy in STRATEGIES), key=len)
    length = varint(len(deflated))
    if len(length) + len(deflated) >= len(data):
        return bytes((RAW,)) + data
    return bytes((DEFLATED,)) + length + deflated


def _deflated(data: bytes, strategy: int) -> bytes:
    window, memory = SMALL if len(data) <= SHORT else LARGE
    compressor = zlib.compressobj(9, zlib.DEFLATED, window, memory, strategy)
    return compressor.compress(data) + compressor.flush()


class Cursor:
    """Reads the parts of a block, one after the other."""

    def __init__(self, body: bytes, end: int) -> None:
        self._body = body
        self._place = 0
        self._end = end

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        start, self._place = self._place, self._place + count
        if self._place > self._end:
            raise msgspec.DecodeError("A sealed block ends too early.")
        return self._body[start : self._place]

    def byte(self) -> int:
        """Return the next byte."""
        return self.take(1)[0]

    def varint(self, most: int = (1 << VARINT_BITS) - 1) -> int:
        """Return an unsigned number that may not be greater than `most`."""
        number = 0
        for shift in range(0, VARINT_BITS, 7):
            part = self.byte()
            number |= (part & 0x7F) << shift
            if part < 0x80:
                break
        else:
            raise msgspec.DecodeError("A number in a sealed block has no end.")
        if number > most:
            raise msgspec.DecodeError(f"A sealed block says {number} where at most {most} is possible.")
        return number

    def signed(self) -> int:
        """Return a number of either sign."""
        number = self.varint()
        return -(number + 1 >> 1) if number & 1 else number >> 1

    def plane(self, count: int) -> bytes:
        """Return `count` bytes."""
        how = self.byte()
        if how == CONSTANT:
            return self.take(1) * count
        if how == RAW:
            return self.take(count)
        if how == DEFLATED:
            return _inflated(self.take(self.varint(self._end)), count)
        raise msgspec.DecodeError(f"A sealed block has a plane of kind {how}.")

    def finish(self) -> None:
        """Raise msgspec.DecodeError where something is left."""
        if self._place != self._end:
            raise msgspec.DecodeError("A sealed block has bytes left over.")


def _inflated(deflated: bytes, count: int) -> bytes:
    stream = zlib.decompressobj(BARE)
    try:
        data = stream.decompress(deflated, count + 1)
    except zlib.error as error:
        raise msgspec.DecodeError(f"A sealed block cannot be inflated: {error}") from error
    if len(data) != count or not stream.eof or stream.unused_data:
        raise msgspec.DecodeError("A plane of a sealed block has not the length that it says.")
    return data
