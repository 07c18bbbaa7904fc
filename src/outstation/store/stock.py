"""What fills the data file: looked at, for what is deleted from it next, and for the figures about it.

The law of this file: it reads through an index, or a few rows of each sensor; never all of a history. Times come out
in UTC, by what each boot knows of it now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice

import apsw
import msgspec

from outstation.clock import Trust
from outstation.core import retention
from outstation.core.readings import Millis
from outstation.core.retention import Frontier, Growth, Limits, Now, What
from outstation.core.windows import DAY, FIVE_MINUTES, HOUR, Tier
from outstation.store import chunks, entry_blocks, file, packs, unsent
from outstation.store.forgetting import BLOCK_ROW, Old, OldSummaries

_TIERS = {
    What.FIVE_MINUTES: Tier.FIVE_MINUTES,
    What.HOURS: Tier.HOUR,
    What.UNSENT_FIVE_MINUTES: Tier.FIVE_MINUTES,
    What.UNSENT_HOURS: Tier.HOUR,
    What.DAYS: Tier.DAY,
}
_SENT = (What.FIVE_MINUTES, What.HOURS)

_EVER: Millis = 1 << 60

_BLOCKS_MEASURED = 8
_RECENT: Millis = 7 * DAY
"""The present rate is that of a sensor's last blocks, if they are of the last week."""

_SUMMARY_ROW = 24
_FIVE_A_DAY, _LONGER_A_DAY = 288, 25
"""Summaries of a sensor in a day: those of five minutes; those of hours and the day."""


class _Boot(msgspec.Struct, frozen=True):
    """A boot in whose time there are blocks. offset: UTC minus its time. trusted: somebody knew that."""

    id: int
    offset: Millis
    trusted: bool


