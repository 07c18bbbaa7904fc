"""The format of a sealed block: sorted readings of one sensor, packed by columns.

    byte        format: 1
    varint      n, how many readings: 1 to 65,536
    integers(n) times
    values(n)   values
    plane(n)    flags
    4 bytes     CRC-32 (zlib's) of all before, little-endian

The parts are described in `planes`, `integers` and `values`. Times come back as they went in: which
clock they are of is said by the flags, which boot by the row that the block stands in.

What stands here is law: a file that was written once is read for ever. Whoever needs another
format gives it another first byte and leaves this one as it is; a test has a block's bytes by heart.
What the writer may choose (orders, radixes, zlib's level) is no part of the format.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import msgspec

from outstation.core.readings import Millis, Value
from outstation.store.sealing import integers, values
from outstation.store.sealing.planes import Cursor, plane, varint

FORMAT = 1

MOST_READINGS = 1 << 16
"""In one block: what a damaged one can make a reader allocate is some 220 bytes for each."""

CHECKSUM = 4


class Block(msgspec.Struct, gc=False):
    """The readings of a block, oldest first, by columns of one length. flags: one byte each, as in the log."""

    times: Sequence[Millis]
    values: Sequence[Value | None]
    flags: bytes


def pack(block: Block) -> bytes:
    """Return the body of a block.

    Raises ValueError for no readings, too many, columns that differ in length, and numbers over 64 bits;
    TypeError for what is no value.
    """
    count = len(block.times)
    if not 1 <= count <= MOST_READINGS or {len(block.values), len(block.flags)} != {count}:
        raise ValueError(f"{count} times, {len(block.values)} values, {len(block.flags)} flags are no block.")
    body = b"".join(
        (
            bytes((FORMAT,)),
            varint(count),
            integers.pack(block.times),
            values.pack(block.values),
            plane(block.flags),
        )
    )
    return body + _checksum(body)


def unpack(body: bytes) -> Block:
    """Return the readings of a block. Raises msgspec.DecodeError when it is damaged, or of a format not known here."""
    end = len(body) - CHECKSUM
    if body[:1] != bytes((FORMAT,)):
        raise msgspec.DecodeError(f"A sealed block begins with {body[:1]!r}, which is no format known here.")
    if end < 1 or body[end:] != _checksum(body[:end]):
        raise msgspec.DecodeError("The checksum of a sealed block is wrong.")
    cursor = Cursor(body, end)
    cursor.take(1)
    count = cursor.varint(MOST_READINGS)
    if not count:
        raise msgspec.DecodeError("A sealed block has no readings.")
    block = Block(integers.unpack(cursor, count), values.unpack(cursor, count), cursor.plane(count))
    cursor.finish()
    return block


def _checksum(body: bytes) -> bytes:
    return zlib.crc32(body).to_bytes(CHECKSUM, "little")
