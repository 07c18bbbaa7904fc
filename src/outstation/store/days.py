"""The time zone in which days are cut, and what becomes of them when the node is moved into another.

The law of this file: from the start that finds another zone until every day was looked at, the file says that days may
be cut wrongly: plots are drawn from hours meanwhile. A kill leaves it so, and the next start looks at all again.
"""

from __future__ import annotations

import zlib
from array import array
from functools import lru_cache

import apsw

from outstation.core.readings import Millis
from outstation.core.windows import DAY, Offset, Tier, Window, window

AT_ONCE = 500
"""Days that are noted before they are looked at."""

_KNOWN_BY = range(16_436, 25_567, 3)
"""The days whose offsets tell zones apart: every third from 2015 to 2039, with the rules for what is to come."""


def is_right(window_: Window, offset: Offset) -> bool:
    """Tell whether a window is one of this zone."""
    return window_.tier is not Tier.DAY or window(Tier.DAY, window_.start, offset) == window_


def are_right(connection: apsw.Connection) -> bool:
    """Tell whether all days are cut in one zone: that of the node that runs, or ran last."""
    return connection.execute("SELECT mark FROM zone").get is not None


class Days:
    """The days of all sensors, for the one that writes. All inside a transaction."""

    def __init__(self, connection: apsw.Connection, offset: Offset) -> None:
        self._connection = connection
        self._mark = _mark(offset)
        self._sensor = 0
        self.are_right = connection.execute("SELECT mark FROM zone").get == self._mark
        if self.are_right:
            return
        connection.execute("UPDATE zone SET mark = NULL WHERE mark IS NOT NULL")
        if connection.execute(_NEXT, (0,)).get is None:
            self.settle()

    def note(self) -> bool:
        """Note the days of some sensors, to be looked at; say whether there were any such sensors."""
        noted = 0
        while noted < AT_ONCE and (sensor := self._connection.execute(_NEXT, (self._sensor,)).get) is not None:
            self._connection.execute(_NOTE, (sensor, Tier.DAY))
            self._sensor, noted = sensor, noted + 1 + self._connection.changes()
        return bool(noted)

    def settle(self) -> None:
        """Know that all that were noted are right by now."""
        self._connection.execute("UPDATE zone SET mark = ?", (self._mark,))
        self.are_right = True


@lru_cache(maxsize=1)
def _mark(offset: Offset) -> int:
    offsets: array[Millis] = array("q", (offset(number * DAY) for number in _KNOWN_BY))
    return zlib.crc32(offsets.tobytes())


_NEXT = "SELECT id FROM sensors WHERE id > ? ORDER BY id LIMIT 1"

_NOTE = """
INSERT OR IGNORE INTO unmade (sensor, width, start)
SELECT sensor, width, start FROM summaries WHERE sensor = ? AND tier = ?
"""
