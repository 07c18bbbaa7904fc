"""Summaries after a fault: what is stored, once all is made that is to be made, is what the readings say."""

from __future__ import annotations

from collections.abc import Iterable

import apsw

from outstation.core.closing import GRACE
from outstation.core.readings import Millis
from outstation.core.sensors import STALE_UNTIL_KNOWN
from outstation.core.summaries import Said, Summary, total
from outstation.core.summing import summarised
from outstation.core.windows import DAY, FIVE_MINUTES, Tier, Window, touched, window
from outstation.store import raw, tiers
from outstation.store.chunks import HIGHEST, LOWEST
from outstation.store.database import Store
from tests.faults.life import Wall

REACH: Millis = STALE_UNTIL_KNOWN

Summaries = dict[tuple[Tier, Millis], Summary]


async def difference_of_summaries(store: Store, wall: Wall) -> str:
    """Let all be over and made; say which summary is not what the stored readings say; "": each is."""
    wall.at += 3 * DAY
    await store.flush()
    while store._writer.log.summarising.due_in() is not None:
        wall.at += GRACE
        await store.flush()
    with store.read() as connection:
        sensors: dict[str, int] = dict(connection.execute("SELECT name, id FROM sensors ORDER BY id"))
        for name, number in sensors.items():
            if text := _difference(connection, number):
                return f"{name}: {text}"
    return ""


def _difference(connection: apsw.Connection, sensor: int) -> str:
    forgotten = connection.execute("SELECT max(until) FROM forgotten WHERE sensor = ?", (sensor,)).get
    # What speaks from before may be forgotten, and was not when it was summed up.
    since = LOWEST if forgotten is None else forgotten + REACH
    here = {
        (tier, summary.start): summary
        for tier in (Tier.FIVE_MINUTES, Tier.HOUR, Tier.DAY)
        for summary in tiers.rows(connection, sensor, tier, LOWEST, HIGHEST)
        if not summary.is_empty
    }
    there = by_hand(raw.said(connection, sensor, LOWEST, HIGHEST))
    for key in sorted(here.keys() | there.keys()):
        if key[1] >= since and here.get(key) != there.get(key):
            return f"{key} is {here.get(key)}, and the readings say {there.get(key)}"
    return ""


def by_hand(said: list[Said]) -> Summaries:
    """Return the summaries of all windows, from all readings of a sensor at once."""
    starts = {each.start for at, _, _ in said for each in touched(at, at, REACH)}
    fives: list[Summary] = []
    for run in _runs(sorted(starts)):
        inside = [each for each in said if run[0].start <= each[0] < run[-1].end]
        fives += [summary for summary in summarised(run, inside, REACH) if not summary.is_empty]
    hours = list(_merged(fives, Tier.HOUR))
    return {(each.window.tier, each.start): each for each in (*fives, *hours, *_merged(hours, Tier.DAY))}


def _merged(parts: list[Summary], tier: Tier) -> Iterable[Summary]:
    found: dict[Window, list[Summary]] = {}
    for part in parts:
        found.setdefault(window(tier, part.start, lambda _: 0), []).append(part)
    return (total(key, some) for key, some in found.items())


def _runs(starts: list[Millis]) -> list[list[Window]]:
    runs: list[list[Window]] = []
    for start in starts:
        if not runs or runs[-1][-1].end != start:
            runs.append([])
        runs[-1].append(Window(start, FIVE_MINUTES))
    return runs
