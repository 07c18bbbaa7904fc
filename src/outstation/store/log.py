"""The log: fresh readings in order of arrival, append only, one packed row a commit.

The law of this file: what it knows is what is on disk. It is changed only on the way to a commit,
and after one that failed it is thrown away and made anew from the file.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized

import apsw
import msgspec

from outstation.core.readings import Millis, Reading
from outstation.core.windows import WIDTHS, Tier
from outstation.store import blocks, boots, chunks, damaged, entry_blocks, forgetting, left_out, newest
from outstation.store.boots import Boot
from outstation.store.chunks import Chunk
from outstation.store.columns import Column
from outstation.store.damaged import Lost
from outstation.store.draft import Draft, Identity, Recorded, Row
from outstation.store.forgetting import Gone, Old
from outstation.store.ids import Ids
from outstation.store.newest import Newest
from outstation.store.rows import SENT, Columns, pack, packed
from outstation.store.summarising import Summarising
from outstation.store.tiers import Views

NEWEST_EVERY = 65_536
"""Readings between two writings of `newest`, at least; 16 a sensor, where there are many sensors."""


class Batch(msgspec.Struct):
    """What one commit adds. news: the names of sensors never heard of before. told: exceptions, by number of call."""

    rows: list[Row]
    news: list[str]
    told: dict[int, Recorded]
    is_one_statement: bool


class Log:
    """All that the writer must know to append."""

    def __init__(self, connection: apsw.Connection, boot: Boot, views: Views, after: int = 0) -> None:
        """Read the end of the log and enter the boot. Inside a transaction. Raises apsw.Error, msgspec.DecodeError.

        after: new rows come after it. Whoever knows how far a file went that another took the place of misses none.
        """
        self._connection, self._after = connection, after
        self._sensors = Ids(connection)
        self.last_id, closed_boot, self._bounds = chunks.last_closed(connection)
        self._tail = Chunk()
        self._newest, self._since_newest = self._replay()
        self.count = chunks.count(connection)
        known = boots.newest(connection)
        if known is None or known.id != closed_boot:
            self._bounds.own = None
        self._boot = known or boots.add(connection, boot)
        self.summarising = Summarising(connection, self._sensors, self._newest, views)
        self.set_boot(boot)

    def set_boot(self, boot: Boot) -> None:
        """Follow the clock, which was set or is trusted more. Inside a transaction."""
        before = self._boot
        if not boots.begins_anew(before, boot):
            self._boot = boots.restamp(self._connection, before, boot)
            if self._boot.offset != before.offset:
                self.summarising.stamped_anew(self._boot.id, before.offset, self._boot.offset)
                entry_blocks.stamped_anew(self._connection, self._boot.id, self._boot.offset - before.offset)
        else:
            if self._tail.rows:
                self._close_tail()
            self._boot = boots.add(self._connection, boot)
            self._bounds.own = None
            self.summarising.clock_stepped()
        self.summarising.doubted_until = self._boot.bound

    @property
    def offset(self) -> Millis:
        """UTC minus boot time, as the boot in force has it."""
        return self._boot.offset

    @property
    def known_boot(self) -> boots.Known:
        """The boot in force."""
        return self._boot

    @property
    def sensors(self) -> int:
        """How many sensors there are."""
        return len(self._sensors)

    def names(self) -> list[str]:
        """Return the names of all sensors that ever stored a reading."""
        return list(self._sensors)

    def sort(self, calls: Sequence[Sequence[Reading]]) -> Batch:
        """Tell new readings from known ones. Writes nothing yet, but what is known has moved on."""
        self.summarising.begin(reading.sensor for readings in calls for reading in readings)
        draft = Draft(self._sensors, self._newest, self._boot)
        for number, readings in enumerate(calls):
            for reading in readings:
                draft.take(number, reading)
        return self._settled(draft, calls)

    def record(self, columns: Sequence[Column]) -> Recorded:
        """Tell new readings from known ones, and write them. Inside a transaction, which is lost if this fails."""
        self.summarising.begin(column.sensor for column in columns)
        draft, count = Draft(self._sensors, self._newest, self._boot), sum(len(column.times) for column in columns)
        for column in columns:
            draft.take_all(0, column)
        batch = self._settled(draft, [range(count)])
        self.append(batch)
        for column in columns:
            self.summarising.heard_elsewhere(column.sensor, column.times)
        return batch.told.get(0) or Recorded(count)

    def number(self, name: str) -> int:
        """Return the number of a sensor; one that was never heard of has one from now on. Inside a transaction."""
        if (known := self._sensors.get(name)) is not None:
            return known
        number = self._sensors.give(name)
        self._connection.execute("INSERT INTO sensors (id, name) VALUES (?, ?)", (number, name))
        return number

    def forget_names(self, since: int) -> None:
        """Forget all sensors but the first so many: what gave them their numbers was undone."""
        for name in list(self._sensors)[since:]:
            del self._sensors[name]

    def knows(self, name: str) -> bool:
        """Tell whether a sensor has a number."""
        return name in self._sensors

    def _settled(self, draft: Draft, calls: Sequence[Sized]) -> Batch:
        if draft.doubtful:
            draft.settle(self._known({(sensor, sent[0]) for _, sensor, sent, _ in draft.doubtful}))
        self.summarising.hear(draft.heard)
        rows = draft.rows(max(self.last_id, self._after) + 1)
        closes = self._tail.fills_with(len(rows), sum(len(row.columns.sensors) for row in rows))
        is_one = len(rows) < 2 and not closes and not draft.news and not self.summarising.is_due()
        return Batch(rows, draft.news, draft.told(calls), is_one)

    def append(self, batch: Batch) -> None:
        """Write it. Inside a transaction, unless it is one statement."""
        for name in batch.news:
            self._connection.execute("INSERT INTO sensors (id, name) VALUES (?, ?)", (self._sensors[name], name))
        for row in batch.rows:
            self._connection.execute(
                "INSERT INTO log (id, boot, count, body) VALUES (?, ?, ?, ?)",
                (row.id, self._boot.id, row.count, pack(row.columns)),
            )
            self.last_id = row.id
            self.count += row.count
            self._tail.add(row.id, row.count, row.columns)
            if self._tail.fills_with(0, 0):
                self._close_tail()
        if not batch.is_one_statement:
            self.summarising.work()

    def forget(self, old: Sequence[Old], at: Millis) -> Gone:
        """Delete some of these blocks; return how many readings that were. Inside a transaction."""
        gone = forgetting.blocks(self._connection, old, at)
        self.count -= gone.readings
        return gone

    def move_damaged(self, row: left_out.Row, at: Millis) -> Lost | None:
        """Move a block or pack out of the way, if it is damaged; return what is lost. Inside a transaction."""
        if (lost := damaged.move(self._connection, row, at)) is None or lost.of_entries:
            return lost
        if lost.tier is not Tier.RAW:
            width = WIDTHS[lost.tier]
            self.summarising.lost(lost.sensor, width, range(lost.start, lost.end, width))
            return lost
        left = damaged.left(self._connection, lost, self.count)
        self._connection.execute("UPDATE closed SET readings = readings + ?", (left - self.count,))
        self.count = left
        return lost

    def keep_newest(self) -> None:
        """Write the newest of each sensor: a start needs no closed chunk then. Inside a transaction."""
        self._since_newest = 0
        newest.save(self._connection, self._newest, self._tail.first_id - 1 if self._tail.rows else self.last_id)

    def _close_tail(self) -> None:
        chunks.close(self._connection, self._tail, self._boot.id, self._bounds)
        self._since_newest += self._tail.readings
        self._tail = Chunk()
        if self._since_newest >= max(NEWEST_EVERY, 16 * len(self._sensors)):
            self._since_newest = 0
            newest.save(self._connection, self._newest, self.last_id)

    def _replay(self) -> tuple[Newest, int]:
        """Return the newest of each sensor, and how many readings of closed chunks are not in its last writing."""
        known, after = newest.load(self._connection)
        since, closed = 0, self.last_id
        for row, count, columns in newest.replay(self._connection, known, after):
            if row <= closed:
                since += len(columns.sensors)
            else:
                self._tail.add(row, count, columns)
                self.last_id = row
        return known, since

    def _known(self, wanted: set[Identity]) -> dict[Identity, bytes]:
        """Return the packed value of each that is on disk."""
        times = sorted(at for _, at in wanted)
        sensors = sum(1 << sensor for sensor in {sensor for sensor, _ in wanted})
        known: dict[Identity, bytes] = {}
        for chunk in chunks.walk_sent(self._connection, times):
            if not chunk.sensors & sensors:
                continue
            here: dict[Identity, bytes] = {}
            for _, columns in chunk.columns(self._connection):
                _look_up(columns, wanted, here)
            known = here | known  # what arrived later counts
        return blocks.known(self._connection, wanted - known.keys()) | known


def _look_up(columns: Columns, wanted: set[Identity], here: dict[Identity, bytes]) -> None:
    for sensor, time, value, flag in zip(
        columns.sensors, columns.times, columns.values, columns.each_flag(), strict=True
    ):
        if flag & SENT and (sensor, time + columns.offset) in wanted:
            here[sensor, time + columns.offset] = packed(value)
