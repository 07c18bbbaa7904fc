"""What the tests of uplinks send, and over what: summaries, alerts, and the engine's own requests."""

from __future__ import annotations

import functools
from typing import Any, TypeVar

from outstation.core.delivery import Item
from outstation.core.readings import Alert, Millis
from outstation.core.summaries import Numbers, Summary
from outstation.engine import outgoing
from outstation.plugins import News, Parcel, Uplink

MARCH: Millis = 1_772_366_400_000
"""2026-03-01T12:00:00Z."""

WINDOW: Millis = 300_000

_U = TypeVar("_U", bound=Uplink)


def uplink(kind: type[_U], **options: Any) -> _U:
    """An uplink of the node greenhouse-1, checked as the config checks it."""
    exchange = functools.partial(outgoing.exchange, within=5)
    return kind("upstairs", kind.Options.model_validate(options), "greenhouse-1", exchange)


def item(sensor: str = "air", window: int = 0, *, width: Millis = WINDOW, **changes: Any) -> Item:
    """A summary of two readings, 20 and 21; `window` counts from noon."""
    start = MARCH + window * WINDOW
    numbers = Numbers(
        **{"count": 2, "mean": 20.5, "squares": 0.5, "lowest": 20.0, "highest": 21.0, "first": 20.0, "last": 21.0}
        | {"first_at": start, "last_at": start + 60_000}
        | changes
    )
    return Item(window + 1, sensor, Summary(start, width, numbers, width))


def tombstone(sensor: str = "air", window: int = 0) -> Item:
    """What takes back a summary: there is nothing in its window any more."""
    return Item(900 + window, sensor, Summary(MARCH + window * WINDOW, WINDOW))


def parcel(*items: Item) -> Parcel:
    return Parcel(MARCH, items, 0, max((one.number for one in items), default=0))


def news(**changes: Any) -> News:
    """An alert that was raised at noon."""
    alert = {"id": 7, "kind": "rule", "subject": "frost", "severity": "critical", "message": "Frost: -0.5 °C."}
    return News("k" * 32, "raised", Alert(**{**alert, "raised_at": MARCH + 500, "values": {"air": -0.5}, **changes}))
