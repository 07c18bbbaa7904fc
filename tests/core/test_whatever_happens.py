"""Whatever happens in whatever order: what the core promises, and that a replay ends where it ended.

A world around one node draws what happens: readings of every age, commands, steps of the wall
clock, drivers that obey and that fail. It drives the outputs as the runner does: one order
under way for each, and of those that wait the last alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from outstation.core.actuation import ActuatorSpec
from outstation.core.filters import Limits
from outstation.core.node import Node
from outstation.core.readings import (
    Command,
    Effect,
    Event,
    Failed,
    Level,
    Millis,
    Reading,
    Record,
    Switch,
    Switched,
    Tick,
)
from outstation.core.sensors import MAX_AHEAD, SensorSpec, SensorState
from outstation.errors import RefusedError
from tests.core.story import DAY, HOUR, START, YEARS_20, ms

OWN = ["air_temperature", "humidity"]
BOARDS = ["porch/temperature", "shed/door"]
OUTPUTS = ["led", "fan", "pump"]


def node_of_all_kinds() -> Node:
    limits = Limits(low=-30, high=60, spike=5, stuck=ms(HOUR))
    return Node(
        [
            SensorSpec(OWN[0], every=10_000),
            SensorSpec(OWN[1], every=60_000, limits=limits, dead_band=0.5),
            SensorSpec(BOARDS[0]),
            SensorSpec(BOARDS[1], limits=limits),
        ],
        [ActuatorSpec("led"), ActuatorSpec("fan", default=True), ActuatorSpec("pump", dimmable=True)],
    )


class World:
    """A node, its clocks and its drivers. Checks after every event what must always hold."""

    def __init__(self) -> None:
        self.node = node_of_all_kinds()
        self.now: Millis = ms(60)
        self.offset: Millis = START
        self.history: list[tuple[Event, list[Effect] | None]] = []
        self.last: dict[str, Level] = {}
        self.under_way: dict[str, Level] = {}
        self.waiting: dict[str, Level] = {}
        self.claims: dict[str, tuple[Level, Millis | None]] = {}
        self.tell(Tick(self.at, self.now))

    @property
    def at(self) -> Millis:
        return self.now + self.offset

    # What may happen.

    def wait(self, millis: Millis) -> None:
        """Let time pass, and wake the node whenever it wants to be."""
        end = self.now + millis
        while (due := self.node.next_due()) is not None and due <= end:
            self.now = max(self.now, due)
            self.tell(Tick(self.at, self.now))
            again = self.node.next_due()
            assert again is None or again > self.now
        self.now = end

    def step_clock(self, offset: Millis) -> None:
        self.offset = offset

    def say(self, sensor: str, value: float) -> None:
        self.tell(Reading(sensor, value, self.at, self.now, self.at))

    def send(self, sensor: str, value: float, age: Millis) -> None:
        self.tell(Reading(sensor, value, self.at - age, self.now, self.at, sender_stamped=True))

    def repeat(self, sensor: str) -> None:
        newest = self.node.sensors[sensor].newest
        if newest:
            self.tell(Reading(sensor, newest.value, newest.at, self.now, self.at, sender_stamped=True))

    def fail(self, sensor: str, error: str) -> None:
        self.tell(Failed(sensor, error, self.at, self.now))

    def order(self, actuator: str, action: str, value: float | None, duration: Millis | None) -> None:
        state = self.node.actuators[actuator]
        known, sent = state.level is not None, self.last[actuator]
        command = Command(actuator, action, "anna", self.at, self.now, value, duration)
        before = state.claim
        with contextlib.suppress(RefusedError):
            self.tell(command)
            self._claim(command, toggled=known and not sent)
            return
        assert state.claim is before

    def answer(self, actuator: str, error: str) -> None:
        """Let the driver finish what it was doing."""
        if actuator not in self.under_way:
            return
        level = self.under_way.pop(actuator)
        if actuator in self.waiting:
            self.under_way[actuator] = self.waiting.pop(actuator)
        self.tell(Switched(actuator, None if error else level, self.at, self.now, error))

    # What must hold.

    def tell(self, event: Event) -> None:
        newest = {name: state.newest for name, state in self.node.sensors.items()}
        try:
            effects = self.node.handle(event)
        except RefusedError:
            self.history.append((event, None))
            raise
        self.history.append((event, effects))
        self._drive(effects)
        if isinstance(event, Tick):
            self._let_claims_fall(event.now)
        if isinstance(event, Reading):
            check_reading(event, effects, newest[event.sensor], self.node.sensors[event.sensor])
        if not isinstance(event, Command):
            self.check_outputs()

    def check_outputs(self) -> None:
        for name, state in self.node.actuators.items():
            assert state.wanted == self._wanted(name)
            assert self.last[name] == state.wanted
            assert not state.error or state.level is None
            busy = name in self.under_way
            assert busy or (state.retry is not None if state.error else state.level == state.wanted)

    def _wanted(self, name: str) -> Level:
        return self.claims[name][0] if name in self.claims else name == "fan"

    def _let_claims_fall(self, now: Millis) -> None:
        for name, (_, until) in list(self.claims.items()):
            if until is not None and now >= until:
                del self.claims[name]

    def _claim(self, command: Command, *, toggled: bool) -> None:
        self.claims.pop(command.actuator, None)
        duration = 500 if command.action == "pulse" and command.duration is None else command.duration
        until = None if duration is None else self.now + duration
        asked: dict[str, Level] = {"on": True, "pulse": True, "off": False, "toggle": toggled}
        if command.action == "set" and command.value is not None:
            asked["set"] = command.value
        if command.action in asked:
            self.claims[command.actuator] = (asked[command.action], until)
        self.check_outputs()

    def _drive(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Switch):
                self.last[effect.actuator] = effect.level
                busy = effect.actuator in self.under_way
                (self.waiting if busy else self.under_way)[effect.actuator] = effect.level


def check_reading(reading: Reading, effects: list[Effect], before: Reading | None, state: SensorState) -> None:
    """See that a reading is kept as it came, and that the newest never goes back in its sender's time."""
    records = [effect.reading for effect in effects if isinstance(effect, Record)]
    assert [(kept.at, kept.value, kept.now) for kept in records] in (
        [(reading.at, reading.value, reading.now)],
        [] if state.spec.dead_band else None,
    )
    newest = state.newest
    if not reading.sender_stamped:
        assert newest is not None
        assert (newest.at, newest.now) == (reading.at, reading.now)
    elif before is not None and before.at <= reading.arrived + MAX_AHEAD:
        assert newest is not None
        assert newest.at >= before.at


