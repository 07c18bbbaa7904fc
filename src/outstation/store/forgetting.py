"""Deletes what is old, in steps: inside the writer's transactions, none of them long.

The law of this file: whoever deletes readings or summaries says in `forgotten` until when, in the same transaction.
Nothing is deleted that is not just as it was when it was chosen; nothing is ever rewritten to save room; and of what an
uplink has not had the transaction leaves a trace: see unsent.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import apsw
import msgspec

from outstation import clock
from outstation.core.readings import Millis
from outstation.core.retention import window_end
from outstation.core.windows import Tier
from outstation.store import chunks, left_out, packs
from outstation.store.chunks import Found
from outstation.store.rows import SENT
from outstation.store.sealing import packing
from outstation.store.unsent import Leaving

_SLICE_NS = 5_000_000
"""So long may one transaction delete: requests that arrive meanwhile wait for it."""

_SPARE = 9
"""A free page for so many in use stays in the file: fresh readings take it up again, and moving pages costs writing."""

BLOCK_ROW = 560
"""Bytes of the file that a block takes beside its body: its row, its indexes, and half of its last page."""

_STEP_PAGES = 50
"""Pages given back between two looks at the time: about 1 ms here."""


class Old(msgspec.Struct, frozen=True):
    """A block that is to go. end: its last time, in UTC. bytes: of its body."""

    id: int
    sensor: int
    end: Millis
    count: int
    bytes: int

    @property
    def size(self) -> int:
        """The bytes of the file that it takes."""
        return self.bytes + BLOCK_ROW


class OldSummaries(msgspec.Struct, frozen=True):
    """A sensor's summaries of one tier that are to go: those that begin before a time."""

    sensor: int
    tier: Tier
    before: Millis


class Gone(msgspec.Struct, frozen=True):
    """How many of those that were to go were looked at, and how many readings went with them."""

    looked_at: int
    readings: int


def blocks(connection: apsw.Connection, old: Sequence[Old], at: Millis) -> Gone:
    """Delete as many of these as a slice of time allows, at least one. at: now."""
    until: dict[int, Millis] = {}
    readings = looked_at = 0
    log = _Log(connection)
    begun = clock.monotonic_ns()
    for block in old:
        looked_at += 1
        key = block.id, block.sensor, block.count, block.bytes
        if found := connection.execute(_AS_CHOSEN, key).fetchone():
            may_stay, *rest = found
            try:
                readings += block.count - (log.corrected(block.sensor, *rest) if may_stay else 0)
            except msgspec.DecodeError as error:
                left_out.note(connection, "blocks", block.id, error)
                continue
            connection.execute("DELETE FROM blocks WHERE id = ?", (block.id,))
            # A time that is still to come is of a clock that was wrong: it must not keep windows from being made.
            until[block.sensor] = max(until.get(block.sensor, 0), block.end if block.end < at else 0)
        if clock.monotonic_ns() - begun > _SLICE_NS:
            break
    connection.execute("UPDATE closed SET readings = readings - ?", (readings,))
    for sensor, end in until.items():
        _forgotten(connection, sensor, Tier.RAW, window_end(end))
    return Gone(looked_at, readings)


def summaries(connection: apsw.Connection, old: Sequence[OldSummaries]) -> int:
    """Delete as many of these as a slice of time allows, at least one; return how many were."""
    begun = clock.monotonic_ns()
    leaving, done = Leaving(connection), 0
    for some in old:
        done += 1
        leaving.see(some.sensor, some.tier, some.before)
        connection.execute(
            "DELETE FROM summaries WHERE sensor = ? AND tier = ? AND start < ?", (some.sensor, some.tier, some.before)
        )
        is_any = connection.changes() > 0
        if packs.forget(connection, some.sensor, some.tier, some.before) or is_any:
            _forgotten(connection, some.sensor, some.tier, some.before)
        if clock.monotonic_ns() - begun > _SLICE_NS:
            break
    leaving.tell()
    return done


def give_back(connection: apsw.Connection, most: int) -> bool:
    """Give some free pages back to the file system; say whether there are more to give.

    most: bytes that the file should have at most, if what is in use allows.
    """
    pages, free = connection.pragma("page_count"), connection.pragma("freelist_count")
    used = pages - free
    spare = min(used // _SPARE, max(0, most // connection.pragma("page_size") - used))
    begun = clock.monotonic_ns()
    while free > spare and clock.monotonic_ns() - begun < _SLICE_NS:
        connection.pragma("incremental_vacuum", min(free - spare, _STEP_PAGES))
        left: int = connection.pragma("freelist_count")
        if left == free:
            return False
        free = left
    return bool(free > spare)


def set_aged(connection: apsw.Connection, at: Millis) -> None:
    """Note that a run by age begins: before it deletes anything, so that no kill makes it two in a day."""
    connection.execute("INSERT OR REPLACE INTO aged (id, at) VALUES (1, ?)", (at,))


class _Log:
    """What senders stamped and is not sealed yet, read as far as it is asked for. times: by first row, and sensor."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._times: dict[int, dict[int, list[Millis]]] = {}

    def corrected(self, sensor: int, start: Millis, end: Millis, body: bytes) -> int:
        """Return how many readings of a block have been corrected since: they are still shown, and count."""
        found: set[Millis] = set()
        for chunk in chunks.walk(self._connection, end + 1):
            if chunk.bound < start:
                break
            if chunk.highest >= start and chunk.sensors >> sensor & 1 and chunk.hidden < sensor:
                found.update(at for at in self._in(chunk).get(sensor, ()) if start <= at <= end)
        return len(found.intersection(packing.unpack(body).times)) if found else 0

    def _in(self, chunk: Found) -> dict[int, list[Millis]]:
        times = self._times.get(chunk.first_id)
        if times is None:
            times = self._times[chunk.first_id] = {}
            for _, columns in chunk.columns(self._connection):
                for sensor, at, flag in zip(columns.sensors, columns.times, columns.each_flag(), strict=True):
                    if flag & SENT:
                        times.setdefault(sensor, []).append(at + columns.offset)
        return times


def _forgotten(connection: apsw.Connection, sensor: int, tier: Tier, until: Millis) -> None:
    connection.execute(_FORGOTTEN, (sensor, tier, until))


_AS_CHOSEN = """
SELECT boot = 0 AND sensor NOT IN (SELECT id FROM gone), start, end, body
FROM blocks WHERE id = ? AND sensor = ? AND count = ? AND length(body) = ?
"""
"""First, whether corrections may stay in the log: our own readings have none, and of a deleted sensor all goes."""

_FORGOTTEN = """
INSERT INTO forgotten (sensor, tier, until) VALUES (?, ?, ?)
ON CONFLICT (sensor, tier) DO UPDATE SET until = max(until, excluded.until)
"""
