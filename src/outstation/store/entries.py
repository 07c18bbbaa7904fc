"""What boards wrote in the ThingSpeak dialect: entries with a number, to the letter, beside the readings of them.

The law of this file: an entry and its readings are on disk together or not at all; a number is given once, whatever
happens to the entry that it was given to. An entry whose time the board gave is known by (channel, at): the same
again is the same entry, under the same number, and what it brings new is added. A time that this node gave while its
clock was not set moves with that of the readings.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import apsw

from outstation.clock import Trust
from outstation.core.readings import Millis, Reading
from outstation.errors import RefusedError, StoreError
from outstation.store import boots, entry_blocks, entry_log
from outstation.store.chunks import HIGHEST, LOWEST
from outstation.store.entry_log import FIELDS, Entry, Texts
from outstation.store.rows import LATEST, is_fit, is_text

if TYPE_CHECKING:
    from outstation.store.database import Store

__all__ = ["FIELDS", "Entries", "Entry", "Texts"]

SEAL_FROM, SEAL_AT_MOST = 4_096, 32_768
"""Entries in the log from which they are sealed: a question reads all that are there, in 4 to 30 ms."""

_OF_EACH = 128
"""Of many channels more, up to that: to seal one costs as much as to seal a hundred of the same channel."""

log = logging.getLogger(__name__)


class Entries:
    """The entries of a store, which has one of these. `enter` is called in the loop's thread; the questions block."""

    def __init__(self, store: Store, *, seal_from: int = SEAL_FROM) -> None:
        """Look up the numbers. Without a data file the first commit does."""
        self._store, self._seal_from = store, seal_from
        self._opened = -1
        self._row = self._unsealed = 0
        self._numbers: dict[int, int] = {}  # the writer's: one that fails to be stored is given again
        self._given: dict[int, int] = {}  # on disk
        self._newest: dict[int, Millis] = {}
        self._sealing: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop
        self._gathered: list[tuple[Sequence[Entry], Sequence[Reading], asyncio.Future[list[int]]]] = []
        with contextlib.suppress(StoreError), store.read() as connection:
            self._look_up(connection)

    def enter(self, entries: Sequence[Entry], readings: Sequence[Reading]) -> asyncio.Future[list[int]]:
        """Store entries with their readings in the next commit; the future's result is their numbers.

        The future raises DiskFullError, StoreError. Raises RefusedError where one cannot be stored.
        """
        if not (all(map(is_fit, readings)) and all(map(_is_fit, entries))):
            raise RefusedError("An entry has a text or a time that cannot be stored.")
        if not self._gathered:
            self._loop = asyncio.get_running_loop()  # a call into the kernel each time
            self._loop.call_soon(self._hand_over)
        future: asyncio.Future[list[int]] = self._loop.create_future()
        self._gathered.append((entries, readings, future))
        return future

    def last_number(self, channel: int) -> int:
        """Return the number that was given last; 0: none was. Asks no disk."""
        return self._given.get(channel, 0)

    def of_channel(
        self,
        channel: int,
        *,
        start: Millis = LOWEST,
        end: Millis = HIGHEST,
        first: int = 1,
        last: int = HIGHEST,
        limit: int = 8_000,
    ) -> list[Entry]:
        """Return the newest `limit` entries from `start` until before `end`, numbered first to last, oldest first."""

        def wanted(one: Entry) -> bool:
            return start <= one.at < end and first <= one.number <= last

        found: list[Entry] = []
        if limit <= 0:
            return found
        with self._store.read() as connection:
            fresh = entry_log.fresh(connection, channel)
            for block in entry_blocks.of_span(connection, channel, start, end):
                # Blocks may overlap: those that follow end before this one, and may still begin after it.
                if sum(one.at > block.end for one in found) >= limit:
                    break
                if first <= block.last and block.first <= last:
                    found += filter(wanted, block.entries(connection, channel))
        return list(filter(wanted, entry_blocks.merged(channel, found, fresh)))[-limit:]

    def last(self, channel: int) -> Entry | None:
        """Return the entry with the highest number."""
        return self.numbered(channel, self.last_number(channel))

    def numbered(self, channel: int, number: int) -> Entry | None:
        """Return the entry of that number."""
        with self._store.read() as connection:
            return _numbered(connection, channel, number)

    def last_of_field(self, channel: int, field: int) -> Entry | None:
        """Return the entry with the highest number in which field 1 to 8 has a text."""
        with self._store.read() as connection:
            fresh = entry_log.fresh(connection, channel)
            found = [row[1] for row in fresh if field - 1 in row[3]]
            for block in entry_blocks.with_field(connection, channel, field):
                if block.last <= max(found, default=0):
                    break
                entries = block.entries(connection, channel)
                found += (one.number for one in entries if one.fields[field - 1] is not None)
            return _numbered(connection, channel, max(found)) if found else None

    async def seal(self) -> None:
        """Move what is in the log into blocks, some channels at a time. Raises StoreError."""
        found, upto, at = await asyncio.to_thread(self._look_at_log)
        waiting = list(found.items())
        while waiting:
            done = await self._store.write(partial(entry_blocks.seal, found=waiting, upto=upto, at=at))
            if not done:
                return  # the clock was set just now: the next time will do
            waiting = waiting[done:]
        await self._store.write(partial(entry_log.forget, upto=upto))
        self._unsealed -= sum(map(len, found.values()))

    def _look_at_log(self) -> tuple[dict[int, list[entry_log.Row]], int, tuple[int, Millis] | None]:
        with self._store.read() as connection:
            return *entry_log.unsealed(connection), entry_blocks.stamped(connection)

    def _hand_over(self) -> None:
        """Pass on what one round of the loop has gathered, as one piece of work."""
        gathered, self._gathered = self._gathered, []
        waiting = [future for _, _, future in gathered]
        calls = [entries for entries, _, _ in gathered]
        readings = [readings for _, readings, _ in gathered]
        try:
            stored = self._store.record_with(readings, lambda connection: self._put(connection, calls))
        except StoreError as error:
            _refuse(waiting, error)
            return
        stored.add_done_callback(lambda done: self._tell(done, waiting))

    def _tell(self, done: asyncio.Future[_Told], waiting: Sequence[_Waiting]) -> None:
        if done.cancelled():
            return
        if (error := done.exception()) is not None:
            _refuse(waiting, error)
            return
        told, given = done.result()
        self._given |= given
        for future, numbers in zip(waiting, told, strict=True):
            if not future.done():
                future.set_result(numbers)
        seal_from = max(self._seal_from, min(_OF_EACH * len(self._numbers), SEAL_AT_MOST))
        if self._unsealed >= seal_from and (self._sealing is None or self._sealing.done()):
            self._sealing = asyncio.get_running_loop().create_task(self._seal_soon())

    async def _seal_soon(self) -> None:
        try:
            await self.seal()
        except StoreError as error:
            log.warning("Entries could not be sealed; it is tried again: %s", error)

    def _put(self, connection: apsw.Connection, calls: Sequence[Sequence[Entry]]) -> _Told:
        """Give the entries of each call their numbers and write them. In the writer's thread, in a transaction."""
        if self._opened != self._store.opened:
            self._look_up(connection)
        known, boot = _Known(connection), self._store.log.known_boot
        told = [[self._take(known, boot, entry) for entry in entries] for entries in calls]
        self._row = entry_log.put(connection, self._row, known.rows)
        self._unsealed += len(known.rows)
        return told, {row[0]: self._numbers[row[0]] for row in known.rows}

    def _take(self, known: _Known, boot: boots.Known, entry: Entry) -> int:
        """Return the number of an entry, and make a row of it: that of the one it repeats, or its own, or the next."""
        channel, at, moves_with = entry.channel, entry.at, 0
        if not entry.sender_stamped and entry.offset is not None:
            at, moves_with = _stamped(boot, at, entry.offset)
        newest, last = self._newest.get(channel, LOWEST), self._numbers.get(channel, 0)
        may_repeat = entry.sender_stamped and at <= newest and entry.number <= last
        number = known.number(channel, at, entry.number) if may_repeat else 0
        if not number:
            number = self._numbers[channel] = max(entry.number, last + 1)
            if not moves_with and at > newest:
                self._newest[channel] = at
        known.rows.append(entry_log.row(entry, number, at, moves_with))
        return number

    def _look_up(self, connection: apsw.Connection) -> None:
        """Learn what is there. A number that was given stays given: a data file may be lost."""
        self._opened, self._numbers = self._store.opened, self._given.copy()
        fresh, self._row = entry_log.unsealed(connection)
        self._unsealed = sum(map(len, fresh.values()))
        numbers = [*connection.execute("SELECT id, last_entry_id FROM channels")]
        numbers += ((channel, max(row[1] for row in rows)) for channel, rows in fresh.items())
        for channel, number in numbers:
            self._numbers[channel] = self._given[channel] = max(number, self._given.get(channel, 0))
        newest = [*connection.execute("SELECT channel, max(end) FROM entry_blocks WHERE boot = 0 GROUP BY channel")]
        newest += ((row[0], row[2]) for row in chain.from_iterable(fresh.values()) if not row[4])
        for channel, at in newest:
            self._newest[channel] = max(at, self._newest.get(channel, LOWEST))


