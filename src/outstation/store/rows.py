"""What stands in one row of the log: the readings of one commit, packed by columns.

Times are in boot time, each as the difference to the one before it. A time that its sender
gave is UTC and must not move when our clock is set: so the row keeps the offset that it was
packed with, and gives the same UTC back for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import sub

import msgspec

from outstation.core.readings import Millis, Reading, Value

QUALITY = 0b0111
"""The bits of a flag that hold the quality."""

SENT = 0b1000
"""The bit of a flag that says: the sender gave the time."""

ROW_AT_MOST = 4_096
"""Readings in one row: a bigger commit becomes several rows, so that no row is slow to read."""


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
    return _encoder.encode((columns.offset, columns.sensors, steps, columns.values, columns.flags))


def unpack(body: bytes) -> Columns:
    """Return the columns of a row, its times in boot time. Raises msgspec.DecodeError when it is damaged."""
    try:
        columns = _decoder.decode(body)
    except (TypeError, UnicodeDecodeError) as error:  # no bytes at all; a text that is none
        raise msgspec.DecodeError(str(error)) from error
    counts = {len(columns.sensors), len(columns.times), len(columns.values), len(columns.each_flag())}
    if len(counts) > 1:
        raise msgspec.DecodeError("The columns of a row differ in length.")
    columns.times = list(accumulate(columns.times))
    return columns


def packed(value: Value | None) -> bytes:
    """Return what tells values apart: 1, 1.0 and True are three, and so are 0.0 and -0.0."""
    return _encoder.encode(value)


UNFIT = (OverflowError, TypeError, UnicodeEncodeError)
"""What packing says of a value that no reading may have."""


def is_fit(readings: Sequence[Reading]) -> bool:
    """Tell whether all of these can be stored."""
    try:
        for reading in readings:
            packed(reading.value)
            reading.sensor.encode()
            if max(abs(reading.at), abs(reading.now), abs(reading.arrived)) > 1 << 53:
                return False
    except UNFIT:
        return False
    return True
