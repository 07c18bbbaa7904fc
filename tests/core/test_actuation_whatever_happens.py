"""Whatever happens to some outputs: the level that is asked for is the one that the order, read literally, asks for.

A world around them draws what happens: limits of every kind, people, rules, drivers that obey late,
fail, or fail and move all the same, and restarts in all their kinds. The outputs are driven as the
runner does it: one order under way for each, and of those that wait the last alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from outstation.core import actuation
from outstation.core.actuation import PULSE, ActuatorSpec, ActuatorState, Want
from outstation.core.readings import Command, Effect, Level, Millis, Switch, Switched, Tick
from outstation.core.restarts import Snapshot, Stamp, restore, snapshot
from outstation.errors import RefusedError
from tests.core.literal import Claimed, Died, Entry, Literal, Locked, Seen, Told, Wanted, moved, on, shifted, told
from tests.core.story import START

NAMES = ["fan", "pump", "valve"]
RULES = {"a": (1.0, False), "b": (2.0, False), "c": (2.0, False), "flood": (9.0, True), "frost": (9.0, True)}
ABRUPT = ("lock-out", "safety", "interlock", "max_on", "process death", "unknown")
"""What may switch an output off before its min_on is over; unknown: its driver had just failed."""


class World:
    """Some outputs, their drivers and all that was ever told of them. Checks after every event what must hold."""

    def __init__(self, specs: list[ActuatorSpec]) -> None:
        self.specs = specs
        self.boot, self.booted = 0, -5_000
        self.time: Millis = 0
        self.wrong: Millis = 0
        self.histories: dict[str, list[Entry]] = {name: [] for name in NAMES}
        self.wants: dict[str, dict[str, Want]] = {name: {} for name in NAMES}
        # What is really so, in true time: the level, since when, and whether its driver failed since.
        self.real: dict[str, bool] = dict.fromkeys(NAMES, False)
        self.since: dict[str, Millis] = dict.fromkeys(NAMES, -(10**9))
        self.faulty: set[str] = set()
        self.reasons: dict[str, str] = dict.fromkeys(NAMES, "default")
        self.asked_on: dict[str, Millis] = {}
        self._start()
        self._open(set())

    @property
    def now(self) -> Millis:
        return self.time - self.booted

    @property
    def tick(self) -> Tick:
        return Tick(START + self.time + self.wrong, self.now)

    # What may happen.

    def wait(self, millis: Millis) -> None:
        end = self.time + millis
        while (due := self._next_due()) is not None and due + self.booted <= end:
            assert due > self.now
            self.time = due + self.booted
            self._do(actuation.tick(self.states, self.tick))
        self.time = end
        self.check()

    def step_clock(self, wrong: Millis) -> None:
        self.wrong = wrong

    def order(self, name: str, action: str, who: str, value: float | None, duration: Millis | None) -> None:
        entries, refused = self._foretold(name, action, who, value, duration)
        before = msgspec.to_builtins(self.states)
        try:
            command = Command(name, action, who, self.tick.at, self.now, value, duration)
            effects = actuation.command(self.states, command)
        except RefusedError:
            assert refused
            assert msgspec.to_builtins(self.states) == before
            return
        assert not refused
        self.histories[name] += entries
        self._do(effects)

    def fire(self, name: str, rule: str, level: Level, decided: bool) -> None:
        priority, safety = RULES[rule]
        known = self.wants[name].get(rule)
        since = known.since if known and known.level == level else self.now
        self.wants[name][rule] = Want(rule, priority, safety, level, since, decided)
        self._claim(name)

    def clear(self, name: str, rule: str) -> None:
        self.wants[name].pop(rule, None)
        self._claim(name)

    def answer(self, name: str, failed: bool, moved_all_the_same: bool) -> None:
        """Let a driver finish what it was doing."""
        if name not in self.under_way:
            return
        level, line = self.under_way.pop(name)
        if name in self.waiting:
            self.under_way[name] = self.waiting.pop(name)
        if not failed or moved_all_the_same:
            self._move(name, on(level), line)
        if failed:
            self.faulty.add(name)
        self._see(name, None if failed else level)

    def restart(self, away: Millis, another: bool, sure: bool, rules: bool, failing: set[str]) -> None:
        """Let the program die, the outputs go safe, and the program start again; sure: both clocks are right."""
        then = self._stamp(sure)
        saved = msgspec.json.decode(msgspec.json.encode(snapshot(self.states, then)), type=Snapshot)
        for spec in self.specs:
            self._move(spec.name, spec.safe, "process death")
        self.time += away
        died = self.now - away
        shift = self._boot_anew(away, sure) if another else 0
        for name, entries in self.histories.items():
            self.histories[name] = [shifted(entry, shift) for entry in entries]
            self.histories[name].append(Died(self.now, sure or not another, died + shift))
            kept = {rule: moved(want, shift) for rule, want in self.wants[name].items() if rules}
            self.wants[name] = kept
            self.histories[name].append(Wanted(self.now, tuple(kept.values())))
        self._start()
        wants = {name: tuple(found.values()) for name, found in self.wants.items()}
        restore(self.states, saved, self._stamp(sure), wants)
        self.check()
        for name, state in self.states.items():
            self.histories[name].append(Told(self.now, state.wanted))
        self._open(failing)

    # What must hold.

    def check(self) -> None:
        literal = Literal(self.specs, self.histories, self.now)
        for spec in self.specs:
            asked = told(self.histories[spec.name])
            level = literal.level(spec.name)
            assert self.states[spec.name].wanted == level, spec.name
            assert asked is None or asked == level, spec.name
            self._check_run(spec)
        self._check_interlocks(literal)

    def _check_run(self, spec: ActuatorSpec) -> None:
        """See that nothing was asked to be on for longer than max_on, unless a safety rule has asked."""
        name = spec.name
        if not on(told(self.histories[name])) or any(want.safety for want in self.wants[name].values()):
            self.asked_on.pop(name, None)
            return
        began = self.asked_on.setdefault(name, self.time)
        assert spec.max_on is None or self.time - began < spec.max_on, name

    def _check_interlocks(self, literal: Literal) -> None:
        for name in NAMES:
            for partner in literal.partners(name):
                assert not (on(told(self.histories[name])) and on(told(self.histories[partner])))

    def _check_switch(self, switch: Switch) -> None:
        """See that what comes on finds each interlocked output off, and no order under way to change that."""
        name = switch.actuator
        if not on(switch.level) or any(want.safety for want in self.wants[name].values()):
            return
        for partner in Literal(self.specs, self.histories, self.now).partners(name):
            assert not self.real[partner]
            orders = [orders[partner] for orders in (self.under_way, self.waiting) if partner in orders]
            assert not any(on(level) for level, _ in orders)

    def _check_move(self, name: str, level: bool, line: str) -> None:
        """See that an output was on and off for as long as it must be, but for what outranks that."""
        spec, lasted = self.states[name].spec, self.time - self.since[name]
        if level:
            assert line in ("safety", "process death") or name in self.faulty or lasted >= spec.min_off, name
        else:
            assert line in ABRUPT or name in self.faulty or lasted >= spec.min_on, name

    # How it is done.

    def _start(self) -> None:
        self.states = {spec.name: ActuatorState(spec) for spec in self.specs}
        actuation.link(self.states)
        self.under_way: dict[str, tuple[Level, str]] = {}
        self.waiting: dict[str, tuple[Level, str]] = {}

    def _open(self, failing: set[str]) -> None:
        levels = {name: state.wanted for name, state in self.states.items()}
        for name, level in levels.items():
            decision = self.states[name].decision
            self._move(name, on(level), decision.ask.line if decision else "default")
        for name, level in levels.items():
            if told(self.histories[name]) is None:
                self.histories[name].append(Told(self.now, level))
        self.faulty |= failing & levels.keys()
        self._see_all({name: None if name in failing else level for name, level in levels.items()})

    def _boot_anew(self, away: Millis, sure: bool) -> Millis:
        before = self.now
        self.boot, self.booted = self.boot + 1, self.time - 5_000
        return self.now - before if sure else self.now - (before - away)

    def _stamp(self, sure: bool) -> Stamp:
        wrong = 0 if sure else self.wrong
        return Stamp(f"boot {self.boot}", self.now, START + self.time + wrong, sure)

    def _next_due(self) -> Millis | None:
        return min((due for state in self.states.values() if (due := state.next_due()) is not None), default=None)

    def _claim(self, name: str) -> None:
        wants = tuple(self.wants[name].values())
        if self.states[name].wants != wants:
            self.histories[name].append(Wanted(self.now, wants))
        self._do(actuation.claim(self.states, {name: wants}, self.tick))

    def _see(self, name: str, level: Level | None) -> None:
        self.histories[name].append(Seen(self.now, level))
        error = "the line is busy" if level is None else ""
        event = Switched(name, level, self.tick.at, self.now, error)
        self._do([*actuation.see(self.states, event), *actuation.review(self.states, [name], event)])

    def _see_all(self, levels: Mapping[str, Level | None]) -> None:
        """See what became of outputs that were opened together: nothing is decided before all have answered."""
        for event in self._answers(levels):
            actuation.see(self.states, event)
        self._do(actuation.review(self.states, list(levels), self.tick))

    def _answers(self, levels: Mapping[str, Level | None]) -> list[Switched]:
        for name, level in levels.items():
            self.histories[name].append(Seen(self.now, level))
        return [
            Switched(name, level, self.tick.at, self.now, "the line is busy" if level is None else "")
            for name, level in levels.items()
        ]

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Switch):
                self._check_switch(effect)
                self._drive(effect.actuator, effect.level)
        self.check()

    def _drive(self, name: str, level: Level) -> None:
        state, before = self.states[name], told(self.histories[name])
        assert state.decision is not None
        if before is None or on(before) != on(level):
            failed = state.level is None and not on(level)
            self.reasons[name] = "unknown" if failed else state.decision.ask.line
        self.histories[name].append(Told(self.now, level))
        (self.waiting if name in self.under_way else self.under_way)[name] = (level, self.reasons[name])

    def _move(self, name: str, level: bool, line: str) -> None:
        if self.real[name] != level:
            self._check_move(name, level, line)
            self.real[name], self.since[name] = level, self.time
            self.faulty.discard(name)

    def _foretold(
        self, name: str, action: str, who: str, value: float | None, duration: Millis | None
    ) -> tuple[list[Entry], bool]:
        """Return what a command adds to the history, and whether it must be refused."""
        literal, spec = Literal(self.specs, self.histories, self.now), self.states[name].spec
        locked = literal.lock(name)
        if action == "release":
            return [Claimed(self.now)], False
        if action == "unlock":
            return [Locked(self.now, "")], False
        if action == "lock":
            return [Locked(self.now, who), Claimed(self.now)], locked not in ("", who) or duration is not None
        if action == "set" and not (spec.dimmable and value is not None and 0 <= value <= 1):
            return [], True
        safety = literal.safety(name)
        levels: dict[str, Level | None] = {"on": True, "pulse": True, "off": False, "set": value}
        levels["toggle"] = self.states[name].level is not None and not on(
            literal.claimed(name) if safety is None else safety
        )
        level = levels[action]
        if duration is None:
            duration = PULSE if action == "pulse" else spec.manual_limit
        claim = Claimed(self.now, level, None if duration is None else self.now + duration)
        against = safety is not None and safety != level
        nothing = duration is not None and duration <= 0
        return [claim], bool(locked) or against or nothing or literal.keeps_too_long(name, claim)


Happening = tuple[Callable[..., None], tuple[Any, ...]]


def may(what: Callable[..., None], *drawn: st.SearchStrategy[Any]) -> st.SearchStrategy[Happening]:
    return st.tuples(st.just(what), st.tuples(*drawn))


# Coarse, so that things happen at the same moment.
spans = st.sampled_from([0, 1, 499, 500, 1_000, 1_500, 2_000, 5_000, 70_000])
limits = st.sampled_from([0, 0, 1_000, 2_000, 5_000])
names, rules, yes_or_no = st.sampled_from(NAMES), st.sampled_from(sorted(RULES)), st.booleans()
actions = st.sampled_from(["on", "on", "off", "toggle", "pulse", "set", "release", "lock", "unlock"])


@st.composite
def outputs(draw: st.DrawFn) -> list[ActuatorSpec]:
    """Draw what outputs are like; also such as no configuration may say."""
    return [
        ActuatorSpec(
            name,
            safe=draw(yes_or_no),
            default=draw(yes_or_no),
            dimmable=draw(yes_or_no),
            min_on=draw(limits),
            min_off=draw(limits),
            max_on=draw(st.none() | st.sampled_from([1_000, 2_500, 5_000])),
            interlock=tuple(draw(st.sets(st.sampled_from([*NAMES, "water", "power"]), max_size=2))),
            lease=draw(st.sampled_from([1_000, 4_000])),
            manual_for=draw(st.none() | st.sampled_from([1_500, 4_000])),
            ruled=draw(yes_or_no),
        )
        for name in NAMES
    ]


happenings = st.lists(
    st.one_of(
        may(World.wait, spans),
        may(World.wait, spans),
        may(World.order, names, actions, st.sampled_from(["anna", "ben"]), st.none() | st.just(0.5), st.none() | spans),
        may(World.fire, names, rules, st.sampled_from([True, True, False, 0.5]), yes_or_no),
        may(World.clear, names, rules),
        may(World.answer, names, st.sampled_from([False, False, True]), yes_or_no),
        may(World.answer, names, st.just(False), yes_or_no),
        may(World.restart, spans, yes_or_no, yes_or_no, yes_or_no, st.sets(names, max_size=1)),
        may(World.step_clock, st.sampled_from([0, 3_000, -3_000, 10**12])),
    ),
    min_size=20,
    max_size=60,
)


def after(specs: list[ActuatorSpec], what_happens: list[Happening]) -> World:
    world = World(specs)
    for happens, drawn in what_happens:
        happens(world, *drawn)
    return world


@given(outputs(), happenings)
@settings(deadline=None, max_examples=200)
def test_the_level_asked_for_is_what_the_order_says(specs: list[ActuatorSpec], what_happens: list[Happening]) -> None:
    """Each event is checked as it happens: see World.check and the checks beside it."""
    after(specs, what_happens)


@given(outputs(), happenings)
@settings(deadline=None, max_examples=30)
def test_once_the_drivers_obey_every_output_is_where_the_order_wants_it(
    specs: list[ActuatorSpec], what_happens: list[Happening]
) -> None:
    world = after(specs, what_happens)
    # Longer than any wait before another attempt.
    for _ in range(140):
        for name in NAMES:
            world.answer(name, failed=False, moved_all_the_same=True)
        world.wait(500)
    for name in NAMES:
        state = world.states[name]
        busy = name in world.under_way
        assert busy or (state.level == state.wanted and world.real[name] == on(state.wanted))
        assert not state.error
