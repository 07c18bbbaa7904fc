"""Takes what a body of lines says into the node: all of it that may be, and says of the rest why not.

The law of this file: what is answered as written is on disk; what a passing fault kept out is answered so that the
sender sends it again, and sending again doubles nothing where the lines have their times.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from itertools import groupby
from typing import Any

import msgspec

from outstation import clock
from outstation.core.readings import MAX_TEXT, Millis, Reading, Value
from outstation.core.sensors import MAX_AHEAD, device
from outstation.engine import columns
from outstation.engine.site import Site
from outstation.errors import RefusedError
from outstation.protocols.influxdb.gathering import Gathered
from outstation.store.rows import LATEST

_BEYOND = 2**63

_TOLD_AT_MOST = 5
"""Reasons that are told: a body may have one for each of its lines."""


class Refused(msgspec.Struct):
    """Readings that are not taken: why, and how many there are."""

    reasons: list[str] = []
    count: int = 0

    def add(self, reason: str, count: int) -> None:
        """Count readings that are refused for a reason."""
        self.count += count
        if len(self.reasons) < _TOLD_AT_MOST and reason not in self.reasons:
            self.reasons.append(reason)


def take(site: Site, gathered: Gathered) -> tuple[asyncio.Future[Any], Refused]:
    """Take it in. Returns what ends when it is on disk, and what of it is refused. Raises StoreError."""
    moment, refused = clock.moment(), Refused()
    names = _admitted(site, gathered, refused)
    latest = _latest(site, gathered, moment)
    found = {
        name: series
        for name, (times, values) in gathered.columns.items()
        if name in names and (series := _within(name, times, values, latest, refused))[0]
    }
    now = [
        Reading(name, value, moment.at, moment.now, moment.at)
        for name, value in gathered.now.items()
        if name in names and _is_fit(name, value, refused)
    ]
    futures = columns.take(site.runner, found, moment)
    if now:
        futures.append(site.runner.take(now))
    return futures[0] if len(futures) == 1 else asyncio.gather(*futures), refused


def _admitted(site: Site, gathered: Gathered, refused: Refused) -> set[str]:
    """Return the sensors that may send, with room made for the new ones: a device that is full keeps no other out."""
    names = gathered.columns.keys() | gathered.now.keys()
    for _, new in groupby(sorted(names - site.node.sensors.keys()), device):
        left_out, why = _refused_new(site, list(new))
        for name in left_out:
            refused.add(why, len(gathered.columns.get(name, ((), ()))[0]) + (name in gathered.now))
        names.difference_update(left_out)
    return names


def _refused_new(site: Site, names: list[str]) -> tuple[list[str], str]:
    """Make room for the new sensors of a device; return those that there is none for, and why."""
    if not site.config.web.accept_new_sensors:
        return names, f"Unknown here: {', '.join(names[:5])}. [web] accept_new_sensors = true lets them in."
    for place, name in enumerate(names):
        try:
            site.node.admit_all([name])
        except RefusedError as error:
            return names[place:], str(error)
    return [], ""


def _latest(site: Site, gathered: Gathered, moment: clock.Moment) -> Millis:
    """Return the latest time that is believed: none is too late where this node does not know the time itself."""
    ahead = moment.at + MAX_AHEAD
    if all(times[-1] <= ahead for times, _ in gathered.columns.values()):
        return ahead
    return ahead if clock.trust(site.config.node.clock) is clock.Trust.SYNCHRONISED else LATEST - 1


def _within(
    name: str, times: list[Millis], values: list[Value], latest: Millis, refused: Refused
) -> tuple[list[Millis], list[Value]]:
    """Return the part of a column that can be stored."""
    if times[0] < 0 or times[-1] > latest:
        first, last = bisect_left(times, 0), bisect_right(times, latest)
        refused.add(f"{name}: a time lies before 1970 or too far ahead", len(times) - (last - first))
        times, values = times[first:last], values[first:last]
    if set(map(type, values)) == {float}:
        return times, values
    kept = [place for place, value in enumerate(values) if _is_fit(name, value, refused)]
    return [times[place] for place in kept], [values[place] for place in kept]


def _is_fit(name: str, value: Value, refused: Refused) -> bool:
    if isinstance(value, str):
        fits = len(value.encode("utf-8", "replace")) <= MAX_TEXT and "\0" not in value
    else:
        fits = isinstance(value, float) or value < _BEYOND
    if not fits:
        refused.add(f"{name}: a text has at most {MAX_TEXT} bytes, a whole number 64 with its sign", 1)
    return fits
