"""Sensors that are worked out from others: when, and what comes of it.

The law of this file: inputs that speak together make one value, not one each. A round begins with the first input
that speaks, and ends when all have that are as quick as the quickest; the slower ones count as they are, but that the
first value waits for them too. If one of them is silent the others wait for it as long as one of their own rounds
takes, and no longer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from outstation.core import conditions
from outstation.core.agenda import Agenda
from outstation.core.calibration import Calibration
from outstation.core.conditions import Expression, Measure
from outstation.core.conditions.tree import Sensor, Span, leaves
from outstation.core.readings import Failed, Millis, Reading, Tick, Value
from outstation.core.sensors import SensorState
from outstation.core.sight import Sight

QUALITIES = {
    "stale": "is stale",
    "fault": "has a fault",
    "unseen": "was never seen",
    "out_of_range": "is out of range",
    "spike": "is a spike",
    "stuck": "is stuck",
}
"""What a reading is worth, in words."""

_STALE_AFTER = 3
"""Of its intervals: nobody waits for an input until it is stale, however seldom there is a value."""

_REASONS_TOLD = 3

_Reason = tuple[str, str, str]
"""What is missing, what is the matter with it, and its error: where it has one."""


class DerivedSpec(msgspec.Struct, frozen=True):
    """A sensor that is worked out from others. every: it has one value in each of these spans of UTC, at most."""

    sensor: str
    value: Expression
    every: Millis = 10_000
    calibration: Calibration = Calibration()


class _Derived(msgspec.Struct):
    """A derived sensor now. spoken, since: of the round under way; slot, next_slot: of the last value, of the next.

    pace: how long a round took when last it was asked, for those that are made of this one. why: it has no value.
    """

    spec: DerivedSpec
    measure: Measure
    inputs: frozenset[str]
    spoken: set[str]
    pace: float
    why: tuple[_Reason, ...] = ()
    since: Millis | None = None
    slot: int | None = None
    next_slot: int | None = None


class Deriving:
    """All derived sensors of one node. What is worked out are events like those of any other sensor."""

    def __init__(self, specs: Iterable[DerivedSpec], sensors: Mapping[str, SensorState], sight: Sight) -> None:
        self._sensors, self._sight = sensors, sight
        self._agenda = Agenda()
        self._all = {spec.sensor: _begin(spec) for spec in specs}
        self.of: dict[str, list[_Derived]] = {}
        for one in self._all.values():
            for name in one.inputs:
                self.of.setdefault(name, []).append(one)

    def spans_of(self, sensor: str) -> set[Millis]:
        """Return the spans over which derived sensors look at a sensor."""
        found = (conditions.spans(one.spec.value).get(sensor, ()) for one in self.of.get(sensor, ()))
        return {span for spans in found for span in spans}

    def hear(self, event: Reading | Failed) -> Iterator[Reading | Failed]:
        """Take in what a sensor said that others are derived from; return what is worked out from it."""
        for one in self.of[event.sensor]:
            if isinstance(event, Failed):
                yield from self._without(one, event)
            else:
                yield from self._with(one, event)

    def tick(self, event: Tick) -> Iterator[Reading | Failed]:
        """Return what has waited long enough, and say of what is stale by now why it is."""
        for name in self._agenda.due(event.now):
            one = self._all[name]
            if one.since is not None:
                yield self._end(one, event.at, event.now)
            elif self._worked_out(one, event.at, event.now) is None:
                yield self._failed(one, event.at, event.now)
            else:
                self._look_again(one, event.now)

    def next_due(self) -> Millis | None:
        """Return when this wants a Tick."""
        return self._agenda.first()

    def _with(self, one: _Derived, reading: Reading) -> Iterator[Reading | Failed]:
        slot = min(reading.at, reading.arrived) // one.spec.every
        if slot == one.slot and not self._sensors[one.spec.sensor].error:
            return
        one.spoken.add(reading.sensor)
        one.since = reading.now if one.since is None else one.since
        one.next_slot = slot
        rhythms = {name: self._rhythm(name) for name in one.inputs}
        pace = one.pace = _pace(one.spec, min(rhythms.values()))
        quick = [name for name in rhythms if rhythms[name] <= pace]
        if one.spoken.issuperset(one.inputs if one.slot is None else quick):
            yield self._end(one, reading.arrived, reading.now)
        else:
            longest = min(pace, _STALE_AFTER * max(rhythms[name] for name in quick))
            self._agenda.put(one.spec.sensor, one.since + int(longest))

    def _without(self, one: _Derived, failed: Failed) -> Iterator[Failed]:
        """See whether there is a value without that input; that it failed makes no new one."""
        found = self._worked_out(one, failed.at, failed.now)
        if found is None:
            yield self._failed(one, failed.at, failed.now)

    def _rhythm(self, name: str) -> float:
        if name in self._all:  # known before it has spoken; and no look at all that it is made of, however deep
            return self._all[name].pace
        state = self._sensors.get(name)
        return math.inf if state is None else state.rhythm()

    def _end(self, one: _Derived, at: Millis, now: Millis) -> Reading | Failed:
        """End a round. at: now; the value is of when the newest of its inputs was measured."""
        one.spoken.clear()
        one.since = None
        self._agenda.put(one.spec.sensor, None)
        value = self._worked_out(one, at, now)
        if value is None:
            return self._failed(one, at, now)
        one.slot = one.next_slot
        self._look_again(one, now)
        newest = [state.newest.at for name in one.inputs if (state := self._sensors.get(name)) and state.newest]
        return Reading(one.spec.sensor, value, min(at, max(newest, default=at)), now, at)

    def _look_again(self, one: _Derived, now: Millis) -> None:
        """Be woken when it is stale, or one that it is made of, if nothing comes until then."""
        fresh = [left for name in one.inputs if (left := self._sight.fresh_for(name)) is not None]
        self._agenda.put(one.spec.sensor, now + min([*fresh, self._sensors[one.spec.sensor].stale_limit() + 1]))

    def _worked_out(self, one: _Derived, at: Millis, now: Millis) -> Value | None:
        self._sight.at, self._sight.now, self._sight.safety = at, now, False
        found = one.measure(self._sight)
        return None if found is None else _storable(one.spec.calibration, found)

    def _failed(self, one: _Derived, at: Millis, now: Millis) -> Failed:
        looked = {leaf: conditions.measurer(leaf)(self._sight) for leaf in leaves(one.spec.value.root)}
        missing = [leaf for leaf, value in looked.items() if value is None and isinstance(leaf, Sensor | Span)]
        one.why = tuple(dict.fromkeys(reason for leaf in missing for reason in self._reasons(leaf)))
        return Failed(one.spec.sensor, f"No value: {_told(one.why)}.", at, now)

    def _reasons(self, leaf: Sensor | Span) -> tuple[_Reason, ...]:
        """Say why there is none: of what is derived as well, what is missing in the end."""
        name = leaf.name if isinstance(leaf, Sensor) else leaf.sensor.name
        quality, state = self._sight.quality(name), self._sensors.get(name)
        if state is not None and state.error:
            why = self._all[name].why if name in self._all else ()
            return why[: _REASONS_TOLD + 1] or ((name, QUALITIES["fault"], state.error.rstrip(".")),)
        if quality != "ok":
            return ((name, QUALITIES[quality], ""),)
        if isinstance(leaf, Sensor):
            return ((name, "is a text", ""),)
        return (("too little was heard for", conditions.written(leaf), ""),)


def order(specs: Mapping[str, Iterable[str]]) -> tuple[list[str], list[str]]:
    """Return names so that each stands behind those that it is made of, and one circle of others, if there is one.

    specs: by name, of what it is made; what is no name is not looked at.
    """
    left = {name: set(inputs) & specs.keys() for name, inputs in specs.items()}
    ordered: list[str] = []
    while free := [name for name, inputs in left.items() if not inputs]:
        ordered += free
        left = {name: inputs - set(free) for name, inputs in left.items() if inputs}
    circle: list[str] = []
    name = min(left, default="")
    while name and name not in circle:
        circle.append(name)
        name = min(left[name])
    return ordered, circle[circle.index(name) :] if name else []


def _pace(spec: DerivedSpec, quickest: float) -> float:
    """Return how long a round takes; an input that nobody knows any more has no rhythm."""
    return max(spec.every, quickest) if quickest < math.inf else spec.every


def _begin(spec: DerivedSpec) -> _Derived:
    inputs = conditions.sensors(spec.value)
    return _Derived(spec, conditions.measurer(spec.value.root), inputs, set(), pace=spec.every)


def _told(why: Iterable[_Reason]) -> str:
    """Return reasons in words that stay the same until it is something else."""
    words: list[str] = []
    errors: set[str] = set()
    for what, matter, error in why:
        if error in errors:
            words.append(f"{what} has the same fault")
        else:
            words.append(f"{what} {matter}{f' ({error})' if error else ''}")
            errors |= {error} - {""}
    if len(words) > _REASONS_TOLD:
        words[_REASONS_TOLD:] = ["more is missing"]
    return ", and ".join(words) or "there is no answer for what its sensors say, as in a division by zero"


def _storable(calibration: Calibration, found: float) -> Value | None:
    """Return a number that has a place in the store: whole ones within 64 bits, others that are finite."""
    value = calibration.true(found)
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return int(value)
    return float(value) if math.isfinite(value) else None
