"""Looks through a data file for damage, from outside: beside a node that runs, or of one that does not.

The law of this file: it writes nothing, and no look lasts: while one reads, the write-ahead log of a node grows.
"""

from __future__ import annotations

import time
from pathlib import Path

import apsw
import msgspec

from outstation.store import file

_STEPS = 10_000
"""Of SQLite's machine, some milliseconds, between two looks at the time (sqlite.org/c3ref/progress_handler.html)."""


class Sound(msgspec.Struct, frozen=True):
    """What was seen. damage: in words, "" where there is none; whole: all was looked at; keys: that are valid."""

    damage: str = ""
    whole: bool = True
    keys: int = 0


def look(path: Path, within: float, *, old: bool = False) -> Sound:
    """Look for so many seconds. old: also at a file of an older program. Raises StoreError: it cannot be opened."""
    connection = file.open_for_reading(path, old=old)
    keys: int = 0
    try:
        keys = len(connection.execute("SELECT id FROM keys WHERE revoked IS NULL").fetchall())
        until = time.monotonic() + within
        connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
        ((found,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
        return Sound("" if found == "ok" else str(found), keys=keys)
    except apsw.InterruptError:
        return Sound(whole=False, keys=keys)
    except (apsw.CorruptError, apsw.NotADBError) as error:
        return Sound(str(error))
    except apsw.Error as error:
        raise file.as_store_error(path, error) from error
    finally:
        file.shut(connection)
