"""Who decides over an output: its claims, its limits, and their order as a table.

The law of this file: it looks and changes nothing. Each line of ORDER says what it asks of one
output, or that it does not apply; the highest line that applies decides, and only that one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from outstation.core.readings import Level, Millis

RETRY_FIRST: Millis = 1_000

LEASE: Millis = 5 * 60_000
"""How long a claim that cannot be decided stands: a sensor may fall silent for a while, not for good."""

MANUAL_FOR: Millis = 60 * 60_000
"""How long a person's claim keeps a rule from its output when nothing is said: they go home and forget it."""


class ActuatorSpec(msgspec.Struct, frozen=True):
    """One output as configured. `safe` is the level for when nobody decides, `default` when nobody asks.

    min_on, min_off: 0 for none. max_on: None for none. interlock: outputs that must not be on with
    this one, or words; outputs that share a word are interlocked. manual_for: None for what fits.
    ruled: some rule may claim it.
    """

    name: str
    label: str = ""
    safe: bool = False
    default: bool = False
    dimmable: bool = False
    min_on: Millis = 0
    min_off: Millis = 0
    max_on: Millis | None = None
    interlock: tuple[str, ...] = ()
    lease: Millis = LEASE
    manual_for: Millis | None = None
    ruled: bool = False

    @property
    def manual_limit(self) -> Millis | None:
        """How long a person's claim lasts that names no end; None: until released."""
        if self.manual_for is not None:
            return self.manual_for
        return MANUAL_FOR if self.ruled or self.max_on is not None else None


class Claim(msgspec.Struct, frozen=True):
    """A person wants the output at `level`, since and until (None: until released) these times on both clocks."""

    who: str
    level: Level
    since: Millis
    since_at: Millis
    until: Millis | None = None
    until_at: Millis | None = None


class Lock(msgspec.Struct, frozen=True):
    """A person works on what the output drives: it is off until they, or another person, unlock it."""

    who: str
    since: Millis
    since_at: Millis


class Want(msgspec.Struct, frozen=True):
    """A rule that fires wants the output at `level`, since then. decided: its condition is known just now."""

    rule: str
    priority: float
    safety: bool
    level: Level
    since: Millis
    decided: bool = True


class Ask(msgspec.Struct, frozen=True):
    """What one line asks for: in whose name, since when, and until when where that is known, on `now`."""

    line: str
    level: Level
    who: str = ""
    since: Millis | None = None
    until: Millis | None = None


class Decision(msgspec.Struct, frozen=True):
    """What is asked of an output; what its claims alone ask for (wish), and the lines that said otherwise (held)."""

    ask: Ask
    wish: Ask
    held: tuple[Ask, ...] = ()


class ActuatorState(msgspec.Struct):
    """One output now. level: None while unknown; since changed_at, UTC. asked: what the driver was last told.

    wanted: what the highest line asks for. retry: when a failed output is tried again; retry_wait:
    how long after the next failure. due: when a line begins or ends to apply.

    on_since, off_since: seen on or off by its driver, and nothing else asked, since then. on_from:
    it may be on, since then: asked to be, or unknown. run_ended: when max_on last ended a run.
    running: the level when it was last asked to be on. undecided: since when which rule cannot be.
    partners: the outputs that it is interlocked with. waits_for: the one of them that keeps it off.
    """

    spec: ActuatorSpec
    level: Level | None = None
    changed_at: Millis | None = None
    asked: Level | None = None
    claim: Claim | None = None
    error: str = ""
    retry: Millis | None = None
    retry_wait: Millis = RETRY_FIRST
    wanted: Level = False
    lock: Lock | None = None
    wants: tuple[Want, ...] = ()
    undecided: dict[str, Millis] = {}
    on_since: Millis | None = None
    off_since: Millis | None = None
    on_from: Millis | None = None
    run_ended: Millis | None = None
    running: Level = True
    partners: tuple[str, ...] = ()
    waits_for: str = ""
    decision: Decision | None = None
    due: Millis | None = None

    def __post_init__(self) -> None:
        # What must be seen off before it may come on is opened off.
        self.wanted = self.spec.default and not self.spec.min_off

    def next_due(self) -> Millis | None:
        """Return when this output wants a Tick."""
        return earlier(self.due, self.retry)


