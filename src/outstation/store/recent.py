"""What sensors said lately, told by the clock of this boot: to fill the spans that rules look at.

The law of this file: the newest comes first, and whoever asks may stop at any time. Of our own, a reading of another
boot counts only where the wall clock was right then and is right now: else nobody knows how long ago it was. What a
sender stamped counts where the clock is right now, or where it says that this was since the boot. What summaries tell
is not read.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter

import apsw
import msgspec

from outstation.clock import Trust
from outstation.core.readings import Millis, Value
from outstation.core.restarts import Stamp
from outstation.core.summaries import Summary
from outstation.store import left_out
from outstation.store.blocks import SENT_BOOT
from outstation.store.chunks import HIGHEST, LOWEST, sealed_until
from outstation.store.rows import QUALITY, SENT, Columns, unpack
from outstation.store.sealing.packing import Block
from outstation.store.sealing.packing import unpack as unpack_block

MOST = 200_000
"""Readings in memory, about 25 MB; more than some seconds' worth on a small machine anyway."""

Said = list[tuple[Millis, float]]
"""When, on `now` of this boot, and what; the oldest first."""

Stretch = tuple[Millis, Millis]
"""From the first to the last millisecond."""


class _Chunk(msgspec.Struct, frozen=True):
    """Some rows of the log. shift: what to add to our own times in them for `now` of this boot; None: nobody knows.

    hidden: what it has of sensors up to this one is in blocks. sensors: one bit an id. span: on `now`, of all in it;
    bound: nothing in it or before it is newer.
    """

    first: int
    last: int
    shift: Millis | None
    hidden: int = 0
    sensors: int = -1
    span: Stretch = (LOWEST, HIGHEST)
    bound: Millis = HIGHEST
    count: int = 0


class _Wanted:
    """What is wanted of a sensor, on `now`: what is no earlier than `since`, and that summaries do not tell."""

    def __init__(self, name: str, since: Millis, summed: Iterable[Summary], offset: Millis) -> None:
        self.name = name
        self._starts: list[Millis] = []
        self._ends: list[Millis] = []
        for summary in summed:
            start = summary.start - offset
            if self._ends and self._ends[-1] == start:
                self._ends[-1] += summary.width
            else:
                self._starts.append(start)
                self._ends.append(start + summary.width)
        self.since = self._after(since)

    def has(self, low: Millis, high: Millis) -> bool:
        """Tell whether any moment between these, or one of them, is wanted."""
        return high >= self.since and self._after(max(low, self.since)) <= high

    def _after(self, now: Millis) -> Millis:
        """Return the first moment from this one on that no summary tells of."""
        place = bisect_right(self._starts, now) - 1
        return max(now, self._ends[place]) if place >= 0 else now


def recent(
    connection: apsw.Connection,
    lengths: Mapping[str, Millis],
    here: Stamp,
    go_on: Callable[[], bool],
    summed: Mapping[str, Sequence[Summary]] | None = None,
) -> tuple[dict[str, Said], bool]:
    """Return what sensors said in the last so many milliseconds, and whether that is all of it.

    Only numbers that were ok. Of a reading that was corrected, the last value. summed: what is told already, in order;
    none of that is returned. Raises apsw.Error, msgspec.DecodeError.
    """
    told, offset = summed or {}, here.at - here.now
    wanted = {
        number: _Wanted(name, here.now - lengths[name], told.get(name, ()), offset)
        for number, name in connection.execute("SELECT id, name FROM sensors")
        if name in lengths
    }
    gathered = _Gathered(wanted, here)
    for chunk in _chunks(connection, here, min((one.since for one in wanted.values()), default=here.now)):
        if not any(chunk.sensors >> number & 1 and one.has(*chunk.span) for number, one in wanted.items()):
            continue
        if not go_on() or gathered.count > MOST:
            return gathered.said(), False
        for (body,) in connection.execute(_ROWS, (chunk.first, chunk.last)):
            gathered.take(unpack(body), chunk)
    for sensor, one in wanted.items():
        for shift, block in _blocks(connection, here, sensor, one):
            if not go_on() or gathered.count > MOST:
                return gathered.said(), False
            gathered.take_block(sensor, block, shift)
    return gathered.said(), True


def affordable(connection: apsw.Connection, here: Stamp, sensors: Iterable[int], most: int) -> Millis:
    """Return since when (on `now`) no more than so many readings are in what the log has of these sensors."""
    mask = sum(1 << number for number in sensors)
    for chunk in _chunks(connection, here, LOWEST):
        most -= chunk.count if chunk.sensors & mask else 0
        if most < 0:
            return chunk.bound + 1
    return LOWEST


