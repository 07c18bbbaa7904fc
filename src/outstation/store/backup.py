"""Backups: the data file copied to another place while it is written, or while no node runs; and put back.

The law of this file: nothing is put in the place of anything until it was looked through; what was in its place
is renamed, never deleted; and no folder is made, so that where a disk is missing nothing goes to another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import apsw
import msgspec

from outstation import clock
from outstation.core.readings import Millis
from outstation.errors import DamagedFileError, DiskFullError, RefusedError, StoreError
from outstation.store import damaged, entry_log, file, sessions, unsent
from outstation.store.copying import MANY_PAGES, STEP_PAGES, Copy, frozen
from outstation.store.database import Store
from outstation.store.history import History, Lent

_FLUSH_EVERY = MANY_PAGES // STEP_PAGES


class Backup(msgspec.Struct, frozen=True):
    """A backup that was made. bytes: its size. readings: in it; None: it is of an older version, and nobody counted."""

    file: str
    bytes: int
    readings: int | None
    seconds: float


class Restored(msgspec.Struct, frozen=True):
    """What was put back. until: its newest reading, UTC ms. aside: where that is now what was there before, if any.

    damaged: what of the history cannot be read, in words.
    """

    file: str
    readings: int | None
    until: Millis | None
    aside: str
    damaged: tuple[str, ...] = ()


async def back_up(store: Store, target: Path, *, replace: bool = False) -> Backup:
    """Copy the file of a running node, in steps. Raises RefusedError, DiskFullError, StoreError, and leaves nothing."""
    began, copy = clock.now(), Copy(target)
    try:
        with _words(target):
            await asyncio.to_thread(_begin, copy, store.path, replace=replace)
            steps = 1
            while not await store.beside(copy.step):
                steps += 1
                if steps % _FLUSH_EVERY == 0:
                    await asyncio.to_thread(copy.flush)
            await asyncio.to_thread(copy.complete)
            return await asyncio.to_thread(_made, target, began)
    finally:
        await _close(store, copy)


def back_up_stopped(folder: Path, target: Path, *, replace: bool = False) -> Backup:
    """Copy the file of a node that does not run; its owner calls. Raises as back_up does, and NewerFileError."""
    began, path = clock.now(), folder / file.NAME
    with _words(target), Copy(target) as copy:
        _begin(copy, path, replace=replace)
        _copy_all(path, copy)
        copy.complete()
        return _made(target, began)


def restore(source: Path, folder: Path) -> Restored:
    """Put a backup in the place of the data file; the folder's owner calls, so that no node runs on it.

    Raises StoreError, NewerFileError, DiskFullError: then nothing was changed.
    """
    path, aside = folder / file.NAME, ""

    def make_way() -> None:
        nonlocal aside
        file.give_to_owner(copy.path, of=folder)
        aside = file.link_aside(path)

    with _words(path), Copy(path) as copy:
        copy.begin()
        _copy_all(source, copy)
        # Else a hub would take it for the file that it was copied from, which has given out the next numbers already.
        copy.amend(unsent.begin_epoch)
        copy.amend(partial(entry_log.skip, given=_numbers(path)))  # nor has any board had a number twice
        copy.amend(sessions.end_all)  # nor is a browser signed in again that was signed out since
        copy.complete(whole=True, make_way=make_way)
    return Restored(str(source), *_told(path), str(folder / aside) if aside else "", _damaged(path))


async def _close(store: Store, copy: Copy) -> None:
    """Let go of a copy, in the thread that has its source while it is being copied."""
    copy.interrupt()
    try:
        await (asyncio.to_thread(copy.close) if copy.is_copied else store.beside(lambda _: copy.close()))
    except StoreError:  # the store is closed, and with it the source
        copy.close()


def _begin(copy: Copy, path: Path, *, replace: bool) -> None:
    _refuse(path, copy.target, replace=replace)
    copy.begin()


def _refuse(path: Path, target: Path, *, replace: bool) -> None:
    if target.parent.resolve() == path.parent.resolve():
        raise RefusedError("A backup in the data folder would be lost with it.", cure="Name another folder.")
    if not target.exists():
        return
    if not replace:
        raise RefusedError(f"{target} is there already.", cure="Name another file, or replace it: --force.")
    if not target.is_file() or not file.is_data_file(target):  # to look into a pipe would wait for ever
        raise RefusedError(f"{target} is no backup: it is not replaced.", cure="Name another file.")
    if target.with_name(f"{target.name}-wal").exists():
        raise RefusedError(
            f"{target} is the data of a node, and has a log: it is not replaced.", cure="Name another file."
        )


def _copy_all(source: Path, copy: Copy) -> None:
    """Copy a file that nobody writes. Raises NewerFileError; StoreError: it is not there, none of ours, or damaged."""
    if not source.is_file():
        raise StoreError(f"There is no file {source}.", cure="Name another one.")
    if not file.is_data_file(source):
        raise DamagedFileError(f"{source} is no data file of Outstation.", cure="Name another file or folder.")
    try:
        with contextlib.closing(_opened(source)) as opened:
            while not copy.step(opened, MANY_PAGES):
                pass
    except file.DAMAGE as error:
        raise DamagedFileError(f"{source} is damaged: {error}.", cure="Use another one.") from error


def _numbers(path: Path) -> dict[int, int]:
    """Return the numbers that the file to be replaced has given to entries, if that can be read."""
    found: dict[int, int] = {}
    unread = contextlib.suppress(apsw.Error, StoreError, OSError, msgspec.DecodeError)
    with unread, contextlib.closing(_opened(path)) as connection:
        found = entry_log.numbers(connection)
    with contextlib.suppress(OSError):
        path.with_name(f"{path.name}-shm").unlink()  # a look alone leaves it behind
    return found


def _opened(source: Path) -> apsw.Connection:
    """Open a file that nobody writes. Raises NewerFileError, StoreError, apsw.Error."""
    log = source.with_name(source.name + "-wal")
    has_log = log.exists() and log.stat().st_size
    return file.open_for_reading(source, old=True) if has_log else frozen(source)


def _made(target: Path, began: Millis) -> Backup:
    return Backup(str(target), target.stat().st_size, _told(target)[0], (clock.now() - began) / 1000)


def _told(path: Path) -> tuple[int | None, Millis | None]:
    """Return how many readings are in a file, and the time of the newest; None: it is of an older version."""
    with contextlib.closing(frozen(path)) as connection, contextlib.suppress(apsw.SQLError):  # a table is not there
        history = History(Lent(connection))
        return history.count(), max((reading.at for reading in history.latest().values()), default=None)
    return None, None


def _damaged(path: Path) -> tuple[str, ...]:
    """Return what of the history in a file cannot be read; one of an older version has no such rows."""
    with contextlib.closing(frozen(path)) as connection, contextlib.suppress(apsw.SQLError):
        return tuple(lost.words for lost in damaged.look_through(connection))
    return ()


@contextlib.contextmanager
def _words(target: Path) -> Iterator[None]:
    """Tell what goes wrong in words."""
    try:
        yield
    except (apsw.Error, OSError) as error:
        raise _in_words(target, error) from error


def _in_words(target: Path, error: apsw.Error | OSError) -> StoreError:
    known = file.as_store_error(target, error)
    if isinstance(known, DiskFullError):
        return DiskFullError(known.message, cure="Make room, or name another folder. Nothing was left there.")
    number = error.errno if isinstance(error, OSError) else 0
    if number in (errno.ENOENT, errno.ENOTDIR):
        return StoreError(f"There is no folder {target.parent}.", cure="Mount its disk, or make the folder.")
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        why = os.strerror(number).lower()
        return StoreError(f"{target.parent} cannot be written to by the node: {why}.", cure="Name another folder.")
    return StoreError(f"{target} could not be written: {error}.", cure="Nothing was left there.")