class Stock:
    """One snapshot of a file. sent: the last number of a summary that every uplink has had; None: all count as sent.

    wal: the bytes of its write-ahead log.
    """

    def __init__(self, connection: apsw.Connection, sent: int | None, wal: int) -> None:
        self._connection, self._sent, self._wal = connection, sent, wal
        self._frontiers: dict[int, Frontier] = {}

    @cached_property
    def names(self) -> dict[int, str]:
        """The sensors by number."""
        return dict(self._connection.execute("SELECT id, name FROM sensors"))

    def used(self) -> int:
        """Return the bytes that count: of the file without its free pages, and of the write-ahead log."""
        ask = self._connection.pragma
        return int((ask("page_count") - ask("freelist_count")) * ask("page_size")) + min(self._wal, file.WAL_KEPT)

    def readings(self) -> int:
        """Return how many readings there are."""
        return chunks.count(self._connection)

    def moved(self) -> Millis:
        """Return by how much the trusted clock of this boot has stepped."""
        return self._connection.execute(_MOVED).get or 0

    def frontier(self, sensor: int) -> Frontier:
        """Return how far a sensor's readings are summarised, and its summaries sent."""
        known = self._frontiers.get(sensor)
        if known is None:
            newest, forgotten, unmade = next(
                self._connection.execute(_FRONTIER, {"sensor": sensor, "width": FIVE_MINUTES})
            )
            ends = [end for end in (newest, forgotten) if end is not None]
            summarised = max(ends, default=None)
            if summarised is not None and unmade is not None:
                summarised = min(summarised, unmade)
            known = self._frontiers[sensor] = Frontier(summarised, self._unsent(sensor, Tier.FIVE_MINUTES))
        return known

    def aged_readings(self, limits: Limits, now: Now, *, whole: bool) -> Iterator[Old]:
        """Return the blocks that go by age: of sensors with an age of their own, then of all others, oldest first."""
        ids = {name: sensor for sensor, name in self.names.items()}
        own = {ids[name]: keep for name, keep in limits.own.items() if name in ids}
        for sensor, keep in own.items():
            yield from self._covered(_OF_SENSOR, *retention.readings_between(keep, now, whole=whole), sensor)
        if limits.keep is not None:
            others = self._covered(_OF_ALL, *retention.readings_between(limits.keep, now, whole=whole))
            yield from (old for old in others if old.sensor not in own)

    def aged_summaries(self, limits: Limits, now: Now, *, asked: bool) -> Iterator[OldSummaries]:
        """Return the summaries that go by age, a sensor's day at a time."""
        tier = Tier.FIVE_MINUTES
        for sensor in self.names:
            ends, until = self._ends(sensor, tier), self.frontier(sensor).until
            if ends and until is not None:
                first, last = ends[0], min(ends[1], until, self._made_until(sensor))
                before = retention.summaries_before(limits.keep_5m, now, first, last, asked=asked)
                yield from self._by_days(sensor, tier, first, before)

    def last_aged(self) -> Millis | None:
        """Return when the last run began that deleted whatever was too old."""
        found: Millis | None = self._connection.execute("SELECT at FROM aged").get
        return found

    def readings_for_room(self, what: What, wanted: int) -> list[Old]:
        """Return the blocks that arrived first, with so many bytes in all. They go whatever the clock says."""
        chosen: list[Old] = []
        for row in self._connection.execute(_IN_ORDER):
            old = self._old(row)
            if self.frontier(old.sensor).covers(old.end) is not (what is What.READINGS):
                continue
            chosen.append(old)
            wanted -= old.size
            if wanted <= 0:
                break
        return chosen

    def summaries_for_room(self, what: What) -> list[OldSummaries]:
        """Return the oldest span of summaries, of all sensors; the newest of each sensor stays."""
        tier = _TIERS[what]
        there = {sensor: ends for sensor in self.names if (ends := self._room(sensor, tier, what))}
        first, span = min((first for first, _ in there.values()), default=0), packs.SPANS.get(tier, DAY)
        before = first - first % span + span  # what is packed together goes together
        return [
            OldSummaries(sensor, tier, min(before, end)) for sensor, (first, end) in there.items() if first < before
        ]

    def growing(self, limits: Limits, at: Millis) -> list[Growth]:
        """Return what the sensors of the last week add in a day; nothing while nothing is sealed."""
        newest = ((boot, self._connection.execute(_NEWEST, (boot.id,)).get) for boot in self._boots.values())
        recent = [boot for boot, end in newest if end is not None and end + boot.offset >= at - _RECENT]
        found = {sensor: sum(self._measured(sensor, boot, at) for boot in recent) for sensor in self.names}
        of_each = [self._growth(sensor, a_day, limits) for sensor, a_day in found.items() if a_day]
        return [growth for growths in [*of_each, self._entries_growth(limits, at)] for growth in growths]

    def _entries_growth(self, limits: Limits, at: Millis) -> Iterator[Growth]:
        """Return what the entries of each channel of the last week add in a day."""
        for size, start, end in self._connection.execute(entry_blocks.SINCE, (BLOCK_ROW, at - _RECENT)):
            a_day = size * DAY / max(max(end, at - DAY) - start, HOUR)
            yield Growth(a_day, None if limits.keep is None else start + limits.keep)

    def since(self) -> Millis | None:
        """Return since when there are readings, sealed or not."""
        firsts = ((boot, self._connection.execute(_FIRST, (boot.id,)).get) for boot in self._boots.values())
        sealed = [first + boot.offset for boot, first in firsts if first is not None]
        return min([*sealed, *chunks.firsts(self._connection)], default=None)

    def log_bytes(self) -> int:
        """Return about how much the unsealed readings take."""
        return chunks.size(self._connection)

    @cached_property
    def _boots(self) -> dict[int, _Boot]:
        return {boot.id: boot for boot in self._boots_with_blocks()}

    def _boots_with_blocks(self) -> Iterator[_Boot]:
        boot: int | None = self._connection.execute("SELECT min(boot) FROM blocks").get
        while boot is not None:
            known = self._connection.execute("SELECT offset, trust FROM boots WHERE id = ?", (boot,)).fetchone()
            offset, trust = known or (0, Trust.SYNCHRONISED)  # 0: what senders stamped, in UTC
            yield _Boot(boot, offset, trust == Trust.SYNCHRONISED)
            boot = self._connection.execute("SELECT min(boot) FROM blocks WHERE boot > ?", (boot,)).get

    def _covered(self, query: str, start: Millis, before: Millis, *more: int) -> Iterator[Old]:
        for boot in self._boots.values():
            if not boot.trusted:
                continue  # nobody knows how old these are
            span = boot.id, start - boot.offset, before - boot.offset
            for row in self._connection.execute(query, (*more, *span)):
                old = self._old(row)
                if self.frontier(old.sensor).covers(old.end):
                    yield old

    def _old(self, row: tuple[int, int, int, int, int, int]) -> Old:
        number, sensor, boot, end, count, length = row
        return Old(number, sensor, end + self._boots[boot].offset, count, length)

    def _by_days(self, sensor: int, tier: Tier, first: Millis | None, before: Millis) -> Iterator[OldSummaries]:
        while first is not None and first < before:
            end = min(first - first % DAY + DAY, before)  # what is packed together goes together
            yield OldSummaries(sensor, tier, end)
            first = self._connection.execute(_FROM, {"sensor": sensor, "tier": tier, "start": end}).get

    def _ends(self, sensor: int, tier: Tier) -> tuple[Millis, Millis] | None:
        """Return the first and the last summary of a sensor."""
        bounds: Mapping[str, int] = {"sensor": sensor, "tier": tier}
        first, last = next(self._connection.execute(_ENDS, bounds))
        packed = packs.first(self._connection, sensor, tier)
        return None if first is None else (first if packed is None else min(first, packed), last)

    def _room(self, sensor: int, tier: Tier, what: What) -> tuple[Millis, Millis] | None:
        """Return from where, and until before when, a sensor's summaries may go."""
        ends = self._ends(sensor, tier)
        if ends is None:
            return None
        first, end = ends
        if what in _SENT:
            first_unsent = self._unsent(sensor, tier)
            end = min(end - retention.LAST_DAY, self._made_until(sensor), end if first_unsent is None else first_unsent)
        elif tier is Tier.FIVE_MINUTES:
            end -= end % HOUR  # where they are not sent yet their hours are, which are not made before they are over
        return (first, end) if first < end else None

    def _made_until(self, sensor: int) -> Millis:
        """Return until when all that is made of a sensor's summaries is made: what it is made from stays till then."""
        found: Millis | None = self._connection.execute(_UNMADE, {"sensor": sensor}).get
        return _EVER if found is None else found

    def _unsent(self, sensor: int, tier: Tier) -> Millis | None:
        """Return the first of a sensor's summaries that some uplink is to have still."""
        firsts = [unsent.first_hour(self._connection, sensor)] if tier is Tier.HOUR else []
        if self._sent is not None:
            query = "SELECT min(start) FROM summaries WHERE sensor = ? AND tier = ? AND number > ?"
            firsts.append(self._connection.execute(query, (sensor, tier, self._sent)).get)
            firsts.append(packs.first(self._connection, sensor, tier, self._sent))
        return min((start for start in firsts if start is not None), default=None)

    def _growth(self, sensor: int, a_day: float, limits: Limits) -> Iterator[Growth]:
        keep = limits.of(self.names[sensor])
        start, boot = next(self._connection.execute(_FIRST_OF, (sensor,)))
        yield Growth(a_day, None if keep is None else start + self._boots[boot].offset + keep)
        ends = self._ends(sensor, Tier.FIVE_MINUTES)
        if ends:
            until = None if limits.keep_5m is None else ends[0] + limits.keep_5m
            yield Growth(self._of_summaries(sensor, Tier.FIVE_MINUTES, _FIVE_A_DAY), until)
            yield Growth(self._of_summaries(sensor, Tier.HOUR, _LONGER_A_DAY))

    def _of_summaries(self, sensor: int, tier: Tier, rows_a_day: int) -> float:
        """Return the bytes that summaries come to in a day: packed, or as rows while none is."""
        packed: float | None = self._connection.execute(_PACK_SIZE, (sensor, tier)).get
        if packed is not None:
            return (packed + BLOCK_ROW) * DAY / packs.SPANS[tier]
        size: float = self._connection.execute(_SUMMARY_SIZE, (sensor,)).get or 0
        return rows_a_day * (size + _SUMMARY_ROW)

    def _measured(self, sensor: int, boot: _Boot, at: Millis) -> float:
        """Return the bytes that a sensor's last blocks come to in a day."""
        rows = self._connection.execute(_LAST, (sensor, boot.id, at - _RECENT - boot.offset))
        blocks = list(islice(rows, _BLOCKS_MEASURED))
        if not blocks:
            return 0.0
        span = max(blocks[0][1] + boot.offset, at - DAY) - (min(start for start, _, _ in blocks) + boot.offset)
        return float(sum(length + BLOCK_ROW for _, _, length in blocks) * DAY / max(span, HOUR))


