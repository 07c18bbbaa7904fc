"""Summaries and alerts for any web endpoint: one POST each, a JSON object that needs no knowledge of this program.

The law of this file: what is posted is complete in itself. A summary is known by node, sensor, period_start and
period_end: one that comes again takes the place of what came before; and one of count 0 says that there is nothing
to average in that window, any more or at all. docs/reference/uplinks.md describes both bodies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from pydantic import AfterValidator, Field

from outstation.config.values import Secret, WebhookUrl
from outstation.core.delivery import Answer, Item
from outstation.core.readings import Millis
from outstation.plugins import DriverOptions, News, Outcome, Parcel, Request, Uplink
from outstation.protocols.answers import weighed

_OURS = frozenset({"host", "connection", "content-length", "content-type", "transfer-encoding", "user-agent"})
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")
"""What the name of a header is made of (RFC 9110, 5.6.2)."""


def _header_name(name: str) -> str:
    if not name or not set(name.lower()) <= _TOKEN or name.lower() in _OURS:
        raise ValueError('expected the name of a header that is not set already, such as "Authorization"')
    return name


def _header_value(value: str) -> str:
    if not value.isprintable() or not value.isascii():
        raise ValueError("expected a header of printable ASCII characters, on one line")
    return value


HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderValue = Annotated[Secret, AfterValidator(_header_value)]


class JsonOptions(DriverOptions):
    """headers: sent with each request, such as Authorization."""

    url: Annotated[WebhookUrl, Field(repr=False)]
    headers: Annotated[dict[HeaderName, HeaderValue], Field(default_factory=dict, repr=False)]


class JsonUplink(Uplink):
    """Posts each summary by itself, and each alert that receivers are told of. Any 2xx is a receipt."""

    Options = JsonOptions

    async def send(self, parcel: Parcel) -> Outcome:
        (item,) = parcel.items
        return Outcome(await self._post(summary_document(self.node, item)))

    async def tell(self, news: Sequence[News]) -> Outcome:
        (one,) = news
        return Outcome(await self._post(alert_document(self.node, one)))

    async def _post(self, document: object) -> Answer:
        request = Request(self.options.url, msgspec.json.encode(document), self.options.headers)
        return weighed(await self.exchange(request))


def summary_document(node: str, item: Item) -> dict[str, object]:
    """Return what is posted of a summary; numbers are null where there is nothing to average."""
    summary = item.summary
    numbers = summary.numbers
    return {
        "kind": "summary",
        "node": node,
        "sensor": item.sensor,
        "period_start": summary.start // 1000,
        "period_end": summary.window.end // 1000,
        "count": summary.count,
        "mean": numbers and numbers.mean,
        "min": numbers and numbers.lowest,
        "max": numbers and numbers.highest,
        "stdev": numbers and numbers.stdev,
    }


def alert_document(node: str, news: News) -> dict[str, object]:
    """Return what is posted of an alert, as it is now."""
    alert = news.alert
    return {
        "kind": "alert",
        "node": node,
        "delivery": news.key,
        "happened": news.happened,
        "id": alert.id,
        "about": alert.kind,
        "rule": alert.subject,
        "severity": alert.severity,
        "state": alert.state,
        "message": alert.message,
        "values": alert.values,
        "raised_at": alert.raised_at / 1000,
        "acknowledged_by": alert.acknowledged_by or None,
        "acknowledged_at": _seconds(alert.acknowledged_at),
        "cleared_at": _seconds(alert.cleared_at),
    }


def _seconds(at: Millis | None) -> float | None:
    return None if at is None else at / 1000
