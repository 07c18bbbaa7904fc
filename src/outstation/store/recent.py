"""What sensors said lately, told by the clock of this boot: to fill the spans that rules look at.

The law of this file: the newest comes first, and whoever asks may stop at any time. A reading of another boot
counts only where the wall clock was right then and is right now: else nobody knows how long ago it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import apsw
import msgspec

from outstation.clock import Trust
from outstation.core.readings import Millis
from outstation.core.restarts import Stamp
from outstation.store.chunks import LOWEST
from outstation.store.rows import QUALITY, SENT, Columns, unpack

MOST = 200_000
"""Readings in memory, about 25 MB; more than some seconds' worth on a small machine anyway."""

Said = list[tuple[Millis, float]]
"""When, on `now` of this boot, and what; the oldest first."""


class _Chunk(msgspec.Struct, frozen=True):
    """Some rows of the log. shift: what to add to times of another boot to have them on `now` of this one."""

    first: int
    last: int
    shift: Millis
    is_this_boot: bool


def recent(
    connection: apsw.Connection, lengths: Mapping[str, Millis], here: Stamp, go_on: Callable[[], bool]
) -> tuple[dict[str, Said], bool]:
    """Return what sensors said in the last so many milliseconds, and whether that is all of it.

    Only numbers that were ok. Of a reading that was corrected, the last value. Raises apsw.Error, msgspec.DecodeError.
    """
    ids = {
        number: (name, here.now - lengths[name])
        for number, name in connection.execute("SELECT id, name FROM sensors")
        if name in lengths
    }
    gathered = _Gathered(ids, here.now)
    since = here.now - max(lengths.values(), default=0)
    for chunk in _chunks(connection, here, since, sum(1 << number for number in ids)):
        if not go_on() or gathered.count > MOST:
            return gathered.said(), False
        for (body,) in connection.execute(_ROWS, (chunk.first, chunk.last)):
            gathered.take(unpack(body), chunk, here)
    return gathered.said(), True


class _Gathered:
    def __init__(self, ids: Mapping[int, tuple[str, Millis]], now: Millis) -> None:
        self._ids, self._now = ids, now
        self._own: dict[int, Said] = {number: [] for number in ids}
        self._sent: dict[int, dict[Millis, float]] = {number: {} for number in ids}
        self.count = 0

    def take(self, columns: Columns, chunk: _Chunk, here: Stamp) -> None:
        """Take in one row; those that were written after it have been."""
        ids, offset = self._ids, here.at - here.now
        for sensor, time, value, flag in zip(
            reversed(columns.sensors),
            reversed(columns.times),
            reversed(columns.values),
            reversed(columns.each_flag()),
            strict=True,
        ):
            if sensor not in ids or flag & QUALITY or value is None or isinstance(value, str):
                continue
            now = time if chunk.is_this_boot else time + (columns.offset - offset if flag & SENT else chunk.shift)
            if now < ids[sensor][1]:
                continue
            self.count += 1
            if flag & SENT:
                self._sent[sensor].setdefault(min(now, self._now), float(value))
            else:
                self._own[sensor].append((min(now, self._now), float(value)))

    def said(self) -> dict[str, Said]:
        """Return it by name, the oldest first."""
        found = {
            name: sorted([*reversed(self._own[number]), *self._sent[number].items()], key=lambda said: said[0])
            for number, (name, _) in self._ids.items()
        }
        return {name: said for name, said in found.items() if said}


def _chunks(connection: apsw.Connection, here: Stamp, since: Millis, wanted: int) -> Iterator[_Chunk]:
    """Return those that may hold what is asked for, the last written first."""
    offset = here.at - here.now
    for first, last in connection.execute(_TAIL):
        for kernel, trust, boot_offset in connection.execute(_BOOT, (last,)):
            chunk = _Chunk(first, last, boot_offset - offset, kernel == here.boot)
            if chunk.is_this_boot or (here.trusted and trust == Trust.SYNCHRONISED):
                yield chunk
    rows = connection.execute(_CHUNKS, (LOWEST,))
    for first, last, kernel, trust, boot_offset, own, sent, own_bound, sent_bound, bound, sensors in rows:
        chunk = _Chunk(first, last, boot_offset - offset, kernel == here.boot)
        shift = 0 if chunk.is_this_boot else chunk.shift
        if max(own_bound + shift, sent_bound - offset, bound - offset) < since:
            return
        is_known = chunk.is_this_boot or (here.trusted and trust == Trust.SYNCHRONISED)
        is_recent = max(own + shift, sent - offset) >= since
        if is_known and is_recent and int.from_bytes(sensors, "little") & wanted:
            yield chunk


_ROWS = "SELECT body FROM log WHERE id BETWEEN ? AND ? ORDER BY id DESC"

_TAIL = """
SELECT min(id), max(id) FROM log WHERE id > (SELECT coalesce(max(last_id), 0) FROM log_index) HAVING count(*)
"""

_BOOT = "SELECT b.kernel, b.trust, b.offset FROM log JOIN boots b ON b.id = log.boot WHERE log.id = ?"

_CHUNKS = """
SELECT i.first_id, i.last_id, b.kernel, b.trust, b.offset,
       coalesce(i.own_max, ?1), coalesce(i.sent_max, ?1),
       coalesce(i.own_bound, ?1), coalesce(i.sent_bound, ?1),
       coalesce(b.bound, ?1), i.sensors
FROM log_index i CROSS JOIN boots b ON b.id = i.boot
ORDER BY i.last_id DESC
"""
