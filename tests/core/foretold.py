"""When rules fire, read literally: from all that was ever heard, keeping nothing in between.

Slow, and written from the words of docs/reference/rules.md alone, so that the program can be held against it.
What was heard is a list of facts, the oldest first, with times on `now` of the present boot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from outstation.core.conditions import actuators
from outstation.core.readings import Level, Millis
from outstation.core.rules import RuleSpec

STALE: Millis = 30_000
CALM: Millis = 1_000
"""A rule that looks at outputs turns no more often than this."""
FAR = 50.0
"""A step between two values of a sensor that is doubted once."""


class Heard(NamedTuple):
    """A sensor spoke; value None: it had nothing to say."""

    now: Millis
    sensor: str
    value: float | None


class Fell(NamedTuple):
    """The driver of a sensor failed."""

    now: Millis
    sensor: str


class Set(NamedTuple):
    """A setting has this value."""

    now: Millis
    setting: str
    value: float


class Stands(NamedTuple):
    """A driver said where its output is; None: it failed."""

    now: Millis
    actuator: str
    level: Level | None


class Told(NamedTuple):
    """The node looked at the clock: UTC is `now` and this; whether that is believed."""

    now: Millis
    offset: Millis
    believed: bool


class Gone(NamedTuple):
    """The program died then, and is back now, with these rules, and with what sensors said last: when, what, a spike?

    known: how long it was away is known.
    """

    now: Millis
    then: Millis
    known: bool
    rules: frozenset[str]
    remembered: Mapping[str, tuple[Millis, float | None, bool]]


Fact = Heard | Fell | Set | Stands | Told | Gone


def shifted(fact: Fact, shift: Millis) -> Fact:
    """Return a fact with its times on the clock of another boot."""
    if isinstance(fact, Told):
        return fact._replace(now=fact.now + shift, offset=fact.offset - shift)
    if not isinstance(fact, Gone):
        return fact._replace(now=fact.now + shift)
    remembered = {name: (now + shift, value, spike) for name, (now, value, spike) in fact.remembered.items()}
    return fact._replace(now=fact.now + shift, then=fact.then + shift, remembered=remembered)


class World:
    """What there is to look at, at one moment."""

    def __init__(self, settings: Mapping[str, float]) -> None:
        self.now: Millis = 0
        self.settings = dict(settings)
        self.heard: dict[str, tuple[Millis, float | None, bool]] = {}
        self.usual: dict[str, float] = {}
        self.doubted: set[str] = set()
        self.fallen: set[str] = set()
        self.levels: dict[str, Level | None] = {}
        self.offset: Millis | None = None

    def learn(self, fact: Fact) -> None:
        match fact:
            case Heard():
                self.fallen.discard(fact.sensor)
                self.heard[fact.sensor] = (fact.now, fact.value, self._is_spike(fact))
            case Fell():
                self.fallen.add(fact.sensor)
            case Set():
                self.settings[fact.setting] = fact.value
            case Stands():
                self.levels[fact.actuator] = fact.level
            case Told():
                self.offset = fact.offset if fact.believed else None
            case Gone():
                self.heard = dict(fact.remembered)
                self.usual, self.doubted, self.fallen, self.levels, self.offset = {}, set(), set(), {}, None

    def value(self, sensor: str, *, safety: bool) -> float | None:
        when, value, spike = self.heard.get(sensor, (0, None, False))
        if sensor in self.fallen or self.now - when > STALE or (spike and not safety):
            return None
        return value

    def age(self, sensor: str) -> float:
        return self.now - self.heard[sensor][0] if sensor in self.heard else float("inf")

    def on(self, actuator: str) -> bool | None:
        level = self.levels.get(actuator)
        return None if level is None else level > 0

    def minute(self) -> int | None:
        return None if self.offset is None else (self.now + self.offset) // 60_000 % 1440

    def next(self, until: Millis) -> Iterator[Millis]:
        """Return all moments until then at which something may change by itself."""
        for when, _, _ in self.heard.values():
            yield when + STALE + 1
            yield when + 20_001
        if self.offset is not None:
            first = self.now + 60_000 - (self.now + self.offset) % 60_000
            yield from range(first, until + 1, 60_000)

    def _is_spike(self, fact: Heard) -> bool:
        if fact.value is None:
            return False
        usual = self.usual.get(fact.sensor)
        if usual is not None and abs(fact.value - usual) > FAR and fact.sensor not in self.doubted:
            self.doubted.add(fact.sensor)
            return True
        self.usual[fact.sensor] = fact.value
        self.doubted.discard(fact.sensor)
        return False


Asks = Callable[[World, bool], bool | None]
"""A condition; the second: whether a safety rule asks."""


class Drawn(NamedTuple):
    """A rule, and its conditions once more, each written by hand. looks: all names in them."""

    spec: RuleSpec
    when: Asks
    until: Asks | None
    looks: frozenset[str]


class Life:
    """One rule through all that was heard.

    lasted: how long `when` was true, as far as anybody knew. silent: for how long nobody has. turned: when it
    began or ceased to fire. calms: it looks at outputs, and would turn too soon after that: it looks again then.
    """

    def __init__(self, drawn: Drawn, settings: Mapping[str, float]) -> None:
        self.drawn, self.hold = drawn, drawn.spec.hold
        self.world = World(settings)
        self.since: Millis | None = None
        self.truth: bool | None = False
        self.lasted: Millis = 0
        self.silent: Millis = 0
        self.turned: Millis | None = None
        self.calms: Millis | None = None
        self.told: Told | None = None
        self.awake, self.there = False, True

    def through(self, facts: list[Fact], now: Millis) -> None:
        for fact in facts:
            self._pass(fact.then if isinstance(fact, Gone) else fact.now)
            if isinstance(fact, Gone):
                self._back(fact)
                continue
            self.world.learn(fact)
            if isinstance(fact, Told):
                self._be_told(fact)
            elif self.awake or (isinstance(fact, Stands) and fact.actuator in self.drawn.looks):
                self._look()
        self._pass(now)

    @property
    def decided(self) -> bool:
        return self.truth is not None

    def _be_told(self, fact: Told) -> None:
        """Look where the clock was set; and at first, after a start."""
        before, self.told = self.told, fact
        set_ = before is None or abs(fact.offset - before.offset) > 1_000 or fact.believed is not before.believed
        if set_ or not self.awake:
            self.awake = True
            self._look()

    @property
    def _looks_at_outputs(self) -> bool:
        conditions = (self.drawn.spec.when, self.drawn.spec.until or self.drawn.spec.when)
        return any(actuators(one) for one in conditions)

    def _moments(self, until: Millis) -> list[Millis]:
        return [*self.world.next(until), self._end_of_hold(), self.calms or 0]

    def _pass(self, until: Millis) -> None:
        """Let time pass, looking whenever something may change."""
        while self.awake:
            moments = self._moments(until)
            ahead = min((moment for moment in moments if self.world.now < moment <= until), default=None)
            if ahead is None:
                break
            self._spend(ahead)
            self._look()
        self._spend(until)

    def _spend(self, until: Millis) -> None:
        spent = until - self.world.now
        self.world.now = until
        if self.since is None and self.truth:
            self.lasted += spent
        if self.truth is None:
            self.silent += spent
            if self.silent > self.hold:
                self.lasted = 0

    def _end_of_hold(self) -> Millis:
        return self.world.now + (self.hold - self.lasted if self.truth and self.since is None else 0)

    def _look(self) -> None:
        self.calms = None
        if not self.there:
            return
        drawn, world, safety = self.drawn, self.world, self.drawn.spec.safety
        firing = self.since is not None
        asks = drawn.until if firing and drawn.until else drawn.when
        truth = asks(world, safety)
        if truth is not None:
            self.silent = 0
        soonest = self.turned + CALM if self.turned is not None and self._looks_at_outputs else world.now
        if firing and truth is (drawn.until is not None):
            self.calms = soonest
            if world.now >= soonest:
                self.since, truth, self.lasted, self.turned = None, False, 0, world.now
        elif not firing and truth is False:
            self.lasted = 0
        elif not firing and truth and self.lasted >= self.hold:
            self.calms = soonest
            if world.now >= soonest and not (drawn.until and drawn.until(world, safety)):
                self.since, self.lasted, self.turned = world.now, 0, world.now
        self.truth = truth

    def _back(self, gone: Gone) -> None:
        """Go on after a restart: what fired fires; a hold counts the time away, or begins anew."""
        there = self.drawn.spec.name in gone.rules
        if not (there and self.there):
            self.since = None
        if not (there and self.there and gone.known):
            self.truth, self.lasted, self.silent = self.since is not None, 0, 0
        elif self.since is None and self.drawn.spec.hold_anew:
            self.truth, self.lasted, self.silent = False, 0, 0
        self._spend(gone.now)
        self.there, self.awake, self.turned, self.calms, self.told = there, False, None, None, None
        self.world.learn(gone)
