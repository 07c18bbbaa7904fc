"""Plots: the columns of some sensors over a span, from summaries where these are right, and else from readings.

The law of this file: what is read is bounded by the columns asked for and by MOST_READINGS, and a window whose stored
summary is not that of its readings (it waits to be made, or to be made anew) is drawn from its readings. Where these
are too many, nothing is drawn: half a plot would say that the other half was never stored. All of a plot is one
snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

import apsw
import msgspec

from outstation.core import plotting
from outstation.core.closing import GRACE
from outstation.core.plotting import READINGS_A_POINT, Held, Plan, Stale
from outstation.core.readings import Millis
from outstation.core.summaries import Said, Summary, decode
from outstation.core.summing import LONGEST_REACH
from outstation.core.windows import (
    DAY,
    FIVE_MINUTES,
    HOUR,
    Offset,
    Piece,
    Tier,
    Window,
    day_number,
    day_start,
    touched,
    window,
)
from outstation.errors import RefusedError, StoreError
from outstation.store import backlog, boots, days, newest, packs, raw, unsaved
from outstation.store.chunks import HIGHEST, LOWEST
from outstation.store.history import Lender
from outstation.store.segments import Segment
from outstation.store.unsaved import Unsaved

USUAL: Millis = 1_000
"""The time between two readings of a sensor that has no summary yet: little of what it said is read as readings."""

MOST_STALE = 2_000
"""Windows drawn from their readings though they are summarised: a week. Older ones are drawn as they were.

