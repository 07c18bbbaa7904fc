"""What must outlive a restart: a row for each rule, output, setting and alert that has something to remember.

The law of this file: all rows are in the time of one boot, and `stamp` says of which. So whoever goes on
after a restart writes all of them anew, in one commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import apsw

from outstation.core.readings import Keep
from outstation.core.restarts import Stamp

Key = tuple[str, str]
"""The kind and the name."""


def put(connection: apsw.Connection, keeps: Iterable[Keep], stamp: Stamp) -> None:
    """Keep the latest of each, inside a transaction."""
    latest = {(keep.kind, keep.name): keep.body for keep in keeps}
    gone = [key for key, body in latest.items() if body is None]
    rows = [(*key, body.decode()) for key, body in latest.items() if body is not None]
    connection.executemany("DELETE FROM kept WHERE kind = ? AND name = ?", gone)
    connection.executemany("INSERT OR REPLACE INTO kept (kind, name, body) VALUES (?, ?, ?)", rows)
    connection.execute(
        "INSERT OR REPLACE INTO stamp (id, kernel, now, at, trusted) VALUES (1, ?, ?, ?, ?)",
        (stamp.boot, stamp.now, stamp.at, int(stamp.trusted)),
    )


def load(connection: apsw.Connection) -> tuple[Mapping[Key, bytes], Stamp | None]:
    """Return all that is kept, and the moment at which it was known to be right; None: nothing ever was."""
    rows = {(kind, name): body.encode() for kind, name, body in connection.execute("SELECT kind, name, body FROM kept")}
    found = connection.execute("SELECT kernel, now, at, trusted FROM stamp").fetchone()
    return rows, found and Stamp(found[0], found[1], found[2], bool(found[3]))
