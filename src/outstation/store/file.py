"""The data file: opened, checked, migrated; set aside when it is damaged.

The law of this file: a file of a newer program is not touched, and a damaged one is renamed,
never deleted.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import apsw
import msgspec

from outstation import clock
from outstation.errors import DiskFullError, NewerFileError, StoreError
from outstation.store.left_out import Connection
from outstation.store.taken_over import TAKEN_OVER

NAME = "outstation.db"

DAMAGE = (apsw.CorruptError, apsw.NotADBError)
"""What SQLite says of a file that it cannot trust."""

BAD_DATA = (*DAMAGE, msgspec.DecodeError)
"""The same, and what unpacking says of a row whose page SQLite had no doubts about."""

Alive = Callable[[], None]
"""Called now and then by work that takes its time, as long as it goes on."""

Parts = tuple[tuple[int, int] | None, ...]
"""Device and inode of the file and of its write-ahead log; None: it is not there."""

APPLICATION_ID = 0x4F757453
"""What file(1) and we know our files by: "OutS", at byte 68 of the header (sqlite.org/fileformat.html)."""

PAGE_SIZE = 1024
"""Bytes: see docs/decisions/0002-log-and-page-size.md for the measurement."""

WAL_PAGES = 2_000
"""The writer checkpoints when the write-ahead log has this many pages: about 2 MB."""

_NO_NEW = apsw.SQLITE_OPEN_READWRITE
_DAMAGED = ".damaged-"
WAL_KEPT = 8 << 20
"""Bytes: to this the write-ahead log is cut when it begins anew. It is larger only while a reader holds it up."""

_MIGRATIONS = Path(__file__).with_name("migrations")

_MAGIC = b"SQLite format 3\0"
_BUSY_TIMEOUT = 5_000
_STEPS = 10_000
"""Of SQLite's machine, some milliseconds, between two signs of life (sqlite.org/c3ref/progress_handler.html)."""

_CHECKED_WHOLE = 32 << 20
"""Bytes: up to here a start checks every page (about 50 ms here); above, all but the history."""


def open_for_writing(
    path: Path, *, suspect: bool = False, old: apsw.Connection | None = None
) -> tuple[apsw.Connection, str]:
    """Open, check and migrate the file; return the connection and the name of a damaged file set aside, or "".

    suspect: the file is known to be damaged. old: what was open at this path until it was removed.
    Raises NewerFileError (nothing was touched), DiskFullError, StoreError.
    """
    try:
        if not suspect and _is_ours(path):
            with contextlib.suppress(*DAMAGE):
                return _connect(path), ""
        return _begin_anew(path, old)
    except (apsw.Error, OSError) as error:
        raise as_store_error(path, error) from error


def bring_up_to_date(path: Path, alive: Alive | None = None) -> None:
    """Migrate a file of an older program. A start does it before anything waits for it: the copy takes its time.

    alive: called as long as there is progress.
    What is wrong with the file is found, and told, by whoever opens it next.
    """
    with contextlib.suppress(apsw.Error, OSError, StoreError):
        if 0 < _version(path) < len(_migrations()):
            if alive:
                alive()
            _connect(path, alive).close()


def is_data_file(path: Path) -> bool:
    """Tell whether a file is one of ours. Raises NewerFileError, OSError."""
    version = _version(path)
    _refuse_newer(path, version)
    return version > 0


def version(path: Path) -> int:
    """Return which version of our form a file has, its log included; -1: none of ours. Raises OSError, StoreError."""
    if not wal_bytes(path):
        return _version(path)
    try:
        with contextlib.closing(_read_only(path)) as connection:
            return int(connection.pragma("user_version"))
    except apsw.Error as error:
        raise as_store_error(path, error) from error


def link_aside(path: Path) -> str:
    """Give a file that is to be replaced another name as well; return that, "": there is no file.

    What its write-ahead log has goes into it first, or with it, since a log would be taken for the new file's.
    """
    with contextlib.suppress(apsw.Error), contextlib.closing(apsw.Connection(str(path), flags=_NO_NEW)) as old:
        old.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    name = f"{path.name}.before-restore-{_timestamp()}"
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(path.with_name(name + suffix))
    try:
        path.with_name(name).hardlink_to(path)
    except FileNotFoundError:
        return ""
    except OSError:  # a file system without links
        path.rename(path.with_name(name))
    return name


