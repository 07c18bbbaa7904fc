"""What stands in one row of the log: the readings of one commit, packed by columns, and by zlib where that is shorter.

Times are in boot time, each as the difference to the one before it. A time that its sender
gave is UTC and must not move when our clock is set: so the row keeps the offset that it was
packed with, and gives the same UTC back for ever.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import accumulate
from operator import sub
from types import NoneType

import msgspec

from outstation.core.readings import Millis, Reading, Value

QUALITY = 0b0111
"""The bits of a flag that hold the quality."""

SENT = 0b1000
"""The bit of a flag that says: the sender gave the time."""

ROW_AT_MOST = 4_096
"""Readings in one row: a bigger commit becomes several rows, so that no row is slow to read."""

_SHORT = 256
"""Bytes: so many and less share a page of the file with others as they are."""

_DEFLATED = b"\x78"
"""The first byte of a zlib stream (RFC 1950, 2.2: deflate, a window of 32 KiB); no array of MessagePack begins so."""

_LONGEST = 4 << 20
"""Bytes of a row once it is unpacked: of 4,096 of the longest texts it has a third."""

LATEST: Millis = 100_000_000_000_000
"""No time is from here on, or before 1970: the door takes none (see web/api/incoming.py), and no zone knows it."""

LARGEST = (1 << 63) - 1
"""The largest whole number that a block keeps as it is."""


class Columns(msgspec.Struct, array_like=True, gc=False):
    """The readings of one row. times: in boot time. flags: one byte each, or one number for all."""

    offset: Millis
    sensors: list[int]
    times: list[int]
    values: list[float | int | bool | str | None]
    flags: bytes | int

    def each_flag(self) -> bytes:
        """Return one byte a reading."""
        return bytes((self.flags,)) * len(self.sensors) if isinstance(self.flags, int) else self.flags

    def each(self, offset: Millis) -> Iterator[tuple[int, Millis, Value | None, int]]:
        """Return (sensor id, UTC, value, flag) of each reading, where `offset` is that of the row's boot now."""
        for sensor, time, value, flag in zip(self.sensors, self.times, self.values, self.each_flag(), strict=True):
            yield sensor, time + (self.offset if flag & SENT else offset), value, flag


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Columns)


def thin(flags: list[int]) -> bytes | int:
    """Return one byte a flag, or the one number that they all are, which is the common case."""
    return flags[0] if flags.count(flags[0]) == len(flags) else bytes(flags)


def pack(columns: Columns) -> bytes:
    """Return the body of a row. `columns` has at least one reading, its times in boot time."""
    times = columns.times
    steps = [times[0], *map(sub, times[1:], times)]
    body = _encoder.encode((columns.offset, columns.sensors, steps, columns.values, columns.flags))
    if len(body) <= _SHORT:
        return body
    # A third of the pages to write, and so of the card's wear; at level 1, for commits wait for it.
    return min(zlib.compress(body, 1), body, key=len)


def unpack(body: bytes) -> Columns:
    """Return the columns of a row, its times in boot time. Raises msgspec.DecodeError when it is damaged."""
    try:
        columns = _decoder.decode(_inflated(body) if body[:1] == _DEFLATED else body)
    except (TypeError, UnicodeDecodeError) as error:  # no bytes at all; a text that is none
        raise msgspec.DecodeError(str(error)) from error
    counts = {len(columns.sensors), len(columns.times), len(columns.values), len(columns.each_flag())}
    if len(counts) > 1:
        raise msgspec.DecodeError("The columns of a row differ in length.")
    columns.times = list(accumulate(columns.times))
    return columns


def _inflated(body: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(body, _LONGEST)
    except zlib.error as error:
        raise msgspec.DecodeError(str(error)) from error


def packed(value: Value | None) -> bytes:
    """Return what tells values apart: 1, 1.0 and True are three, and so are 0.0 and -0.0."""
    return _encoder.encode(value)


def is_fit(reading: Reading) -> bool:
    """Tell whether a reading can be stored. Whoever lets readings into the store asks, and nobody behind that does."""
    at = reading.at
    if reading.sender_stamped:
        is_time = 0 <= at < LATEST
    else:
        is_time = -LATEST < at < LATEST and abs(reading.now) < LATEST and abs(reading.arrived) < LATEST
    return is_time and is_text(reading.sensor) and (type(reading.value) is float or _is_value(reading.value))


def is_text(text: str) -> bool:
    """Tell whether this can be written: half a surrogate pair cannot."""
    return text.isascii() or text.encode(errors="ignore").decode() == text


def _is_value(value: Value | None) -> bool:
    if type(value) not in _KINDS:
        return False  # a subclass of one cannot be packed
    return is_text(value) if isinstance(value, str) else value is None or -LARGEST - 1 <= value <= LARGEST


_KINDS = (float, int, bool, str, NoneType)
