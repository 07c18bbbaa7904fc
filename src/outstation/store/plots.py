"""Plots: the columns of some sensors over a span, from summaries where these are right, and else from readings.

The law of this file: what is read is bounded by the columns asked for, and a window whose stored summary is not that
of its readings (it waits to be made, or to be made anew) is drawn from its readings. All of a plot is one snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

import apsw
import msgspec

from outstation.core import plotting
from outstation.core.plotting import READINGS_A_POINT, Held, Plan, Stale
from outstation.core.readings import Millis
from outstation.core.summaries import Said, Summary, decode
from outstation.core.summing import LONGEST_REACH
from outstation.core.windows import DAY, FIVE_MINUTES, HOUR, Offset, Piece, Tier, Window, day_number, day_start, touched
from outstation.errors import RefusedError
from outstation.store import backlog, days, packs, raw, unsaved
from outstation.store.chunks import HIGHEST
from outstation.store.history import Lender
from outstation.store.segments import Segment
from outstation.store.unsaved import Unsaved

USUAL: Millis = 1_000
"""The time between two readings of a sensor that has no summary yet: little of what it said is read as readings."""

MOST_STALE = 2_000
"""Windows drawn from their readings though they are summarised: a week. Older ones are drawn as they were."""

_SLICE = 10_000
"""Readings that are read at once, about: some megabytes."""

_NEVER: Millis = 0


class Asked(msgspec.Struct, frozen=True):
    """A plot. sensors: how long a reading of each speaks. every: the width of a column; None: as `points` ask for.

    at: now, UTC. offset: of local time.
    """

    sensors: Mapping[str, Millis]
    start: Millis
    end: Millis
    points: int
    every: Millis | None
    at: Millis
    offset: Offset


class Drawn(msgspec.Struct, frozen=True):
    """One sensor's columns, all of them. until: nothing is known after it: the last column may not be over."""

    columns: list[Summary]
    until: Millis


class Plot(msgspec.Struct, frozen=True):
    """What was asked for. tier: what it is from, but for its end. every: the width of a column."""

    tier: Tier
    every: Millis
    sensors: dict[str, Drawn]


def draw(store: Lender, asked: Asked) -> Plot:
    """Return a plot. Blocks. Raises StoreError, and RefusedError where too much was deleted."""
    memory = store.unsaved()
    with store.read() as connection:
        waiting = _waiting(connection, memory)
        found = {name: _known(connection, name, asked, waiting.get(name)) for name in asked.sensors}
        whole = _plan(asked, found)
        drawn: dict[str, Drawn] = {}
        for name, known in found.items():
            mine = plotting.read_from(whole, known.held, asked.offset, _stale(connection, known, whole, asked.offset))
            parts = _Reader(connection, known, mine, asked.sensors[name]).parts()
            drawn[name] = Drawn(plotting.columns(mine, parts), known.held[Tier.RAW].until)
    return Plot(whole.tier, whole.every, drawn)


class _Known(msgspec.Struct, frozen=True):
    """What there is of a sensor. id: 0: nothing. every: the time between two readings of late.

    waiting: what is in memory alone. open: windows of five minutes that are in no list, though their rows may be out of
    date: the newest reading is in them or speaks in them (see summarising.py), or one that waits.
    """

    id: int
    held: dict[Tier, Held]
    every: Millis
    waiting: tuple[Segment, ...]
    open: list[Window]


def _waiting(connection: apsw.Connection, memory: Unsaved) -> dict[str, tuple[int, Segment]]:
    """Return the number of each sensor of which there is something in memory alone, and what."""
    found = unsaved.waiting(connection, memory)
    if found is None:
        return {}
    segments = found.segments()
    return {name: (number, segments[number]) for name, number in found.numbers.items() if number in segments}


def _number(connection: apsw.Connection, name: str) -> int:
    """Return a sensor's; 0 where it has stored nothing."""
    found: int | None = connection.execute("SELECT id FROM sensors WHERE name = ?", (name,)).get
    return found or 0


def _known(connection: apsw.Connection, name: str, asked: Asked, waiting: tuple[int, Segment] | None) -> _Known:
    sensor, reach = _number(connection, name), min(asked.sensors[name], LONGEST_REACH)
    last = raw.last_before(connection, sensor, HIGHEST)
    spans = [(last[0], last[0])] if last else []
    if waiting:
        sensor, segment = waiting
        spans.append((segment.at[0], segment.at[-1]))
    is_open = [each for start, end in spans for each in touched(start, end, reach)]
    since: dict[int, Millis] = dict(connection.execute("SELECT tier, until FROM forgotten WHERE sensor = ?", (sensor,)))
    rows = {tier: _newest(connection, sensor, tier) for tier in (Tier.FIVE_MINUTES, Tier.HOUR, Tier.DAY)}
    until: dict[int, Millis] = {tier: found.window.end if found else _NEVER for tier, found in rows.items()}
    # Where our clock is behind, the newest reading is later than now.
    until[Tier.RAW] = max([asked.at, *(end + 1 for _, end in spans)])
    held = {tier: Held(since.get(tier, _NEVER), until[tier]) for tier in Tier}
    return _Known(sensor, held, _every(rows.values()), (waiting[1],) if waiting else (), is_open)


