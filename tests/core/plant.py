"""Outputs with drivers that obey at once, unless told otherwise: the words of the stories about the order.

Times are seconds. Before anything happens, time passes until then, with a Tick whenever one is due.
"""

from __future__ import annotations

from typing import Any

import msgspec

from outstation.core import actuation, standing
from outstation.core.actuation import ActuatorSpec, ActuatorState, Want
from outstation.core.readings import Command, Effect, Level, Millis, Note, Switch, Switched, Tick
from outstation.core.restarts import Snapshot, Stamp, passage, restore, snapshot
from tests.core.story import START, ms

PUMP, VALVE, HEATER = "pump", "valve", "heater"

Happened = tuple[float, str, Level]


def output(name: str = PUMP, **more: Any) -> ActuatorSpec:
    """Make an output; times are seconds here."""
    for key in ("min_on", "min_off", "max_on", "lease", "manual_for"):
        if key in more:
            more[key] = ms(more[key])
    return ActuatorSpec(name, **more)


class Plant:
    """Some outputs, opened and seen where they are wanted at second 0."""

    def __init__(self, *specs: ActuatorSpec, opened: bool = True) -> None:
        self.states = {spec.name: ActuatorState(spec) for spec in specs}
        actuation.link(self.states)
        self.clock: Millis = 0
        self.boot_at: Millis = START
        self.switchings: list[Happened] = []
        self.notes: list[tuple[str, str]] = []
        self.wants: dict[str, dict[str, Want]] = {spec.name: {} for spec in specs}
        self.failing: set[str] = set()
        self.slow: set[str] = set()
        if opened:
            self.open()

    def open(self) -> None:
        """Drive each output to where it is wanted, as a start does; these are no switchings."""
        for name, level in {name: state.wanted for name, state in self.states.items()}.items():
            self._answer(name, level)

    # What happens.

    def wait(self, second: float) -> None:
        """Let time pass until this second, and tell it whenever that is due."""
        end = ms(second)
        while (due := self.next_due()) is not None and due <= end:
            assert due > self.clock, "it wants to be told the time for ever"
            self.clock = due
            self._do(actuation.tick(self.states, self.tick))
        self.clock = end

    def order(self, second: float, action: str, name: str = PUMP, *, who: str = "anna", **more: Any) -> None:
        """Have a person command an output."""
        self.wait(second)
        self._do(actuation.command(self.states, Command(name, action, who, self.tick.at, self.clock, **more)))

    def fire(
        self,
        second: float,
        rule: str,
        name: str = PUMP,
        level: Level = True,
        *,
        priority: float = 0,
        safety: bool = False,
    ) -> None:
        """Have a rule claim an output."""
        self.wait(second)
        self.wants[name][rule] = Want(rule, priority, safety, level, self.clock)
        self._claim(name)

    def doubt(self, second: float, rule: str, name: str = PUMP, *, decided: bool = False) -> None:
        """Have the condition of a rule that fires become unknown, or known again."""
        self.wait(second)
        self.wants[name][rule] = msgspec.structs.replace(self.wants[name][rule], decided=decided)
        self._claim(name)

    def clear(self, second: float, rule: str, name: str = PUMP) -> None:
        """Have a rule let go of an output."""
        self.wait(second)
        del self.wants[name][rule]
        self._claim(name)

    def answer(self, second: float, name: str = PUMP, level: Level | None = None, *, error: str = "") -> None:
        """Have a slow driver answer: that it obeyed, unless said otherwise."""
        self.wait(second)
        asked = self.states[name].asked
        self._answer(name, None if error else asked if level is None else level, error)

    def restart(
        self, second: float, *, boot: str = "first", now: float | None = None, trusted: bool = True, rules: bool = True
    ) -> None:
        """Have the program die now, and start again at this second of the wall clock; `now` on the new boot's clock."""
        saved = self.save(trusted=trusted)
        fresh = Plant(*(state.spec for state in self.states.values()), opened=False)
        self.states, self.clock = fresh.states, ms(second if now is None else now)
        self.boot_at = START + ms(second) - self.clock
        here = Stamp(boot, self.clock, self.tick.at, trusted)
        shift = passage(saved.stamp, here).shift
        for found in self.wants.values():
            for rule, want in found.items():
                found[rule] = msgspec.structs.replace(want, since=want.since + shift)
        wants = {name: tuple(found.values()) for name, found in self.wants.items()} if rules else None
        self.notes += [(note.kind, note.text) for note in restore(self.states, saved, here, wants)]
        self.open()

    def save(self, *, trusted: bool = True) -> Snapshot:
        return snapshot(self.states, Stamp("first", self.clock, self.tick.at, trusted))

    # What came of it.

    @property
    def tick(self) -> Tick:
        return Tick(self.boot_at + self.clock, self.clock)

    def next_due(self) -> Millis | None:
        due = [time for state in self.states.values() if (time := state.next_due()) is not None]
        return min(due, default=None)

    def stands(self, name: str = PUMP) -> standing.Standing:
        return standing.who(self.states[name], at=self.tick.at, now=self.clock)

    def line(self, name: str = PUMP) -> str:
        return self.stands(name).line

    def pending(self, name: str = PUMP) -> tuple[Level, float | None] | None:
        """Return what is pending, and the second at which it comes into effect."""
        pending = self.stands(name).pending
        if pending is None:
            return None
        return pending.level, None if pending.effective_at is None else (pending.effective_at - START) / 1000

    def is_on(self, name: str = PUMP) -> bool:
        return bool(self.states[name].wanted)

    def _claim(self, name: str) -> None:
        self._do(actuation.claim(self.states, {name: tuple(self.wants[name].values())}, self.tick))

    def _do(self, effects: list[Effect]) -> None:
        self.notes += [(effect.kind, effect.text) for effect in effects if isinstance(effect, Note)]
        switches = [effect for effect in effects if isinstance(effect, Switch)]
        self.switchings += [(self.clock / 1000, switch.actuator, switch.level) for switch in switches]
        for switch in switches:
            if switch.actuator not in self.slow:
                failing = switch.actuator in self.failing
                self._answer(switch.actuator, None if failing else switch.level, "the line is busy" if failing else "")

    def _answer(self, name: str, level: Level | None, error: str = "") -> None:
        event = Switched(name, level, self.tick.at, self.clock, error)
        self._do([*actuation.see(self.states, event), *actuation.review(self.states, [name], event)])
