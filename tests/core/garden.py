"""A node with rules, whose drivers obey at once unless told otherwise: the words of the stories about decisions.

Times are seconds. Before anything happens, time passes until then, with a Tick whenever one is due.
What the node keeps is kept here as the store keeps it, and is all that a restart finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from outstation.core import conditions, messages
from outstation.core.actuation import ActuatorSpec, ActuatorState
from outstation.core.alerts import Quiet
from outstation.core.filters import Limits
from outstation.core.node import Node
from outstation.core.readings import (
    Acknowledge,
    Adjust,
    Alert,
    Alerted,
    Command,
    Effect,
    Event,
    Failed,
    Keep,
    Level,
    Note,
    Reading,
    Record,
    Severity,
    Switch,
    Switched,
    Tick,
    Value,
    Zone,
)
from outstation.core.restarts import Stamp
from outstation.core.rules import AlertSpec, RuleSpec
from outstation.core.sensors import SensorSpec
from outstation.core.settings import SettingSpec
from tests.core.story import AIR, START, ms

VENT, HEATER = "vent", "heater"
VENT_AT = SettingSpec("vent_at", 30, low=10, high=40, unit="°C")
OUTPUTS = (ActuatorSpec(VENT, lease=ms(300), ruled=True), ActuatorSpec(HEATER, lease=ms(300), ruled=True))
NIGHT: Quiet = (22 * 60, 7 * 60)


def sensor(*, limits: Limits | None = None, dead_band: float | None = None) -> SensorSpec:
    """Make the sensor of the air: stale after 30 s."""
    return SensorSpec(AIR, every=10_000, limits=limits or Limits(), dead_band=dead_band)


def rule(
    when: str = f"{AIR} > 30",
    until: str | None = None,
    *,
    name: str = "ventilate",
    hold: float = 0,
    claims: Mapping[str, Level] | None = None,
    alert: AlertSpec | None = None,
    priority: float = 0,
    safety: bool = False,
    anew: bool = False,
) -> RuleSpec:
    """Make a rule, whose condition may name outputs, vent_at, and a setting that no node has: `ghost`."""
    return RuleSpec(
        name,
        condition(when),
        None if until is None else condition(until),
        hold=ms(hold),
        claims={VENT: True} if claims is None else claims,
        alert=alert,
        priority=priority,
        safety=safety,
        hold_anew=anew,
    )


def condition(text: str) -> conditions.Condition:
    return conditions.parse(text, actuators=[VENT, HEATER], settings=[VENT_AT.name, "ghost"])


def alarm(
    text: str = f"It is {{{AIR}:.1f}} °C", *, severity: Severity = "warning", repeat: float | None = None
) -> AlertSpec:
    return AlertSpec(messages.parse(text), severity, None if repeat is None else ms(repeat))


class Garden:
    """A node that runs since second 0, on a day that begins at `hour`, local time."""

    def __init__(
        self,
        *rules: RuleSpec,
        outputs: Iterable[ActuatorSpec] = OUTPUTS,
        sensors: Iterable[SensorSpec] | None = None,
        settings: Iterable[SettingSpec] = (VENT_AT,),
        quiet: Quiet | None = None,
        hour: float = 12,
        zone: bool = True,
    ) -> None:
        self.rules, self.outputs, self.settings, self.quiet = rules, tuple(outputs), tuple(settings), quiet
        self.sensors = (sensor(),) if sensors is None else tuple(sensors)
        self.zone = Zone(ms(hour * 3600)) if zone else None
        self.boot, self.clock, self.boot_at = "first", 0, START
        self.rows: dict[tuple[str, str], bytes] = {}
        self.stamp = self.here()
        self.failing: set[str] = set()
        self.switchings: list[tuple[float, str, Level]] = []
        self.journal: list[tuple[str, str, str]] = []
        self.alerted: list[tuple[float, str, bool, str]] = []
        self.records: list[Reading] = []
        self._begin()
        self._open()

    # What happens.

    def wait(self, second: float) -> None:
        """Let time pass until this second."""
        end = ms(second)
        while (due := self.node.next_due()) is not None and due <= end:
            assert due > self.clock, "it wants to be told the time for ever"
            self.clock = due
            self.handle(self.tick)
        self.clock = end

    def says(self, second: float, value: Value | None, name: str = AIR) -> list[Effect]:
        """Have a sensor of this node speak."""
        self.wait(second)
        return self.handle(Reading(name, value, self.tick.at, self.clock, self.tick.at))

    def late(self, second: float, measured: float, value: Value, name: str = AIR) -> list[Effect]:
        """Have a reading come that was measured long before."""
        self.wait(second)
        at = self.boot_at + ms(measured)
        return self.handle(Reading(name, value, at, self.clock, self.tick.at, sender_stamped=True))

    def steady(self, begin: float, end: float, value: Value) -> None:
        """Have the sensor of the air say the same every 10 s, at both ends also."""
        for second in range(round(begin), round(end) + 1, 10):
            self.says(second, value)

    def fails(self, second: float, error: str = "no answer", name: str = AIR) -> list[Effect]:
        """Have the driver of a sensor fail."""
        self.wait(second)
        return self.handle(Failed(name, error, self.tick.at, self.clock))

    def order(self, second: float, action: str, name: str = VENT, *, duration: float | None = None) -> list[Effect]:
        """Have a person command an output."""
        self.wait(second)
        span = None if duration is None else ms(duration)
        return self.handle(Command(name, action, "anna", self.tick.at, self.clock, None, span))

    def adjust(self, second: float, value: float | None, name: str = "vent_at") -> list[Effect]:
        """Have a person change a setting."""
        self.wait(second)
        return self.handle(Adjust(name, value, "anna", self.tick.at, self.clock))

    def acknowledge(self, second: float, number: int) -> list[Effect]:
        """Have a person acknowledge an alert."""
        self.wait(second)
        return self.handle(Acknowledge(number, "anna", self.tick.at, self.clock))

    def answers(self, second: float, name: str = VENT, level: Level | None = None, error: str = "") -> list[Effect]:
        """Have a driver say something unasked."""
        self.wait(second)
        return self.handle(Switched(name, level, self.tick.at, self.clock, error))

    def ticks(self, second: float) -> list[Effect]:
        """Have the node look at the clock, due or not, as it does at least once a second."""
        self.wait(second)
        return self.handle(self.tick)

    def step_clock(self, second: float, by: float) -> None:
        """Set the wall clock."""
        self.wait(second)
        self.boot_at += ms(by)

    def restart(
        self,
        away: float = 10,
        *,
        another: bool = False,
        trusted: bool = True,
        rules: Iterable[RuleSpec] | None = None,
        outputs: Iterable[ActuatorSpec] | None = None,
        settings: Iterable[SettingSpec] | None = None,
    ) -> list[Effect]:
        """Have the program die and start again; return what going on makes known.

        another: in another boot, whose clock begins at 5 s. What else is given is so in the config from now on.
        """
        self.rules = self.rules if rules is None else tuple(rules)
        self.outputs = self.outputs if outputs is None else tuple(outputs)
        self.settings = self.settings if settings is None else tuple(settings)
        then = Stamp(self.stamp.boot, self.stamp.now, self.stamp.at, trusted)
        back = self.tick.at + ms(away)
        self.clock += ms(away)
        if another:
            self.boot, self.clock, self.boot_at = f"{self.boot} and another", 5_000, back - 5_000
        if another and not trusted:
            # Nobody knows any more when they were.
            self.records.clear()
        kept, newest = dict(self.rows), {reading.sensor: reading for reading in self.records}
        self._begin()
        for spec in self.sensors:
            self._remember(spec, newest.get(spec.name))
        here = self.here()
        effects = self.node.restore(kept, then, Stamp(here.boot, here.now, here.at, trusted))
        self._take(effects)
        self._open()
        return effects

    # What came of it.

    @property
    def tick(self) -> Tick:
        return Tick(self.boot_at + self.clock, self.clock, self.zone)

    @property
    def second(self) -> float:
        return self.clock / 1000

    @property
    def alerts(self) -> list[Alert]:
        return self.node.decisions.alerts.standing

    def output(self, name: str = VENT) -> ActuatorState:
        return self.node.actuators[name]

    def is_on(self, name: str = VENT) -> bool:
        return bool(self.output(name).wanted)

    def fires(self, name: str = "ventilate") -> bool:
        return self.node.decisions.rules[name].firing

    def line(self, name: str = VENT) -> str:
        decision = self.output(name).decision
        return decision.ask.line if decision else ""

    def happenings(self) -> list[tuple[float, str, bool]]:
        """Return what happened to alerts, when, and whether people were told."""
        return [(second, happened, tell) for second, happened, tell, _ in self.alerted]

    def noted(self, kind: str) -> list[str]:
        return [text for found, _, text in self.journal if found == kind]

    def here(self) -> Stamp:
        return Stamp(self.boot, self.clock, self.tick.at, trusted=True)

    def handle(self, event: Event) -> list[Effect]:
        effects = self.node.handle(event)
        self._take(effects)
        return effects

    # How it is done.

    def _begin(self) -> None:
        self.node = Node(self.sensors, self.outputs, rules=self.rules, settings=self.settings, quiet=self.quiet)

    def _remember(self, spec: SensorSpec, newest: Reading | None) -> None:
        """Tell the node what a sensor said last, as a start does, with `now` on the clock of this boot."""
        if newest is not None:
            now = self.clock - (self.tick.at - newest.arrived)
            self.node.learn(spec, msgspec.structs.replace(newest, now=now))

    def _open(self) -> None:
        """Open each output where it is wanted, and tell the time, as a start does; these are no switchings."""
        for name, level in {name: state.wanted for name, state in self.node.actuators.items()}.items():
            self._answer(name, level)
        self.handle(self.tick)

    def _take(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Keep():
                    self._keep(effect)
                case Note():
                    self.journal.append((effect.kind, effect.subject, effect.text))
                case Alerted():
                    self.alerted.append((self.second, effect.happened, effect.tell, effect.alert.message))
                case Record():
                    self.records.append(effect.reading)
        for effect in effects:
            if isinstance(effect, Switch):
                self.switchings.append((self.second, effect.actuator, effect.level))
                self._answer(effect.actuator, effect.level)

    def _keep(self, effect: Keep) -> None:
        self.stamp = self.here()
        if effect.body is None:
            self.rows.pop((effect.kind, effect.name), None)
        else:
            self.rows[effect.kind, effect.name] = effect.body

    def _answer(self, name: str, level: Level) -> None:
        failing = name in self.failing
        error = "the line is busy" if failing else ""
        self.handle(Switched(name, None if failing else level, self.tick.at, self.clock, error))
