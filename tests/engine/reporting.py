"""What stories of uplinks begin with: a hub of a few lines that speaks the protocol, summaries, a forwarder at work."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import apsw
import msgspec

from outstation.core.readings import Alert, Alerted, Happened, Millis, Note
from outstation.core.summaries import Numbers, Summary
from outstation.core.windows import FIVE_MINUTES
from outstation.engine.forwarder import Forwarder, Sending
from outstation.engine.forwarding import Facts
from outstation.plugins import About, Uplink
from outstation.protocols.outstation import wire
from outstation.protocols.outstation.uplink import NativeUplink
from outstation.store import tiers
from outstation.store.alerts import put
from outstation.store.database import Store
from outstation.store.deliveries import add
from outstation.store.outbox import Outbox
from tests.engine.receiving import Seen, Server, answer

NOON: Millis = 1_772_366_400_000
"""2026-03-01T12:00:00Z."""


class Hub(Server):
    """A hub that has what it was sent: summaries by sensor and start, alerts by delivery.

    poison: it takes no batch with one that starts so. objects_to: it takes all but these.
    """

    def __init__(self) -> None:
        super().__init__()
        self.has: dict[tuple[str, Millis], wire.Sent] = {}
        self.ahead: dict[tuple[str, Millis], wire.Sent] = {}
        self.alerts_by_key: dict[str, wire.Told] = {}
        self.batches: list[wire.Batch] = []
        self.token = self.cursor = 0
        self.poison: frozenset[Millis] = frozenset()
        self.objects_to: frozenset[Millis] = frozenset()

    @property
    def url(self) -> str:
        """What stands in the config of a node."""
        return f"http://127.0.0.1:{self.port}"

    def answer_to(self, seen: Seen) -> bytes:
        """What is answered to a batch; it is taken."""
        assert (seen.line, seen.headers["x-api-key"]) == ("POST /api/ingest HTTP/1.1", "a key of the hub")
        return self._said(wire.decode_batch(_body(seen)))

    def _said(self, batch: wire.Batch) -> bytes:
        if batch.after > self.cursor:
            return standing(self.cursor)
        starts = {one.start for one in (*batch.summaries, *batch.ahead)}
        if self.poison & starts:
            return answer(422, "Content-Type: application/problem+json", body=b'{"error": "a bad \\u001b item"}')
        self.batches.append(batch)
        self.cursor = max(self.cursor, batch.upto)
        refused = [place for place, one in enumerate(batch.summaries) if one.start in self.objects_to]
        self.has |= {(one.sensor, one.start): one for one in batch.summaries if one.start not in self.objects_to}
        self.ahead |= {(one.sensor, one.start): one for one in batch.ahead}
        self.alerts_by_key |= {one.delivery: one for one in batch.alerts}
        self.token += 1
        receipt = wire.Receipt(
            version=wire.VERSION,
            epoch=batch.epoch,
            cursor=batch.upto,
            token=str(self.token),
            timestamp=NOON,
            refused=tuple(wire.Refused("summaries", place, "air", 0, "it is odd") for place in refused),
            alerts=tuple(one.delivery for one in batch.alerts),
        )
        return answer(200, "Content-Type: application/json", body=wire.encode(receipt))


def standing(cursor: int, *, cloned: bool = False) -> bytes:
    """What a hub says that cannot follow."""
    problem = {"error": "It is not known here.", "standing": wire.Standing("e", cursor, cloned)}
    return answer(409, "Content-Type: application/problem+json", body=msgspec.json.encode(problem))


def _body(seen: Seen) -> bytes:
    return wire.unpacked(seen.body) if "content-encoding" in seen.headers else seen.body


def summary(number: int, *, start: Millis = NOON) -> Summary:
    """A summary of the window with this number from noon."""
    at = start + number * FIVE_MINUTES
    value = float(number)
    return Summary(at, FIVE_MINUTES, Numbers(2, value, 0.5, value, value, value, value, at, at + 60_000), FIVE_MINUTES)


async def summed_up(store: Store, numbers: Sequence[int], *sensors: str) -> None:
    """Have summaries in the store, as they are when their windows close."""
    names = sensors or ("air",)

    def work(connection: apsw.Connection) -> None:
        connection.executemany("INSERT OR IGNORE INTO sensors (name) VALUES (?)", [(name,) for name in names])
        ids: Any = [connection.execute("SELECT id FROM sensors WHERE name = ?", (name,)).get for name in names]
        views = tiers.Tiers(connection, lambda _: 0)
        views.add([(sensor, summary(number)) for number in numbers for sensor in ids])
        views.save()

    await store.write(work)


async def raised(
    store: Store, forwarder: Forwarder, number: int, *, tell: bool = True, cleared: int | None = None
) -> None:
    """Store an alert with what is to be delivered of it, as the runner does. cleared: ms after it was raised."""
    alert = Alert(number, "rule", "too hot", "warning", "31.4 °C", NOON + number, values={"air": 31.4})
    happened: Happened = "raised"
    if cleared is not None:
        happened, over = "cleared", alert.raised_at + cleared
        alert = msgspec.structs.replace(alert, state="cleared", cleared_at=over)
    made = forwarder.deliveries(Alerted(alert, happened, tell=tell))

    def work(connection: apsw.Connection) -> None:
        put(connection, alert)
        add(connection, made)

    await store.write(work)
    forwarder.wake()


def native(url: str, every: Millis = 100, name: str = "hub", timeout: Millis = 2_000) -> Sending:
    options = NativeUplink.Options.model_validate({"url": url, "key": "a key of the hub"})
    return Sending(name, lambda exchange: NativeUplink(name, options, "greenhouse", exchange), every, timeout)


def sending(kind: type[Uplink], every: Millis = 100, name: str = "hub", **options: object) -> Sending:
    checked = kind.Options.model_validate(options)
    return Sending(name, lambda exchange: kind(name, checked, "greenhouse", exchange), every, 2_000)


def facts(**changes: Any) -> Facts:
    sensors = {"air": About("°C", "Air")}
    known = Facts("greenhouse", lambda: sensors, "trust", lambda: True, lambda: True)
    return msgspec.structs.replace(known, **changes)


@contextlib.asynccontextmanager
async def at_work(
    store: Store, *sendings: Sending, notes: list[Note] | None = None, known: Facts | None = None
) -> AsyncIterator[Forwarder]:
    """A forwarder at work, whose uplinks the data file knows already: all that is in it is to be sent."""

    def begin(connection: apsw.Connection) -> None:
        rows = [(one.name,) for one in sendings]
        connection.executemany("INSERT OR IGNORE INTO uplinks (name, cursor) VALUES (?, 0)", rows)

    await store.write(begin)
    note: Callable[[Note], object] = (notes if notes is not None else []).append
    forwarder = Forwarder(store, sendings, known or facts(), note)
    forwarder.start()
    try:
        yield forwarder
    finally:
        await forwarder.close()


def waiting(store: Store, name: str = "hub") -> int:
    return Outbox(store).account(name).waiting
