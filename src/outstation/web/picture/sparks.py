"""The last hours of every sensor as a small picture for its card.

For the page: `await sparks.look()` reads anew what is older than a minute, in a thread; `sparks.svg(name)` is then an
inline `<svg class=spark>`, or "" where there is nothing to draw. It takes its colour from the style sheet
(currentColor), and has no id, no style and no word of a sensor's in it; data-start, data-end, data-low and data-high
say what its box (0 0 120 32) is, for a script that goes on with it.

The law of this file: one look costs so much and no more, whoever looks how often: one read at a time, once a minute,
of the summaries of six hours, and of the readings of half an hour where there are hardly any summaries yet.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from outstation import clock
from outstation.core.readings import Millis
from outstation.core.summaries import Summary
from outstation.core.windows import FIVE_MINUTES, HOUR
from outstation.engine.reaches import reach
from outstation.engine.site import Site
from outstation.errors import OutstationError
from outstation.store.plots import Asked, draw
from outstation.web.dashboard import wording
from outstation.web.picture.drawing import Frame, band, extent, line
from outstation.web.picture.series import is_switch, shares, stretches

SPAN, YOUNG_SPAN, LEAST_SPAN, YOUNG = 6 * HOUR, HOUR // 2, HOUR // 30, 6
"""What is drawn; of a sensor with fewer windows of five minutes than YOUNG, a shorter time in finer columns: that since
the node was started, if that is less."""

AGAIN: Millis = 60_000
MOST = 500
"""Sensors: as many as the page shows."""

AT_ONCE = 20
"""Sensors that are read in one snapshot: between two of these others have the connection, and their turn."""

WIDTH, HEIGHT, _COLUMNS = 120, 32, 72


class Sparklines:
    """The sparklines of one node."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._drawn: dict[str, str] = {}
        self._until: Millis | None = None
        self._reading: asyncio.Task[None] | None = None

    def svg(self, name: str) -> str:
        """Return the sparkline of a sensor as it was when somebody looked; empty where there is nothing to draw."""
        return self._drawn.get(name, "")

    async def look(self) -> None:
        """Read them anew where they are a minute old; who comes meanwhile waits for the same read."""
        if self._reading is None:
            if self._until is not None and clock.now() < self._until:
                return
            self._reading = asyncio.create_task(self._look())
        await asyncio.shield(self._reading)

    async def _look(self) -> None:
        sensors = {name: reach(state) for name, state in islice(self._site.node.sensors.items(), MOST)}
        try:
            self._drawn = await asyncio.to_thread(_read, self._site, sensors, clock.at())
        finally:
            is_young = clock.now() - self._site.started < YOUNG_SPAN and len(sensors) <= AT_ONCE
            self._until, self._reading = clock.now() + (AGAIN // 6 if is_young else AGAIN), None


def _read(site: Site, sensors: dict[str, Millis], at: Millis) -> dict[str, str]:
    """Return what there is to draw. Blocks."""
    found: dict[str, str] = {}
    for some in _batched(sensors.items()):
        with contextlib.suppress(OutstationError):  # a sparkline less: the plot itself says why
            known = _columns(site, dict(some), at, SPAN, FIVE_MINUTES)
            young = {name: sensors[name] for name, columns in known.items() if _count(columns) < YOUNG}
            found |= {name: sparkline(columns, at - SPAN, at) for name, columns in known.items() if name not in young}
            if young:
                span = max(LEAST_SPAN, min(YOUNG_SPAN, clock.now() - site.started))
                fine = _columns(site, young, at, span, None)
                found |= {name: sparkline(columns, at - span, at) for name, columns in fine.items()}
    return found


def _columns(
    site: Site, sensors: dict[str, Millis], at: Millis, span: Millis, every: Millis | None
) -> dict[str, list[Summary]]:
    asked = Asked(sensors, at - span, at, _COLUMNS, every, at, site.runner.local.offset)
    return {name: drawn.columns for name, drawn in draw(site.store, asked).sensors.items()}


def _count(columns: Iterable[Summary]) -> int:
    return sum(column.has_readings for column in columns)


def sparkline(columns: Sequence[Summary], start: Millis, end: Millis) -> str:
    """Return the columns of a sensor as an inline SVG; empty where there is nothing to draw."""
    is_on_or_off = is_switch(columns)
    found = shares(columns, end) if is_on_or_off else stretches(columns, "", wording.Units())
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


def _batched(items: Iterable[tuple[str, Millis]]) -> Iterator[list[tuple[str, Millis]]]:
    waiting = iter(items)
    while some := list(islice(waiting, AT_ONCE)):
        yield some