def give_to_owner(path: Path, *, of: Path) -> None:
    """Give a file to whom a folder belongs, and its group: the node is to open it, whoever put it there."""
    owner = of.stat()
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as opened:  # no link put there
        os.fchmod(opened.fileno(), 0o640)
        if os.geteuid() == 0:
            os.fchown(opened.fileno(), owner.st_uid, owner.st_gid)


def in_memory() -> apsw.Connection:
    """Return an empty data file that is none: what stands in until a real one can be opened."""
    connection = apsw.Connection(":memory:")
    for script in _migrations():
        connection.execute(script)
    return connection


def damaged(path: Path) -> list[str]:
    """Return the names of damaged files that were set aside and lie there still, the oldest first. Raises OSError."""
    found = (one.name for one in path.parent.iterdir() if one.name.startswith(path.name + _DAMAGED))
    return sorted(name for name in found if not name.endswith(("-wal", "-shm")))


def parts(path: Path) -> Parts:
    """Return what tells the files at this path from any that take their place."""
    return _identity(str(path)), _identity(f"{path}-wal")  # by their names: each commit asks


def wal_bytes(path: Path) -> int:
    """Return the size of the write-ahead log of the file at this path."""
    log = path.with_name(path.name + "-wal")
    return log.stat().st_size if log.exists() else 0


def open_for_reading(path: Path, *, old: bool = False) -> apsw.Connection:
    """Open a connection that can only read, and never checkpoints. old: also a file of an older program.

    Raises NewerFileError, StoreError.
    """
    connection = _opened(path)
    try:
        _refuse_other(path, connection, old=old)
    except StoreError:
        shut(connection)
        raise
    return connection


def _refuse_other(path: Path, connection: apsw.Connection, *, old: bool) -> None:
    with contextlib.suppress(*DAMAGE):  # whoever asks finds that, and knows what to do about it
        version = connection.pragma("user_version")
        _refuse_newer(path, version)
        if version < len(_migrations()) and not old:
            raise StoreError(f"{path} is of an older Outstation.", cure="Start the node: it brings it up to date.")


def _opened(path: Path) -> apsw.Connection:
    try:
        return _open_to_read(str(path.absolute()))
    except apsw.Error as error:
        # On a full disk there is no room for the index of a write-ahead log. Where the log is empty nobody needs one:
        # what is locked out has to stay so. "immutable" is for a file that nobody writes (sqlite.org/uri.html).
        log = path.with_name(path.name + "-wal")
        if not isinstance(error, apsw.IOError) or (log.exists() and log.stat().st_size):
            raise as_store_error(path, error) from error
    try:
        return _open_to_read(f"{path.absolute().as_uri()}?immutable=1")
    except apsw.Error as error:
        raise as_store_error(path, error) from error


def _open_to_read(name: str) -> apsw.Connection:
    connection = Connection(name, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.set_busy_timeout(_BUSY_TIMEOUT)
    connection.pragma("query_only", 1)
    with contextlib.suppress(*DAMAGE):  # whoever asks finds that, and knows what to do about it
        connection.pragma("schema_version")  # reads: only now it shows whether it can
    return connection


@contextlib.contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """Write inside: all of it, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(apsw.Error):  # SQLite may have done it already
            connection.execute("ROLLBACK")
        raise


def shut(connection: apsw.Connection) -> None:
    """Close a connection, and leave everything to the next one: no checkpoint, no error."""
    with contextlib.suppress(apsw.Error):
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.close(True)


def as_store_error(path: Path, error: BaseException, errno: int = 0) -> StoreError:
    """Return the error in our words: a full disk is a matter of its own."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, apsw.FullError) or (errno or getattr(error, "errno", 0)) in _NO_SPACE:
        return DiskFullError(f"There is no space left for {path}.", cure="Make room; nothing else is needed.")
    return StoreError(f"{path} could not be used: {error}.", cure="It is tried again by itself.")


_NO_SPACE = frozenset({27, 28, 122})
"""EFBIG, ENOSPC, EDQUOT (errno(3)): SQLite calls only the second one "full"."""


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  a third of what pathlib takes
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _begin_anew(path: Path, old: apsw.Connection | None) -> tuple[apsw.Connection, str]:
    name = _set_aside(path)
    damaged = path.with_name(name)
    connection = _connect(path)
    if old:
        _take_over(connection, old)
    elif damaged.exists():
        with contextlib.suppress(apsw.Error), contextlib.closing(_read_only(damaged)) as found:
            _take_over(connection, found)
    return connection, name if damaged.exists() else ""


def _read_only(path: Path) -> apsw.Connection:
    return apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)


