"""All local decisions of one node: handle(event) -> effects.

The law of this file: it is a function of its state and of the event, which carries the time;
so a week of readings replays in a second and ends in the same state. And a late reading is for
the store alone: it decides nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from outstation.core import filters
from outstation.core.actuation import ActuatorSpec, ActuatorState
from outstation.core.alerts import Quiet
from outstation.core.claims import earlier
from outstation.core.decisions import Decisions
from outstation.core.deriving import DerivedSpec, Deriving
from outstation.core.readings import (
    Acknowledge,
    Adjust,
    Effect,
    Event,
    Failed,
    Level,
    Millis,
    Note,
    Quality,
    Reading,
    Record,
    Switched,
    Tick,
    Trouble,
    Value,
)
from outstation.core.restarts import Stamp
from outstation.core.restoring import Kept
from outstation.core.rules import RuleSpec
from outstation.core.sensors import (
    MAX_AHEAD,
    RHYTHM_OF,
    STALE_AT_LEAST,
    SensorSpec,
    SensorState,
    device,
    is_late,
    is_same,
    judged,
    keep_in_spans,
    keep_interval,
    learn_from_late,
    of_quality,
)
from outstation.core.settings import SettingSpec
from outstation.core.spans import Spans
from outstation.errors import RefusedError, UnknownNameError

Series = tuple[Sequence[Millis], Sequence[Value]]
"""Times of one sensor's readings, rising, and their values."""

SENSORS_A_DEVICE = 64
SENSORS_A_NODE = 20_000
"""Senders make sensors by naming them: one that makes up names must not fill the memory."""


