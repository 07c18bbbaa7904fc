"""A node as its hub sees it: batches made by hand, sent to a real hub."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from outstation.core.readings import Millis
from outstation.core.summaries import Numbers, Summary
from outstation.core.windows import FIVE_MINUTES
from outstation.protocols.outstation import wire
from outstation.protocols.outstation.wire import Batch, Receipt, Sent
from tests.running import KEY, Answer, Running


def windows(number: int, back: int = 1) -> list[Millis]:
    """Return where so many windows in a row begin, the last of them `back` windows before the open one."""
    now = time.time_ns() // 1_000_000
    last = now - now % FIVE_MINUTES - back * FIVE_MINUTES
    return [last - place * FIVE_MINUTES for place in reversed(range(number))]


def said(sensor: str, start: Millis, value: float = 20.0, *, width: Millis = FIVE_MINUTES) -> Sent:
    """Return the summary of a window in which a sensor said the same twice, at its begin and at its end."""
    numbers = Numbers(2, value, 0.0, value, value, value, value, start, start + width - 1)
    return wire.sent(sensor, Summary(start, width, numbers, width))


class Reporter:
    """Reports to a hub as a node does, and remembers what its receipts say."""

    def __init__(self, hub: Running, name: str, *, key: str = "") -> None:
        """Be let in, unless a key is given."""
        self.hub, self.name = hub, name
        self.key = key or hub.post("/api/nodes", {"name": name}).json["key"]
        self.epoch, self.before, self.token, self.cursor = "e1", tuple[str, ...](), "", 0

    def batch(self, summaries: Iterable[Sent] = (), **fields: Any) -> Batch:
        """Return the next batch."""
        sent = tuple(summaries)
        known = {"epoch": self.epoch, "before": self.before, "token": self.token, "after": self.cursor}
        upto = fields.pop("upto", self.cursor + len(sent))
        at = time.time_ns() // 1_000_000
        return Batch(wire.VERSION, at, **{**known, "upto": upto, "summaries": sent, **fields})

    def post(self, batch: Batch, *, packed: bool = True) -> Answer:
        """Send a batch."""
        body = wire.encode(batch)
        return self.raw(wire.packed(body) if packed else body, {"Content-Encoding": "gzip"} if packed else {})

    def raw(self, body: bytes, headers: dict[str, str] | None = None, query: str = "") -> Answer:
        """Send a body."""
        return self.hub.request("POST", f"/api/ingest{query}", body, headers, key=self.key)

    def send(self, summaries: Iterable[Sent] = (), **fields: Any) -> Receipt:
        """Send the next batch; follow its receipt."""
        answer = self.post(self.batch(summaries, **fields))
        assert answer.status == 200, answer.body
        receipt = wire.decode_receipt(answer.body)
        self.token, self.cursor = receipt.token, receipt.cursor
        return receipt

    def begin(self, epoch: str, cursor: int) -> None:
        """Begin a new epoch, as a node does that was told where the hub stands."""
        self.before, self.epoch, self.cursor = (self.epoch, *self.before), epoch, min(cursor, self.cursor)

    def report(self, summaries: Iterable[Sent]) -> Answer:
        """Send the next batch as a node does: it begins a new epoch where the hub says that it cannot follow."""
        sent = list(summaries)
        answer = self.post(self.batch(sent))
        if answer.status == 409 and not answer.json["standing"].get("cloned"):
            self.begin(f"{id(self)}-{len(self.before)}", answer.json["standing"]["cursor"])
            answer = self.post(self.batch(sent))
        if answer.status == 200:
            receipt = wire.decode_receipt(answer.body)
            self.token, self.cursor = receipt.token, receipt.cursor
        return answer

    def twin(self) -> Reporter:
        """Return another one with the same card."""
        found = Reporter(self.hub, self.name, key=self.key)
        found.epoch, found.before, found.token, found.cursor = self.epoch, self.before, self.token, self.cursor
        return found

    def plotted(self, sensor: str, start: Millis, end: Millis, every: str = "5m") -> list[dict[str, Any]]:
        """Return what the hub shows of one of its sensors."""
        name = f"{self.name}/{sensor}"
        path = f"/api/readings?sensor={name}&every={every}&start={start / 1000}&end={end / 1000}"
        answer = self.hub.get(path, key=KEY)
        assert answer.status == 200, answer.body
        return [row for row in answer.json["readings"] if row["count"]]

    def seen(self) -> dict[str, Any]:
        """Return what the hub says of this node."""
        found = [one for one in self.hub.get("/api/nodes", key=KEY).json["nodes"] if one["name"] == self.name]
        return dict(found[0])
