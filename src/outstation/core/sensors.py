"""One sensor as the core knows it: what it is, its newest reading, and when that is too old to count."""

from __future__ import annotations

import msgspec

from outstation.core import filters
from outstation.core.filters import Limits, Memory
from outstation.core.readings import Millis, Quality, Reading
from outstation.core.spans import Spans

STALE_AT_LEAST: Millis = 30_000
"""Nobody is stale sooner: a busy bus or a lost packet is no failure."""

STALE_UNTIL_KNOWN: Millis = 15 * 60_000
"""How long a board's reading counts as fresh until its rhythm is known, which takes three."""

MAX_AHEAD: Millis = 600_000
"""How far ahead of this node's a sender's clock may be: a reading from further ahead makes no later one late."""

_KNOWN = 2
"""So many intervals are a rhythm."""

_INTERVALS_KEPT = 9
"""Odd, so that one stands in the middle; few, so that a new rhythm is known after five."""

RHYTHM_OF = _INTERVALS_KEPT + 2
"""So many readings in a row say all of a rhythm, whatever came before them."""


class SensorSpec(msgspec.Struct, frozen=True):
    """One sensor as configured, or as first heard of. every: None for boards, whose rhythm is learnt."""

    name: str
    label: str = ""
    unit: str = ""
    every: Millis | None = None
    limits: Limits = Limits()
    dead_band: float | None = None
    heartbeat: Millis = 600_000

    @property
    def device(self) -> str:
        """The device that it belongs to; empty for the node's own."""
        return device(self.name)


class SensorState(msgspec.Struct):
    """One sensor now. newest: the reading that counts. error: why its driver failed, while it does.

    stored: the last that was kept, where a dead band compares with it. memory: None where there is
    nothing to judge. intervals: between the latest readings of a board. late: the last that came too
    late, while these are not known. spans: None where no condition asks for any.
    """

    spec: SensorSpec
    newest: Reading | None = None
    stored: Reading | None = None
    error: str = ""
    memory: Memory | None = None
    intervals: list[Millis] = []
    late: Reading | None = None
    spans: Spans | None = None

    def __post_init__(self) -> None:
        if self.spec.limits != Limits():
            self.memory = Memory()

    def age(self, now: Millis) -> Millis | None:
        """Return how long ago the newest reading was measured; None when there is none."""
        newest = self.newest
        if newest is None:
            return None
        # Nothing is measured after it arrived: a sender's clock that is ahead must not keep its sensor fresh.
        underway = max(0, newest.arrived - newest.at) if newest.sender_stamped else 0
        return now - newest.now + underway

    def stale_limit(self) -> Millis:
        """Return the age past which the newest reading is stale."""
        limit = 3 * self.rhythm()
        return limit if limit > STALE_AT_LEAST else STALE_AT_LEAST  # noqa: FURB136 - asked for with every reading

    def rhythm(self) -> Millis:
        """Return the time between two readings: as configured, as learnt, or a guess while it is not known."""
        if self.spec.every is not None:
            return self.spec.every
        count = len(self.intervals)
        if count < _KNOWN:
            return STALE_UNTIL_KNOWN // 3
        # Of two in the middle the shorter: one long silence is no rhythm.
        return sorted(self.intervals)[(count - 1) // 2]

    @property
    def knows_its_rhythm(self) -> bool:
        """Whether the time between its readings is configured, or learnt well enough."""
        return self.spec.every is not None or len(self.intervals) >= _KNOWN

    def is_stale(self, now: Millis) -> bool:
        """Tell whether the newest reading is too old to count, or missing."""
        age = self.age(now)
        return age is None or age > self.stale_limit()


def device(name: str) -> str:
    """Return the device that a sensor of this full name belongs to; empty for the node's own."""
    return name.rpartition("/")[0]


def is_same(reading: Reading, newest: Reading) -> bool:
    """Tell whether a sender sent its newest reading once more: it must not confirm a spike, for one."""
    if reading.at != newest.at or not newest.sender_stamped:
        return False
    return reading.value == newest.value and type(reading.value) is type(newest.value)


def is_late(reading: Reading, state: SensorState) -> bool:
    """Tell whether a reading with its sender's time comes too late to decide anything."""
    newest = state.newest
    if newest is not None and reading.at < newest.at <= reading.arrived + MAX_AHEAD:
        return True
    underway = reading.arrived - reading.at
    return underway > STALE_AT_LEAST and underway > _late_limit(reading, state)


def _late_limit(reading: Reading, state: SensorState) -> Millis:
    """Return the age past which a reading is late: while no rhythm is known, also by how long after the newest it is.

    After a restart a board's rhythm is not known, and what it has saved up meanwhile must not look fresh.
    """
    limit, newest = state.stale_limit(), state.newest
    if state.knows_its_rhythm or newest is None or not newest.sender_stamped:
        return limit
    return min(limit, 3 * (reading.at - newest.at))


def judged(reading: Reading, state: SensorState) -> Reading:
    """Return the reading with what it is worth."""
    if state.memory is None:
        return of_quality(reading, filters.in_range(state.spec.limits, reading.value))
    return of_quality(reading, filters.judge(state.spec.limits, state.memory, reading.value, reading.now))


def of_quality(reading: Reading, quality: Quality) -> Reading:
    """Return the reading as worth no more than this."""
    if not quality:
        return reading
    return Reading(
        reading.sensor, reading.value, reading.at, reading.now, reading.arrived, quality, reading.sender_stamped
    )


def keep_interval(intervals: list[Millis], newest: Reading, reading: Reading) -> None:
    """Keep the time since the newest reading, by the clock that stamped both."""
    interval = reading.now - newest.now
    if reading.sender_stamped != newest.sender_stamped:
        return
    if reading.sender_stamped:
        # A jump of the sender's clock is no rhythm.
        interval = min(reading.at - newest.at, interval + MAX_AHEAD)
    if interval > 0:
        intervals.append(interval)
        if len(intervals) > _INTERVALS_KEPT:
            del intervals[0]


def learn_from_late(state: SensorState, reading: Reading) -> None:
    """Learn a board's rhythm also from what comes too late, until it is known: else the end of a backlog looks fresh.

    A long one is not learnt so: it would only have readings count for longer.
    """
    if state.knows_its_rhythm:
        return
    before, state.late = state.late or state.newest, reading
    if before is not None and 3 * (reading.at - before.at) < STALE_UNTIL_KNOWN:
        keep_interval(state.intervals, before, reading)


def keep_in_spans(state: SensorState, reading: Reading) -> None:
    """Count a reading in the spans that conditions ask for, if it is a number worth something."""
    value = reading.value
    if state.spans is None or reading.quality or value is None or isinstance(value, str):
        return
    underway = max(0, reading.arrived - reading.at) if reading.sender_stamped else 0
    state.spans.add(reading.now - underway, float(value), reach=state.stale_limit())
