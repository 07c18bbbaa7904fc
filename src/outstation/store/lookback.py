"""What stored summaries say of the latest days, where that is right: the older part of what rules look back on.

The law of this file: a window counts where its summary is that of its readings, and these were measured by a clock
that was right, as it is now. All others are in no answer: they are left to readings. The newest windows come first, and
whoever asks may stop at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import apsw
import msgspec

from outstation.clock import Trust
from outstation.core.readings import Millis
from outstation.core.restarts import Stamp
from outstation.core.summaries import Summary
from outstation.core.windows import DAY, FIVE_MINUTES, Tier, touched
from outstation.store import boots, recent, tiers
from outstation.store.recent import Stretch

FRESH: Millis = 900_000
"""What is younger is read as readings."""

READ_ALL = 10_000
"""As many readings are read at once rather than their summaries: a tenth of the time that there is for them, here."""

_NEAR: Millis = 60_000
"""A clock of this boot that was set by less than this was right: windows move by no more."""


class Look(msgspec.Struct, frozen=True):
    """How far to look back at a sensor. newest: UTC of its newest reading; reach: how long one speaks."""

    length: Millis
    newest: Millis | None
    reach: Millis


def as_stored(connection: apsw.Connection, here: Stamp) -> Stamp:
    """Return a moment of this boot with UTC as the store reckons it, to the millisecond."""
    known = boots.newest(connection)
    if known is None or known.kernel_id != here.boot or abs(here.at - here.now - known.offset) > boots.STEP:
        return here
    return Stamp(here.boot, here.now, here.now + known.offset, here.trusted)


def summed(
    connection: apsw.Connection, looks: Mapping[str, Look], here: Stamp, go_on: Callable[[], bool]
) -> dict[str, list[Summary]]:
    """Return the summaries of five minutes that count, by sensor, in order; none of what is better read as readings.

    Raises apsw.Error, msgspec.DecodeError, StoreError.
    """
    ids = {name: number for number, name in connection.execute("SELECT id, name FROM sensors") if name in looks}
    if not (here.trusted and ids):
        return {}
    found = _found(connection, {ids[name]: looks[name] for name in ids}, here, go_on)
    fresh = _fresh(connection, found, here)
    forgotten: dict[int, Millis] = dict(connection.execute(_FORGOTTEN, (int(Tier.RAW),)))
    until = {name: max(fresh, forgotten.get(sensor, fresh)) for name, sensor in ids.items()}
    return {name: [row for row in found[sensor] if row.start < until[name]] for name, sensor in ids.items()}


def _found(
    connection: apsw.Connection, looks: Mapping[int, Look], here: Stamp, go_on: Callable[[], bool]
) -> dict[int, list[Summary]]:
    found: dict[int, list[Summary]] = {sensor: [] for sensor in looks}
    # Two more: what was said before a span begins speaks for its beginning.
    since = {sensor: here.at - look.length - 2 * FIVE_MINUTES for sensor, look in looks.items()}
    until = (here.at - FRESH) // FIVE_MINUTES * FIVE_MINUTES
    wrong = list(_wrong(connection, here, min(since.values())))
    for day in range(until - until % DAY, min(since.values()) - DAY, -DAY):
        for sensor, look in looks.items():
            if not go_on():
                return found
            start, end = max(day, since[sensor]), min(day + DAY, until)
            left_out = _left_out(connection, sensor, look, start, end, wrong)
            rows = tiers.rows(connection, sensor, Tier.FIVE_MINUTES, start, end)
            found[sensor][:0] = [row for row in rows if row.start not in left_out]
    return found


def _fresh(connection: apsw.Connection, found: Mapping[int, Iterable[Summary]], here: Stamp) -> Millis:
    """Return since when to read readings: READ_ALL of them, and what was said lately in any case."""
    until = here.at - FRESH
    left, since = READ_ALL, recent.affordable(connection, here, found, READ_ALL) + here.at - here.now
    for start, count in sorted(((row.start, row.count) for rows in found.values() for row in rows), reverse=True):
        left -= count
        if left < 0:
            return min(max(start + FIVE_MINUTES, since), until)
    return min(since, until)


def _left_out(
    connection: apsw.Connection, sensor: int, look: Look, start: Millis, end: Millis, wrong: Iterable[Stretch]
) -> set[Millis]:
    """Return where the windows begin whose summary may not be right: see summarising.py."""
    left_out = {at for (at,) in connection.execute(_UNMADE, (sensor, FIVE_MINUTES, start, end))}
    # The newest reading is in a window that is open, and may speak in later ones.
    open_ = () if look.newest is None else ((look.newest, look.newest),)
    for low, high in (*wrong, *open_):
        inside = max(low, start - look.reach), min(high, end)
        if inside[0] <= inside[1]:
            left_out.update(each.start for each in touched(*inside, look.reach))
    return left_out


def _wrong(connection: apsw.Connection, here: Stamp, since: Millis) -> Iterator[Stretch]:
    """Return when, by their clock, readings were measured whose clock was not right."""
    for boot, kernel, trust, offset, bound in connection.execute(_BOOTS):
        is_near = abs(offset - here.at + here.now) <= _NEAR
        if not (is_near if kernel == here.boot else trust == Trust.SYNCHRONISED):
            for low, high in connection.execute(_MEASURED, (boot, since - offset)):
                if low is not None:
                    yield low + offset, high + offset
        if bound is None or bound < since:
            return


_BOOTS = "SELECT id, kernel, trust, offset, bound FROM boots ORDER BY id DESC"

_MEASURED = """
SELECT min(low), max(high) FROM (
    SELECT own_min AS low, own_max AS high FROM log_index WHERE boot = ?1
    UNION ALL SELECT min(start), max(end) FROM blocks WHERE boot = ?1 AND end >= ?2
)
"""

_UNMADE = "SELECT start FROM unmade WHERE sensor = ? AND width = ? AND start >= ? AND start < ?"

_FORGOTTEN = "SELECT sensor, until FROM forgotten WHERE tier = ?"