class Node:
    """The state of one node, and what it makes of events."""

    def __init__(
        self,
        sensors: Iterable[SensorSpec] = (),
        actuators: Iterable[ActuatorSpec] = (),
        *,
        rules: Iterable[RuleSpec] = (),
        settings: Iterable[SettingSpec] = (),
        derived: Iterable[DerivedSpec] = (),
        quiet: Quiet | None = None,
    ) -> None:
        """quiet: the minutes of the day between which people are told of what is critical alone.

        derived: how some of the sensors are worked out from others.
        """
        self.sensors: dict[str, SensorState] = {}
        self.decisions = Decisions(self.sensors, actuators, list(rules), settings, quiet)
        self.actuators = self.decisions.actuators
        self._deriving = Deriving(derived, self.sensors, self.decisions.sight)
        self._feeds = self._deriving.of
        self._feeding: list[Reading | Failed] = []  # what derived sensors have not looked at yet
        self._of_device: dict[str, int] = {}
        for spec in sensors:
            self._add(spec)

    def handle(self, event: Event) -> list[Effect]:
        """Take in one event; return what is to be done. A Command, Adjust or Acknowledge may raise RefusedError.

        All others name what this node knows: sensors are configured, learnt or admitted before.
        """
        match event:
            case Reading():
                return self._together([event]) if event.sensor in self._feeds else self._reading(event)
            case Failed():
                return self._together([event]) if event.sensor in self._feeds else self._failed(event)
            case Tick():
                return [*self.decisions.tick(event), *self._together(self._deriving.tick(event))]
            case Switched():
                return self.switched([event])
            case Adjust():
                return self.decisions.adjust(event)
            case Acknowledge():
                return self.decisions.acknowledge(event)
            case Trouble():
                return self.decisions.trouble(event)
        self.actuator(event.actuator)
        return self.decisions.command(event)

    def handle_all(self, readings: Sequence[Reading]) -> list[Effect]:
        """Take in readings that came together: all are kept and count in spans, and rules look once, when all are in.

        So a backlog of ten thousand switches nothing to and fro on its way in.
        """
        if len(readings) == 1:
            return self.handle(readings[0])
        return self._together(readings)

    def store_alone(self, columns: Mapping[str, Series], at: Millis, now: Millis) -> bool:
        """Tell whether readings that arrive now are for the store alone, and worth what they say.

        They are where all are late, and where no rule looks at their sensor and nothing has to be judged. Then what
        `handle` would have learnt from them is learnt; otherwise nothing has changed.
        columns: by sensor, what the sender gave as times, rising, and values. at, now: of their arrival.
        """
        for name, (times, _) in columns.items():
            if not (self._is_late(self.sensors[name], times[-1], at) or self._is_unwatched(name, times[-1], at)):
                return False
        for name, (times, values) in columns.items():
            self._learn_series(self.sensors[name], times, values, at, now)
        return True

    def switched(self, events: Sequence[Switched]) -> list[Effect]:
        """Take in what drivers did together, as when all are opened: an order given in between would outrun the rest.

        Each change of a level is kept in the history, and one mark where it became unknown.
        """
        before = [self._shown(event.actuator) for event in events]
        effects = self.decisions.switched(events)
        for event, shown in zip(events, before, strict=True):
            level, failed = self._shown(event.actuator)
            if (level, failed) != shown:
                quality = Quality.OK if level is not None else Quality.FAULT
                effects.append(Record(Reading(event.actuator, level, event.at, event.now, event.at, quality)))
        return effects

    def next_due(self) -> Millis | None:
        """Return the `now` at which this node wants a Tick; None: not before something happens."""
        due = self.decisions.next_due()
        return earlier(due, self._deriving.next_due()) if self._feeds else due

    def next_due_before(self, now: Millis) -> bool:
        """Tell whether a Tick is wanted before that time: what costs nothing where there is nothing to decide."""
        if not self.decisions.rules and not self._feeds:
            return False
        due = self.next_due()
        return due is not None and due < now

    def spans_of(self, sensor: str) -> tuple[Millis, ...]:
        """Return the spans over which rules and derived sensors look at a sensor."""
        return tuple(sorted({*self.decisions.spans_of(sensor), *self._deriving.spans_of(sensor)}))

    def looks_at(self, sensor: str) -> bool:
        """Tell whether a rule or a derived sensor looks at a sensor."""
        return self.decisions.looks_at(sensor) or sensor in self._feeds

    def restore(self, kept: Kept, then: Stamp, here: Stamp) -> list[Effect]:
        """Go on after a restart. To be called before the outputs are opened, each where it is `wanted` then."""
        return self.decisions.restore(kept, then, here)

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
            owner = device(name)
            added[owner] = added.get(owner, 0) + 1
        full = [owner for owner, more in added.items() if self._of_device.get(owner, 0) + more > SENSORS_A_DEVICE]
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
            state = self._add(spec)
        if newest is not None:
            state.newest = newest

    def rename(self, old: str, new: str) -> None:
        """Have a sensor that a sender names go on under another name, which no sensor has."""
        state = self.sensors[old]
        self.forget(old)
        fresh = self._add(msgspec.structs.replace(state.spec, name=new))
        fresh.intervals, fresh.late = state.intervals, state.late
        fresh.newest = state.newest and msgspec.structs.replace(state.newest, sensor=new)

    def forget(self, name: str) -> None:
        """Know nothing more of a sensor that a sender names: what it sends from now on is a new one's."""
        state = self.sensors.pop(name, None)
        if state is not None:
            self._of_device[state.spec.device] -= 1

    def _add(self, spec: SensorSpec) -> SensorState:
        spans = self.spans_of(spec.name)
        state = self.sensors[spec.name] = SensorState(spec, spans=Spans(spans) if spans else None)
        self._of_device[spec.device] = self._of_device.get(spec.device, 0) + 1
        return state

    def _reading(self, reading: Reading, spoken: dict[str, Reading] | None = None) -> list[Effect]:
        """The hot path: what a reading does not need, it does not pay for.

        spoken: takes what rules have to look at, where they look later.
        """
        state = self.sensors[reading.sensor]
        newest = state.newest
        if reading.sender_stamped and newest is not None and is_same(reading, newest):
            return [Record(of_quality(reading, newest.quality))]
        if reading.sender_stamped and is_late(reading, state):
            learn_from_late(state, reading)
            return [Record(of_quality(reading, filters.in_range(state.spec.limits, reading.value)))]
        if state.memory is not None or reading.value is None:
            reading = judged(reading, state)
        if newest is not None and state.spec.every is None:
            keep_interval(state.intervals, newest, reading)
        state.newest = reading
        if state.spans is not None:
            keep_in_spans(state, reading)
        if reading.sensor in self._feeds and reading.quality is not Quality.SPIKE:
            self._feeding.append(reading)
        well = [self._well(state, reading)] if state.error else []
        decided: list[Effect] = []
        if self.decisions.looks_at(reading.sensor):
            if spoken is None:
                decided = self.decisions.readings([reading])
            else:
                spoken[reading.sensor] = reading
        if state.spec.dead_band is None or well or decided:
            state.stored = reading
            return [*decided, *well, Record(reading)]
        return self._thinned(state, reading, state.spec.dead_band)

    def _is_late(self, state: SensorState, newest: Millis, at: Millis) -> bool:
        """Tell whether a reading that is late for every rhythm that its sensor may have needs no judgement."""
        if state.memory is not None or (state.newest is not None and state.newest.quality):
            return False
        return at - newest > max(state.stale_limit(), STALE_AT_LEAST)

    def _is_unwatched(self, name: str, newest: Millis, at: Millis) -> bool:
        """Tell whether readings of a sensor decide nothing, whenever they were measured, and need no judgement."""
        state = self.sensors[name]
        if self.looks_at(name) or state.memory is not None or state.spec.dead_band is not None:
            return False
        if state.error or (state.newest is not None and state.newest.quality):
            return False
        return newest <= at + MAX_AHEAD

    def _learn_series(
        self, state: SensorState, times: Sequence[Millis], values: Sequence[Value], at: Millis, now: Millis
    ) -> None:
        """Learn what `handle` would, one by one, from the few that say it: the late, the doubtful, the newest."""
        name = state.spec.name
        late = bisect_left(times, at - max(state.stale_limit(), STALE_AT_LEAST))
        for time in times[:late]:
            if state.knows_its_rhythm:
                break
            learn_from_late(state, Reading(name, None, time, now, at, sender_stamped=True))
        fresh = bisect_left(times, at - STALE_AT_LEAST)
        if state.newest is not None:
            fresh = max(fresh, bisect_right(times, state.newest.at))
        for place in (*range(late, fresh), *range(max(fresh, len(times) - RHYTHM_OF), len(times))):
            self._reading(Reading(name, values[place], times[place], now, at, sender_stamped=True))

    def _thinned(self, state: SensorState, reading: Reading, band: float) -> list[Effect]:
        if not filters.worth_storing(reading, state.stored, band, state.spec.heartbeat):
            return []
        state.stored = reading
        return [Record(reading)]

    def _well(self, state: SensorState, reading: Reading) -> Note:
        state.error = ""
        return Note("sensor well", reading.sensor, "the sensor answers again", reading.at)

    def _together(self, events: Iterable[Reading | Failed]) -> list[Effect]:
        """Take in what was said at one moment, and what is derived from it; rules look when all of it is in."""
        effects: list[Effect] = []
        spoken: dict[str, Reading] = {}
        said = [*events]
        while said:
            for event in said:
                effects += self._reading(event, spoken) if isinstance(event, Reading) else self._failed(event)
            said = self._fed()
        decided = self.decisions.readings(list(spoken.values())) if spoken else []
        return [*decided, *effects, *(self._unthinned(spoken.values()) if decided else ())]

    def _unthinned(self, readings: Iterable[Reading]) -> Iterator[Record]:
        """Return those that a dead band would have kept from the store: together they have changed a rule."""
        for reading in readings:
            state = self.sensors[reading.sensor]
            if state.stored is not reading:
                state.stored = reading
                yield Record(reading)

    def _fed(self) -> list[Reading | Failed]:
        """Return what is worked out from what was said since the last look."""
        feeding, self._feeding = self._feeding, []
        return [found for event in feeding for found in self._deriving.hear(event)]

    def _failed(self, event: Failed) -> list[Effect]:
        """Keep one mark in the history where the sensor fell silent, and one note whenever the reason changes."""
        state = self.sensors[event.sensor]
        if state.error == event.error:
            return []
        first = not state.error
        state.error = event.error
        if event.sensor in self._feeds:
            self._feeding.append(event)
        note = Note("sensor failed", event.sensor, event.error, event.at)
        mark = Reading(event.sensor, None, event.at, event.now, event.at, Quality.FAULT)
        return [*self.decisions.failed(event.sensor, event.at, event.now), note, *([Record(mark)] if first else [])]

    def _shown(self, name: str) -> tuple[Level | None, bool]:
        state = self.actuators[name]
        return state.level, bool(state.error)
