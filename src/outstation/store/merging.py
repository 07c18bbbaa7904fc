"""What becomes of a sensor's blocks when more is sealed: which of them are made anew, and with what.

The law of this file: it reads and packs, and writes nothing. Readings that came late, or correct sealed ones, go into
the block that covers their time; others go on after the newest block, in it while that can grow.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise

import apsw
import msgspec

from outstation.store import blocks, segments
from outstation.store.blocks import SENT_BOOT, Found, Sealed
from outstation.store.chunks import HIGHEST
from outstation.store.segments import Segment

BLOCK_READINGS = 4_096
"""A block has so many where there are, and less than twice as many: 8 kB, mostly."""

SMALL = 512
GROWS_BY = 8
"""The newest block grows while it is small, or by a part of it at least: else a hub of 20,000 sensors that seals some
readings of each every hour would write each reading forty times."""


class Change(msgspec.Struct, frozen=True):
    """Blocks of a sensor that go, and those that come in their place."""

    sensor: int
    old: list[Found]
    new: list[Sealed]


def change(connection: apsw.Connection, sensor: int, boot: int, segment: Segment) -> Change:
    """Return the change that takes in readings of a boot, or of senders (boot 0), whose times are on its clock."""
    fresh = segments.merged([segment])
    pairs = _with_sent(connection, sensor, fresh) if boot == SENT_BOOT else _with_own(connection, sensor, boot, fresh)
    changed = Change(sensor, [], [])
    for old, part in pairs:
        found = old.segments(connection) if old else []
        if old and found:
            changed.old.append(old)
        changed.new.extend(blocks.sealed(sensor, boot, piece) for piece in _cut(segments.merged([*found, part])))
    return changed


def _with_own(
    connection: apsw.Connection, sensor: int, boot: int, fresh: Segment
) -> Iterator[tuple[Found | None, Segment]]:
    newest = blocks.newest_of(connection, sensor, boot)
    yield newest if newest and _grows(newest, len(fresh.at)) else None, fresh


def _with_sent(connection: apsw.Connection, sensor: int, fresh: Segment) -> Iterator[tuple[Found | None, Segment]]:
    """Return the blocks that change, and what of the fresh readings goes into each; None: into a new one."""
    later = list(next(blocks.of_sensor(connection, sensor, fresh.at[0], HIGHEST)))[::-1]
    newest = later[-1] if later else next(next(blocks.of_sensor(connection, sensor, -HIGHEST, HIGHEST)), None)
    done = 0
    for block in later:
        upto = bisect_right(fresh.at, block.high)
        if block is newest and (upto > done or _grows(block, len(fresh.at) - done)):
            upto = len(fresh.at)
        if upto > done:
            yield block, _slice(fresh, done, upto)
        done = upto
    if done < len(fresh.at):
        grows = newest is not None and not later and _grows(newest, len(fresh.at))
        yield newest if grows else None, _slice(fresh, done, len(fresh.at))


def _grows(newest: Found, by: int) -> bool:
    return newest.count < BLOCK_READINGS and newest.count <= max(SMALL, GROWS_BY * by)


def _cut(whole: Segment) -> Iterator[Segment]:
    """Return readings in pieces as big as blocks are, as equal as can be."""
    pieces = max(1, len(whole.at) // BLOCK_READINGS)
    borders = [len(whole.at) * piece // pieces for piece in range(pieces + 1)]
    for first, end in pairwise(borders):
        yield _slice(whole, first, end)


def _slice(whole: Segment, first: int, end: int) -> Segment:
    return Segment(whole.rank, whole.is_sent, whole.at[first:end], whole.values[first:end], whole.flags[first:end])
