"""Sensors renamed and deleted, with all of their history.

The law of this file: a sensor is gone in one short transaction, and what it leaves is deleted in others; a kill in
between leaves work for the next sweep. What the log has of it is counted by nobody from then on, seen by nobody, and
left out when the log is sealed.
"""

from __future__ import annotations

import re
from functools import partial
from itertools import compress, repeat
from operator import eq

import apsw

from outstation import clock
from outstation.config import RESERVED
from outstation.config.values import DEVICE_NAME, NAME
from outstation.core.readings import Millis
from outstation.errors import RefusedError, UnknownNameError
from outstation.store import blocks, chunks, nodes
from outstation.store.chunks import HIGHEST
from outstation.store.database import Store
from outstation.store.forgetting import Old
from outstation.store.history import History, Lent
from outstation.store.rows import SENT, Columns

_NAMES = re.compile(f"({DEVICE_NAME}/)?{NAME}")

_BLOCKS_AT_ONCE = 64

_SUMMARIES_AT_ONCE = 1_000
"""Rows: 5 ms here."""

_PACKS_AT_ONCE = 100
"""Some 500 kB."""


def newest(connection: apsw.Connection) -> dict[str, Millis | None]:
    """Return all that has a history, outputs included, by name; with the time of the newest reading, UTC ms.

    Of a sensor that is reported here it is the newest that a summary speaks of.
    """
    times = {spec.name: found.numbers.last_at for spec, found in nodes.reported(connection) if found and found.numbers}
    times |= {name: reading.at for name, reading in History(Lent(connection)).latest().items()}
    names = connection.execute("SELECT name FROM sensors ORDER BY name")
    return {name: times.get(name) for (name,) in names}


async def rename(store: Store, old: str, new: str) -> None:
    """Give a sensor and its history another name. Raises UnknownNameError, RefusedError, StoreError."""
    _refuse(new)
    await store.relearn(partial(_rename, old=old, new=new))


async def delete(store: Store, name: str) -> int:
    """Delete a sensor and its history; return how many readings it had. Raises UnknownNameError, StoreError."""
    await store.write(partial(_id, name=name))
    await store.seal(everything=True)  # else the whole log would be counted in one commit: 0.7 s here for a million
    readings = await store.relearn(partial(_hide, name=name))
    return readings + await sweep(store)


async def sweep(store: Store) -> int:
    """Delete what is left of deleted sensors, but in the log; return how many readings. Raises StoreError."""
    readings = 0
    while old := await store.write(_some_blocks):
        readings += (await store.forget(old, clock.at())).readings
    while await store.write(_delete_some_summaries):
        pass
    return readings


def _refuse(name: str) -> None:
    """Raise RefusedError for what nothing is called: the API's rows and tables would not be read any more."""
    if not _NAMES.fullmatch(name):
        raise RefusedError("A sensor is named name or device/name, in small letters, digits and _.")
    if name in RESERVED:
        raise RefusedError(f'"{name}" is a name that the API uses itself.', cure="Choose another one.")


def _rename(connection: apsw.Connection, old: str, new: str) -> None:
    sensor = _id(connection, old)
    if connection.execute("SELECT count(*) FROM sensors WHERE name = ?", (new,)).get:
        raise RefusedError(
            f'"{new}" has a history of its own.',
            cure=f"If nobody needs that: outstation sensors delete {new}. Two histories are never made one.",
        )
    connection.execute("UPDATE sensors SET name = ? WHERE id = ?", (new, sensor))


def _id(connection: apsw.Connection, name: str) -> int:
    sensor: int | None = connection.execute("SELECT id FROM sensors WHERE name = ?", (name,)).get
    if sensor is None:
        raise UnknownNameError(f'"{name[:200]}" has no history.', cure="outstation sensors list: all that have.")
    return sensor


def _hide(connection: apsw.Connection, name: str) -> int:
    """Have nobody see a sensor any more; return how many readings that were only in the log."""
    sensor = _id(connection, name)
    readings = _in_log(connection, sensor)
    connection.execute("DELETE FROM sensors WHERE id = ?", (sensor,))
    connection.execute("INSERT INTO gone (id) VALUES (?)", (sensor,))
    connection.execute("UPDATE closed SET readings = readings - ?", (readings,))
    return readings


def _some_blocks(connection: apsw.Connection) -> list[Old]:
    return [Old(*row) for row in connection.execute(_SOME_BLOCKS, (_BLOCKS_AT_ONCE,))]


def _delete_some_summaries(connection: apsw.Connection) -> bool:
    """Delete some; with the last of them, whatever else was noted. Say whether there are more."""
    found = connection.execute(_SOME_SUMMARIES, (_SUMMARIES_AT_ONCE,)).fetchall()
    connection.executemany("DELETE FROM summaries WHERE sensor = ? AND tier = ? AND start = ?", found)
    if not found:
        connection.execute(_DELETE_PACKS, (_PACKS_AT_ONCE,))
        if connection.changes():
            return True
        connection.execute("DELETE FROM damaged WHERE sensor IN (SELECT id FROM gone)")
        connection.execute("DELETE FROM aside WHERE sensor IN (SELECT id FROM gone)")
        connection.execute("DELETE FROM unmade WHERE sensor IN (SELECT id FROM gone)")
        connection.execute("DELETE FROM backlog WHERE sensor IN (SELECT id FROM gone)")
        connection.execute("DELETE FROM reported WHERE sensor IN (SELECT id FROM gone)")
        connection.execute("DELETE FROM whole_hours WHERE sensor IN (SELECT id FROM gone)")
        connection.execute("DELETE FROM forgotten WHERE sensor IN (SELECT id FROM gone)")
    return bool(found)


def _in_log(connection: apsw.Connection, sensor: int) -> int:
    """Return how many readings of a sensor are in the log, and not in blocks; a correction is none."""
    own, sent = 0, set[int]()
    for found in chunks.walk(connection, HIGHEST):
        if sensor <= found.hidden or not found.sensors >> sensor & 1:
            continue
        for _, columns in found.columns(connection):
            times = _sent(columns, sensor)
            sent.update(times)
            own += columns.sensors.count(sensor) - len(times)
    return own + len(sent) - len(blocks.known(connection, [(sensor, at) for at in sent]))


def _sent(columns: Columns, sensor: int) -> list[int]:
    """Return the times in a row that a sender gave for readings of a sensor."""
    ours = compress(zip(columns.times, columns.each_flag(), strict=True), map(eq, columns.sensors, repeat(sensor)))
    return [time + columns.offset for time, flag in ours if flag & SENT]


_SOME_BLOCKS = """
SELECT id, sensor, end + coalesce((SELECT offset FROM boots WHERE boots.id = boot), 0), count, length(body)
FROM blocks WHERE sensor IN (SELECT id FROM gone) LIMIT ?
"""

_DELETE_PACKS = "DELETE FROM packs WHERE id IN (SELECT id FROM packs WHERE sensor IN (SELECT id FROM gone) LIMIT ?)"

_SOME_SUMMARIES = "SELECT sensor, tier, start FROM summaries WHERE sensor IN (SELECT id FROM gone) LIMIT ?"
