"""Readings from before there were summaries: their windows are found and noted, the newest first, in the background.

The law of this file: a sensor takes one row, however much it has stored, and what the row says moves on in the
transaction that notes the windows. So a kill leaves it where it was.
"""

from __future__ import annotations

from collections.abc import Callable

import apsw

from outstation.core.readings import Millis
from outstation.core.summing import LONGEST_REACH
from outstation.core.windows import FIVE_MINUTES
from outstation.store import raw
from outstation.store.chunks import LOWEST

AT_ONCE = 500
"""Windows that are noted before they are made: most of two days, so that a day is seldom made twice."""


def note(connection: apsw.Connection, name: Callable[[int], str], reach: Callable[[str], Millis]) -> bool:
    """Note the next windows of the sensor that is furthest behind; say whether any sensor was.

    name: of a sensor; "" when it is gone. Inside a transaction. Raises apsw.Error, msgspec.DecodeError.
    """
    found: tuple[int, Millis] | None = connection.execute(_FURTHEST).get
    if found is None:
        return False
    sensor, until = found
    last = raw.last_before(connection, sensor, until) if name(sensor) else None
    if last is None:
        connection.execute("DELETE FROM backlog WHERE sensor = ?", (sensor,))
        return True
    speaks = max(1, min(reach(name(sensor)), LONGEST_REACH))
    end = min(last[0] + speaks, until)
    start = last[0] - last[0] % FIVE_MINUTES - (AT_ONCE - 1) * FIVE_MINUTES
    connection.executemany(_NOTE, ((sensor, FIVE_MINUTES, at) for at in range(start, end, FIVE_MINUTES)))
    connection.execute("UPDATE backlog SET until = ? WHERE sensor = ?", (start, sensor))
    return True


def until(connection: apsw.Connection, sensor: int) -> Millis:
    """Return before when no window of a sensor may have been made."""
    found: Millis | None = connection.execute("SELECT until FROM backlog WHERE sensor = ?", (sensor,)).get
    return LOWEST if found is None else found


_FURTHEST = "SELECT sensor, until FROM backlog ORDER BY until DESC LIMIT 1"

_NOTE = "INSERT OR IGNORE INTO unmade (sensor, width, start) VALUES (?, ?, ?)"