_MOVED = (
    "SELECT max(offset) - min(offset) FROM boots WHERE kernel = (SELECT kernel FROM boots ORDER BY id DESC LIMIT 1)"
)

_FRONTIER = """
SELECT (SELECT start + width FROM summaries WHERE sensor = :sensor AND tier = 1 ORDER BY start DESC LIMIT 1),
       (SELECT until FROM forgotten WHERE sensor = :sensor AND tier = 1),
       (SELECT min(start) FROM (SELECT start FROM unmade WHERE sensor = :sensor AND width = :width
                                UNION ALL SELECT 0 FROM backlog WHERE sensor = :sensor))
"""
"""Of what is not made, the windows of five minutes alone: longer ones are made from those, and today's always wait."""

_UNMADE = """
SELECT min(start) FROM (SELECT start FROM unmade WHERE sensor = :sensor
                        UNION ALL SELECT 0 FROM backlog WHERE sensor = :sensor)
"""

_ENDS = """
SELECT (SELECT start FROM summaries WHERE sensor = :sensor AND tier = :tier ORDER BY start LIMIT 1),
       (SELECT start FROM summaries WHERE sensor = :sensor AND tier = :tier ORDER BY start DESC LIMIT 1)
"""

_FROM = """
SELECT min(first) FROM (
    SELECT min(start) AS first FROM summaries WHERE sensor = :sensor AND tier = :tier AND start >= :start
    UNION ALL SELECT min(start) FROM packs WHERE sensor = :sensor AND tier = :tier AND start >= :start)
"""

