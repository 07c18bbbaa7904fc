"""A copy of a data file: made in steps, and under a name of its own until it is whole, on disk and looked through.

The law of this file: what fails leaves nothing behind, and what has the copy's name is a good copy.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import apsw

from outstation import clock
from outstation.core.readings import Millis
from outstation.errors import DamagedFileError, StoreError
from outstation.store.left_out import Connection

STEP_PAGES = 256
"""Pages of a step: 256 KiB, 1 ms here and some 10 ms on a small board; so long a commit waits at most."""

MANY_PAGES = 4_096
"""The same where nobody waits, 4 MiB. A disk is owed no more: past some tens the kernel stops whoever writes to it."""

_BEFORE = ".before-version-"
_COPIES_KEPT = 2

_COPIED_WITHIN: Millis = 60_000
"""What a copy before a migration may take: nobody reads sensors meanwhile."""

_log = logging.getLogger(__name__)


class Copy:
    """A copy in the making, from `with` to its end. Any thread may call, and any number: they take turns."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = partial(target)
        self._turn = threading.Lock()
        self._descriptor: int | None = None
        self._connection: apsw.Connection | None = None
        self._backup: apsw.Backup | None = None
        self._settled: tuple[int, ...] = ()
        self._looking: apsw.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def begin(self) -> None:
        """Begin the file, for its owner alone: hashes of keys are in it. Raises OSError, apsw.Error."""
        self.path.unlink(missing_ok=True)
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
        self._connection.pragma("journal_mode", "off")
        self._connection.pragma("synchronous", "off")

    def step(self, source: apsw.Connection, pages: int = STEP_PAGES) -> bool:
        """Copy some pages of a connection that is in no transaction; tell whether these were the last.

        What is written to the source between two steps is in the copy, if it is written by that connection.
        """
        with self._turn:
            descriptor, connection = self._opened()
            if self._backup is None:
                self._backup = connection.backup("main", source, "main")
            try:
                if not self._backup.step(pages):
                    return False
                self._backup.finish()
            except apsw.IOError:
                os.pwrite(descriptor, b"why", os.fstat(descriptor).st_size)  # SQLite does not say it; this raises it
                raise
            self._settled = _settled(source)
            return True

    def amend(self, work: Callable[[apsw.Connection], object]) -> None:
        """Change the copy, which is whole; one of an older program may lack what this is about. Raises apsw.Error."""
        with self._turn:
            connection = self._opened()[1]
            connection.pragma("journal_mode", "off")  # its source's came with the first page
            with contextlib.suppress(apsw.SQLError):
                work(connection)

    def flush(self) -> None:
        """Have what is written so far on the disk. A slow disk that is owed much stops whoever writes, for long."""
        with self._turn:
            os.fdatasync(self._opened()[0])

    def complete(self, *, whole: bool = False, make_way: Callable[[], None] = lambda: None) -> None:
        """Have all of it on the disk, look through it as it is there, and give it its name.

        whole: also that each index has what its table has, which takes longer. make_way: called when it is known to be
        good. Raises StoreError, OSError, apsw.Error.
        """
        with self._turn:
            descriptor, connection = self._opened()
            connection.close()
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)  # else only the memory would be looked through
            with contextlib.closing(frozen(self.path)) as self._looking:
                copy = self._looking
                _look_through(copy, whole=whole)
                if _settled(copy) != self._settled:
                    raise StoreError(f"{self.path} is not what was copied.", cure="Is its disk sound?")
            self._looking = None
            make_way()
            self.path.replace(self.target)
            sync_folder(self.target.parent)

    @property
    def is_copied(self) -> bool:
        """Whether all of the source is in it: nothing ties it to that any more."""
        return bool(self._settled)

    def interrupt(self) -> None:
        """Have `complete` end soon, if it is at work in another thread."""
        if self._looking:
            with contextlib.suppress(apsw.Error):  # it has just been closed
                self._looking.interrupt()

    def close(self) -> None:
        """Remove what is not complete. May be called twice."""
        with self._turn:
            descriptor, self._descriptor = self._descriptor, None
            if self._connection:
                with contextlib.suppress(apsw.Error):
                    self._connection.close(True)
            if descriptor is not None:
                os.close(descriptor)
                self.path.unlink(missing_ok=True)

    def _opened(self) -> tuple[int, apsw.Connection]:
        if self._descriptor is None or self._connection is None:
            raise StoreError("The copy was given up.")
        return self._descriptor, self._connection


def partial(target: Path) -> Path:
    """Return what a copy is called until it is whole, also when the machine loses power meanwhile."""
    return target.with_name(f".{target.name}.partial")


def keep_as_it_was(connection: apsw.Connection, path: Path, version: int, alive: Callable[[], None] | None) -> None:
    """Keep a copy of a file that is about to become this version: for whoever goes back to the older program.

    Nothing is lost without it: a migration is one transaction. So what keeps it from being made keeps no node from
    starting, and a big file on a slow card gets none.
    """
    target = path.with_name(f"{path.name}{_BEFORE}{version}")
    try:
        _copy_within(connection, target, clock.now() + _COPIED_WITHIN, alive)
    except (apsw.Error, OSError, StoreError) as error:
        _log.warning("%s is brought to version %d, and not kept as it was: %s", path, version, error)
        return
    _log.info("%s is brought to version %d; as it was, it is kept as %s", path, version, target.name)
    for old in sorted(path.parent.glob(f"{path.name}{_BEFORE}*"), key=_version_of)[:-_COPIES_KEPT]:
        old.unlink()


def _copy_within(connection: apsw.Connection, target: Path, until: Millis, alive: Callable[[], None] | None) -> None:
    if partial(target).exists():
        partial(target).unlink()
        raise StoreError("the start before this one was ended while it copied")
    with Copy(target) as copy:
        copy.begin()
        while not copy.step(connection, MANY_PAGES):
            copy.flush()
            if alive:
                alive()
            if clock.now() > until:
                raise StoreError(f"it cannot be copied within {_COPIED_WITHIN // 1000} s")
        copy.complete()


def _version_of(copy: Path) -> int:
    digits = copy.name.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else 0


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a network's folder cannot be synchronised (fsync(2))
            raise
    finally:
        os.close(descriptor)


def frozen(path: Path) -> apsw.Connection:
    """Open a file that nobody writes, and make no others beside it (sqlite.org/uri.html)."""
    return Connection(f"{path.absolute().as_uri()}?immutable=1", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)


def _settled(connection: apsw.Connection) -> tuple[int, ...]:
    """Return what a copy must have in common with its source: whose it is, how long, and how much is in it."""
    pragmas = [connection.pragma(name) for name in ("application_id", "user_version", "page_count")]
    counts = connection.execute("SELECT readings, (SELECT coalesce(max(id), 0) FROM log) FROM closed").fetchall()
    return (*pragmas, *counts[0])


def _look_through(copy: apsw.Connection, *, whole: bool) -> None:
    try:
        found = copy.pragma("integrity_check" if whole else "quick_check")
    except apsw.Error as error:
        found = error
    if found != "ok":
        raise DamagedFileError(f"The copy is damaged: {found}.", cure="What it was copied from may be, too.")
