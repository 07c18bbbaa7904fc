"""All local decisions of one node: handle(event) -> effects.

The law of this file: it is a function of its state and of the event, which carries the time;
so a week of readings replays in a second and ends in the same state. And a late reading is for
the store alone: it decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from outstation.core import actuation, filters
from outstation.core.actuation import ActuatorSpec, ActuatorState
from outstation.core.filters import Limits, Memory
from outstation.core.readings import (
    Effect,
    Event,
    Failed,
    Millis,
    Note,
    Quality,
    Reading,
    Record,
    Switched,
    Tick,
)
from outstation.errors import RefusedError, UnknownNameError

STALE_AT_LEAST: Millis = 30_000
"""Nobody is stale sooner: a busy bus or a lost packet is no failure."""

STALE_UNTIL_KNOWN: Millis = 15 * 60_000
"""How long a board's reading counts as fresh until its rhythm is known, which takes three."""

MAX_AHEAD: Millis = 600_000
"""How far ahead of this node's a sender's clock may be: a reading from further ahead makes no later one late."""

SENSORS_A_DEVICE = 64
SENSORS_A_NODE = 20_000
"""Senders make sensors by naming them: one that makes up names must not fill the memory."""

_INTERVALS_KEPT = 9
"""Odd, so that one stands in the middle; few, so that a new rhythm is known after five."""


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
        return _device(self.name)


