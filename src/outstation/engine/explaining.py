"""Why a rule is as it is: now, from the running core; at a moment of the past, from what is stored.

The law of this file: it changes nothing. For the past a second core lives through the readings before that
moment, with the rule as it is written now; what the journal says of the rule counts for more than what that finds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import msgspec

from outstation import clock
from outstation.core import conditions, explaining, rules
from outstation.core.actuation import ActuatorSpec
from outstation.core.explaining import Claimed, Explanation
from outstation.core.filters import Limits
from outstation.core.node import Node
from outstation.core.readings import Event, Failed, Millis, Note, Quality, Reading, Switched, Tick, Zone
from outstation.core.rules import RuleSpec, RuleState
from outstation.core.sensors import SensorSpec, SensorState
from outstation.core.settings import SettingSpec
from outstation.engine.local_time import LocalTime
from outstation.engine.site import Site
from outstation.errors import RefusedError, UnknownNameError
from outstation.store.journal import Journal

MOST = 20_000
"""Readings that are lived through again for one answer, at most: some seconds on the smallest computer."""

_TICKS = 20_000
_AT_LEAST: Millis = 3_600_000
_RHYTHM = 10
"""Readings of a board that are looked at in any case: by these its rhythm is known, and so when it is stale."""

_FIRED = ("rule fires", "rule clears")
_MOVED = ("decided", "command", "claim ended")
_CHANGE = re.compile(r"from (\S+) to (\S+)")
"""How the journal writes a change of a setting: core.decisions.Decisions.adjust."""


def spec_of(site: Site, name: str) -> RuleSpec:
    """Return a rule by name. Raises UnknownNameError."""
    decisions = site.node.decisions
    found = [state.spec for state in decisions.rules.values()] + decisions.disabled
    for spec in found:
        if spec.name == name:
            return spec
    known = ", ".join(f'"{spec.name}"' for spec in found[:20]) or "none"
    raise UnknownNameError(f'There is no rule "{name[:80]}".', cure=f"Known: {known}.")


def now(site: Site, name: str) -> Explanation:
    """Return why a rule is as it is. To be called in the loop's thread. Raises UnknownNameError."""
    spec, decisions, moment = spec_of(site, name), site.node.decisions, clock.moment()
    sight = decisions.sight
    sight.at, sight.now = moment.at, moment.now
    state = decisions.rules.get(name) or rules.begin(spec)
    return explaining.explain(state, sight, site.node.sensors, explaining.claims(state, sight, decisions.actuators))


def then(site: Site, name: str, at: Millis) -> Explanation:
    """Return why a rule was as it was at a moment of the past. Blocks; what waits to be stored is flushed before.

    Raises UnknownNameError, RefusedError, StoreError.
    """
    spec = spec_of(site, name)
    if at > clock.at():
        raise RefusedError("That time has not come yet.", cure="Ask for a moment of the past.")
    return _Past(site, spec, at).explanation()


