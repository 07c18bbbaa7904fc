"""One file on disk, one writer: where everybody stores, and where everybody asks.

The law of this file: a future that resolves means "on disk". What may be lost (own readings, up
to `lose_at_most`) goes in by another door, which promises nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self, TypeVar

import apsw
import msgspec

from outstation.clock import Trust
from outstation.core.readings import Keep, Millis, Reading
from outstation.core.restarts import Stamp
from outstation.errors import StoreError
from outstation.store import boots, file, kept, retention
from outstation.store.boots import Boot
from outstation.store.draft import Recorded
from outstation.store.readers import Readers
from outstation.store.writer import CLOSED, Writer

__all__ = ["Boot", "Recorded", "Stats", "Store"]

T = TypeVar("T")

_CLOSE_WITHIN: Millis = 2_000


class Stats(msgspec.Struct, frozen=True):
    """The store now. bytes: on disk, the write-ahead log included. dropped: own readings lost for want of room.

    damaged, gone: the name of a file set aside, and words on one that was removed while in use; "": none was.
    """

    readings: int
    sensors: int
    bytes: int
    waiting: int
    dropped: int
    error: StoreError | None
    damaged: str
    gone: str


class Store:
    """The data file of one node. Methods with a future are called in the loop's thread; `read` in any."""

    def __init__(self, folder: Path, *, boot: Boot, lose_at_most: Millis = 10_000) -> None:
        """Open the file, or begin it. Raises NewerFileError; all else is in stats().error, and tried again."""
        self._path = folder / file.NAME
        self._writer = Writer(self._path, boot, lose_at_most)
        self._readers = Readers(self._path, self._writer.doubt)
        self._closed = False
        self._gathered: list[tuple[Sequence[Reading], asyncio.Future[Recorded]]] = []

    def record(self, readings: Sequence[Reading]) -> asyncio.Future[Recorded]:
        """Store readings in the next commit. The future raises DiskFullError, StoreError, RefusedError."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Recorded] = loop.create_future()
        if self._closed:
            raise CLOSED
        if not self._gathered:
            loop.call_soon(self._hand_over)
        self._gathered.append((readings, future))
        return future

    def _hand_over(self) -> None:
        """Pass on what one round of the loop has gathered: under load a commit is then for many, not for a few."""
        self._writer.calls.extend(self._gathered)
        self._gathered.clear()
        self._writer.wake()

    def record_soon(self, readings: Sequence[Reading]) -> None:
        """Store own readings within `lose_at_most`, or with any commit before that."""
        if self._closed:
            raise CLOSED
        self._writer.keep(readings)

    def keep(self, keeps: Sequence[Keep]) -> None:
        """Have this outlive a restart: on disk with the readings that are recorded next, or within `lose_at_most`."""
        if self._closed:
            raise CLOSED
        self._writer.remember(keeps)

    def kept(self) -> tuple[Mapping[kept.Key, bytes], Stamp | None]:
        """Return what has outlived the restart. Blocks. Raises StoreError."""
        with self.read() as connection:
            return kept.load(connection)

    def was_trusted(self) -> bool:
        """Tell whether the clock of this boot was ever believed, by this process or one before it. Blocks."""
        try:
            with self.read() as connection:
                known = boots.newest(connection)
        except StoreError:
            return False
        return known is not None and known.trust is not Trust.UNSET

    def write(self, work: Callable[[apsw.Connection], T]) -> asyncio.Future[T]:
        """Do `work` in the next commit, in the writer's thread. What it raises is the future's alone."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self._closed:
            raise CLOSED
        self._writer.works.append((work, future))
        self._writer.wake()
        return future

    def set_boot(self, boot: Boot) -> asyncio.Future[None]:
        """Follow the clock: it was set, it stepped, or it is trusted now."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._closed:
            raise CLOSED
        self._writer.boots.append((boot, future))
        self._writer.wake()
        return future

    async def forget_before(self, at: Millis) -> int:
        """Delete chunks of readings wholly before `at` (UTC), a tenth of all at most; return how many readings.

        The caller sees to it that the clock is trusted. Raises StoreError.
        """
        log = self._writer.log
        chosen = await self.write(lambda connection: retention.older(connection, at, log.count))
        forgotten = [await self.write(self._writer.forget(old)) for old in chosen]
        has_more = bool(forgotten)
        while has_more:
            has_more = await self.write(retention.give_back)
        return sum(forgotten)

    async def flush(self) -> None:
        """Return when everything that waits is on disk."""
        await self.record(())

    def read(self) -> AbstractContextManager[apsw.Connection]:
        """Lend a read-only connection with a snapshot of its own, for at most 30 s. Raises StoreError."""
        return self._readers.one(self.opened)

    @property
    def path(self) -> Path:
        """Where the data file is."""
        return self._path

    @property
    def opened(self) -> int:
        """How often the file was opened, for `doubt`: one that is damaged is set aside, and another one begun."""
        return self._writer.opened

    def doubt(self, opened: int) -> None:
        """Take note that another process found the file damaged."""
        self._writer.doubt(opened)

    @property
    def damaged(self) -> str:
        """The name of a damaged file that was set aside since the start, or ""."""
        return self._writer.damaged

    def names(self) -> list[str]:
        """Return the names of all sensors that ever stored a reading."""
        return self._writer.log.names()

    def stats(self) -> Stats:
        """Return the figures for health and metrics."""
        log = self._writer.log
        return Stats(
            readings=log.count,
            sensors=log.sensors,
            bytes=sum(_size(self._path.with_name(self._path.name + suffix)) for suffix in ("", "-wal")),
            waiting=self._writer.waiting,
            dropped=self._writer.dropped,
            error=self._writer.error,
            damaged=self._writer.damaged,
            gone=self._writer.gone,
        )

    def close(self) -> None:
        """Write what waits, hand over the file in one piece, stop the thread: within 2 s."""
        if self._closed:
            return
        self._closed = True
        self._readers.close()
        self._writer.close(_CLOSE_WITHIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