def _is_ours(path: Path) -> bool:
    if not path.exists() or not path.stat().st_size:
        return True
    version = _version(path)
    _refuse_newer(path, version)
    return version >= 0


def _version(path: Path) -> int:
    """Return the version in the header of a file; -1: it is none of ours. Raises OSError."""
    with path.open("rb") as start:
        header = start.read(100)
    if len(header) < 100 or not header.startswith(_MAGIC) or _number(header, 68) != APPLICATION_ID:
        return -1
    return _number(header, 60)


def _number(header: bytes, place: int) -> int:
    return int.from_bytes(header[place : place + 4], "big")


def _refuse_newer(path: Path, version: int) -> None:
    newest = len(_migrations())
    if version > newest:
        raise NewerFileError(
            f"{path} was written by a newer Outstation: its version is {version}, this program knows {newest}.",
            cure="Install the newer program again, or name another folder with --data. Nothing was changed.",
        )


@functools.cache
def _migrations() -> tuple[str, ...]:
    return tuple(found.read_text("utf-8") for found in sorted(_MIGRATIONS.glob("*.sql")))


def _connect(path: Path, alive: Alive | None = None) -> apsw.Connection:
    connection = Connection(str(path))
    try:
        _prepare(connection, path, alive)
    except DAMAGE:
        shut(connection)
        raise
    except Exception as error:
        problem = as_store_error(path, error, connection.system_errno)
        shut(connection)
        raise problem from error
    return connection


def _prepare(connection: apsw.Connection, path: Path, alive: Alive | None) -> None:
    connection.set_busy_timeout(_BUSY_TIMEOUT)
    connection.set_progress_handler(partial(_goes_on, alive) if alive else None, _STEPS)
    version = connection.pragma("user_version")
    _refuse_newer(path, version)
    if version == 0:
        _settle(connection, path)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.pragma("wal_autocheckpoint", WAL_PAGES)
    connection.pragma("journal_size_limit", WAL_KEPT)
    _check(connection, path)
    scripts = _migrations()
    if 0 < version < len(scripts):
        from outstation.store import copying  # noqa: PLC0415  who only reads needs none of it

        copying.keep_as_it_was(connection, path, len(scripts), alive)
    for number, script in enumerate(scripts[version:], version + 1):
        with transaction(connection):
            connection.execute(script)
            connection.pragma("user_version", number)


def _goes_on(alive: Alive) -> bool:
    """Tell of it, and have SQLite go on."""
    alive()
    return False


def _settle(connection: apsw.Connection, path: Path) -> None:
    """Settle what the first page of a file settles for ever, and see that its name survives a power cut."""
    from outstation.store import copying  # noqa: PLC0415  as above

    connection.pragma("page_size", PAGE_SIZE)
    connection.execute("BEGIN")  # all or nothing: a file without our mark is not ours; auto_vacuum comes first of all
    connection.pragma("auto_vacuum", "incremental")
    connection.pragma("application_id", APPLICATION_ID)
    connection.execute("COMMIT")
    copying.sync_folder(path.parent)


def _check(connection: apsw.Connection, path: Path) -> None:
    """Look for damage, in bounded time. Raises CorruptError."""
    tables = [""]
    if path.stat().st_size > _CHECKED_WHOLE:
        named = connection.execute(
            "SELECT name FROM sqlite_schema"
            " WHERE type = 'table' AND name NOT IN ('log', 'log_index', 'blocks', 'summaries', 'entry_blocks')"
        )
        tables = [f"({name})" for (name,) in named]
    for table in tables:
        found = connection.execute(f"PRAGMA quick_check{table}").fetchall()
        if found != [("ok",)]:
            raise apsw.CorruptError(str(found[0][0]))


def _take_over(connection: apsw.Connection, old: apsw.Connection) -> None:
    """Save what people and boards cannot do without: mostly it is the log that is damaged, since most of it is log."""
    for ask, put in TAKEN_OVER:
        with contextlib.suppress(apsw.Error):
            rows = old.execute(ask).fetchall()
            with transaction(connection):
                connection.executemany(put, rows)


def _set_aside(path: Path) -> str:
    """Rename the file and what belongs to it; return its new name."""
    name = f"{path.name}{_DAMAGED}{_timestamp()}"
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(path.with_name(name + suffix))
    return name


def _timestamp() -> str:
    return datetime.datetime.fromtimestamp(clock.at() / 1000, datetime.UTC).strftime("%Y%m%dT%H%M%S.%fZ")