class _Gathered:
    def __init__(self, wanted: Mapping[int, _Wanted], here: Stamp) -> None:
        self._wanted, self._here, self._offset = wanted, here, here.at - here.now
        self._own: dict[int, Said] = {number: [] for number in wanted}
        self._sent: dict[int, dict[Millis, float | None]] = {number: {} for number in wanted}
        self.count = 0

    def take(self, columns: Columns, chunk: _Chunk) -> None:
        """Take in one row; those that were written after it have been."""
        each = zip(columns.sensors, columns.times, columns.values, columns.each_flag(), strict=True)
        for sensor, time, value, flag in reversed(list(each)):
            if sensor > chunk.hidden and sensor in self._wanted:
                self._take(sensor, time + (columns.offset if flag & SENT else 0), value, flag, chunk.shift)

    def take_block(self, sensor: int, block: Block, shift: Millis | None) -> None:
        """Take in a block; those that were sealed after it have been."""
        for time, value, flag in reversed(list(zip(block.times, block.values, block.flags, strict=True))):
            self._take(sensor, time, value, flag, shift)

    def _take(self, sensor: int, time: Millis, value: Value | None, flag: int, shift: Millis | None) -> None:
        """Take in one reading. time: UTC of what its sender stamped, of our own that of its boot."""
        here = self._here
        said = None if flag & QUALITY or value is None or isinstance(value, str) else float(value)
        if flag & SENT:
            now = time - self._offset
            if (here.trusted or 0 <= now <= here.now) and self._wanted[sensor].has(now, now):
                self.count += 1
                self._sent[sensor].setdefault(now, said)  # whatever was said before it was corrected does not count
        elif said is not None and shift is not None and self._wanted[sensor].has(time + shift, time + shift):
            self.count += 1
            self._own[sensor].append((time + shift, said))

    def said(self) -> dict[str, Said]:
        """Return it by name, the oldest first; what is said of a time to come was said now."""
        found: dict[str, Said] = {}
        for number, wanted in self._wanted.items():
            sent = [(now, value) for now, value in self._sent[number].items() if value is not None]
            said = sorted([*reversed(self._own[number]), *sent], key=itemgetter(0))
            if said:
                found[wanted.name] = [(min(now, self._here.now), value) for now, value in said]
        return found


def _chunks(connection: apsw.Connection, here: Stamp, since: Millis) -> Iterator[_Chunk]:
    """Return those that may hold what is no earlier, the last written first."""
    offset = here.at - here.now
    hidden, upto = sealed_until(connection)
    for first, last in connection.execute(_TAIL):
        for kernel, trust, boot_offset in connection.execute(_BOOT, (last,)):
            yield _Chunk(first, last, _shift(here, kernel, trust, boot_offset))
    for row in connection.execute(_CHUNKS, (LOWEST, HIGHEST)):
        first, last, count, sensors, kernel, trust, boot_offset, own_min, own_max, own_bound, *sent, before = row
        shift = 0 if kernel == here.boot else boot_offset - offset
        bound = max(own_bound + shift, sent[2] - offset, before - offset)
        if bound < since:
            return
        yield _Chunk(
            first,
            last,
            _shift(here, kernel, trust, boot_offset),
            hidden if last <= upto else 0,
            int.from_bytes(sensors, "little"),
            (min(own_min + shift, sent[0] - offset), max(own_max + shift, sent[1] - offset)),
            bound,
            count,
        )


def _blocks(
    connection: apsw.Connection, here: Stamp, sensor: int, wanted: _Wanted
) -> Iterator[tuple[Millis | None, Block]]:
    """Return the blocks of a sensor that may hold what is wanted, and their shift, the last sealed first."""
    for boot, shift, to_now in _boots(connection, here, wanted.since):
        for block, start, end in connection.execute(_BLOCKS, (sensor, boot, wanted.since - to_now)):
            if wanted.has(start + to_now, end + to_now) and (found := _unpacked(connection, block)):
                yield shift, found


def _unpacked(connection: apsw.Connection, number: int) -> Block | None:
    """Return what is in a block; None: it is damaged, and left out."""
    try:
        return unpack_block(connection.execute(_BODY, (number,)).get)
    except msgspec.DecodeError as error:
        left_out.note(connection, "blocks", number, error)
        return None


def _boots(connection: apsw.Connection, here: Stamp, since: Millis) -> Iterator[tuple[int, Millis | None, Millis]]:
    """Return the boots of blocks that may hold what is no earlier: which, the shift, and what makes `now` of a time."""
    offset = here.at - here.now
    yield SENT_BOOT, None, -offset
    first: int | None = connection.execute("SELECT min(id) FROM boots WHERE kernel = ?", (here.boot,)).get
    for boot, kernel, trust, boot_offset, bound in connection.execute(_BOOTS):
        shift = _shift(here, kernel, trust, boot_offset)
        if shift is not None:
            yield boot, shift, shift
        if (first is None or boot <= first) and (bound is None or bound - offset < since):
            return


def _shift(here: Stamp, kernel: str, trust: int, offset: Millis) -> Millis | None:
    if kernel == here.boot:
        return 0
    return offset - (here.at - here.now) if here.trusted and trust == Trust.SYNCHRONISED else None


_ROWS = "SELECT body FROM log WHERE id BETWEEN ? AND ? ORDER BY id DESC"

_TAIL = """
SELECT min(id), max(id) FROM log WHERE id > (SELECT coalesce(max(last_id), 0) FROM log_index) HAVING count(*)
"""

_BOOT = "SELECT b.kernel, b.trust, b.offset FROM log JOIN boots b ON b.id = log.boot WHERE log.id = ?"

_CHUNKS = """
SELECT i.first_id, i.last_id, i.count, i.sensors, b.kernel, b.trust, b.offset,
       coalesce(i.own_min, ?2), coalesce(i.own_max, ?1), coalesce(i.own_bound, ?1),
       coalesce(i.sent_min, ?2), coalesce(i.sent_max, ?1), coalesce(i.sent_bound, ?1),
       coalesce(b.bound, ?1)
FROM log_index i CROSS JOIN boots b ON b.id = i.boot
ORDER BY i.last_id DESC
"""

_BLOCKS = "SELECT id, start, end FROM blocks WHERE sensor = ? AND boot = ? AND end >= ? ORDER BY id DESC"

_BODY = "SELECT body FROM blocks WHERE id = ?"

_BOOTS = "SELECT id, kernel, trust, offset, bound FROM boots ORDER BY id DESC"
