"""Keeps the history within its limits: by age once a day, by size always.

The law of this file: what goes is chosen from a snapshot in one thread, and deleted in another in short steps, each
with the readings that arrive meanwhile. What may go, and when, is core/retention's word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TypeVar

import msgspec

from outstation.core import retention
from outstation.core.readings import Millis
from outstation.core.retention import READINGS, Limits, Now, What
from outstation.store import entry_blocks, forgetting, unsent
from outstation.store.database import Store
from outstation.store.forgetting import Old, OldSummaries
from outstation.store.stock import Stock

T = TypeVar("T")

_AT_ONCE = 512
"""So many blocks are chosen from one snapshot: about as many as a hundred steps delete."""

_ENTRY_BLOCKS = 32
"""The same of entries: so many are deleted in a step, some 100 KB."""

_EVER: Millis = 1 << 60

Seen = Callable[[Stock], T]


class Deleted(msgspec.Struct):
    """What a run has deleted. most: so many readings may go. left: what is too old is not all gone, for that reason.

    kept: why nothing goes by age. full: there is too much, and nothing that could go.
    """

    readings: int = 0
    most: int = 0
    left: bool = False
    kept: str = ""
    full: bool = False


class Retention:
    """The history of one node, kept within its limits."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def look(self, work: Seen[T]) -> T:
        """Look at a snapshot. Blocks. Raises StoreError."""
        with self._store.read() as connection:
            return work(Stock(connection, unsent.heard_by_all(connection), self._store.wal_bytes()))

    async def by_age(self, limits: Limits, now: Now, *, asked: bool = False) -> Deleted:
        """Delete what is too old. asked: a person wants it now, and all of it. Raises StoreError."""
        now = msgspec.structs.replace(now, moved=await self._seen(Stock.moved))
        if kept := retention.hindrance(now):
            return Deleted(kept=kept)
        whole = asked or retention.is_whole_due(await self._seen(Stock.last_aged), now)
        if whole:
            await self._store.write(partial(forgetting.set_aged, at=now.at))
        readings = self._store.stats().readings
        deleted = Deleted(most=readings if asked else retention.allowance(readings))
        await self._age_readings(limits, now, deleted, whole=whole)
        if whole:
            await self._delete_summaries(
                await self._seen(lambda seen: list(seen.aged_summaries(limits, now, asked=asked)))
            )
            if limits.keep is not None:
                await self._store.write(partial(entry_blocks.age, before=now.at - limits.keep, asked=asked))
        await self._give_back(limits.cap)
        return deleted

    async def make_room(self, limits: Limits, at: Millis) -> Deleted:
        """Delete until there is room again, whatever the clock is worth. Raises StoreError."""
        deleted = Deleted()
        wanted = retention.too_much(await self._seen(Stock.used), limits.cap)
        if not wanted:
            return deleted
        if retention.is_log_first(await self._seen(Stock.log_bytes), limits.cap):
            await self._store.seal(everything=True)
            wanted = retention.too_much(await self._seen(Stock.used), limits.cap)
        while wanted and not deleted.full:
            deleted.full = not await self._free(wanted, at, deleted)
            wanted = retention.too_much(await self._seen(Stock.used), limits.cap)
        await self._give_back(limits.cap)
        return deleted

    async def _free(self, wanted: int, at: Millis, deleted: Deleted) -> bool:
        """Delete the first of what may go; say whether there was anything."""
        for what in What:
            if what in READINGS:
                old = await self._seen(partial(Stock.readings_for_room, what=what, wanted=wanted))
                if old and await self._delete_entries(old[0].end):
                    return True
                gone = await self._delete(old, at)
                deleted.readings += gone
            else:
                gone = await self._delete_summaries(await self._seen(partial(Stock.summaries_for_room, what=what)))
            if gone:
                return True
        return await self._delete_entries(_EVER) > 0

    async def _age_readings(self, limits: Limits, now: Now, deleted: Deleted, *, whole: bool) -> None:
        gone = 1
        while gone and not deleted.left:
            old = await self._seen(lambda seen: list(islice(seen.aged_readings(limits, now, whole=whole), _AT_ONCE)))
            is_first = whole and not deleted.readings
            some = list(within(old, deleted.most - deleted.readings, at_least_one=is_first))
            gone = await self._delete(some, now.at)
            deleted.readings += gone
            deleted.left = len(some) < len(old)

    async def _delete(self, old: Sequence[Old], at: Millis) -> int:
        readings = done = 0
        while done < len(old):
            gone = await self._store.forget(old[done : done + _AT_ONCE], at)
            done, readings = done + gone.looked_at, readings + gone.readings
        return readings

    async def _delete_summaries(self, old: Sequence[OldSummaries]) -> int:
        done = 0
        while done < len(old):
            done += await self._store.write(partial(forgetting.summaries, old=old[done : done + _AT_ONCE]))
        return done

    async def _delete_entries(self, before: Millis) -> int:
        """Delete some of the entries that are older than that: of readings and entries the oldest go first."""
        return await self._store.write(partial(entry_blocks.forget, before=before, most=_ENTRY_BLOCKS))

    async def _give_back(self, most: int) -> None:
        while await self._store.write(partial(forgetting.give_back, most=most)):
            pass

    async def _seen(self, work: Seen[T]) -> T:
        return await asyncio.to_thread(self.look, work)


def within(old: Iterable[Old], readings: int, *, at_least_one: bool) -> Iterator[Old]:
    """Return the first of these, as long as they have no more readings than that.

    at_least_one: also where that one has more. Of a small history no block is as small as a tenth of it, so that
    nothing would ever go; a clock that is wrong costs such a one a block a day, and a larger one no more than a tenth.
    """
    for block in old:
        readings -= block.count
        if readings < 0 and not at_least_one:
            return
        yield block
        at_least_one = False
