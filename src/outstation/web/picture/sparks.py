"""The last hours of every sensor as a small picture for its card.

For the page: `await sparks.look(names)` draws anew what is old, in a thread; `sparks.svg(name)` is then an inline
`<svg class=spark>`, or "" where there is nothing to draw. It takes its colour from the style sheet (currentColor), and
has no id, no style and no word of a sensor's in it; data-start, data-end, data-low and data-high say what its box
(0 0 120 32) is, for a script that goes on with it.

The law of this file: looking costs so much and no more, whoever looks how often. A hundred sensors are drawn anew in a
minute, from summaries of six hours and the newest reading; half of the time is left to others. Readings are read of
the few sensors of a small node alone, where there are hardly any summaries yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Sequence

import msgspec

from outstation import clock
from outstation.core.readings import Millis, Quality
from outstation.core.sensors import SensorState
from outstation.core.summaries import Summary
from outstation.core.windows import FIVE_MINUTES, HOUR
from outstation.engine.reaches import reach
from outstation.engine.site import Site
from outstation.errors import OutstationError
from outstation.store.outlines import outlines
from outstation.store.plots import Asked, draw
from outstation.web.dashboard import wording
from outstation.web.picture.drawing import Frame, band, extent, line
from outstation.web.picture.series import FARTHEST, Stretch, is_switch, shares, stretches

SPAN, YOUNG_SPAN, LEAST_SPAN, YOUNG = 6 * HOUR, HOUR // 2, HOUR // 30, 6
"""What is drawn; of a sensor with fewer windows of five minutes than YOUNG, a shorter time in finer columns: that since
the node was started, if that is less."""

AGAIN: Millis = 60_000
"""After so long up to A_MINUTE sensors are drawn anew; more take as much longer."""

A_MINUTE = 100
KEPT = 1_000
"""Sparklines in memory, a kilobyte or two each: those of two pages of as many sensors as a page shows."""

AT_ONCE = 20
"""Sensors that are drawn in one go, and in one snapshot. A node that has more reads no readings for them."""

JOINED: Millis = 3 * FIVE_MINUTES
"""The newest reading goes on with the line if it is not farther from its end: windows are summed up with a delay."""

WIDTH, HEIGHT, _COLUMNS = 120, 32, 72


class _Drawn(msgspec.Struct, frozen=True):
    """A sparkline. until: when it is old, in boot time."""

    svg: str
    until: Millis


class Sparklines:
    """The sparklines of one node."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._drawn: dict[str, _Drawn] = {}
        self._wanted: dict[str, None] = {}
        self._drawing: asyncio.Task[None] | None = None

    def svg(self, name: str) -> str:
        """Return the sparkline of a sensor as it was drawn last; empty where there is nothing to draw."""
        drawn = self._drawn.get(name)
        return drawn.svg if drawn else ""

    async def look(self, names: Iterable[str]) -> None:
        """Draw what is old of these, in this order; who comes meanwhile waits until all are there."""
        now = clock.now()
        self._wanted |= {name: None for name in names if name not in self._drawn or self._drawn[name].until <= now}
        if self._drawing is None:
            if not self._wanted:
                return
            self._drawing = asyncio.create_task(self._draw())
        await asyncio.shield(self._drawing)

    async def _draw(self) -> None:
        try:
            while self._wanted:
                names = list(self._wanted)[:AT_ONCE]
                began = time.monotonic()
                self._keep(names, await asyncio.to_thread(_sparklines, self._site, names))
                await asyncio.sleep(time.monotonic() - began)
        finally:
            self._wanted.clear()
            self._drawing = None

    def _keep(self, names: Iterable[str], found: dict[str, str]) -> None:
        is_young = clock.now() - self._site.started < YOUNG_SPAN and _is_small(self._site)
        wait = AGAIN // 6 if is_young else AGAIN * max(1, len(self._drawn) // A_MINUTE)
        for name in names:
            self._wanted.pop(name, None)
            self._drawn.pop(name, None)
            self._drawn[name] = _Drawn(found.get(name, ""), clock.now() + wait)
        for name in list(self._drawn)[:-KEPT]:
            del self._drawn[name]


def _is_small(site: Site) -> bool:
    return len(site.node.sensors) <= AT_ONCE


def _sparklines(site: Site, names: Sequence[str]) -> dict[str, str]:
    """Return what there is to draw. Blocks."""
    sensors = {name: state for name in names if (state := site.node.sensors.get(name))}
    at = clock.at()
    with contextlib.suppress(OutstationError):  # a sparkline less: the plot itself says why
        known = outlines(site.store, sensors, at - SPAN, at)
        young = {name for name, columns in known.items() if _count(columns) < YOUNG} if _is_small(site) else set()
        found = {
            name: sparkline(columns, at - SPAN, at, _newest(sensors[name]))
            for name, columns in known.items()
            if name not in young
        }
        return found | (_young(site, {name: reach(sensors[name]) for name in young}, at) if young else {})
    return {}


def _young(site: Site, reaches: dict[str, Millis], at: Millis) -> dict[str, str]:
    """Return the sparklines of sensors that have hardly any summaries, from their readings."""
    span = max(LEAST_SPAN, min(YOUNG_SPAN, clock.now() - site.started))
    asked = Asked(reaches, at - span, at, _COLUMNS, None, at, site.runner.local.offset)
    return {name: sparkline(drawn.columns, at - span, at) for name, drawn in draw(site.store, asked).sensors.items()}


def _count(columns: Iterable[Summary]) -> int:
    return sum(column.has_readings for column in columns)


def _newest(state: SensorState) -> tuple[Millis, float] | None:
    """Return a sensor's newest reading, where it is a number that counts."""
    newest = state.newest
    if newest is None or newest.quality is not Quality.OK or not isinstance(newest.value, float | int):
        return None
    return None if isinstance(newest.value, bool) else (newest.at, max(-FARTHEST, min(FARTHEST, newest.value)))


def sparkline(
    columns: Sequence[Summary], start: Millis, end: Millis, newest: tuple[Millis, float] | None = None
) -> str:
    """Return the columns of a sensor and its newest reading as an inline SVG; empty where there is nothing to draw."""
    is_on_or_off = is_switch(columns)
    found = shares(columns, end) if is_on_or_off else stretches(columns, "", wording.Units())
    if newest and not is_on_or_off:
        _go_on(found, *newest)
    if not found:
        return ""
    low, high = (0.0, 1.0) if is_on_or_off else extent(found)
    frame = Frame(0, 0, WIDTH, HEIGHT - 4, start, end, low, high)
    bands, lines = ("".join(path(each, frame) for each in found) for path in (band, line))
    return (
        f'<svg class=spark viewBox="0 -2 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true"'
        f' data-start="{start}" data-end="{end}" data-low="{low:g}" data-high="{high:g}">'
        f'<path fill="currentColor" fill-opacity=".2" d="{bands}"/><path fill="none" stroke="currentColor"'
        f' stroke-linecap="round" stroke-linejoin="round" vector-effect="non-scaling-stroke" d="{lines}"/></svg>'
    )


def _go_on(found: list[Stretch], at: Millis, value: float) -> None:
    """Put a reading that is newer than all columns to the end."""
    if found and at <= found[-1].at[-1]:
        return
    if not found or at - found[-1].at[-1] > JOINED:
        found.append(Stretch([], [], [], []))
    last = found[-1]
    last.at.append(at)
    for values in (last.mean, last.low, last.high):
        values.append(value)