_COLUMNS = "SELECT id, sensor, boot, end, count, length(body) FROM blocks"
_OF_SENSOR = f"{_COLUMNS} WHERE sensor = ? AND boot = ? AND end >= ? AND end < ? ORDER BY end"
_OF_ALL = f"{_COLUMNS} WHERE boot = ? AND end >= ? AND end < ? ORDER BY end"
_IN_ORDER = f"{_COLUMNS} ORDER BY id"

_FIRST = "SELECT start FROM blocks WHERE boot = ? ORDER BY end LIMIT 1"
_NEWEST = "SELECT max(end) FROM blocks WHERE boot = ?"
_FIRST_OF = "SELECT start, boot FROM blocks WHERE sensor = ? ORDER BY boot, end LIMIT 1"
_LAST = "SELECT start, end, length(body) FROM blocks WHERE sensor = ? AND boot = ? AND end >= ? ORDER BY end DESC"
_PACK_SIZE = """
SELECT avg(length)
FROM (SELECT length(body) AS length FROM packs WHERE sensor = ? AND tier = ? ORDER BY start DESC LIMIT 8)
"""
_SUMMARY_SIZE = """
SELECT avg(length)
FROM (SELECT length(body) AS length FROM summaries WHERE sensor = ? AND tier = 1 ORDER BY start DESC LIMIT 12)
"""
