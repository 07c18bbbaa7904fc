"""Whatever happens to a node with rules: each output is asked for what the order, read literally, asks for.

The world of test_actuation_whatever_happens.py with a whole node in it: sensors that speak, fall silent and
fail, rules of all kinds, settings, clocks that are set, and restarts from what the node has kept, with a config
that may have lost rules. And no change is slept through: between two wake-ups nothing else is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from outstation.core import conditions, messages
from outstation.core.actuation import ActuatorSpec, Want
from outstation.core.filters import Limits
from outstation.core.node import Node
from outstation.core.readings import (
    Adjust,
    Alerted,
    Command,
    Effect,
    Event,
    Failed,
    Keep,
    Level,
    Millis,
    Quality,
    Reading,
    Record,
    Switch,
    Switched,
    Tick,
    Zone,
)
from outstation.core.rules import AlertSpec, RuleSpec
from outstation.core.sensors import SensorSpec
from outstation.core.settings import SettingSpec
from outstation.errors import RefusedError
from tests.core import foretold
from tests.core.by_hand import CONDITIONS
from tests.core.foretold import Drawn, Fact, Life
from tests.core.literal import Died, Literal, Seen, Told, Wanted, shifted, told
from tests.core.story import START
from tests.core.test_actuation_whatever_happens import (
    NAMES,
    Happening,
    World,
    actions,
    may,
    names,
    outputs,
    spans,
    yes_or_no,
)

SENSORS = ["s", "r"]
BOUND = SettingSpec("bound", 5, low=4, high=9)
FIRST = {"bound": 5.0}


class Site(World):
    """Some outputs and a node that decides over them."""

    def __init__(self, specs: list[ActuatorSpec], drawn: list[Drawn]) -> None:
        self.drawn = {one.spec.name: one for one in drawn}
        self.there = frozenset(self.drawn)
        self.facts: list[Fact] = []
        self.rows: dict[tuple[str, str], bytes] = {}
        self.newest: dict[str, Reading] = {}
        self.believed = True
        super().__init__(specs)
        self._tell()

    @property
    def tick(self) -> Tick:
        return Tick(START + self.time + self.wrong, self.now, Zone(0) if self.believed else None)

    # What may happen, besides.

    def wait(self, millis: Millis) -> None:
        end = self.time + millis
        while (due := self.node.next_due()) is not None and due + self.booted <= end:
            assert due > self.now, "it wants to be told the time for ever"
            self._see_nothing_changes(due)
            self.time = due + self.booted
            self._happens(self.tick)
        self._see_nothing_changes(end - self.booted + 1)
        self.time = end
        self.check()

    def step_clock(self, wrong: Millis) -> None:
        self.wrong = wrong
        self._tell()

    def believe(self, believed: bool) -> None:
        self.believed = believed
        self._tell()

    def order(self, name: str, action: str, who: str, value: float | None, duration: Millis | None) -> None:
        entries, refused = self._foretold(name, action, who, value, duration)
        command = Command(name, action, who, self.tick.at, self.now, value, duration)
        try:
            effects = self.node.handle(command)
        except RefusedError:
            assert refused
            self.check()
            return
        assert not refused
        self.histories[name] += entries
        self._follow(effects, ordered=name)

    def hear(self, sensor: str, value: float | None) -> None:
        self.facts.append(foretold.Heard(self.now, sensor, value))
        reading = Reading(sensor, value, self.tick.at, self.now, self.tick.at)
        effects = self._happens(reading)
        recorded = [effect.reading for effect in effects if isinstance(effect, Record)]
        if any(isinstance(effect, Keep | Switch | Alerted) for effect in effects):
            assert [one.sensor for one in recorded] == [sensor], (
                "a dead band swallowed a reading that changed something"
            )

    def hear_late(self, sensor: str, value: float, arrived: Millis) -> None:
        at = self.tick.at
        reading = Reading(sensor, value, at - 30_001 - arrived, self.now, at, sender_stamped=True)
        effects = self.node.handle(reading)
        assert [type(effect) for effect in effects] == [Record]
        self.check()

    def fall(self, sensor: str) -> None:
        self.facts.append(foretold.Fell(self.now, sensor))
        self._happens(Failed(sensor, "no answer", self.tick.at, self.now))

    def adjust(self, value: float | None) -> None:
        self.facts.append(foretold.Set(self.now, "bound", BOUND.default if value is None else value))
        self._happens(Adjust("bound", value, "anna", self.tick.at, self.now))

    def die(self, away: Millis, another: bool, sure: bool, there: frozenset[str], failing: set[str]) -> None:
        """Let the program die, the outputs go safe, and the program start again; sure: both clocks are right."""
        then, at = self._stamp(sure), self.now
        for spec in self.specs:
            self._move(spec.name, spec.safe, "process death")
        self.time += away
        shift = self._boot_anew(away, sure) if another else 0
        self._shift(shift)
        known, back = sure or not another, at + shift
        self.there = there & frozenset(self.drawn)
        newest = self.newest if known else {}
        remembered = {name: (one.now, number(one), one.quality is Quality.SPIKE) for name, one in newest.items()}
        self.facts.append(foretold.Gone(self.now, back, known, self.there, remembered))
        self._start()
        for name, one in newest.items():
            self.node.learn(self.node.sensors[name].spec, one)
        self.wants = self._foretold_wants(self.now)
        for name, entries in self.histories.items():
            entries.append(Died(self.now, known, back))
            entries.append(Wanted(self.now, tuple(self.wants[name].values())))
        self._keep(self.node.restore(dict(self.rows), then, self._stamp(sure)))
        self.check()
        for name, state in self.states.items():
            self.histories[name].append(Told(self.now, state.wanted))
        self._open(failing)
        self._tell()

    # What must hold, besides.

    def _see_nothing_changes(self, due: Millis) -> None:
        """See that until just before it wants to be woken, everything asked for stays as it is."""
        for now in {self.now + 1, (self.now + due) // 2, due - 1}:
            if not self.now < now < due:
                continue
            assert self._foretold_wants(now) == self.wants, "a rule was slept through"
            literal = Literal(self.specs, self.histories, now)
            for name in NAMES:
                assert self.states[name].wanted == literal.level(name), f"{name} was slept through"

    def _check_rules(self) -> None:
        for name in self.there:
            alert = self.node.decisions.alerts.of("rule", name)
            assert (alert is not None) is self.node.decisions.rules[name].firing

    # How it is done.

    def _start(self) -> None:
        sensors = [
            SensorSpec(name, every=10_000, limits=Limits(spike=foretold.FAR), dead_band=band, heartbeat=10**9)
            for name, band in zip(SENSORS, (None, 1_000.0), strict=True)
        ]
        rules = [self.drawn[name].spec for name in sorted(self.there)]
        self.node = Node(sensors, self.specs, rules=rules, settings=[BOUND])
        self.states = self.node.actuators
        self.under_way: dict[str, tuple[Level, str]] = {}
        self.waiting: dict[str, tuple[Level, str]] = {}

    def _shift(self, shift: Millis) -> None:
        for name, entries in self.histories.items():
            self.histories[name] = [shifted(entry, shift) for entry in entries]
        self.facts = [foretold.shifted(fact, shift) for fact in self.facts]
        self.newest = {
            name: Reading(name, one.value, one.at, one.now + shift, one.arrived, one.quality)
            for name, one in self.newest.items()
        }

    def _tell(self) -> None:
        """Look at the clock."""
        tick = self.tick
        self.facts.append(foretold.Told(self.now, tick.at - tick.now, self.believed))
        self._happens(tick)
        self._check_rules()

    def _see(self, name: str, level: Level | None) -> None:
        self.histories[name].append(Seen(self.now, level))
        self.facts.append(foretold.Stands(self.now, name, level))
        error = "the line is busy" if level is None else ""
        self._happens(Switched(name, level, self.tick.at, self.now, error))

    def _see_all(self, levels: Mapping[str, Level | None]) -> None:
        self.facts += [foretold.Stands(self.now, name, level) for name, level in levels.items()]
        self._follow(self.node.switched(self._answers(levels)))

    def _happens(self, event: Event) -> list[Effect]:
        effects = self.node.handle(event)
        self._follow(effects)
        return effects

    def _follow(self, effects: list[Effect], ordered: str = "") -> None:
        """Keep what is to be kept, drive what is to be driven, and see that it is what must be."""
        wants = self._foretold_wants(self.now)
        for name in NAMES:
            if wants[name] != self.wants[name]:
                self.histories[name].append(Wanted(self.now, tuple(wants[name].values())))
        self.wants = wants
        self._keep(effects)
        for effect in effects:
            if isinstance(effect, Switch):
                self._check_needed(effect, ordered)
        self._do(effects)

    def _check_needed(self, switch: Switch, ordered: str) -> None:
        """See that a driver is told once: again only when a person asks once more, or it has failed."""
        name = switch.actuator
        known = bool(self.states[name].error) or ordered == name
        assert known or told(self.histories[name]) != switch.level, f"{name} was told twice"

    def _keep(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Keep) and effect.body is None:
                self.rows.pop((effect.kind, effect.name), None)
            elif isinstance(effect, Keep):
                assert effect.body is not None
                self.rows[effect.kind, effect.name] = effect.body
            elif isinstance(effect, Record) and effect.reading.sensor in SENSORS:
                self.newest[effect.reading.sensor] = effect.reading

    def _foretold_wants(self, now: Millis) -> dict[str, dict[str, Want]]:
        found: dict[str, dict[str, Want]] = {name: {} for name in NAMES}
        for drawn in self.drawn.values():
            life, spec = Life(drawn, FIRST), drawn.spec
            life.world.now = -(10**9)
            life.there = True
            life.through(self.facts, now)
            if life.since is None:
                continue
            for name, level in spec.claims.items():
                found[name][spec.name] = Want(spec.name, spec.priority, spec.safety, level, life.since, life.decided)
        return found


def number(reading: Reading) -> float | None:
    assert not isinstance(reading.value, str)
    return reading.value


@st.composite
def some_rules(draw: st.DrawFn) -> list[Drawn]:
    """Draw what rules are like."""
    return [draw(a_rule(f"rule {number}")) for number in range(draw(st.integers(1, 4)))]


@st.composite
def a_rule(draw: st.DrawFn, name: str) -> Drawn:
    text, when, until_text, until = draw(st.sampled_from(CONDITIONS))
    claims: Mapping[str, Level] = draw(
        st.dictionaries(names, st.sampled_from([True, True, False, 0.5]), min_size=1, max_size=2)
    )
    spec = RuleSpec(
        name,
        parsed(text),
        None if until_text is None else parsed(until_text),
        hold=draw(st.sampled_from([0, 0, 1_000, 2_000, 40_000])),
        priority=draw(st.sampled_from([0.0, 0.0, 1.0])),
        safety=draw(st.sampled_from([False, False, False, True])),
        claims=claims,
        alert=AlertSpec(messages.parse("Look at {s:.1f}"), repeat=None),
        hold_anew=draw(yes_or_no),
    )
    return Drawn(spec, when, until, frozenset(looked_at(spec)))


def looked_at(spec: RuleSpec) -> set[str]:
    look_for = (conditions.sensors, conditions.actuators, conditions.settings)
    return {name for one in (spec.when, spec.until) if one for look in look_for for name in look(one)}


def parsed(text: str) -> conditions.Condition:
    return conditions.parse(text, actuators=NAMES, settings=["bound"])


sensors = st.sampled_from(SENSORS)
said = st.sampled_from([2.0, 4.0, 6.0, 6.0, 8.0, 99.0, None])
longer = spans | st.sampled_from([3_000, 20_001, 30_001, 45_000])
there = st.frozensets(st.sampled_from([f"rule {number}" for number in range(4)]), min_size=2)
everybody = st.just(frozenset(f"rule {number}" for number in range(4)))

happenings: st.SearchStrategy[list[Happening]] = st.lists(
    st.one_of(
        may(Site.wait, longer),
        may(Site.wait, longer),
        may(Site.hear, sensors, said),
        may(Site.hear, sensors, said),
        may(Site.hear, st.just("s"), said),
        may(Site.hear_late, sensors, st.sampled_from([2.0, 8.0]), spans),
        may(Site.fall, sensors),
        may(Site.adjust, st.none() | st.sampled_from([4.0, 7.0, 9.0])),
        may(Site.order, names, actions, st.sampled_from(["anna", "ben"]), st.none() | st.just(0.5), st.none() | spans),
        may(Site.answer, names, st.sampled_from([False, False, True]), yes_or_no),
        may(Site.answer, names, st.just(False), yes_or_no),
        may(Site.answer, names, st.just(False), yes_or_no),
        may(Site.die, longer, yes_or_no, yes_or_no, everybody | there, st.sets(names, max_size=1)),
        may(Site.step_clock, st.sampled_from([0, 90_000, -90_000, 20 * 365 * 86_400_000, -20 * 365 * 86_400_000])),
        may(Site.believe, yes_or_no),
    ),
    min_size=20,
    max_size=60,
)


def after(specs: list[ActuatorSpec], drawn: list[Drawn], what_happens: list[Happening]) -> Site:
    site = Site(specs, drawn)
    for happens, how in what_happens:
        happens(site, *how)
    return site


@given(outputs(), some_rules(), happenings)
@settings(deadline=None, max_examples=150)
def test_every_output_is_asked_for_what_the_order_asks_for(
    specs: list[ActuatorSpec], drawn: list[Drawn], what_happens: list[Happening]
) -> None:
    """Each event is checked as it happens: see World.check and the checks beside it."""
    after(specs, drawn, what_happens)