Where more wait to be made, they were never made, as after an import.
"""

MOST_READINGS = 300_000
"""Of all sensors of a plot together: they take a Pi some seconds."""

_FEW: Millis = HOUR
"""Of so short a time the readings are not counted before they are read: each plot reads the newest minutes."""

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
    """Return a plot. Blocks. Raises StoreError, and RefusedError where too much was deleted or is asked for."""
    memory = store.unsaved()
    with store.read() as connection:
        waiting, newest_ = _waiting(connection, memory), _newest_times(connection, asked)
        found = {
            name: _known(connection, name, asked, newest_.get(name, ()), waiting.get(name)) for name in asked.sensors
        }
        whole = _plan(asked, found)
        _refuse_unmade(connection, found, whole)
        plans = {name: _read_from(connection, known, whole, asked.offset) for name, known in found.items()}
        _refuse_too_much(connection, asked, found, plans)
        drawn: dict[str, Drawn] = {}
        for name, mine in plans.items():
            parts = _Reader(connection, found[name], mine, asked.sensors[name]).parts()
            drawn[name] = Drawn(plotting.columns(mine, parts), _until(found[name], whole, asked.at))
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


def _newest_times(connection: apsw.Connection, asked: Asked) -> dict[str, list[Millis]]:
    """Return when the newest of each sensor were measured, in the order of boots, if another clock was ahead of ours.

    It, or one between that and ours, may have stamped others that are newer by UTC.
    """
    boot, reach = boots.newest(connection), min(max(asked.sensors.values()), LONGEST_REACH)
    if boot is None or boot.bound is None or boot.bound < asked.at - reach - FIVE_MINUTES - GRACE:
        return {}
    known, after = newest.load(connection)
    for _ in newest.replay(connection, known, after):
        pass
    offsets: dict[int, Millis] = dict(connection.execute("SELECT id, offset FROM boots"))
    numbers = {name: _number(connection, name) for name in asked.sensors}
    found = {name: [known.sent[number][0]] if number in known.sent else [] for name, number in numbers.items()}
    for name, number in numbers.items():
        if own := known.own.get(number):
            found[name].append(own[1] + offsets[own[0]])
    return found


def _last_times(connection: apsw.Connection, sensor: int, at: Millis) -> list[Millis]:
    """Return when the last was measured, and the last before now: our clock may have been ahead of what it is."""
    last = raw.last_before(connection, sensor, HIGHEST)
    before = raw.last_before(connection, sensor, at + boots.STEP) if last and last[0] > at else None
    return [each[0] for each in (last, before) if each]


def _known(
    connection: apsw.Connection,
    name: str,
    asked: Asked,
    newest_: Iterable[Millis],
    waiting: tuple[int, Segment] | None,
) -> _Known:
    sensor, reach = _number(connection, name), min(asked.sensors[name], LONGEST_REACH)
    spans = [(at, at) for at in {*_last_times(connection, sensor, asked.at), *newest_}]
    if waiting:
        sensor, segment = waiting
        spans.append((segment.at[0], segment.at[-1]))
    is_open = [each for start, end in spans for each in touched(start, end, reach)]
    since: dict[int, Millis] = dict(connection.execute("SELECT tier, until FROM forgotten WHERE sensor = ?", (sensor,)))
    rows = {tier: _newest(connection, sensor, tier) for tier in (Tier.FIVE_MINUTES, Tier.HOUR, Tier.DAY)}
    until: dict[int, Millis] = {tier: found.window.end if found else _NEVER for tier, found in rows.items()}
    # Where our clock is behind, the newest reading is later than now.
    until[Tier.RAW] = max([asked.at, *(end + 1 for _, end in spans)])
    held = {tier: Held(since.get(tier, LOWEST), until[tier]) for tier in Tier}
    return _Known(sensor, held, _every(rows.values()), (waiting[1],) if waiting else (), is_open)


def _until(known: _Known, whole: Plan, at: Millis) -> Millis:
    """Return after when nothing is known of what is drawn: what is later than all of it says nothing of its end."""
    until = known.held[Tier.RAW].until
    return at if whole.edges[-2] <= at < whole.edges[-1] < until else until


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
        most = max(asked.points * READINGS_A_POINT * len(found), MOST_READINGS)
        every = min(known.every for known in found.values()) * MOST_READINGS // most
        return plotting.plan(asked.start, asked.end, asked.points, held=held, every=every, offset=asked.offset)
    whole = plotting.aligned(asked.start, asked.end, asked.every, held=held, offset=asked.offset)
    if since[whole.tier] > whole.edges[0]:
        raise RefusedError(
            "Of the beginning of this span only summaries over longer times are left.",
            cure="Ask for a longer every=, or for every=auto.",
        )
    return whole


def _read_from(connection: apsw.Connection, known: _Known, whole: Plan, offset: Offset) -> Plan:
    """Return the plan with what to read for a sensor: before what its backlog has come to, its readings."""
    mine = plotting.read_from(whole, known.held, offset, _stale(connection, known, whole, offset))
    since, behind = known.held[Tier.RAW].since, _behind(connection, known, whole)
    start = whole.edges[0]
    if since > start:
        start = since if whole.tier is Tier.RAW else window(whole.tier, since, offset).end
    until = min(behind, mine.pieces[-1].end) if mine.pieces else start
    if until <= start:
        return mine
    before = (Piece(piece.tier, piece.start, min(piece.end, start)) for piece in mine.pieces if piece.start < start)
    after = (Piece(piece.tier, max(piece.start, until), piece.end) for piece in mine.pieces if piece.end > until)
    return msgspec.structs.replace(mine, pieces=(*before, Piece(Tier.RAW, start, until), *after))


def _behind(connection: apsw.Connection, known: _Known, whole: Plan) -> Millis:
    """Return before when no window of a sensor may have been made: an edge of five minutes."""
    until = min(backlog.until(connection, known.id), whole.edges[-1], known.held[Tier.RAW].until)
    return until + -until % FIVE_MINUTES


def _refuse_too_much(
    connection: apsw.Connection, asked: Asked, found: Mapping[str, _Known], plans: Mapping[str, Plan]
) -> None:
    """Raise StoreError where readings are to be summed up first, and RefusedError where that would not help."""
    counts = {name: _readings(connection, found[name], mine) for name, mine in plans.items()}
    total = sum(counts.values())
    worst = max(counts, key=counts.__getitem__)
    if total <= MOST_READINGS:
        return
    left = _left(connection, found[worst], plans[worst])
    if not left or (asked.every is not None and plans[worst].tier is Tier.RAW):
        raise RefusedError(
            f"About {total:,} readings would be read for this plot, and {MOST_READINGS:,} are the most.",
            cure="Ask for a shorter span, for fewer sensors, or for every=5m or a multiple of it.",
        )
    raise _underway(worst, left)


def _refuse_unmade(connection: apsw.Connection, found: Mapping[str, _Known], whole: Plan) -> None:
    """Raise StoreError where more windows wait to be made than are drawn from their readings."""
    if whole.tier is Tier.RAW:
        return
    for name, known in found.items():
        if _unmade(connection, known, whole, MOST_STALE + 1) > MOST_STALE:
            raise _underway(name, _left(connection, known, whole))


def _underway(name: str, left: int) -> StoreError:
    return StoreError(
        f'The readings of "{name}" are still being summed up: of this span, about {100 - left} % are done.',
        cure="Ask again in a while, or for a shorter span.",
    )


def _readings(connection: apsw.Connection, known: _Known, mine: Plan) -> int:
    """Return how many readings are read for a sensor, about."""
    spans = [(piece.start, piece.end) for piece in mine.pieces if piece.tier is Tier.RAW]
    is_much = sum(end - start for start, end in spans) > _FEW
    return raw.about(connection, known.id, spans) if is_much else 0


def _unmade(connection: apsw.Connection, known: _Known, mine: Plan, most: int) -> int:
    """Return how many windows of five minutes wait to be made, up to so many."""
    span = mine.edges[0], mine.edges[-1]
    found: int = connection.execute(_COUNT_UNMADE, (known.id, FIVE_MINUTES, *span, most)).get
    return found


def _left(connection: apsw.Connection, known: _Known, mine: Plan) -> int:
    """Return how many of a hundred windows of five minutes are to be made."""
    start, end = mine.edges[0], min(mine.edges[-1], known.held[Tier.RAW].until)
    first = raw.first_after(connection, known.id, start, end)
    all_ = max(1, (end - first) // FIVE_MINUTES)
    waiting = _unmade(connection, known, mine, all_) + max(0, _behind(connection, known, mine) - first) // FIVE_MINUTES
    return min(100, -(-100 * waiting // all_))


def _stale(connection: apsw.Connection, known: _Known, whole: Plan, offset: Offset) -> list[Stale]:
    """Return where summaries are out of date, in order; of many windows the newest: more would be too much to read."""
    most = min(known.every * len(whole.edges) * READINGS_A_POINT // FIVE_MINUTES + 2, MOST_STALE)
    found: list[Stale] = [(each.start, Tier.FIVE_MINUTES) for each in known.open]
    if whole.tier is Tier.DAY and not days.are_right(connection):
        first, last = (day_number(edge, offset) for edge in (whole.edges[0], whole.edges[-1]))
        found += [(day_start(number, offset), Tier.DAY) for number in range(first, last + 1)]
    found.append((_behind(connection, known, whole) - FIVE_MINUTES, Tier.FIVE_MINUTES))
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


_COUNT_UNMADE = """
SELECT count(*) FROM (SELECT 1 FROM unmade WHERE sensor = ? AND width = ? AND start >= ? AND start < ? LIMIT ?)
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