_Waiting = asyncio.Future[list[int]]

_Told = tuple[list[list[int]], dict[int, int]]
"""The numbers by call, and the last one that each channel has given now."""

_Times = dict[Millis, list[int]]


class _Known:
    """The entries of one commit, and those on disk where that is asked for: by channel, UTC to numbers.

    Those whose time may still move are known by no time. rows: of this commit so far.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self.rows: list[entry_log.Row] = []
        self._connection = connection
        self._here: dict[int, _Times] = {}
        self._read = 0
        self._fresh: dict[int, _Times] = {}
        self._blocks: dict[int, _Times] = {}

    def number(self, channel: int, at: Millis, wanted: int) -> int:
        """Return the number of the entry of that time, of several that which is wanted; 0: there is none."""
        for row in self.rows[self._read :]:
            if not row[4]:
                self._here.setdefault(row[0], {}).setdefault(row[2], []).append(row[1])
        self._read = len(self.rows)
        if channel not in self._fresh:
            fresh = entry_log.fresh(self._connection, channel)
            self._fresh[channel] = _by_time((row[2], row[1]) for row in fresh if not row[4])
        found = [*self._fresh[channel].get(at, ()), *self._here.get(channel, {}).get(at, ())]
        if not found or (wanted and wanted not in found):
            found = [*self._in_blocks(channel, at), *found]
        return wanted if wanted in found else max(found, default=0)

    def _in_blocks(self, channel: int, at: Millis) -> Iterator[int]:
        for block in entry_blocks.of_span(self._connection, channel, at, at + 1):
            if block.boot:
                continue
            if block.id not in self._blocks:
                entries = block.entries(self._connection, channel)
                self._blocks[block.id] = _by_time((one.at, one.number) for one in entries)
            yield from self._blocks[block.id].get(at, ())


def _by_time(found: Iterable[tuple[Millis, int]]) -> _Times:
    times: _Times = {}
    for at, number in found:
        times.setdefault(at, []).append(number)
    return times


def _numbered(connection: apsw.Connection, channel: int, number: int) -> Entry | None:
    fresh = [row for row in entry_log.fresh(connection, channel) if row[1] == number]
    blocks = entry_blocks.of_number(connection, channel, number)
    sealed = [one for block in blocks for one in block.entries(connection, channel) if one.number == number]
    return next(iter(entry_blocks.merged(channel, sealed, fresh)), None)


def _stamped(boot: boots.Known, at: Millis, offset: Millis) -> tuple[Millis, int]:
    """Return a time that this node gave, and the boot that it moves with; 0: it stands. The entry may have waited."""
    if abs(boot.offset - offset) > boots.STEP:
        at += boot.offset - offset
    return at, 0 if boot.trust is Trust.SYNCHRONISED else boot.id


def _refuse(waiting: Sequence[_Waiting], error: BaseException) -> None:
    for future in waiting:
        if not future.done():
            future.set_exception(error)
            future.exception()  # not waiting for it is no mistake


def _is_fit(entry: Entry) -> bool:
    return is_text("".join(filter(None, entry.texts))) and 0 <= entry.at < LATEST
