"""One file on disk, one writer: where everybody stores, and where everybody asks.

The law of this file: a future that resolves means "on disk". What may be lost (own readings, up
to `lose_at_most`) goes in by another door, which promises nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import apsw
import msgspec

from outstation import clock
from outstation.clock import Trust
from outstation.core.readings import Keep, Millis, Reading
from outstation.core.restarts import Stamp
from outstation.core.sensors import STALE_UNTIL_KNOWN
from outstation.core.windows import Offset
from outstation.errors import RefusedError, StoreError
from outstation.store import boots, columns, file, kept
from outstation.store.boots import Boot
from outstation.store.copying import partial
from outstation.store.damaged import TOLD_FOR
from outstation.store.draft import Recorded
from outstation.store.forgetting import Gone, Old
from outstation.store.left_out import Row
from outstation.store.log import Log
from outstation.store.packer import Packer
from outstation.store.readers import Readers
from outstation.store.rows import is_fit
from outstation.store.sealer import Sealer
from outstation.store.tiers import Views
from outstation.store.unsaved import Unsaved
from outstation.store.writer import CLOSED, Writer

__all__ = ["Boot", "Recorded", "Stats", "Store"]

T = TypeVar("T")

_CLOSE_WITHIN: Millis = 2_000


class Stats(msgspec.Struct, frozen=True):
    """The store now. bytes: on disk, the write-ahead log included. dropped: own readings lost.

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

    def __init__(
        self,
        folder: Path,
        *,
        boot: Boot,
        lose_at_most: Millis = 10_000,
        offset: Offset = lambda _: 0,
        reach: Callable[[str], Millis] = lambda _: STALE_UNTIL_KNOWN,
        at: Callable[[], Millis] = clock.at,
        summarises: bool = True,
    ) -> None:
        """Open the file, or begin it. Raises NewerFileError; all else is in stats().error, and tried again.

        For summaries, in a thread, offset: of local time; reach: how long a reading of a sensor speaks; at: UTC.
        summarises: False where these are not known: summaries that are out of date are left to whoever knows.
        """
        self._path = folder / file.NAME
        with suppress(OSError):
            partial(self._path).unlink(missing_ok=True)  # of a restore that was killed
        self._writer = Writer(self._path, boot, lose_at_most, Views(offset, reach, at, summarises))
        self._readers = Readers(self._path, self._writer.doubt, self._writer.move_damaged)
        self._closed = False
        self._sealer = Sealer(self)
        self._packer = Packer(self)
        self._at = at
        self._gathered: list[tuple[Sequence[Reading], asyncio.Future[Recorded]]] = []

    def record(self, readings: Sequence[Reading]) -> asyncio.Future[Recorded]:
        """Store readings in the next commit. The future raises DiskFullError, StoreError, RefusedError."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Recorded] = loop.create_future()
        if self._closed:
            raise CLOSED
        if not all(map(is_fit, readings)):
            future.set_exception(_unfit(readings))
            future.exception()  # not waiting for it is no mistake
            return future
        if not self._gathered:
            loop.call_soon(self._hand_over)
        self._gathered.append((readings, future))
        return future

    def record_columns(self, found: Sequence[columns.Column]) -> asyncio.Future[Recorded]:
        """Store readings by columns in the next commit. Raises RefusedError; the future as that of `record`."""
        columns.check(found)
        return self.write(self._writer.record(found))

    def record_with(
        self, calls: Sequence[Sequence[Reading]], work: Callable[[apsw.Connection], T]
    ) -> asyncio.Future[T]:
        """Store readings that are fit, and do `work`, in one transaction: what a commit has, it has of both."""
        return self.write(self._writer.record_with(calls, work))

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
        return self._hand(self._writer.works, work)

    def report(self, work: Callable[[apsw.Connection, Log], T]) -> asyncio.Future[T]:
        """Do `work` in the next commit, as `write` does, with the log: it may give sensors their numbers there."""

        def whole(connection: apsw.Connection) -> T:
            log, known = self.log, self.log.sensors
            try:
                return work(connection, log)
            except Exception:
                log.forget_names(known)
                raise

        return self.write(whole)

    def beside(self, work: Callable[[apsw.Connection], T]) -> asyncio.Future[T]:
        """Do `work` between two commits, in the writer's thread and in no transaction; it must not take long."""
        return self._hand(self._writer.beside, work)

    def relearn(self, work: Callable[[apsw.Connection], T]) -> asyncio.Future[T]:
        """Do `work` in a transaction of its own: it changes what the log knows of its sensors."""
        return self.beside(self._writer.relearn(work))

    def set_boot(self, boot: Boot) -> asyncio.Future[None]:
        """Follow the clock: it was set, it stepped, or it is trusted now."""
        return self._hand(self._writer.boots, boot)

    def _hand(self, queue: deque[Any], what: object) -> asyncio.Future[Any]:
        """Hand something to the writer; return what is resolved when it is done."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._closed:
            raise CLOSED
        queue.append((what, future))
        self._writer.wake()
        return future

    def forget(self, old: Sequence[Old], at: Millis) -> asyncio.Future[Gone]:
        """Delete as many of these blocks as one short transaction can. See retention.py for who says which."""
        return self.write(self._writer.forget(old, at))

    async def seal(self, *, everything: bool = False) -> int:
        """Move readings from the log into blocks as far as that is due; return how many. Raises StoreError.

        everything: whatever is due, and all but the newest some thousand.
        """
        return await self._sealer.seal(self._at(), everything=everything)

    async def pack(self) -> int:
        """Pack summaries that are settled; return how many. Raises StoreError."""
        return await self._packer.pack(self._at())

    async def flush(self) -> None:
        """Return when everything that waits is on disk."""
        await self.record(())

    def read(self) -> AbstractContextManager[apsw.Connection]:
        """Lend a read-only connection with a snapshot of its own, for at most 30 s. Raises StoreError."""
        return self._readers.one(self.opened)

    def unsaved(self) -> Unsaved:
        """Return our own readings that may not be on disk yet. In any thread."""
        return self._writer.own.unsaved()

    @property
    def closed(self) -> bool:
        """Whether nothing can be stored any more."""
        return self._closed

    @property
    def log(self) -> Log:
        """What the writer knows. It is the writer's: to be used in its thread alone, by `write`."""
        return self._writer.log

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

    def move_damaged(self, opened: int, rows: Collection[Row]) -> None:
        """Take note that another process went on without these rows of the history."""
        self._writer.move_damaged(opened, rows)

    @property
    def lost(self) -> str:
        """What of the history was damaged and is left out, for as long as people are to be told; or ""."""
        told = self._writer.lost
        return told.text if told and self._at() < told.at + TOLD_FOR else ""

    @property
    def damaged(self) -> str:
        """The name of a damaged file that was set aside since the start, or ""."""
        return self._writer.damaged

    def names(self) -> list[str]:
        """Return the names of all sensors that ever stored a reading."""
        return self._writer.log.names()

    def wal_bytes(self) -> int:
        """Return the size of the write-ahead log."""
        return file.wal_bytes(self._path)

    def stats(self) -> Stats:
        """Return the figures for health and metrics."""
        log = self._writer.log
        return Stats(
            readings=log.count,
            sensors=log.sensors,
            bytes=sum(_size(self._path.with_name(self._path.name + suffix)) for suffix in ("", "-wal")),
            waiting=self._writer.own.unstored,
            dropped=self._writer.own.dropped,
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


def _unfit(readings: Sequence[Reading]) -> RefusedError:
    wrong = next(reading for reading in readings if not is_fit(reading))
    return RefusedError(
        f"{wrong.sensor!a}: a reading cannot be stored: {ascii(wrong.value)[:80]} at {wrong.at}.",
        cure="A value is a number within 64 bits or a text, and its time lies between 1970 and 5138.",
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
