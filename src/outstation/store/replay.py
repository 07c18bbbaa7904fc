"""Stored readings once more, in the order of their measurement: what a backtest lives through.

The law of this file: whatever is stored, only so much of it is in memory. A chunk of the log, or a block, is opened
when the replay has come to its first reading. Where too many overlap, the later part of each is let go of, and read
again when it is its turn. Where one is gone by then, since it was sealed, the replay looks anew for what is there.
"""

from __future__ import annotations

import contextlib
import heapq
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from itertools import chain, compress, islice, repeat
from operator import itemgetter
from pathlib import Path
from typing import Any

import apsw
import msgspec

from outstation.core.readings import Millis, Quality, Reading, Value
from outstation.core.summaries import Said
from outstation.errors import StoreError
from outstation.store import blocks, file, left_out, segments
from outstation.store.chunks import HIGHEST, LOWEST, sealed_until
from outstation.store.rows import QUALITY, SENT, unpack

OPEN_AT_MOST = 200_000
"""Readings in memory at once, about 20 MB: some fifty chunks that overlap."""


class LogPart(msgspec.Struct, frozen=True, gc=False):
    """A chunk of the log. offset: of its boot; hidden: what it has of sensors up to this one is in blocks."""

    first: int
    last: int
    offset: Millis
    hidden: int

    @property
    def rank(self) -> int:
        """By what readings of one sensor and millisecond are put in order: it arrived before those of higher rank."""
        return self.first

    def read(self, connection: apsw.Connection, wanted: Collection[int]) -> Part | None:
        """Return its readings of some sensors, or None: it is not there any more."""
        rows: Any = connection.execute(_ROWS, (self.first, self.last)).fetchall()
        if len(rows) <= self.last - self.first:
            return None
        at: list[Millis] = []
        sensors: list[int] = []
        values: list[Value | None] = []
        flags = bytearray()
        for (body,) in rows:
            columns = unpack(body)
            if isinstance(columns.flags, int):
                moved = columns.offset if columns.flags & SENT else self.offset
                at += [time + moved for time in columns.times]
            else:
                at += [moment for _, moment, _, _ in columns.each(self.offset)]
            sensors += columns.sensors
            values += columns.values
            flags += columns.each_flag()
        if self.hidden:
            wanted = frozenset(sensor for sensor in wanted if sensor > self.hidden)
        return _in_order(_only(Part(self, at, sensors, values, flags), wanted))


class BlockPart(msgspec.Struct, frozen=True, gc=False):
    """A block."""

    found: blocks.Found

    @property
    def rank(self) -> int:
        """The same: all that is sealed arrived before all that is not."""
        return segments.rank_of_block(self.found.boot, self.found.id)

    def read(self, connection: apsw.Connection, _: Collection[int]) -> Part | None:
        """Return its readings, or None: it is not there any more."""
        found = self.found.segments(connection)
        if not found:
            is_damaged = left_out.is_noted(connection, "blocks", self.found.id)
            return Part(self, (), (), (), b"") if is_damaged else None
        whole = segments.merged(found)
        return Part(self, whole.at, [self.found.sensor] * len(whole.at), whole.values, whole.flags)


Source = LogPart | BlockPart


class Part(msgspec.Struct, gc=False):
    """What is left of an open chunk or block, by columns in the order of `at`. `done`: how many are replayed."""

    source: Source
    at: Sequence[Millis]
    sensors: Sequence[int]
    values: Sequence[Value | None]
    flags: Sequence[int]
    done: int = 0

    @property
    def left(self) -> int:
        """How many readings are yet to come."""
        return len(self.at) - self.done


class _MovedError(Exception):
    """What was there a moment ago has been sealed."""


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[apsw.Connection]:
    """Lend a connection to the data of a node, running or not. Raises StoreError."""
    path = folder / file.NAME
    if not path.exists():
        raise StoreError(f"There are no data in {folder}.", cure="Name the folder of a node with --data.")
    connection = file.open_for_reading(path)
    try:
        yield connection
    except (apsw.Error, msgspec.MsgspecError) as error:
        raise file.as_store_error(path, error) from error
    finally:
        file.shut(connection)


def names(connection: apsw.Connection) -> list[str]:
    """Return the names of all that ever stored a reading, outputs included."""
    return [name for (name,) in connection.execute("SELECT name FROM sensors ORDER BY id")]


def replay(
    connection: apsw.Connection,
    *,
    start: Millis | None = None,
    end: Millis | None = None,
    sensors: Collection[str] | None = None,
) -> Iterator[Reading]:
    """Return the readings from `start` until before `end`, as if each had arrived when it was measured.

    Of a reading that was corrected, the last value. `now` is `at`: a boot that began with 1970. Reads in many
    short steps, unless the connection is in a transaction. Raises apsw.Error, msgspec.DecodeError.
    """
    ids = _ids(connection, names(connection) if sensors is None else sensors)
    return chain.from_iterable(_as_readings(part, ids) for part in _parts(connection, start, end, ids))


