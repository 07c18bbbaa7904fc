"""What a person asks of a history: how big, how long, when full; and what a run would delete now, and why.

The law of this file: it looks, and changes nothing. It chooses as retention.py does, by the same questions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import apsw
import msgspec

from outstation.core import retention
from outstation.core.readings import Millis
from outstation.core.retention import READINGS, Forecast, Limits, Now, What
from outstation.store import file, unsent
from outstation.store.stock import Stock


class Figures(msgspec.Struct, frozen=True):
    """How big, since when, how long. used: bytes. forecast: None: nothing is sealed yet, so nobody knows."""

    readings: int
    used: int
    cap: int
    since: Millis | None
    forecast: Forecast | None


class Going(msgspec.Struct):
    """What a run would delete of one kind and sensor. until: the end of it, UTC. by_age: else to make room."""

    what: What
    sensor: str
    until: Millis
    by_age: bool
    readings: int = 0


class Plan(msgspec.Struct, frozen=True):
    """What a run would delete. kept: why nothing goes by age. left: so much is too old that a part waits for a day."""

    going: list[Going]
    kept: str
    left: bool


def figures(seen: Stock, limits: Limits, at: Millis) -> Figures:
    """Return the figures of a file."""
    used, growing = seen.used(), seen.growing(limits, at)
    forecast = retention.forecast(used, limits.cap, growing, at) if growing else None
    return Figures(seen.readings(), used, limits.cap, seen.since(), forecast)


def plan(seen: Stock, limits: Limits, now: Now, *, asked: bool) -> Plan:
    """Return what a run would delete now, by age and to make room. asked: by a person's word."""
    now = msgspec.structs.replace(now, moved=seen.moved())
    planned, left = _Planned(seen), False
    kept = retention.hindrance(now)
    if not kept:
        left = planned.by_age(limits, now, asked=asked)
    planned.for_room(retention.too_much(seen.used(), limits.cap))
    return Plan(planned.going, kept, left)


@contextlib.contextmanager
def stopped(path: Path) -> Iterator[Stock]:
    """Look into the file of a node that does not run. Raises StoreError."""
    connection = file.open_for_reading(path)
    try:
        yield Stock(connection, unsent.heard_by_all(connection), file.wal_bytes(path))
    except apsw.Error as error:
        raise file.as_store_error(path, error) from error
    finally:
        file.shut(connection)


class _Planned:
    """What goes, added up by kind and sensor."""

    def __init__(self, seen: Stock) -> None:
        self._seen = seen
        self._going: dict[tuple[What, int, bool], Going] = {}

    @property
    def going(self) -> list[Going]:
        return list(self._going.values())

    def by_age(self, limits: Limits, now: Now, *, asked: bool) -> bool:
        """Add what is too old; say whether some of it is left for another day."""
        seen = self._seen
        whole = asked or retention.is_whole_due(seen.last_aged(), now)
        left = seen.readings() if asked else retention.allowance(seen.readings())
        is_first = whole  # as in retention.py: `within`
        for some in seen.aged_summaries(limits, now, asked=asked) if whole else ():
            self._add(What.FIVE_MINUTES, some.sensor, some.before, 0, by_age=True)
        for old in seen.aged_readings(limits, now, whole=whole):
            left -= old.count
            if left < 0 and not is_first:
                return True
            is_first = False
            self._add(What.READINGS, old.sensor, old.end, old.count, by_age=True)
        return False

    def for_room(self, wanted: int) -> None:
        """Add what makes so much room: of summaries, the first day alone."""
        for what in What:
            if wanted <= 0:
                return
            if what in READINGS:
                for old in self._seen.readings_for_room(what, wanted):
                    wanted -= old.size
                    self._add(what, old.sensor, old.end, old.count, by_age=False)
                continue
            for some in self._seen.summaries_for_room(what):
                wanted = 0
                self._add(what, some.sensor, some.before, 0, by_age=False)

    def _add(self, what: What, sensor: int, until: Millis, readings: int, *, by_age: bool) -> None:
        new = Going(what, self._seen.names.get(sensor, ""), until, by_age)
        one = self._going.setdefault((what, sensor, by_age), new)
        one.until, one.readings = max(one.until, until), one.readings + readings
