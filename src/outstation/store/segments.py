"""Readings of one sensor by columns, as they come out of the log, of blocks and of memory; and many of them as one.

The law of this file: the order of a sensor's readings is the same wherever they are. It is that of time; of one
millisecond the sender's comes first, in which its last word counts, then our own in the order of their arrival.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import chain, compress, islice, repeat
from operator import add, le, lt

import msgspec

from outstation.core.readings import Millis, Value
from outstation.store.rows import SENT, Columns

IN_MEMORY = 1 << 62
"""The rank of what is on no disk yet; that of a row of the log is its id, and that of a block is below zero."""

_BOOT = 1 << 40
_BLOCKS = -(1 << 62)


class Segment(msgspec.Struct, gc=False):
    """Some readings, all of our own or all their senders', in UTC. Of the same millisecond, a lower rank came first."""

    rank: int
    is_sent: bool
    at: Sequence[Millis]
    values: Sequence[Value | None]
    flags: bytes

    def between(self, start: Millis, end: Millis) -> Segment:
        """Return those from `start` until before `end`."""
        at = self.at
        if not at or (min(at) >= start and max(at) < end):
            return self
        if all(map(le, at, islice(at, 1, None))):
            part = slice(bisect_left(at, start), bisect_left(at, end))
            return Segment(self.rank, self.is_sent, at[part], self.values[part], self.flags[part])
        chosen = [start <= one < end for one in at]
        return _chosen(self, chosen)


def rank_of_block(boot: int, number: int) -> int:
    """Return the rank of a block: of our own the earlier boot's comes first, then what was sealed first."""
    return _BLOCKS + boot * _BOOT + number


def of_row(rank: int, columns: Columns, sensor: int, offset: Millis) -> Iterator[Segment]:
    """Return what a row of the log has of a sensor. offset: that of the row's boot now."""
    if sensor not in columns.sensors:
        return
    if columns.sensors.count(sensor) != len(columns.sensors):
        columns = _of(columns, [each == sensor for each in columns.sensors])
    yield from split(rank, columns.times, columns.values, columns.each_flag(), offset, columns.offset)


def split(
    rank: int,
    times: Sequence[Millis],
    values: Sequence[Value | None],
    flags: bytes,
    offset: Millis,
    sent_offset: Millis,
) -> Iterator[Segment]:
    """Return readings apart: our own, whose times are `offset` from UTC, and their senders'."""
    sent = [bool(flag & SENT) for flag in flags] if len(set(flags)) > 1 else [bool(flags[0] & SENT)]
    if len(set(sent)) == 1:
        yield Segment(rank, sent[0], moved(times, sent_offset if sent[0] else offset), values, flags)
        return
    whole = Segment(rank, True, times, values, flags)
    for is_sent, by in ((True, sent_offset), (False, offset)):
        part = _chosen(whole, [each is is_sent for each in sent])
        yield Segment(rank, is_sent, moved(part.at, by), part.values, part.flags)


def moved(times: Sequence[Millis], by: Millis) -> Sequence[Millis]:
    """Return times on another clock."""
    return list(map(add, times, repeat(by))) if by else times


def merged(segments: Sequence[Segment]) -> Segment:
    """Return all of these as one, in order. Its rank and kind mean nothing."""
    if len(segments) == 1 and _rises(segments[0].at):
        return segments[0]
    ordered = sorted(segments, key=lambda segment: (not segment.is_sent, segment.rank))
    whole = Segment(
        0,
        False,
        list(chain.from_iterable(segment.at for segment in ordered)),
        list(chain.from_iterable(segment.values for segment in ordered)),
        b"".join(segment.flags for segment in ordered),
    )
    if _rises(whole.at):
        return whole
    places = sorted(range(len(whole.at)), key=whole.at.__getitem__)
    return _without_corrected(
        Segment(
            0,
            False,
            list(map(whole.at.__getitem__, places)),
            list(map(whole.values.__getitem__, places)),
            bytes(map(whole.flags.__getitem__, places)),
        )
    )


def _rises(at: Sequence[Millis]) -> bool:
    return all(map(lt, at, islice(at, 1, None)))


def _without_corrected(whole: Segment) -> Segment:
    """Leave out what a sender has corrected since: of those it stamped with one time, the last counts."""
    at, flags = whole.at, whole.flags
    chosen = [
        not (here == after and flag & next_flag & SENT)
        for here, after, flag, next_flag in zip(at, islice(at, 1, None), flags, islice(flags, 1, None), strict=False)
    ]
    return whole if all(chosen) else _chosen(whole, [*chosen, True])


def _chosen(segment: Segment, chosen: Sequence[bool]) -> Segment:
    return Segment(
        segment.rank,
        segment.is_sent,
        list(compress(segment.at, chosen)),
        list(compress(segment.values, chosen)),
        bytes(compress(segment.flags, chosen)),
    )


def _of(columns: Columns, chosen: Sequence[bool]) -> Columns:
    return Columns(
        columns.offset,
        list(compress(columns.sensors, chosen)),
        list(compress(columns.times, chosen)),
        list(compress(columns.values, chosen)),
        columns.flags if isinstance(columns.flags, int) else bytes(compress(columns.flags, chosen)),
    )
