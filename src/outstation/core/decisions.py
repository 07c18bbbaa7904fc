"""What the node decides: rules, the outputs that they and people claim, settings, alerts.

The law of this file: outputs come first among the effects, and whatever changed that must outlive
a restart comes with them. A rule looks at outputs as they are, not as they will be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from outstation.core import actuation, claims, conditions, messages, restarts, restoring, rules, standing
from outstation.core.actuation import ActuatorSpec, ActuatorState, Want
from outstation.core.agenda import Agenda
from outstation.core.alerts import Alerts, Quiet
from outstation.core.conditions import Condition
from outstation.core.interlock import tied
from outstation.core.readings import (
    Acknowledge,
    Adjust,
    Command,
    Effect,
    Keep,
    Millis,
    Note,
    Reading,
    Switched,
    Tick,
    Trouble,
)
from outstation.core.restarts import Stamp
from outstation.core.restoring import Kept
from outstation.core.rules import RuleSpec, RuleState
from outstation.core.sensors import SensorState
from outstation.core.settings import SavedSetting, SettingSpec, out_of_bounds
from outstation.core.sight import Sight
from outstation.errors import RefusedError, UnknownNameError

T = TypeVar("T")

STEP: Millis = 1_000
"""A clock that moves by more than this against the time since boot was set: what waits for an hour looks again."""


class Decisions:
    """The deciding part of one node. Each method takes in an event and returns what is to be done about it."""

    def __init__(
        self,
        sensors: Mapping[str, SensorState],
        actuators: Iterable[ActuatorSpec],
        specs: Iterable[RuleSpec],
        settings: Iterable[SettingSpec],
        quiet: Quiet | None,
    ) -> None:
        self.actuators = {spec.name: ActuatorState(spec) for spec in actuators}
        actuation.link(self.actuators)
        self.setting_specs = {spec.name: spec for spec in settings}
        self.settings = {spec.name: spec.default for spec in self.setting_specs.values()}
        self.set_by: dict[str, SavedSetting] = {}
        self.sight = Sight(sensors, self.actuators, self.settings)
        self.rules = {spec.name: rules.begin(spec) for spec in specs if spec.enabled}
        self.disabled = [spec for spec in specs if not spec.enabled]
        self.alerts = Alerts(quiet)
        self._agenda = Agenda()
        self._claimed = _by(self.rules.values(), lambda rule: rule.spec.claims)
        self._of_sensor = _by(self.rules.values(), _looked_at(conditions.sensors))
        self._of_actuator = _by(self.rules.values(), _looked_at(conditions.actuators))
        self._of_setting = _by(self.rules.values(), _looked_at(conditions.settings))
        self._kept: dict[tuple[str, str], bytes] = {}
        self._clock: tuple[Millis, bool] | None = None

    def spans_of(self, sensor: str) -> tuple[Millis, ...]:
        """Return the spans over which rules look at a sensor."""
        found = {
            span
            for rule in self._of_sensor.get(sensor, ())
            for condition in (rule.spec.when, rule.spec.until or rule.spec.when)
            for span in conditions.spans(condition).get(sensor, ())
        }
        return tuple(sorted(found))

    @property
    def ask_for_the_sun(self) -> bool:
        """Whether any rule looks at sunrise or sunset."""
        conditions_ = (one for rule in self.rules.values() for one in (rule.spec.when, rule.spec.until) if one)
        return any(conditions.asks_for_the_sun(one) for one in conditions_)

    def looks_at(self, sensor: str) -> bool:
        """Tell whether any rule looks at a sensor."""
        return sensor in self._of_sensor

    def readings(self, readings: Sequence[Reading]) -> list[Effect]:
        """Look at the rules of sensors that have spoken, at the same moment: each of them once."""
        latest = readings[-1]
        self._look(latest.arrived, latest.now)
        if len(readings) == 1:
            return self._step(self._of_sensor[latest.sensor])
        due = {rule.spec.name: rule for reading in readings for rule in self._of_sensor[reading.sensor]}
        return self._step(due.values())

    def failed(self, sensor: str, at: Millis, now: Millis) -> list[Effect]:
        """Look at the rules of a sensor whose driver failed."""
        self._look(at, now)
        return self._step(self._of_sensor.get(sensor, ()))

    def tick(self, event: Tick) -> list[Effect]:
        """Look at what changes by itself: holds, ages, times of day, claims, repetitions."""
        self._look(event.at, event.now)
        first, due = self._clock is None, [self.rules[name] for name in self._agenda.due(event.now)]
        if self._is_clock_set(event):
            due = list(self.rules.values())
        # Not sooner: nobody knew what time of day it is, and whether people sleep.
        forgotten = self._forgotten_alerts() if first else []
        effects = [*(self._step(due) if due else []), *forgotten]
        if outputs := [name for name, state in self.actuators.items() if _is_due(state, event.now)]:
            effects += self._outputs(actuation.tick(self.actuators, event), outputs)
        return effects + self.alerts.tick(self.sight)

    def command(self, event: Command) -> list[Effect]:
        """Take a person's command for an output. Raises RefusedError, OutrankedError, UnknownActionError."""
        self._look(event.at, event.now)
        return self._outputs(actuation.command(self.actuators, event), [event.actuator])

    def switched(self, events: Sequence[Switched]) -> list[Effect]:
        """Take in what outputs' drivers did, at the same moment: all of it, before anything is decided."""
        self._look(events[-1].at, events[-1].now)
        seen = [effect for event in events for effect in actuation.see(self.actuators, event)]
        # Rules look before anything is driven: an output that one of them takes back at once would only click.
        names = [event.actuator for event in events]
        looking = {rule.spec.name: rule for name in names for rule in self._of_actuator.get(name, ())}
        effects = [*self._step(looking.values(), moved=names), *seen]
        for name in names:
            effects += self._disobeys(self.actuators[name])
        return effects

    def _disobeys(self, state: ActuatorState) -> list[Effect]:
        """Tell people of an output whose driver fails, and when it answers again."""
        name = state.spec.name
        if not state.error:
            return self.alerts.clear("output", name, self.sight)
        text = f"{name} does not obey, so nobody knows whether it is on: {state.error}"
        return self.alerts.start("output", name, "critical", text, self.sight)

    def adjust(self, event: Adjust) -> list[Effect]:
        """Change a setting. Raises UnknownNameError, RefusedError."""
        spec = self.setting(event.setting)
        value = spec.default if event.value is None else event.value
        if reason := out_of_bounds(spec, value):
            raise RefusedError(f"{spec.name}: {reason}")
        self._look(event.at, event.now)
        before, self.settings[spec.name] = self.settings[spec.name], value
        effects: list[Effect] = []
        if event.value is None:
            self.set_by.pop(spec.name, None)
            effects += self.keep("setting", spec.name, None)
        else:
            self.set_by[spec.name] = SavedSetting(value, event.who, event.at)
            effects += self.keep("setting", spec.name, self.set_by[spec.name])
        note = Note(
            "setting", spec.name, f"from {before:g} to {value:g} {spec.unit}".rstrip() + f" by {event.who}", event.at
        )
        return [*self._step(self._of_setting.get(spec.name, ())), *effects, note]

    def acknowledge(self, event: Acknowledge) -> list[Effect]:
        """Take in that somebody has seen an alert. Raises UnknownNameError, RefusedError."""
        self._look(event.at, event.now)
        return self.alerts.acknowledge(event, self.sight)

    def trouble(self, event: Trouble) -> list[Effect]:
        """Tell people of something about the node itself, once, and when it is over."""
        self._look(event.at, event.now)
        if not event.text:
            return self.alerts.clear("node", event.subject, self.sight)
        return self.alerts.start("node", event.subject, event.severity, event.text, self.sight)

    def next_due(self) -> Millis | None:
        """Return when this wants a Tick."""
        soonest = claims.earlier(self._agenda.first(), self.alerts.next_due(self.sight))
        for state in self.actuators.values():
            soonest = claims.earlier(soonest, state.next_due())
        return soonest

    def setting(self, name: str) -> SettingSpec:
        """Return a setting by name. Raises UnknownNameError."""
        try:
            return self.setting_specs[name]
        except KeyError:
            known = ", ".join(self.setting_specs) or "none"
            raise UnknownNameError(f'There is no setting "{name[:80]}".', cure=f"Known: {known}.") from None

    def restore(self, kept: Kept, then: Stamp, here: Stamp) -> list[Effect]:
        """Go on after a restart, before anything is driven: outputs are to be opened where they are `wanted`.

        Returns everything that is kept from now on, with times of this boot, and what of the old is not.
        """
        self._look(here.at, here.now)
        return restoring.restore(self, kept, then, here)

    def wants(self) -> dict[str, tuple[Want, ...]]:
        """Return the claims of all rules that fire, by output."""
        return {name: self._wants(name) for name in self._claimed}

    def keep(self, kind: str, name: str, value: msgspec.Struct | None) -> list[Keep]:
        """Return that this is to be kept from now on, unless it is already."""
        body = None if value is None else msgspec.json.encode(value)
        if self._kept.get((kind, name)) == body:
            return []
        if body is None:
            del self._kept[kind, name]
        else:
            self._kept[kind, name] = body
        return [Keep(kind, name, body)]

    def still_kept(self) -> list[Keep]:
        """Return something to keep once more while an output is on for a limited time, for the sake of its stamp."""
        running = [name for name, state in self.actuators.items() if state.spec.max_on is not None and state.on_from]
        return [Keep("output", name, self._kept["output", name]) for name in running if ("output", name) in self._kept][
            :1
        ]

    # How it is done.

    def _is_clock_set(self, event: Tick) -> bool:
        """Tell whether local time has jumped, is believed only now, or is told for the first time."""
        self.sight.zone = event.zone
        before, self._clock = self._clock, (event.at - event.now, event.zone is None)
        return before is None or abs(before[0] - self._clock[0]) > STEP or before[1] is not self._clock[1]

    def _look(self, at: Millis, now: Millis) -> None:
        self.sight.at, self.sight.now = at, now

    def _step(self, states: Iterable[RuleState], moved: Sequence[str] = ()) -> list[Effect]:
        """Look at rules at this moment; have their outputs follow, and those that were seen to move."""
        outputs: dict[str, tuple[Want, ...]] = {}
        effects: list[Effect] = []
        for state in states:
            before = state.unknown is None, state.failed
            changed = rules.step(state, self.sight)
            self._agenda.put(state.spec.name, state.due)
            if changed or (state.firing and before[0] is not (state.unknown is None)):
                outputs |= dict.fromkeys(state.spec.claims, ())
            if changed:
                effects += self._told(state)
            elif state.failed and not before[1]:
                effects += self._broken(state)
            if state.firing or state.asked is not None or ("rule", state.spec.name) in self._kept:
                effects += self.keep("rule", state.spec.name, rules.saved(state))
        if outputs or moved:
            wants = {name: self._wants(name) for name in outputs}
            moment = Tick(self.sight.at, self.sight.now)
            driven = actuation.claim(self.actuators, wants, moment, moved)
            return [*self._outputs(driven, [*outputs, *moved]), *effects]
        return effects

    def _wants(self, actuator: str) -> tuple[Want, ...]:
        return tuple(rules.want(rule, actuator) for rule in self._claimed[actuator] if rule.firing)

    def _told(self, state: RuleState) -> list[Effect]:
        """Return what people are told of a rule that began or ceased to fire."""
        spec, sight = state.spec, self.sight
        why = spec.when.text if state.firing else spec.until.text if spec.until else f"no longer: {spec.when.text}"
        note = Note("rule fires" if state.firing else "rule clears", spec.name, why, sight.at)
        if spec.alert is None:
            return [note]
        if not state.firing:
            return [note, *self.alerts.clear("rule", spec.name, sight)]
        text = messages.written(spec.alert.message, sight.shown)
        names = sorted(spec.alert.message.names | _all_names(spec))
        values = {name: sight.shown(name) for name in names}
        started = self.alerts.start(
            "rule", spec.name, spec.alert.severity, text, sight, values=values, repeat=spec.alert.repeat
        )
        return [note, *started]

    def _broken(self, state: RuleState) -> list[Effect]:
        name = state.spec.name
        text = f'the rule "{name}" failed and is disabled until the node is started anew: {state.failed}'
        note = Note("rule failed", name, state.failed, self.sight.at)
        return [note, *self.alerts.start("broken rule", name, "critical", text, self.sight)]

    def _outputs(self, effects: list[Effect], names: Iterable[str]) -> list[Effect]:
        """Add what has to be kept of outputs that something was done about, and who is told of it."""
        for name in tied(self.actuators, names):
            state = self.actuators[name]
            effects += self.keep("output", name, restarts.saved(state))
            effects += self._cut_off(state)
        return effects

    def _cut_off(self, state: ActuatorState) -> list[Effect]:
        """Tell people of an output that max_on keeps off while a rule still wants it on: something is wrong."""
        name, decision = state.spec.name, state.decision
        if decision is None or decision.ask.line != "max_on" or not decision.ask.who:
            return self.alerts.clear("max_on", name, self.sight)
        if self.alerts.of("max_on", name):
            return []
        text = f"{name} is kept {standing.words(state, decision.ask, self.sight.now)}"
        return self.alerts.start("max_on", name, "warning", text, self.sight)

    def _forgotten_alerts(self) -> list[Effect]:
        """Clear what nobody will: alerts of rules that do not fire any more, or raise none, and of outputs gone."""
        effects: list[Effect] = []
        for alert in self.alerts.standing:
            rule = self.rules.get(alert.subject) if alert.kind == "rule" else None
            # Who watches over the node itself says when that is well again.
            others = alert.kind == "node" or (alert.kind in ("output", "max_on") and alert.subject in self.actuators)
            stands = rule.firing and rule.spec.alert is not None if rule else others
            effects += [] if stands else self.alerts.clear(alert.kind, alert.subject, self.sight)
        return effects


def _by(states: Iterable[RuleState], keys: Callable[[RuleState], Iterable[str]]) -> dict[str, list[RuleState]]:
    """Return the rules by what they have to do with."""
    found: dict[str, list[RuleState]] = {}
    for state in states:
        for key in keys(state):
            found.setdefault(key, []).append(state)
    return found


def _looked_at(names: Callable[[Condition], frozenset[str]]) -> Callable[[RuleState], Iterable[str]]:
    return lambda rule: names(rule.spec.when) | names(rule.spec.until or rule.spec.when)


def _is_due(state: ActuatorState, now: Millis) -> bool:
    """Tell whether an output wants to be looked at: its time has come, or its driver was not told yet."""
    due = state.next_due()
    return state.asked != state.wanted or (due is not None and due <= now)


def _all_names(spec: RuleSpec) -> frozenset[str]:
    """Return all that a rule looks at."""
    looks = (conditions.sensors, conditions.actuators, conditions.settings)
    return frozenset(name for look in looks for name in look(spec.when))
