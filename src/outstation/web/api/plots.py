"""GET /api/readings with `every` or `points`: columns for a plot in place of readings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

import msgspec
from fastapi import Query

from outstation import clock
from outstation.config import parse_duration
from outstation.core.conditions.writing import duration
from outstation.core.plotting import drawn
from outstation.core.readings import Millis, Quality
from outstation.core.summaries import Summary
from outstation.core.summing import LONGEST_REACH
from outstation.core.windows import DAY, FIVE_MINUTES, Tier
from outstation.engine.reaches import reach
from outstation.engine.site import Site
from outstation.errors import RefusedError
from outstation.store.plots import Asked, Drawn, Plot, draw

POINTS, MOST_COLUMNS, MOST_SENSORS, MOST_ROWS = 800, 10_000, 20, 20_000

Every = Annotated[
    str | None, Query(max_length=20, description="columns for a plot, not readings: auto, or their width, such as 5m")
]
Points = Annotated[
    int | None, Query(ge=1, le=MOST_COLUMNS, description="of a plot: columns at most, a sensor; 800 without")
]

_TIERS = {Tier.RAW: "raw", Tier.FIVE_MINUTES: "5m", Tier.HOUR: "1h", Tier.DAY: "1d"}


class Wish(msgspec.Struct, frozen=True):
    """A plot as it is asked for. start, end: None: a day, up to now. every: None or auto: as fits `points`."""

    sensors: Sequence[str]
    start: Millis | None
    end: Millis | None
    every: str | None
    points: int | None


def question(site: Site, wish: Wish) -> Callable[[], bytes]:
    """Return what makes the answer; it blocks, and raises StoreError, RefusedError. Raises RefusedError."""
    asked = to_ask(site, wish)
    return lambda: _document(draw(site.store, asked))


def to_ask(site: Site, wish: Wish) -> Asked:
    """Return what to ask the store for. Raises RefusedError."""
    at, sensors = clock.at(), wish.sensors
    if not sensors or len(sensors) > MOST_SENSORS:
        raise RefusedError(f"A plot is of 1 to {MOST_SENSORS} sensors, and this asks for {len(sensors)}.")
    end = at if wish.end is None else wish.end
    start = end - DAY if wish.start is None else wish.start
    if start >= end:
        raise RefusedError("The plot ends before it begins.", cure="Give a start that is before the end.")
    speaks = {name: _reach(site, name) for name in sensors}
    width, points = _width(wish.every), wish.points or POINTS
    asked = Asked(speaks, start, end, points, width, at, site.runner.local.offset)
    _check_size(asked)
    return asked


def _reach(site: Site, name: str) -> Millis:
    """Return how long a stored reading speaks: an output's level until it is stored again."""
    state = site.node.sensors.get(name)
    return LONGEST_REACH if state is None else reach(state)


def _width(every: str | None) -> Millis | None:
    if every is None or every == "auto":
        return None
    try:
        width = parse_duration(every)
    except ValueError as error:
        raise RefusedError(f"every: {error}, or auto.") from error
    if width <= 0:
        raise RefusedError("every: expected a duration longer than zero, or auto.")
    if width > FIVE_MINUTES and width % FIVE_MINUTES:
        raise RefusedError("every: above 5m, expected a multiple of 5 minutes, such as 10m, 1h or 1d.")
    return width


def _check_size(asked: Asked) -> None:
    columns = asked.points if asked.every is None else -(-(asked.end - asked.start) // asked.every)
    count = len(asked.sensors)
    if columns > MOST_COLUMNS:
        raise RefusedError(
            f"That would be {columns:,} columns, and {MOST_COLUMNS:,} are the most.",
            cure="Ask for a shorter time, for a longer every=, or for every=auto.",
        )
    if columns * count > MOST_ROWS:
        raise RefusedError(
            f"{columns:,} columns of {count} sensors are {columns * count:,} rows, and {MOST_ROWS:,} are the most.",
            cure="Ask for fewer sensors, or for fewer points.",
        )


def _document(plot: Plot) -> bytes:
    """Return the rows of all sensors, one sensor after the other, put together row by row as a page is."""
    body, count = bytearray(), 0
    for name, found in plot.sensors.items():
        for row in _rows(name, found):
            body += _encode(row)
            body += b","
            count += 1
    end = _encode({"every": duration(plot.every), "tier": _TIERS[plot.tier]})[1:]
    return b'{"count":%d,"readings":[%b],%b' % (count, bytes(body[:-1]), end)


def _rows(name: str, found: Drawn) -> Iterator[dict[str, Any]]:
    for column in drawn(found.columns):
        over = min(column.window.end, found.until) - column.start
        yield {"sensor": name, "timestamp": clock.iso(column.start), **_row(column, over)}


def _row(column: Summary, over: Millis) -> dict[str, Any]:
    """Return what a column says. over: how much of it is over."""
    numbers = column.numbers
    row: dict[str, Any] = {
        "count": column.count + column.texts,
        "mean": numbers and numbers.mean,
        "min": numbers and numbers.lowest,
        "max": numbers and numbers.highest,
        "stdev": numbers and numbers.stdev,
        "first": numbers and numbers.first,
        "last": numbers and numbers.last,
        "coverage": round(min(column.heard / over, 1), 4) if over > 0 else 0,
    }
    if column.share_on is not None:
        row["on"] = round(column.share_on, 4)
    if any(column.bad):
        row["bad"] = {Quality(number).name.lower(): count for number, count in enumerate(column.bad, 1) if count}
    return row


_encode = msgspec.json.Encoder().encode