class _Past:
    """A rule at a moment of the past. lost: what is not known of it any more."""

    def __init__(self, site: Site, spec: RuleSpec, at: Millis) -> None:
        self._site, self._spec, self._at = site, spec, at
        self._journal = Journal(site.store)
        self._lost = ["how the rule was written then: it is taken as it is now"]
        self._both = both = (spec.when, spec.until or spec.when)
        self._sensors, self._actuators, self._settings = (
            sorted(frozenset[str]().union(*map(look, both)))
            for look in (conditions.sensors, conditions.actuators, conditions.settings)
        )
        self._most = MOST // max(1, len(self._sensors) + len(self._actuators))
        spans = {span for one in both for found in conditions.spans(one).values() for span in found}
        self._start = at - max(_AT_LEAST, 2 * spec.hold + max(spans, default=0))

    def explanation(self) -> Explanation:
        """Return why it was as it was."""
        node = self._node()
        for name, sensor in node.sensors.items():
            self._name_fault(name, sensor)
        state = node.decisions.rules[self._spec.name]
        is_since_known = self._follow_journal(state)
        state.spec = self._spec
        claims = [self._claimed(name, level) for name, level in self._spec.claims.items()]
        found = explaining.explain(state, node.decisions.sight, node.sensors, claims)
        since = found.since if is_since_known else None
        return msgspec.structs.replace(found, since=since, lost=tuple(self._lost), past=True)

    def _node(self) -> Node:
        """Return a node that has lived through the readings until that moment, with this rule alone."""
        alone = msgspec.structs.replace(self._spec, claims={}, alert=None, enabled=True)
        events = sorted(self._events(), key=lambda event: event.at)
        settings = [SettingSpec(name, self._setting(name)) for name in self._settings]
        specs = [self._as_stored(name) for name in self._sensors]
        node = Node(specs, [ActuatorSpec(name) for name in self._actuators], rules=[alone], settings=settings)
        _live(node, events, self._start, self._at, self._zone())
        return node

    def _as_stored(self, name: str) -> SensorSpec:
        """Return a sensor as its stored readings show it: judged already, and thinned by its dead band."""
        state = self._site.node.sensors.get(name)
        spec = state.spec if state else SensorSpec(name)
        every = spec.every
        if spec.dead_band is not None and every is not None:
            self._lost.append(f"what {name} said between stored readings: it stores what changes by {spec.dead_band:g}")
            every += -(-spec.heartbeat // 3)
        return SensorSpec(name, spec.label, spec.unit, every, Limits())

    def _events(self) -> Iterable[Event]:
        for name in self._sensors:
            readings = self._readings(name)
            if not readings:
                self._lost.append(f"what {name} said: no reading from then or before is stored")
            for reading in readings:
                yield _event(reading)
        for name in self._actuators:
            for reading in self._readings(name):
                level, error = _level(reading), "" if reading.value is not None else "unknown"
                yield Switched(name, level, reading.at, reading.at, error)

    def _readings(self, name: str) -> list[Reading]:
        history, end = self._site.history, self._at + 1
        latest = history.of_sensor(name, end=end, limit=_RHYTHM).rows
        if not latest:
            return []
        page = history.of_sensor(name, start=min(self._start, latest[0].at), end=end, limit=self._most)
        if page.next is not None:
            self._lost.append(f"what {name} said before its newest {self._most} readings: these alone are looked at")
        return page.rows

    def _setting(self, name: str) -> float:
        """Return what a setting was: what the line before has set it to, or the line after has found."""
        before, after = self._journal.around(name, ["setting"], self._at)
        for note, group in ((before, 2), (after, 1)):
            if note and (found := _CHANGE.match(note.text)):
                return float(found[group])
        return self._site.node.decisions.settings[name]

    def _zone(self) -> Callable[[Millis], Zone]:
        node = self._site.config.node
        place = node.place if any(map(conditions.asks_for_the_sun, self._both)) else None
        return LocalTime(node.clock, node.timezone, place).zone_at

    def _name_fault(self, name: str, sensor: SensorState) -> None:
        """Give a sensor that failed then the reason that the journal has."""
        before, _ = self._journal.around(name, ["sensor failed", "sensor well"], self._at)
        if sensor.error and before and before.kind == "sensor failed":
            sensor.error = before.text

    def _follow_journal(self, state: RuleState) -> bool:
        """Have the rule fire, or not, as the journal says that it did; tell whether it is known since when."""
        before, after = self._journal.around(self._spec.name, _FIRED, self._at)
        if before is None and after is None:
            self._lost.append("whether it fired, for sure: the journal has no word on it; so its readings say")
            return True
        if before is None:
            # Only the next line is left: what clears later fires now.
            self._set(state, self._at if after and after.kind == "rule clears" else None)
            return False
        if before.kind == "rule fires" and before.text != self._spec.when.text:
            self._lost[0] = f"how it was written in full: it fired by {before.text}"
        self._set(state, before.at if before.kind == "rule fires" else None)
        return True

    def _set(self, state: RuleState, since: Millis | None) -> None:
        if since is not None or state.firing:
            state.since, state.asked = since, None

    def _claimed(self, name: str, level: float | bool) -> Claimed:
        rows = self._site.history.of_sensor(name, end=self._at + 1, limit=1).rows
        note, _ = self._journal.around(name, _MOVED, self._at)
        state = _level(rows[0]) if rows else None
        decides = note is not None and f'rule "{self._spec.name}"' in note.text
        return Claimed(name, level, state, "", _words(note), decides, noted_at=note.at if note else None)


def _live(node: Node, events: Sequence[Event], start: Millis, end: Millis, zone: Callable[[Millis], Zone]) -> None:
    """Have a node live through events, with a Tick whenever it wants one from `start` on, and one at the end."""
    early = [event for event in events if event.at < start]
    for event in early:
        node.handle(event)
    node.handle(Tick(start, start, zone(start)))
    left = _TICKS
    for event in (*events[len(early) :], Tick(end, end, zone(end))):
        while left and (due := node.next_due()) is not None and due < event.at:
            node.handle(Tick(due, due, zone(due)))
            left -= 1
        node.handle(event)


def _event(reading: Reading) -> Reading | Failed:
    at = reading.at
    if reading.value is None:
        return Failed(reading.sensor, "the reason is not known any more", at, at)
    return Reading(reading.sensor, reading.value, at, at, at, reading.quality, reading.sender_stamped)


def _level(reading: Reading) -> float | bool | None:
    value = reading.value
    return None if isinstance(value, str) or reading.quality is Quality.FAULT else value


def _words(note: Note | None) -> str:
    return "" if note is None else note.text if note.kind != "command" else f"command: {note.text}"
