"""Nodes that report here, and the sensors of which they send summaries.

The law of this file: a node's cursor moves in the transaction that has what it sent. A sensor that is reported has
no readings here: none of its windows is ever made anew from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import apsw
import msgspec

from outstation import clock
from outstation.core.readings import Millis
from outstation.core.reporting import LATEST, Standing
from outstation.core.sensors import SensorSpec
from outstation.core.summaries import Summary, decode
from outstation.core.windows import FIVE_MINUTES, Tier, Window
from outstation.errors import UnknownNameError
from outstation.store import told
from outstation.store.log import Log

if TYPE_CHECKING:
    from outstation.store.database import Store

EVERY: Millis = 300_000
"""Between two batches of a node that has not said how often it sends."""


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of a node. at: of its last batch, UTC; None: it never sent any. until: of its newest window.

    lag: how far its clock is behind ours, with the time under way. waiting, parked, lost: as it counts.
    """

    standing: Standing = Standing()
    at: Millis | None = None
    until: Millis | None = None
    lag: Millis = 0
    program: str = ""
    clock: str = ""
    every: Millis = EVERY
    waiting: int = 0
    parked: int = 0
    lost: int = 0


class Known(msgspec.Struct, frozen=True):
    """A node that may report here. key: the id of its key. added: UTC."""

    name: str
    key: str
    added: Millis
    report: Report


class Nodes:
    """The nodes of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self) -> list[Known]:
        """Return all that may report here, by name. Blocks. Raises StoreError."""
        with self._store.read() as connection:
            rows: Any = connection.execute("SELECT name, key, added, body FROM nodes ORDER BY name").fetchall()
        return [Known(name, key, added, _decoder.decode(body)) for name, key, added, body in rows]

    def one(self, name: str) -> Known:
        """Return a node by name. Blocks. Raises UnknownNameError, StoreError."""
        found = next((known for known in self.all() if known.name == name), None)
        if found is None:
            raise UnknownNameError(f'No node "{name[:80]}" reports here.', cure="`outstation nodes list` shows them.")
        return found

    async def put(self, name: str, key: str) -> None:
        """Let a node report here with this key; what was known of an earlier one of that name is forgotten."""
        row = name, key, clock.at(), _encoder.encode(Report()).decode()
        await self._store.write(partial(_put, row=row))

    async def remove(self, name: str) -> None:
        """Let a node report here no more; its history stays, and its alerts are over."""
        await self._store.write(partial(_remove, name=name, at=clock.at()))


def report(connection: apsw.Connection, name: str) -> Report | None:
    """Return what is known of a node; None: it may not report here."""
    body: str | None = connection.execute("SELECT body FROM nodes WHERE name = ?", (name,)).get
    return None if body is None else _decoder.decode(body)


def keep(connection: apsw.Connection, name: str, now: Report) -> None:
    """Write what is known of a node from now on. In a transaction."""
    connection.execute("UPDATE nodes SET body = ? WHERE name = ?", (_encoder.encode(now).decode(), name))


def begin(connection: apsw.Connection, log: Log, name: str, every: Millis) -> tuple[int, SensorSpec]:
    """Return the number of a sensor of which somebody sends summaries, and what it is. In a transaction."""
    sensor = log.number(name)
    known: Any = connection.execute("SELECT every, unit, label FROM reported WHERE sensor = ?", (sensor,)).fetchone()
    if known is None:
        connection.execute("INSERT INTO reported (sensor, every, unit, label) VALUES (?, ?, '', '')", (sensor, every))
        connection.execute(_NO_READINGS, (sensor, Tier.RAW, LATEST))
        return sensor, SensorSpec(name, every=every)
    if known[0] != every:
        connection.execute("UPDATE reported SET every = ? WHERE sensor = ?", (every, sensor))
    return sensor, SensorSpec(name, known[2], known[1], every)


def describe(connection: apsw.Connection, sensor: int, spec: SensorSpec) -> None:
    """Write what a reported sensor is. In a transaction."""
    connection.execute("UPDATE reported SET unit = ?, label = ? WHERE sensor = ?", (spec.unit, spec.label, sensor))


def reported(connection: apsw.Connection) -> Iterator[tuple[SensorSpec, Summary | None]]:
    """Return all sensors of which somebody sends summaries, and the newest of each that has numbers."""
    rows: Any = connection.execute(_REPORTED).fetchall()
    for sensor, name, every, unit, label in rows:
        newest = _newest(connection.execute(_NEWEST, (sensor, Tier.FIVE_MINUTES)))
        yield SensorSpec(name, label, unit, every), newest


def _put(connection: apsw.Connection, row: tuple[str | int, ...]) -> None:
    connection.execute(_PUT, row)


def _remove(connection: apsw.Connection, name: str, at: Millis) -> None:
    connection.execute("DELETE FROM nodes WHERE name = ?", (name,))
    told.forget(connection, name, at)


def _newest(rows: Iterable[Any]) -> Summary | None:
    found = (decode(Window(start, FIVE_MINUTES), body) for start, body in rows)
    return next((each for each in found if each.numbers), None)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Report)

_PUT = """
INSERT INTO nodes (name, key, added, body) VALUES (?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET key = excluded.key, body = excluded.body
"""

_NO_READINGS = """
INSERT INTO forgotten (sensor, tier, until) VALUES (?, ?, ?)
ON CONFLICT (sensor, tier) DO UPDATE SET until = max(until, excluded.until)
"""

_REPORTED = "SELECT sensor, name, every, unit, label FROM reported JOIN sensors ON sensors.id = reported.sensor"

_NEWEST = "SELECT start, body FROM summaries WHERE sensor = ? AND tier = ? ORDER BY start DESC LIMIT 12"
"""Within an hour: of a sensor that has said nothing for longer nobody needs to know more than that."""
