"""Readings of one sensor by columns: how a recording comes in, a hundred thousand readings at a time.

All are their sender's: (sensor, at) is what each is known by. In the order of time they cost a tenth of what they
would cost one by one; in any other order they are taken one by one, and end as the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from operator import lt

import msgspec

from outstation.core.readings import Millis, Value
from outstation.errors import RefusedError
from outstation.store.rows import LARGEST, LATEST, packed


class Column(msgspec.Struct, frozen=True, gc=False):
    """What one sensor said. quality: that of all, or one byte each; a value of None is a fault."""

    sensor: str
    times: Sequence[Millis]
    values: Sequence[Value | None]
    quality: bytes | int = 0

    def each_quality(self) -> bytes:
        """Return one byte a reading."""
        return bytes((self.quality,)) * len(self.times) if isinstance(self.quality, int) else self.quality


def is_rising(times: Sequence[Millis]) -> bool:
    """Tell whether each is later than the one before it."""
    return all(map(lt, times, islice(times, 1, None)))


def check(columns: Sequence[Column]) -> None:
    """Raise RefusedError for what cannot be stored, before anything of it is."""
    for column in columns:
        if not len(column.times) == len(column.values) == len(column.each_quality()):
            raise RefusedError(f"{column.sensor}: the columns differ in length.")
        try:
            msgspec.msgpack.encode(column.values)
            packed(column.sensor)
        except (OverflowError, TypeError, UnicodeEncodeError) as error:
            raise RefusedError(f"{column.sensor}: a reading cannot be stored: {error}.") from error
        if column.times and not 0 <= min(column.times) <= max(column.times) < LATEST:
            raise RefusedError(f"{column.sensor}: a time lies before 1970 or after 5138.")
        is_whole = int in set(map(type, column.values))
        if is_whole and any(type(value) is int and value > LARGEST for value in column.values):
            raise RefusedError(f"{column.sensor}: a whole number has at most 64 bits, one of them its sign.")