Happening = tuple[Callable[..., None], tuple[Any, ...]]


def may(what: Callable[..., None], *drawn: st.SearchStrategy[Any]) -> st.SearchStrategy[Happening]:
    return st.tuples(st.just(what), st.tuples(*drawn))


millis = st.integers(0, 5_000) | st.integers(0, ms(HOUR))
wall_clocks = st.sampled_from([START, START + ms(YEARS_20), START - ms(YEARS_20), START + ms(HOUR), 0])
# Late, as old as the stale limits are, at once, ahead, far ahead.
ages = st.integers(-MAX_AHEAD, ms(HOUR)) | st.sampled_from([0, 29_999, 30_000, 30_001, ms(DAY), -ms(YEARS_20)])
numbers = st.floats(-50, 100) | st.sampled_from([20.0, 21.0, 85.0])
boards, outputs = st.sampled_from(BOARDS), st.sampled_from(OUTPUTS)
actions = st.sampled_from(["on", "off", "toggle", "pulse", "set", "release", "explode"])
answers = st.sampled_from(["", "", "the line is busy", "no line"])

happenings = st.lists(
    st.one_of(
        may(World.wait, millis),
        may(World.step_clock, wall_clocks),
        may(World.say, st.sampled_from([*OWN, *BOARDS]), numbers),
        may(World.send, boards, numbers, ages),
        may(World.repeat, boards),
        may(World.fail, st.sampled_from(OWN), st.sampled_from(["no answer", "no bus"])),
        may(World.order, outputs, actions, st.none() | st.floats(-0.5, 1.5), st.none() | millis),
        may(World.answer, outputs, answers),
    ),
    max_size=60,
)


def after(what_happens: list[Happening]) -> World:
    world = World()
    for happens, drawn in what_happens:
        happens(world, *drawn)
    return world


@given(happenings)
def test_what_is_wanted_is_what_the_driver_was_told_last(what_happens: list[Happening]) -> None:
    """Each event is checked as it is told: see World.tell."""
    after(what_happens)


@given(happenings)
def test_once_the_drivers_obey_every_output_is_where_it_is_wanted(what_happens: list[Happening]) -> None:
    world = after(what_happens)
    for _ in range(3):
        for name in OUTPUTS:
            while name in world.under_way:
                world.answer(name, "")
        # The longest wait before another attempt.
        world.wait(60_000)
    for name in OUTPUTS:
        while name in world.under_way:
            world.answer(name, "")
        state = world.node.actuators[name]
        assert (state.level, state.error, state.retry) == (state.wanted, "", None)


@given(happenings)
def test_a_replay_does_the_same_and_ends_in_the_same_state(what_happens: list[Happening]) -> None:
    world = after(what_happens)
    replay = node_of_all_kinds()
    for event, effects in world.history:
        try:
            assert replay.handle(event) == effects
        except RefusedError:
            assert effects is None
    assert replay.sensors == world.node.sensors
    assert replay.actuators == world.node.actuators
    assert replay.next_due() == world.node.next_due()