def earlier(one: Millis | None, other: Millis | None) -> Millis | None:
    """Return the earlier of two times, of which either may be none. Asked for with every reading."""
    if one is None or (other is not None and other < one):
        return other
    return one


Asks = Callable[[ActuatorState, Ask, Millis], Ask | None]
"""What a line asks of an output, given what all lines below ask for together; None: it does not apply."""


class Line(msgspec.Struct, frozen=True):
    """One line of the order: when it applies and what it asks for, in words; and in code, but where none runs."""

    name: str
    applies: str
    level: str
    asks: Asks | None = None


def decide(state: ActuatorState, now: Millis) -> Decision:
    """Go through the order from below; the last line that applies is the highest."""
    wish = ask = _highest(_CLAIMS, state, now)
    held: list[Ask] = []
    for asks in _OTHERS:
        found = asks(state, ask, now)
        if found is None:
            continue
        ask = found
        if found.level != wish.level:
            held.append(found)
    return Decision(ask, wish, tuple(held) if ask.level != wish.level else ())


def below_interlock(state: ActuatorState, now: Millis) -> Ask:
    """Return what the output would be asked for if it were interlocked with nothing, nor a matter of safety."""
    return _highest(_UNTIED, state, now)


def safety_ask(state: ActuatorState, now: Millis) -> Ask | None:
    """Return what the output's safety rules ask for, whoever else does."""
    want = _strongest(state, (want for want in state.wants if want.safety), now)
    return _of("safety", state, want, now) if want else None


def is_on(level: Level | None) -> bool:
    """Tell whether a level is known, and above zero."""
    return level is not None and level > 0


def is_refraining(state: ActuatorState) -> bool:
    """Tell whether the output was last told to be off."""
    return state.asked is not None and not is_on(state.asked)


def may_be_on(state: ActuatorState) -> bool:
    """Tell whether the output is on for all that is known: asked to be, not seen off since, or unknown."""
    return state.level is None or state.off_since is None


def must_run_on(state: ActuatorState, now: Millis) -> bool:
    """Tell whether the output came on less than min_on ago, or is just coming on."""
    if not state.spec.min_on or is_refraining(state):
        return False
    if state.on_since is None:
        # Told to come on, and its driver has not answered. One that failed may go off at once.
        return is_on(state.asked) and state.level is not None
    return now < state.on_since + state.spec.min_on


def run_is_over(state: ActuatorState, now: Millis) -> bool:
    """Tell whether the output may have been on for max_on, and was not seen off since."""
    end = run_end(state)
    return end is not None and now >= end


def run_end(state: ActuatorState) -> Millis | None:
    """Return when max_on ends the present run."""
    if state.on_from is None or state.spec.max_on is None:
        return None
    return state.on_from + state.spec.max_on


def lease_end(state: ActuatorState, rule: str) -> Millis | None:
    """Return when the claim of a rule falls that cannot be decided; None while it can."""
    since = state.undecided.get(rule)
    return None if since is None else since + state.spec.lease


def _highest(lines: Iterable[Asks], state: ActuatorState, now: Millis) -> Ask:
    """Return what the highest of these lines asks for, the lowest of them first."""
    ask = _NOBODY
    for asks in lines:
        ask = asks(state, ask, now) or ask
    return ask


def _lock_out(state: ActuatorState, _below: Ask, _now: Millis) -> Ask | None:
    lock = state.lock
    return Ask("lock-out", False, lock.who, lock.since) if lock else None


def _safety(state: ActuatorState, _below: Ask, now: Millis) -> Ask | None:
    ask = safety_ask(state, now)
    # It waits for one thing only: another safety rule that came first to an interlocked output.
    return None if ask and is_on(ask.level) and state.waits_for else ask


def _interlock(state: ActuatorState, _below: Ask, _now: Millis) -> Ask | None:
    return Ask("interlock", False, state.waits_for) if state.waits_for else None


