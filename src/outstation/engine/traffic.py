"""What an uplink costs on the line, beside what one request of JSON for each reading would have cost.

The law of this file: nothing is guessed. The other way is the same code: such a request is composed for a reading of
each sensor as it would go over the line, with the same address, headers and key. Its answer is what this program says
to one reading, or the shortest that the other side has really given, whichever is shorter.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from outstation import clock, http
from outstation.core.delivery import Answer, Item
from outstation.engine import outgoing
from outstation.errors import RefusedError
from outstation.plugins import Request

_ACCEPTED = len(http.json({"accepted": 1}).encode(close=False))


class Traffic(msgspec.Struct):
    """Of one uplink, since the data file knows it: bytes of HTTP, heads and bodies.

    readings: that the summaries sent are made of. naive: bytes that one request for each of these would have cost.
    live: bytes, both ways, of live values, which are in no other count: they cost only while somebody watches.
    """

    requests: int = 0
    sent: int = 0
    received: int = 0
    readings: int = 0
    naive: int = 0
    live: int = 0


class Meter:
    """Counts for one uplink."""

    def __init__(self) -> None:
        self.traffic = Traffic()
        self._request: Request | None = None
        self._shortest = _ACCEPTED
        self._sizes: dict[str, int] = {}

    def recall(self, text: str) -> None:
        """Go on from what was kept; what is not understood begins anew."""
        try:
            self.traffic = msgspec.json.decode(text, type=Traffic)
        except msgspec.DecodeError:
            self.traffic = Traffic()

    def kept(self) -> str:
        """Return what is to be kept."""
        return msgspec.json.encode(self.traffic).decode()

    def count(self, request: Request, answer: Answer) -> None:
        """Count a request."""
        traffic = self.traffic
        if request.live:
            traffic.live += answer.sent + answer.received
            return
        traffic.requests += not answer.refused
        traffic.sent += answer.sent
        traffic.received += answer.received
        if answer.status is not None and 200 <= answer.status < 300:
            self._request = request
            self._shortest = min(self._shortest, answer.received)

    def passed(self, items: Sequence[Item]) -> None:
        """Count the readings in summaries that the other side has."""
        for item in items:
            summary = item.summary
            readings = summary.count + summary.texts + sum(summary.bad)
            self.traffic.readings += readings
            self.traffic.naive += readings * (self._size(item) + self._shortest)

    def _size(self, item: Item) -> int:
        """Return the bytes of a request with one reading of this sensor: its last one in a summary, as a sample."""
        if item.sensor not in self._sizes and self._request is not None:
            value = item.summary.numbers.last if item.summary.numbers else None
            at = item.summary.numbers.last_at if item.summary.numbers else item.summary.start
            body = msgspec.json.encode({"sensor": item.sensor, "value": value, "timestamp": clock.iso(at)})
            self._sizes[item.sensor] = _size(self._request, body)
        return self._sizes.get(item.sensor, 0)


def _size(request: Request, body: bytes) -> int:
    headers = {name: value for name, value in request.headers.items() if name != "Content-Encoding"}
    one = Request(request.url, body, headers)
    try:
        return len(outgoing.compose(outgoing.parse(one.url), one))
    except RefusedError:
        return 0
