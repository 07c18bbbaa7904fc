"""Deletes by age: whole chunks, one in a transaction, and never much at once.

The law of this file: the caller has made sure that the clock is trusted; and even so no run takes
more than a tenth of all readings, since the clock of yesterday may have been wrong.
"""

from __future__ import annotations

import apsw

from outstation.core.readings import Millis

Old = tuple[int, int, int]
"""A chunk: its first and last row of the log, and its count."""

_SPARE = 10
"""Up to one free page in ten stays in the file: fresh readings take it up again, and moving pages costs writing."""

_STEP_PAGES = 500
"""Pages given back in one transaction: about 10 ms here."""


def older(connection: apsw.Connection, before: Millis, readings: int) -> list[Old]:
    """Return the chunks wholly before `before` (UTC), the first written first, with a tenth of `readings` at most.

    The newest chunk stays: the numbers of rows go on from it.
    """
    chosen: list[Old] = []
    allowed = readings // 10
    for first, last, count in connection.execute(_OLDER, (before,)):
        allowed -= count
        if allowed < 0:
            break
        chosen.append((first, last, count))
    return chosen


def delete(connection: apsw.Connection, old: Old) -> int:
    """Delete one chunk; return its count, or 0 when it was gone."""
    connection.execute("DELETE FROM log_index WHERE last_id = ? AND first_id = ?", (old[1], old[0]))
    if not connection.changes():
        return 0
    connection.execute("DELETE FROM log WHERE id BETWEEN ? AND ?", old[:2])
    connection.execute("UPDATE closed SET readings = readings - ?", (old[2],))
    return old[2]


def give_back(connection: apsw.Connection) -> bool:
    """Give some free pages back to the file system; say whether there are more to give."""
    spare = connection.pragma("page_count") // _SPARE
    free: int = connection.pragma("freelist_count")
    if free <= spare:
        return False
    connection.pragma("incremental_vacuum", min(free - spare, _STEP_PAGES))
    left: int = connection.pragma("freelist_count")
    return bool(spare < left < free)


_OLDER = """
SELECT i.first_id, i.last_id, i.count
FROM log_index i CROSS JOIN boots b ON b.id = i.boot
WHERE max(coalesce(i.own_max + b.offset, i.sent_max), coalesce(i.sent_max, i.own_max + b.offset)) < ?
  AND i.last_id < (SELECT max(last_id) FROM log_index)
ORDER BY i.last_id
"""
