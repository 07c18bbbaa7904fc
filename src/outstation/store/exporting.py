"""Stored readings as CSV, piece by piece: wide, a row an instant and a column a sensor; or long, a row a reading.

The law of this file: however long it takes, it holds no snapshot and never more than a part of the history, for it
reads in the many short steps of the replay. Wide is what `outstation import` takes: an instant of which a
sensor has two readings gets two rows, and what was a bad reading is left empty. Long leaves out nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import apsw
import msgspec

from outstation import clock
from outstation.core.readings import Millis, Reading
from outstation.core.summaries import Said
from outstation.errors import RefusedError, UnknownNameError
from outstation.store.cells import cell_of
from outstation.store.replay import names, replay, replay_one

TIME = "timestamp"
LONG = (TIME, "sensor", "value", "unit", "quality")
"""The heading of the long format; the wide one has the time and the names of the sensors."""

PIECE = 1 << 16
"""Characters that are handed on at once, about, where cells are numbers."""

_QUALITIES = ("ok", "out_of_range", "spike", "stuck", "fault")


class Wanted(msgspec.Struct, frozen=True):
    """Which readings, and how. sensors: none: all. units: for the long format, by sensor."""

    sensors: tuple[str, ...] = ()
    start: Millis | None = None
    end: Millis | None = None
    long: bool = False
    units: Mapping[str, str] = {}


def text(connection: apsw.Connection, wanted: Wanted) -> Iterator[str]:
    """Return the table in pieces, its heading in the first.

    Raises UnknownNameError and RefusedError before the first piece; apsw.Error and msgspec.DecodeError at any.
    """
    sensors = _sensors(connection, wanted)
    heading = ",".join(LONG if wanted.long else (TIME, *sensors))
    if len(sensors) == 1 and not wanted.long:
        return _pieces(heading, _narrow(replay_one(connection, sensors[0], wanted.start, wanted.end)))
    readings = replay(connection, start=wanted.start, end=wanted.end, sensors=sensors)
    return _pieces(heading, _long(readings, wanted.units) if wanted.long else _wide(readings, sensors))


def check(connection: apsw.Connection, wanted: Wanted) -> None:
    """Raise UnknownNameError or RefusedError where there is no such table."""
    _sensors(connection, wanted)


def _sensors(connection: apsw.Connection, wanted: Wanted) -> Sequence[str]:
    if wanted.start is not None and wanted.end is not None and wanted.start >= wanted.end:
        raise RefusedError("The end is not after the start.")
    known = names(connection)
    for name in wanted.sensors:
        if name not in known:
            raise UnknownNameError(f'Nothing is stored of a sensor "{name[:80]}".', cure=_cure(known))
    return tuple(dict.fromkeys(wanted.sensors)) or known


def _cure(known: Sequence[str]) -> str:
    return f"There are: {', '.join(known[:20])}{', ...' if len(known) > 20 else ''}." if known else "There is none."


def _pieces(heading: str, lines: Iterable[str]) -> Iterator[str]:
    """Join lines to pieces of some size, as long as the heading lets one expect."""
    count, waiting = PIECE // (30 + len(heading)) + 1, iter(lines)
    piece = [heading, *islice(waiting, count)]
    while piece:
        yield "\n".join([*piece, ""])
        piece = list(islice(waiting, count))


def _long(readings: Iterable[Reading], units: Mapping[str, str]) -> Iterator[str]:
    quoted = {name: cell_of(unit) if unit else "" for name, unit in units.items()}
    for one in readings:
        unit, quality = quoted.get(one.sensor, ""), _QUALITIES[one.quality]
        yield f"{clock.iso(one.at)},{one.sensor},{cell_of(one.value)},{unit},{quality}"


def _narrow(readings: Iterable[Said]) -> Iterator[str]:
    """Return what _wide() does of one sensor, and does it quicker."""
    return (f"{clock.iso(at)},{cell_of(value)}" for at, value, bad in readings if not bad and value is not None)


def _wide(readings: Iterable[Reading], sensors: Sequence[str]) -> Iterator[str]:
    places = {name: place for place, name in enumerate(sensors, 1)}
    empty = [""] * (len(sensors) + 1)
    row, now = empty.copy(), None
    for one in readings:
        if one.quality or one.value is None:
            continue
        place = places[one.sensor]
        if one.at != now or row[place]:
            if now is not None:
                yield ",".join(row)
            row, now = empty.copy(), one.at
            row[0] = clock.iso(now)
        row[place] = cell_of(one.value)
    if now is not None:
        yield ",".join(row)