class SensorState(msgspec.Struct):
    """One sensor now. newest: the reading that counts. error: why its driver failed, while it does.

    stored: the last that was kept, where a dead band compares with it. memory: None where there is
    nothing to judge. intervals: between the latest readings of a board.
    """

    spec: SensorSpec
    newest: Reading | None = None
    stored: Reading | None = None
    error: str = ""
    memory: Memory | None = None
    intervals: list[Millis] = []

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
        if self.spec.every is not None:
            return max(3 * self.spec.every, STALE_AT_LEAST)
        count = len(self.intervals)
        if count < 2:
            return STALE_UNTIL_KNOWN
        # Of two in the middle the shorter: one long silence is no rhythm.
        return max(3 * sorted(self.intervals)[(count - 1) // 2], STALE_AT_LEAST)

    def is_stale(self, now: Millis) -> bool:
        """Tell whether the newest reading is too old to count, or missing."""
        age = self.age(now)
        return age is None or age > self.stale_limit()


class Node:
    """The state of one node, and what it makes of events."""

    def __init__(self, sensors: Iterable[SensorSpec] = (), actuators: Iterable[ActuatorSpec] = ()) -> None:
        self.sensors: dict[str, SensorState] = {spec.name: SensorState(spec) for spec in sensors}
        self.actuators: dict[str, ActuatorState] = {spec.name: ActuatorState(spec) for spec in actuators}
        actuation.link(self.actuators)
        self._of_device: dict[str, int] = {}
        for name in self.sensors:
            self._count(name)

    def handle(self, event: Event) -> list[Effect]:
        """Take in one event; return what is to be done. A Command may raise RefusedError.

        All but a Command names what this node knows: sensors are configured, learnt or admitted before.
        """
        match event:
            case Reading():
                return self._reading(event)
            case Failed():
                return self._failed(event)
            case Tick():
                return actuation.tick(self.actuators, event)
            case Switched():
                return self._switched(event)
        self.actuator(event.actuator)
        return actuation.command(self.actuators, event)

    def next_due(self) -> Millis | None:
        """Return the `now` at which this node wants a Tick; None: not before something happens."""
        due = [time for state in self.actuators.values() if (time := state.next_due()) is not None]
        return min(due, default=None)

    def actuator(self, name: str) -> ActuatorState:
        """Return an output by name. Raises UnknownNameError."""
        try:
            return self.actuators[name]
        except KeyError:
            known = ", ".join(self.actuators) or "none"
            raise UnknownNameError(f'There is no actuator "{name[:80]}".', cure=f"Known: {known}.") from None

    def admit_all(self, names: Sequence[str]) -> None:
        """Make room for sensors that a sender names: for all of them, or for none. Raises RefusedError."""
        new = [name for name in dict.fromkeys(names) if name not in self.sensors]
        if not new:
            return
        added: dict[str, int] = {}
        for name in new:
            device = _device(name)
            added[device] = added.get(device, 0) + 1
        full = [device for device, more in added.items() if self._of_device.get(device, 0) + more > SENSORS_A_DEVICE]
        if full or len(self.sensors) + len(new) > SENSORS_A_NODE:
            raise RefusedError(
                f"No room for the new sensors {', '.join(new[:3])}{', ...' if len(new) > 3 else ''}.",
                cure=f"A device has at most {SENSORS_A_DEVICE} sensors, a node {SENSORS_A_NODE}.",
            )
        for name in new:
            self.learn(SensorSpec(name))

    def learn(self, spec: SensorSpec, newest: Reading | None = None) -> None:
        """Add a sensor, or remember at a start what it last said; a known one keeps its spec.

        newest: with `now` on the clock of this boot, below zero when it is from before. Whatever
        comes next is stored: a start is worth a reading in the history.
        """
        state = self.sensors.get(spec.name)
        if state is None:
            state = self.sensors[spec.name] = SensorState(spec)
            self._count(spec.name)
        if newest is not None:
            state.newest = newest

    def _count(self, name: str) -> None:
        device = _device(name)
        self._of_device[device] = self._of_device.get(device, 0) + 1

    def _reading(self, reading: Reading) -> list[Effect]:
        """The hot path: what a reading does not need, it does not pay for."""
        state = self.sensors[reading.sensor]
        newest = state.newest
        if reading.sender_stamped and newest is not None and _is_same(reading, newest):
            return [Record(_of_quality(reading, newest.quality))]
        if reading.sender_stamped and _is_late(reading, state):
            return [Record(_of_quality(reading, filters.in_range(state.spec.limits, reading.value)))]
        if state.memory is not None or reading.value is None:
            reading = _judged(reading, state)
        if newest is not None and state.spec.every is None:
            _keep_interval(state.intervals, newest, reading)
        state.newest = reading
        if state.error:
            return [self._well(state, reading), Record(reading)]
        if state.spec.dead_band is None:
            return [Record(reading)]
        return self._thinned(state, reading, state.spec.dead_band)

    def _thinned(self, state: SensorState, reading: Reading, band: float) -> list[Effect]:
        if not filters.worth_storing(reading, state.stored, band, state.spec.heartbeat):
            return []
        state.stored = reading
        return [Record(reading)]

    def _well(self, state: SensorState, reading: Reading) -> Note:
        state.error, state.stored = "", reading
        return Note("sensor well", reading.sensor, "the sensor answers again", reading.at)

    def _failed(self, event: Failed) -> list[Effect]:
        """Keep one mark in the history where the sensor fell silent, and one note whenever the reason changes."""
        state = self.sensors[event.sensor]
        if state.error == event.error:
            return []
        first = not state.error
        state.error = event.error
        note = Note("sensor failed", event.sensor, event.error, event.at)
        mark = Reading(event.sensor, None, event.at, event.now, event.at, Quality.FAULT)
        return [note, Record(mark)] if first else [note]

    def _switched(self, event: Switched) -> list[Effect]:
        """Keep each change of the level in the history, and one mark where it became unknown."""
        state = self.actuators[event.actuator]
        before = (state.level, bool(state.error))
        effects = actuation.switched(self.actuators, event)
        if before == (state.level, bool(state.error)):
            return effects
        quality = Quality.OK if state.level is not None else Quality.FAULT
        return [*effects, Record(Reading(event.actuator, state.level, event.at, event.now, event.at, quality))]


def _device(name: str) -> str:
    return name.rpartition("/")[0]


def _is_same(reading: Reading, newest: Reading) -> bool:
    """Tell whether a sender sent its newest reading once more: it must not confirm a spike, for one."""
    if reading.at != newest.at or not newest.sender_stamped:
        return False
    return reading.value == newest.value and type(reading.value) is type(newest.value)


def _is_late(reading: Reading, state: SensorState) -> bool:
    """Tell whether a reading with its sender's time comes too late to decide anything."""
    newest = state.newest
    if newest is not None and reading.at < newest.at <= reading.arrived + MAX_AHEAD:
        return True
    underway = reading.arrived - reading.at
    return underway > STALE_AT_LEAST and underway > state.stale_limit()


def _judged(reading: Reading, state: SensorState) -> Reading:
    if state.memory is None:
        return _of_quality(reading, filters.in_range(state.spec.limits, reading.value))
    return _of_quality(reading, filters.judge(state.spec.limits, state.memory, reading.value, reading.now))


def _of_quality(reading: Reading, quality: Quality) -> Reading:
    if not quality:
        return reading
    return Reading(
        reading.sensor, reading.value, reading.at, reading.now, reading.arrived, quality, reading.sender_stamped
    )


def _keep_interval(intervals: list[Millis], newest: Reading, reading: Reading) -> None:
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
