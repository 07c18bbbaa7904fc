"""Drives the core of a node through a recording, with outputs that obey at once.

The law of this file: it is the same core, and it is asked as a node asks it: a Tick whenever it wants one, no
sooner and no later, with the local time of that moment; so it decides what it would have decided then.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from math import inf

import msgspec

from outstation.backtest.findings import Findings, OutputFinding, RuleFinding, Spell
from outstation.backtest.recording import EARLIEST, LATEST, Recording
from outstation.config import Config, SensorTable, derived, specs
from outstation.core import conditions
from outstation.core.deriving import DerivedSpec, order
from outstation.core.filters import Limits
from outstation.core.node import Node
from outstation.core.readings import (
    Alert,
    Alerted,
    Effect,
    Level,
    Millis,
    Note,
    Quality,
    Reading,
    Record,
    Switch,
    Switched,
    Tick,
    Zone,
)
from outstation.core.rules import RuleSpec
from outstation.core.sensors import SensorSpec, keep_in_spans, keep_interval
from outstation.engine.local_time import LocalTime
from outstation.errors import OutstationError

_AT_ONCE = 8_192
"""Readings between two looks at how far it has got."""

_HALF_HOUR: Millis = 1_800_000
"""Clocks are put forward and back, and days begin, at full halves of an hour of UTC: in Europe at 01:00, on Lord
Howe Island at 15:30 (tz database); the three zones that are 45 minutes off begin their day a quarter late."""

_JUDGED = frozenset((Quality.OUT_OF_RANGE, Quality.SPIKE, Quality.STUCK))
"""What the limits of a sensor have found, and would find again."""


class Trial:
    """The rules of one file."""

    def __init__(self, config: Config, only: Collection[str] = (), recorded: Collection[str] = ()) -> None:
        """only: the names of the rules to try, enabled or not; empty: all that are enabled.

        recorded: the sensors in the recording.
        """
        every = specs.rule_specs(config)
        self.rules = [rule.name for rule in every]
        rules = [rule for rule in every if rule.enabled] if not only else _named(every, only)
        claimed = frozenset(name for rule in rules for name in rule.claims)
        outputs = [specs.actuator_spec(table, dimmable=True, ruled=table.name in claimed) for table in config.actuators]
        settings = specs.setting_specs(config)
        looked_at = _looked_at(rules).difference(
            (output.name for output in outputs), (setting.name for setting in settings)
        )
        worked_out = _worked_out(derived.specs(config), looked_at, recorded)
        inputs = (conditions.sensors(spec.value) for spec in worked_out)
        every_sensor = looked_at.union(*inputs)
        self.sensors = every_sensor.difference(spec.sensor for spec in worked_out)
        tables = [_sensor_spec(table) for table in config.sensors if table.name in every_sensor]
        known = {spec.name for spec in tables}
        sensors = [*tables, *(SensorSpec(name) for name in sorted(every_sensor) if name not in known)]
        quiet = config.alerts.quiet
        self._node = Node(sensors, outputs, rules=rules, settings=settings, derived=worked_out, quiet=quiet)
        self._before = Node(sensors, settings=settings, derived=worked_out) if worked_out else None
        self._limited = frozenset(spec.name for spec in tables if spec.limits != Limits())
        place = config.node.place if self._node.decisions.ask_for_the_sun else None
        self._local = LocalTime(timezone=config.node.timezone, place=place)
        self._zone: tuple[int, Zone] = (-1, Zone(0))
        self._told: Zone | None = None
        self._watch = _Watch(rules, [output.name for output in outputs])
        self._due: float = -inf
        self._now: Millis = 0
        self._look: Millis = 0

    def run(
        self,
        recording: Recording,
        start: Millis | None = None,
        end: Millis | None = None,
        progress: Callable[[Millis], None] = lambda _: None,
    ) -> Findings:
        """Live through a recording from `start` until before `end`; the spans know what was before.

        None: from the first, until the last of what the rules look at. Raises TableError, StoreError.
        """
        begin = self.begin(recording, end) if start is None else start
        self._remember(recording.readings(begin - self._longest_span(), begin, self.sensors))
        self._open(begin)
        readings = recording.readings(begin, LATEST if end is None else end, self.sensors)
        count = 0
        while some := list(islice(readings, _AT_ONCE)):
            self._live(self._as_told(some))
            count += len(some)
            progress(some[-1].at)
        finish = self._now if end is None else end
        self._tick_until(finish + 1)
        unheard = [name for name, state in self._node.sensors.items() if state.newest is None]
        return self._watch.findings(begin, finish, count, unheard)

    def begin(self, recording: Recording, end: Millis | None = None) -> Millis:
        """Return when the first reading that the rules look at was measured. Raises OutstationError: there is none."""
        first = next(recording.readings(EARLIEST, LATEST if end is None else end, self.sensors), None)
        if first is None:
            names = ", ".join(sorted(self.sensors)) or "no sensor at all"
            raise OutstationError(f"Nothing was recorded of what the rules look at: {names}.")
        return first.at

    def zone(self, at: Millis) -> Zone:
        """Return where local time stood."""
        half = at // _HALF_HOUR
        if self._zone[0] != half:
            self._zone = (half, self._local.zone_at(at))
        return self._zone[1]

    def _longest_span(self) -> Millis:
        """Return how far back the rules look, and what is worked out for them before that."""
        return sum(max(spans) for name in self._node.sensors if (spans := self._node.spans_of(name)))

    def _remember(self, readings: Iterable[Reading]) -> None:
        """Fill the spans with what was before the start, as a node does that is started."""
        for reading in readings if self._before is None else _with_derived(self._before, readings):
            state = self._node.sensors[reading.sensor]
            if state.newest is not None and state.spec.every is None:
                keep_interval(state.intervals, state.newest, reading)
            state.newest = reading
            keep_in_spans(state, reading)

    def _open(self, start: Millis) -> None:
        for name, state in self._node.actuators.items():
            self._watch.opened(name, state.wanted, start)
        for name, state in self._node.actuators.items():  # one that is open may let another one move
            self._do(self._node.handle(Switched(name, state.wanted, start, start)), start)
        self._look = (start // _HALF_HOUR + 1) * _HALF_HOUR
        self._tick(start)

    def _as_told(self, readings: list[Reading]) -> Iterable[Reading]:
        """Return them as they came: of those that the limits were to judge, without what was made of them then."""
        if not self._limited:
            return readings
        return [_unjudged(each) if each.quality and each.sensor in self._limited else each for each in readings]

    def _live(self, readings: Iterable[Reading]) -> None:
        """The hot path."""
        handle, next_due, due, before = self._node.handle, self._node.next_due, self._due, self._now
        for reading in readings:
            now = reading.now
            if now > due or now >= self._look:  # what is due in this very millisecond waits for the reading
                self._due = max(due, before)
                self._tick_until(now)
            effects = handle(reading)
            if len(effects) > 1:  # more than that it is to be recorded
                self._do(effects, now)
            found, before = next_due(), now
            due = inf if found is None else found
        self._due, self._now = max(due, before), before

    def _tick_until(self, now: Millis) -> None:
        """Tell the time as often as the core asked for it, before `now`; and when local time has moved, until then."""
        while self._look <= now or self._due < now:
            if self._look <= self._due:
                if self.zone(self._look) != self._told:
                    self._tick(self._look)
                self._look += _HALF_HOUR
            else:
                self._tick(int(self._due))

    def _tick(self, now: Millis) -> None:
        self._now, self._told = now, self.zone(now)
        self._do(self._node.handle(Tick(now, now, self._told)), now)
        due = self._node.next_due()
        self._due = inf if due is None else max(due, now + 1)

    def _do(self, effects: Iterable[Effect], now: Millis) -> None:
        for effect in effects:
            if type(effect) is Switch:
                self._watch.switched(effect.actuator, effect.level, now)
                self._do(self._node.handle(Switched(effect.actuator, effect.level, now, now)), now)
            elif type(effect) is Note:
                self._watch.noted(effect)
            elif type(effect) is Alerted:
                self._watch.alerted(effect.alert)


class _Watch:
    """Gathers what is found."""

    def __init__(self, rules: Iterable[RuleSpec], outputs: Iterable[str]) -> None:
        self._rules = {rule.name: rule for rule in rules}
        self._spells: dict[str, list[Spell]] = {name: [] for name in self._rules}
        self._since: dict[str, Millis] = {}
        self._failed: dict[str, str] = {}
        self._told: dict[str, list[str]] = {name: [] for name in self._rules}
        self._others: list[str] = []
        self._last_alert = 0
        self._outputs = {name: OutputFinding(name) for name in outputs}
        self._levels: dict[str, Level] = {}
        self._on_since: dict[str, Millis] = {}

    def opened(self, output: str, level: Level, at: Millis) -> None:
        """Take in where an output was at the start."""
        self._levels[output] = level
        if level:
            self._on_since[output] = at

    def switched(self, output: str, level: Level, at: Millis) -> None:
        """Take in that an output was driven."""
        if level == self._levels[output]:
            return
        self._levels[output] = level
        known = self._outputs[output]
        self._outputs[output] = OutputFinding(output, known.switches + 1, known.on, known.longest)
        if level:
            self._on_since.setdefault(output, at)
        else:
            self._off(output, at)

    def noted(self, note: Note) -> None:
        """Take in a line of the journal."""
        if note.kind == "rule fires":
            self._since[note.subject] = note.at
        elif note.kind == "rule clears":
            self._clear(note.subject, note.at, still=False)
        elif note.kind == "rule failed":
            self._failed[note.subject] = note.text

    def alerted(self, alert: Alert) -> None:
        """Take in an alert, once."""
        if alert.id <= self._last_alert:
            return
        self._last_alert = alert.id
        if alert.kind == "rule":
            self._told[alert.subject].append(alert.message)
        else:
            self._others.append(alert.message)

    def findings(self, start: Millis, end: Millis, readings: int, unheard: Iterable[str]) -> Findings:
        """End what is still under way, and return all that was found."""
        for name in list(self._since):
            self._clear(name, end, still=True)
        for name in list(self._on_since):
            self._off(name, end)
        rules = tuple(
            RuleFinding(
                name, spec.when.text, tuple(self._spells[name]), len(self._told[name]), self._failed.get(name, "")
            )
            for name, spec in self._rules.items()
        )
        outputs = tuple(self._outputs.values())
        return Findings(start, end, readings, rules, outputs, tuple(unheard), tuple(self._others))

    def _clear(self, name: str, at: Millis, *, still: bool) -> None:
        since, told = self._since.pop(name), self._told[name]
        self._spells[name].append(Spell(since, at - since, still, told[-1] if told else ""))

    def _off(self, output: str, at: Millis) -> None:
        lasted, known = at - self._on_since.pop(output, at), self._outputs[output]
        self._outputs[output] = OutputFinding(output, known.switches, known.on + lasted, max(known.longest, lasted))


def _named(rules: Iterable[RuleSpec], names: Collection[str]) -> list[RuleSpec]:
    return [msgspec.structs.replace(rule, enabled=True) for rule in rules if rule.name in names]


def _looked_at(rules: Iterable[RuleSpec]) -> frozenset[str]:
    """Return what rules look at, and what their messages show."""
    found: set[str] = set()
    for rule in rules:
        found |= conditions.sensors(rule.when) | conditions.sensors(rule.until or rule.when)
        found |= rule.alert.message.names if rule.alert else frozenset()
    return frozenset(found)


def _worked_out(specs: Iterable[DerivedSpec], looked_at: Iterable[str], recorded: Collection[str]) -> list[DerivedSpec]:
    """Return what is worked out anew of what is looked at: all but what was recorded without its inputs."""
    by_name = {spec.sensor: spec for spec in specs}
    inputs = {name: conditions.sensors(spec.value) for name, spec in by_name.items()}
    known = {*recorded}
    for name in order(inputs)[0]:
        if inputs[name] <= known or name not in recorded:
            known.add(name)
        else:
            del by_name[name]
    wanted = list(looked_at)
    for name in wanted:
        wanted += () if name not in by_name else inputs[name].difference(wanted)
    return [spec for name, spec in by_name.items() if name in wanted]


def _with_derived(node: Node, readings: Iterable[Reading]) -> Iterator[Reading]:
    """Return readings, and behind each what is derived from it."""
    for reading in readings:
        yield reading
        while (due := node.next_due()) is not None and due < reading.now:
            yield from _records(node.handle(Tick(due, due)))
        yield from (one for one in _records(node.handle(reading)) if one.sensor != reading.sensor)


def _records(effects: Iterable[Effect]) -> list[Reading]:
    return [effect.reading for effect in effects if type(effect) is Record]


def _sensor_spec(table: SensorTable) -> SensorSpec:
    """Return a sensor as it is in the store: what a dead band has thinned out is no silence."""
    every = None if derived.is_derived(table) else table.every
    if every is not None and table.dead_band is not None:
        every = max(every, -(-(table.heartbeat + every) // 3))
    low, high = table.valid or (None, None)
    limits = Limits(low, high, table.spike, table.stuck)
    return SensorSpec(table.name, table.label, table.unit or "", every, limits)


def _unjudged(reading: Reading) -> Reading:
    if reading.quality not in _JUDGED:
        return reading
    ok = Quality.OK
    return Reading(reading.sensor, reading.value, reading.at, reading.now, reading.arrived, ok, reading.sender_stamped)
