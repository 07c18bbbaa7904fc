"""The last hours of many sensors, roughly: what their small pictures are drawn from.

The law of this file: summaries of five minutes as they are stored, and never readings. In the log these lie as they
came, those of all sensors in a heap: of 500 sensors, to read the last minutes of each is to read the heap 500 times.
"""

from __future__ import annotations

from collections.abc import Iterable

import apsw

from outstation.core.readings import Millis
from outstation.core.summaries import Summary, totals
from outstation.core.windows import FIVE_MINUTES, Tier, Window
from outstation.store import packs
from outstation.store.history import Lender


def outlines(store: Lender, names: Iterable[str], start: Millis, end: Millis) -> dict[str, list[Summary]]:
    """Return the windows of each sensor, one after the other; one that is not stored says nothing. Blocks."""
    windows = [Window(at, FIVE_MINUTES) for at in range(start - start % FIVE_MINUTES, end, FIVE_MINUTES)]
    with store.read() as connection:
        return {name: _outline(connection, name, windows) for name in names}


def _outline(connection: apsw.Connection, name: str, windows: list[Window]) -> list[Summary]:
    sensor: int | None = connection.execute("SELECT id FROM sensors WHERE name = ?", (name,)).get
    if sensor is None:
        return []
    return list(totals(windows, packs.stored(connection, sensor, Tier.FIVE_MINUTES, windows[0].start, windows[-1].end)))