def replay_one(connection: apsw.Connection, sensor: str, start: Millis | None, end: Millis | None) -> Iterator[Said]:
    """Return the same of one sensor: when, what, and its quality. It is quicker."""
    for part in _parts(connection, start, end, _ids(connection, (sensor,))):
        yield from zip(part.at, part.values, map(_QUALITY.__getitem__, part.flags), strict=True)


def _parts(
    connection: apsw.Connection, start: Millis | None, end: Millis | None, ids: dict[int, str]
) -> Iterator[Part]:
    return _Replay(connection, ids).parts(LOWEST if start is None else start, HIGHEST if end is None else end)


class _Replay:
    """`_ceiling`: what was measured from then on is left on disk, until all before is given out.

    `_low`: of each source that is not open, its first reading that is not replayed yet.
    """

    def __init__(self, connection: apsw.Connection, names: dict[int, str]) -> None:
        self._connection, self._names = connection, names
        self._begin()

    def parts(self, start: Millis, end: Millis) -> Iterator[Part]:
        """Give out what there is; where it was sealed meanwhile, go on with what is there now."""
        self._reached = start
        while True:
            with contextlib.suppress(_MovedError):
                yield from self._from(self._reached, end)
                return
            self._begin()

    def _begin(self) -> None:
        self._parts: list[Part] = []
        self._waiting: list[tuple[Millis, int]] = []
        self._sources: dict[int, Source] = {}
        self._low: dict[int, Millis] = {}
        self._ceiling = HIGHEST

    def _from(self, start: Millis, end: Millis) -> Iterator[Part]:
        """Open source after source; give out what is older than all that is still closed."""
        for low, source in _sources(self._connection, start, end, self._names):
            self._wait(low, source)
        self._ceiling = end
        while self._waiting:
            low, rank = heapq.heappop(self._waiting)
            if self._low.get(rank) != low:
                continue  # it has been waiting for an earlier moment since
            if low >= self._ceiling:
                yield from self._until(self._ceiling)
                self._ceiling = end
            yield from self._until(low)
            del self._low[rank]
            self._parts.append(self._limited(_between(self._opened(rank), max(start, low), end)))
            self._lower_ceiling()
        yield from self._until(end)

    def _wait(self, low: Millis, source: Source) -> None:
        self._low[source.rank], self._sources[source.rank] = low, source
        heapq.heappush(self._waiting, (low, source.rank))

    def _opened(self, rank: int) -> Part:
        part = self._sources[rank].read(self._connection, self._names)
        if part is None:
            raise _MovedError
        return part

    def _limited(self, part: Part) -> Part:
        """Return what is below the ceiling; the rest waits."""
        first = bisect_left(part.at, self._ceiling)
        if first == len(part.at):
            return part
        self._wait(part.at[first], part.source)
        return _slice(part, part.done, first)

    def _lower_ceiling(self) -> None:
        """Where too many are in memory, let go of the later half of them."""
        if sum(part.left for part in self._parts) <= OPEN_AT_MOST:
            return
        moments = sorted(chain.from_iterable(islice(part.at, part.done, None) for part in self._parts))
        # At least what was measured at the first of these moments stays.
        self._ceiling = max(moments[len(moments) // 2], moments[0] + 1)
        self._parts = [self._limited(part) for part in self._parts]

    def _until(self, end: Millis) -> Iterator[Part]:
        """Give out what was measured before `end`."""
        slices = []
        for part in sorted(self._parts, key=lambda part: part.source.rank):
            upto = bisect_left(part.at, end, part.done)
            if upto > part.done:
                slices.append(_slice(part, part.done, upto))
                part.done = upto
        self._parts = [part for part in self._parts if part.left]
        if slices:
            whole = slices[0] if len(slices) == 1 else _in_order(_joined(slices))
            yield _corrected(whole)
        self._reached = max(self._reached, end)


def _ids(connection: apsw.Connection, wanted: Collection[str]) -> dict[int, str]:
    known = frozenset(wanted)
    return {id_: name for id_, name in connection.execute("SELECT id, name FROM sensors") if name in known}


def _sources(
    connection: apsw.Connection, start: Millis, end: Millis, ids: Collection[int]
) -> list[tuple[Millis, Source]]:
    """Return the chunks and blocks that may hold readings of these sensors from that time, as of one moment."""
    with contextlib.ExitStack() as at_the_end:
        if connection.get_autocommit():
            connection.execute("BEGIN")
            at_the_end.callback(connection.execute, "ROLLBACK")
        in_blocks = [
            (block.low, BlockPart(block))
            for clock in blocks.of_all(connection, start, end)
            for block in clock
            if block.sensor in ids
        ]
        return [*_in_log(connection, start, end, ids), *in_blocks]


def _in_log(
    connection: apsw.Connection, start: Millis, end: Millis, ids: Collection[int]
) -> Iterator[tuple[Millis, Source]]:
    wanted = sum(1 << id_ for id_ in ids)
    hidden, upto = sealed_until(connection)
    for first, last, offset, low, sensors in connection.execute(_CHUNKS, (start, end)):
        if int.from_bytes(sensors, "little") & wanted:
            yield low, LogPart(first, last, offset, hidden if last <= upto else 0)
    for first, last, offset in connection.execute(_TAIL):
        rows = connection.execute(_ROWS, (first, last))
        yield min(moment for (body,) in rows for moment in _times(body, offset)), LogPart(first, last, offset, 0)


def _times(body: Any, offset: Millis) -> Iterator[Millis]:
    return (at for _, at, _, _ in unpack(body).each(offset))


_ROWS = "SELECT body FROM log WHERE id BETWEEN ? AND ? ORDER BY id"

_CHUNKS = """
SELECT first_id, last_id, offset, low, sensors FROM (
    SELECT i.first_id, i.last_id, b.offset, i.sensors,
           min(coalesce(i.own_min + b.offset, i.sent_min), coalesce(i.sent_min, i.own_min + b.offset)) AS low,
           max(coalesce(i.own_max + b.offset, i.sent_max), coalesce(i.sent_max, i.own_max + b.offset)) AS high
    FROM log_index i CROSS JOIN boots b ON b.id = i.boot)
WHERE high >= ? AND low < ?
"""

_TAIL = """
SELECT min(log.id), max(log.id), b.offset FROM log JOIN boots b ON b.id = log.boot
WHERE log.id > (SELECT coalesce(max(last_id), 0) FROM log_index) GROUP BY b.id
"""

_SENSOR = 34
"""Bits below the time in what readings are put in order by: for the number of a sensor, and whether it is our own."""


def _in_order(part: Part) -> Part:
    """Return it in the order of `at`, then of sensors, then as in segments.py."""
    keys = [
        at << _SENSOR | sensor << 1 | (not flag & SENT)
        for at, sensor, flag in zip(part.at, part.sensors, part.flags, strict=True)
    ]
    if all(map(int.__le__, keys, islice(keys, 1, None))):
        return part
    return _taken(part, sorted(range(len(keys)), key=keys.__getitem__))


def _taken(part: Part, places: Sequence[int]) -> Part:
    """Return only the readings that stand at these places."""
    if len(places) < 2:
        return _slice(part, places[0], places[0] + 1) if places else _slice(part, 0, 0)
    take = itemgetter(*places)
    return Part(part.source, take(part.at), take(part.sensors), take(part.values), take(part.flags))


def _only(part: Part, wanted: Collection[int]) -> Part:
    here = set(part.sensors)
    if here.issubset(wanted):
        return part
    if here.isdisjoint(wanted):
        return _slice(part, 0, 0)
    chosen = [sensor in wanted for sensor in part.sensors]
    columns: list[Any] = [list(compress(each, chosen)) for each in (part.at, part.sensors, part.values, part.flags)]
    return Part(part.source, *columns)


def _between(part: Part, start: Millis, end: Millis) -> Part:
    if not part.at or (part.at[0] >= start and part.at[-1] < end):
        return part
    return _slice(part, bisect_left(part.at, start), bisect_left(part.at, end))


def _slice(part: Part, first: int, end: int) -> Part:
    return Part(part.source, part.at[first:end], part.sensors[first:end], part.values[first:end], part.flags[first:end])


def _joined(parts: Sequence[Part]) -> Part:
    columns: list[Any] = [
        list(chain.from_iterable(getattr(part, name) for part in parts))
        for name in ("at", "sensors", "values", "flags")
    ]
    return Part(parts[0].source, *columns)


def _corrected(part: Part) -> Part:
    """Leave out what a sender has corrected since: of what it stamped, the last with a sensor and a time counts."""
    if not any(map(SENT.__and__, part.flags)):
        return part
    keys = list(zip(part.sensors, part.at, strict=True))
    if len(set(keys)) == len(keys):
        return part
    last = {key: place for place, key in enumerate(keys) if part.flags[place] & SENT}
    return _taken(
        part, [place for place, key in enumerate(keys) if last.get(key, place) == place or not part.flags[place] & SENT]
    )


_QUALITY = [Quality(flag & QUALITY) if flag & QUALITY in set(Quality) else Quality.FAULT for flag in range(256)]
_SENT = [bool(flag & SENT) for flag in range(256)]


def _as_readings(part: Part, names: dict[int, str]) -> Iterator[Reading]:
    """Return them one by one; made in C, for a year has millions."""
    sensors, flags = map(names.__getitem__, part.sensors), part.flags
    if len(set(flags)) == 1:
        quality, sent = repeat(_QUALITY[flags[0]]), repeat(_SENT[flags[0]])
        return map(Reading, sensors, part.values, part.at, part.at, part.at, quality, sent)
    return map(
        Reading,
        sensors,
        part.values,
        part.at,
        part.at,
        part.at,
        map(_QUALITY.__getitem__, flags),
        map(_SENT.__getitem__, flags),
    )
