"""Summaries for InfluxDB: one line each, by `/write` of version 1 or `/api/v2/write` of versions 2 and 3.

The law of this file: a line is known by measurement, tags and time, so that one that comes again overwrites itself:
nothing is doubled, whatever is sent again. No line can be taken back; count = 0 overwrites the count of a window in
which there is nothing any more.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlencode

from pydantic import AfterValidator, Field, model_validator

from outstation.config.values import Secret, WebhookUrl
from outstation.core.delivery import Answer, Item
from outstation.core.readings import Value
from outstation.core.summaries import Numbers
from outstation.errors import RefusedError
from outstation.plugins import DriverOptions, Exchange, Objection, Outcome, Parcel, Request, Uplink
from outstation.protocols.answers import weighed
from outstation.protocols.influxdb import wire

_RECEIPT = 204

_GZIP_FROM = 1_000
"""Bytes: what is shorter fits into one packet anyway."""

FieldName = Literal["mean", "min", "max", "stdev", "count", "first", "last"]


def _writable(name: str) -> str:
    if not wire.is_writable(name):
        raise ValueError("expected a printable name without a backslash")
    return name


def _not_ours(tags: dict[str, str]) -> dict[str, str]:
    if taken := {"node", "sensor", "window"} & tags.keys():
        raise ValueError(f'expected tags besides "{min(taken)}", which each line has')
    return tags


Writable = Annotated[str, AfterValidator(_writable)]


class InfluxdbOptions(DriverOptions):
    """database, and user with password or none: version 1. org, bucket, token: version 2 and later."""

    url: Annotated[WebhookUrl, Field(repr=False)]
    database: str = ""
    user: str = ""
    password: Annotated[Secret | None, Field(repr=False)] = None
    org: str = ""
    bucket: str = ""
    token: Annotated[Secret | None, Field(repr=False)] = None
    measurement: Writable = "summaries"
    tags: Annotated[dict[Writable, Writable], AfterValidator(_not_ours), Field(default_factory=dict)]
    fields: Annotated[tuple[FieldName, ...], Field(min_length=1)] = ("mean", "min", "max", "stdev", "count")

    @model_validator(mode="after")
    def _one_version(self) -> Self:
        one, two = (self.database, self.user, self.password), (self.org, self.bucket, self.token)
        if bool(self.database) == bool(self.bucket) or (any(two) if self.database else any(one)):
            raise ValueError('expected either "database" (version 1) or "bucket", "org" and "token" (version 2)')
        if self.bucket and not (self.org and self.token):
            raise ValueError('expected "org" and "token" beside "bucket"')
        if bool(self.user) != bool(self.password):
            raise ValueError('expected both "user" and "password", or neither')
        return self


class InfluxdbUplink(Uplink):
    """Writes lines into one database or bucket. Only 204 is a receipt."""

    Options = InfluxdbOptions
    batch = 500
    alerts = "none"

    def __init__(self, name: str, options: Any, node: str, exchange: Exchange) -> None:
        """Know where to write."""
        super().__init__(name, options, node, exchange)
        self._url, self._headers = _address(options)

    async def send(self, parcel: Parcel) -> Outcome:
        lines, objections = self._lines(parcel.items)
        if not lines:
            return Outcome(Answer(_RECEIPT), objections)
        body, headers = "\n".join(lines).encode(), self._headers
        if len(body) >= _GZIP_FROM:
            body, headers = gzip.compress(body, 6, mtime=0), {**headers, "Content-Encoding": "gzip"}
        request = Request(self._url, body, headers, type="text/plain; charset=utf-8")
        return Outcome(weighed(await self.exchange(request), _RECEIPT), objections)

    def _lines(self, items: Sequence[Item]) -> tuple[list[str], tuple[Objection, ...]]:
        """Return the lines of summaries, and which of these no line can say: the squares of 1e300 are infinite."""
        lines, objections = list[str](), list[Objection]()
        for place, item in enumerate(items):
            try:
                lines.append(wire.write(line(self.node, item, self.options)))
            except RefusedError as error:
                objections.append(Objection("items", place, str(error)))
        return lines, tuple(objections)


def line(node: str, item: Item, options: InfluxdbOptions) -> wire.Line:
    """Return the line of a summary, at the start of its window in seconds. Only the count is a whole number."""
    summary = item.summary
    fields: dict[str, Value] = {}
    if summary.numbers is None:
        fields["count"] = 0
    else:
        fields = {name: _number(name, summary.numbers) for name in options.fields}
    tags = {**options.tags, "node": node, "sensor": item.sensor, "window": f"{summary.width // 60_000}m"}
    return wire.Line(options.measurement, fields, tags, summary.start // 1000)


def _number(name: FieldName, numbers: Numbers) -> float | int:
    """Return one of the statistics. A field has one type for ever in InfluxDB: all but the count are floats."""
    match name:
        case "count":
            return numbers.count
        case "min":
            return float(numbers.lowest)
        case "max":
            return float(numbers.highest)
    return float(getattr(numbers, name))


def _address(options: InfluxdbOptions) -> tuple[str, dict[str, str]]:
    """Return where to write, and with which credentials."""
    base = options.url.rstrip("/")
    if options.bucket:
        query = urlencode({"org": options.org, "bucket": options.bucket, "precision": "s"})
        return f"{base}/api/v2/write?{query}", {"Authorization": f"Token {options.token}"}
    query = urlencode({"db": options.database, "precision": "s"})
    if not options.user:
        return f"{base}/write?{query}", {}
    pair = base64.b64encode(f"{options.user}:{options.password}".encode()).decode()
    return f"{base}/write?{query}", {"Authorization": f"Basic {pair}"}
