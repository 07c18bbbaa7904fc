"""The plain JSON body, one summary or one alert, as any program can post it: read as a batch of one.

It has no numbers and no receipt: what it says of a window takes the place of what was said before.
"""

from __future__ import annotations

import zlib
from urllib.parse import parse_qs

import msgspec

from outstation import clock
from outstation.core.readings import Millis
from outstation.core.reporting import MOST
from outstation.core.summaries import Number
from outstation.core.windows import HOUR
from outstation.errors import RefusedError
from outstation.protocols.outstation.wire import VERSION, Batch, Sent, Told


class Plain(msgspec.Struct):
    """A summary. Times are Unix seconds. stdev: of the sample. sensor: else as `?sensor=` says."""

    period_start: float
    period_end: float
    count: int
    mean: float | None = None
    min: Number | None = None
    max: Number | None = None
    stdev: float | None = None
    sensor: str = ""


class PlainAlert(msgspec.Struct):
    """An alert. Times are Unix seconds. id: the same for all that is said of one spell."""

    rule: str
    severity: str
    message: str
    state: str
    values: dict[str, float | int | bool | str | None] = {}
    about: str = "rule"
    happened: str = "raised"
    delivery: str = ""
    id: int | None = None
    raised_at: float | None = None
    acknowledged_by: str | None = None
    acknowledged_at: float | None = None
    cleared_at: float | None = None


class _Kind(msgspec.Struct):
    version: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    kind: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_kinds = msgspec.json.Decoder(_Kind)
_summaries = msgspec.json.Decoder(Plain)
_alerts = msgspec.json.Decoder(PlainAlert)

_LONGEST = 64 * 1024
"""Bytes of one summary or alert: what is longer is a batch."""


def batch(body: bytes | bytearray, query: bytes) -> Batch | None:
    """Return a plain body as a batch without an epoch; None: it is no plain body. Raises msgspec's errors."""
    if len(body) > _LONGEST:
        return None
    kind = _kinds.decode(body)
    if kind.version is not msgspec.UNSET:
        return None
    if kind.kind is not msgspec.UNSET and bytes(kind.kind) == b'"alert"':
        return Batch(VERSION, 0, alerts=(_told(_alerts.decode(body)),))
    item = _sent(_summaries.decode(body), query)
    return Batch(VERSION, 0, hours=(item,)) if item.width == HOUR else Batch(VERSION, 0, summaries=(item,))


def _sent(plain: Plain, query: bytes) -> Sent:
    """Return the summary: its last value is taken to be its mean, and it was heard all the time."""
    sensor = plain.sensor or parse_qs(query.decode("latin-1")).get("sensor", [""])[0]
    start, width = _millis(plain.period_start), _millis(plain.period_end) - _millis(plain.period_start)
    if not plain.count:
        return Sent(sensor, start, width)
    mean, low, high = plain.mean, plain.min, plain.max
    if mean is None or low is None or high is None:
        raise RefusedError("A summary of some readings has `mean`, `min` and `max`.")
    if not 0 < plain.count <= MOST:
        raise RefusedError("`count` is how many readings there were.")
    spread = plain.stdev or 0.0
    squares = spread * spread * (plain.count - 1)
    last = min(max(mean, low), high)
    times = start, start + width - 1
    return Sent(sensor, start, width, plain.count, mean, squares, low, high, last, last, *times, max(width, 0))


def _told(plain: PlainAlert) -> Told:
    raised_at = clock.at() if plain.raised_at is None else _millis(plain.raised_at)
    number = zlib.crc32(plain.rule.encode()) if plain.id is None else plain.id
    by = plain.acknowledged_by or ""
    times = (None if at is None else _millis(at) for at in (plain.acknowledged_at, plain.cleared_at))
    acknowledged_at, cleared_at = times
    words = plain.about, plain.rule, plain.severity, plain.message, plain.state
    return Told(
        plain.delivery, plain.happened, number, *words, raised_at, plain.values, by, acknowledged_at, cleared_at
    )


def _millis(seconds: float) -> Millis:
    if not 0 <= seconds < 1e11:
        raise RefusedError("A time is in Unix seconds.")
    return round(seconds * 1000)