def _newest(connection: apsw.Connection, sensor: int, tier: Tier) -> Summary | None:
    row = connection.execute(
        "SELECT start, width, body FROM summaries WHERE sensor = ? AND tier = ? ORDER BY start DESC LIMIT 1",
        (sensor, int(tier)),
    ).fetchone()
    return row and decode(Window(*row[:2]), row[2])


def _every(newest: Iterable[Summary | None]) -> Millis:
    """Return the shortest mean time between two readings: the last five minutes may have been half a silence."""
    counts = [(row.width, row.count + row.texts + sum(row.bad)) for row in newest if row]
    return min([width // count for width, count in counts if count], default=USUAL)


def _plan(asked: Asked, found: Mapping[str, _Known]) -> Plan:
    """Return the columns, the same for all. Raises RefusedError where what is left is wider than what is asked for."""
    since = {tier: max(known.held[tier].since for known in found.values()) for tier in Tier}
    held = {tier: Held(since[tier], asked.end) for tier in Tier}
    if asked.every is None:
        every = min(known.every for known in found.values())
        return plotting.plan(asked.start, asked.end, asked.points, held=held, every=every, offset=asked.offset)
    whole = plotting.aligned(asked.start, asked.end, asked.every, held=held, offset=asked.offset)
    if since[whole.tier] > whole.edges[0]:
        raise RefusedError(
            "Of the beginning of this span only summaries over longer times are left.",
            cure="Ask for a longer every=, or for every=auto.",
        )
    return whole


def _stale(connection: apsw.Connection, known: _Known, whole: Plan, offset: Offset) -> list[Stale]:
    """Return where summaries are out of date, in order; of many windows the newest: more would be too much to read."""
    most = min(known.every * len(whole.edges) * READINGS_A_POINT // FIVE_MINUTES + 2, MOST_STALE)
    found: list[Stale] = [(each.start, Tier.FIVE_MINUTES) for each in known.open]
    if whole.tier is Tier.DAY and not days.are_right(connection):
        first, last = (day_number(edge, offset) for edge in (whole.edges[0], whole.edges[-1]))
        found += [(day_start(number, offset), Tier.DAY) for number in range(first, last + 1)]
    until = min(backlog.until(connection, known.id), whole.edges[-1], known.held[Tier.RAW].until)
    until += -until % FIVE_MINUTES
    behind = range(until - FIVE_MINUTES, max(whole.edges[0], until - most * FIVE_MINUTES) - FIVE_MINUTES, -FIVE_MINUTES)
    found += [(start, Tier.FIVE_MINUTES) for start in behind]
    for tier, widths in _WIDTHS.items():
        for start, width in connection.execute(_UNMADE, (known.id, *widths, whole.edges[0], whole.edges[-1], most)):
            # An hour may be in two days, where these begin at half past.
            found += [(start, tier), (start + width - 1, tier)]
    return sorted(found)


_WIDTHS = {
    Tier.FIVE_MINUTES: (FIVE_MINUTES, FIVE_MINUTES),
    Tier.HOUR: (HOUR, HOUR),
    Tier.DAY: (HOUR + 1, 2 * DAY),
}
"""From the least to the greatest."""

_UNMADE = """
SELECT start, width FROM unmade WHERE sensor = ? AND width BETWEEN ? AND ? AND start >= ? AND start < ?
ORDER BY start DESC LIMIT ?
"""


class _Reader:
    """Reads what a plan names of one sensor."""

    def __init__(self, connection: apsw.Connection, known: _Known, mine: Plan, reach: Millis) -> None:
        self._connection, self._known, self._plan, self._reach = connection, known, mine, reach

    def parts(self) -> Iterator[Summary]:
        """Return the parts of columns, in order."""
        for piece in self._plan.pieces:
            yield from self._readings(piece) if piece.tier is Tier.RAW else self._rows(piece)

    def _rows(self, piece: Piece) -> Iterator[Summary]:
        rows = packs.stored(self._connection, self._known.id, piece.tier, piece.start, piece.end)
        return plotting.of_rows(self._plan, piece, rows)

    def _readings(self, piece: Piece) -> Iterator[Summary]:
        reach = min(self._reach, LONGEST_REACH)
        said = self._said(piece.start - reach, piece.end)
        before: Said | None = None
        for first in said:
            if first[0] >= piece.start:
                said = chain((first,), said)
                break
            before = first
        return plotting.of_readings(self._plan, piece, said, reach, before)

    def _said(self, start: Millis, end: Millis) -> Iterator[Said]:
        """Return readings, slice by slice: so many that memory holds them, however dense they are."""
        length = max(self._known.every, 1) * _SLICE
        while start < end:
            stop = min(start + length, end)
            said = raw.said(self._connection, self._known.id, start, stop, self._known.waiting)
            yield from said
            length = length * 2 if len(said) < _SLICE else max(length // 2, 1)
            start = stop