def _max_on(state: ActuatorState, below: Ask, now: Millis) -> Ask | None:
    if is_on(below.level):
        return Ask("max_on", False, below.who, run_end(state)) if run_is_over(state, now) else None
    want = _strongest(state, (want for want in state.wants if not want.safety), now)
    if want is None or state.claim or not _is_spent(state, want, now):
        return None
    return Ask("max_on", False, want.rule, state.run_ended)


def _min_off(state: ActuatorState, below: Ask, now: Millis) -> Ask | None:
    stayed_on = state.asked is None and state.on_since is not None
    if not state.spec.min_off or not is_on(below.level) or is_on(state.asked) or stayed_on:
        return None
    until = None if state.off_since is None else state.off_since + state.spec.min_off
    return Ask("min_off", False, "", state.off_since, until) if until is None or now < until else None


def _min_on(state: ActuatorState, below: Ask, now: Millis) -> Ask | None:
    if is_on(below.level) or not must_run_on(state, now):
        return None
    since = state.on_since
    return Ask("min_on", state.running, "", since, None if since is None else since + state.spec.min_on)


def _manual(state: ActuatorState, _below: Ask, _now: Millis) -> Ask | None:
    claim = state.claim
    return Ask("manual", claim.level, claim.who, claim.since, claim.until) if claim else None


def _rule(state: ActuatorState, _below: Ask, now: Millis) -> Ask | None:
    ordinary = (want for want in state.wants if not want.safety)
    want = _strongest(state, (want for want in ordinary if not _is_spent(state, want, now)), now)
    return _of("rule", state, want, now) if want else None


def _default(state: ActuatorState, _below: Ask, _now: Millis) -> Ask | None:
    return Ask("default", state.spec.default)


def _strongest(state: ActuatorState, wants: Iterable[Want], now: Millis) -> Want | None:
    """Return the claim of the highest priority; among equals what is safe, then the earliest, then by name."""

    def rank(want: Want) -> tuple[float, bool, Millis, str]:
        risky = is_on(_level(state, want, now)) != state.spec.safe
        return -want.priority, risky, want.since, want.rule

    return min(wants, key=rank, default=None)


def _of(line: str, state: ActuatorState, want: Want, now: Millis) -> Ask:
    end = lease_end(state, want.rule)
    return Ask(line, _level(state, want, now), want.rule, want.since, end if end is None or now < end else None)


def _level(state: ActuatorState, want: Want, now: Millis) -> Level:
    """Return what a rule asks for: past its lease, a claim that cannot be decided is one for the safe level."""
    end = lease_end(state, want.rule)
    return want.level if end is None or now < end else state.spec.safe


def _is_spent(state: ActuatorState, want: Want, now: Millis) -> bool:
    """Tell whether a claim to be on stood when max_on ended a run: then it is not worth another."""
    return is_on(_level(state, want, now)) and state.run_ended is not None and want.since < state.run_ended


ABOVE = (
    Line("process death", "the program is dead, frozen or stopping", "`safe`"),
    Line("lock-out", "a person has locked it, to work on what it drives", "off", _lock_out),
    Line("safety", 'a rule with `priority = "safety"` claims it', "what that rule asks for", _safety),
)
LIMITS = (
    Line("interlock", "an output that it is interlocked with may be on, or comes first", "off", _interlock),
    Line("max_on", "it has been on for `max_on`, or the claims that stood then still stand", "off", _max_on),
    Line("min_off", "it was not yet seen off for `min_off`", "off", _min_off),
    Line("min_on", "it was seen on less than `min_on` ago", "on, as it is", _min_on),
)
CLAIMS = (
    Line("manual", "a person claims it", "what they asked for", _manual),
    Line("rule", "a rule claims it", "what the highest `priority` asks for", _rule),
    Line("default", "always", "`default`", _default),
)
ORDER = (*ABOVE, *LIMITS, *CLAIMS)
"""The order, highest first. The picture in docs/reference/outputs.md is drawn from it."""

_NOBODY = Ask("nobody", False)


def _from_below(lines: Iterable[Line]) -> tuple[Asks, ...]:
    return tuple(line.asks for line in lines if line.asks)[::-1]


_CLAIMS, _OTHERS, _UNTIED = _from_below(CLAIMS), _from_below((*ABOVE, *LIMITS)), _from_below((*LIMITS[1:], *CLAIMS))
