"""When a condition becomes a firing rule: hold, until, unknown, restarts.

The law of this file: what cannot be decided changes nothing by itself. It stops the clock of a hold;
a rule that fires goes on firing, and its claims are for their leases to end.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from outstation.core.claims import Want, earlier
from outstation.core.conditions import Condition, Decide, Look, Minutes, actuators, ager, decider, minuter
from outstation.core.messages import Message
from outstation.core.readings import Level, Millis, Severity
from outstation.core.sight import Sight

TURNS_APART: Millis = 1_000
"""A rule that looks at outputs begins or ceases to fire no sooner after it last did: one that looks at what it moves
itself would turn as fast as the output obeys."""


class AlertSpec(msgspec.Struct, frozen=True):
    """What a rule tells people when it fires. repeat: again so often until it is acknowledged; None: once."""

    message: Message
    severity: Severity = "warning"
    repeat: Millis | None = None


class RuleSpec(msgspec.Struct, frozen=True):
    """One rule as configured.

    until: None: it clears when `when` is false. hold: how long `when` has to be true before it fires.
    safety: above priorities. claims: outputs and the levels that it claims. hold_anew: after a restart
    a hold begins anew; else the time that the node was off counts.
    """

    name: str
    when: Condition
    until: Condition | None = None
    hold: Millis = 0
    priority: float = 0
    safety: bool = False
    enabled: bool = True
    claims: Mapping[str, Level] = {}
    alert: AlertSpec | None = None
    hold_anew: bool = False


class SavedRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of a rule; the times are on `now`. text: its conditions, by which it is the same rule."""

    since: Millis | None = None
    asked: Millis | None = None
    unknown: Millis | None = None
    text: str = ""


class RuleState(msgspec.Struct):
    """One rule now. since: it fires, since then; None: it does not. failed: why it was disabled, "" while it works.

    asked: `when` has been true since then, less the time for which nobody knew. unknown: since when the
    condition that counts just now cannot be decided. truth: what that condition came to.
    turned: when it last began or ceased to fire; apart: how soon it may again. due: when it wants to be looked at.
    """

    spec: RuleSpec
    decide: Decide
    decide_until: Decide
    look: Look
    look_until: Look
    minutes: Minutes | None
    minutes_until: Minutes | None
    apart: Millis
    since: Millis | None = None
    asked: Millis | None = None
    unknown: Millis | None = None
    truth: bool | None = None
    turned: Millis | None = None
    failed: str = ""
    due: Millis | None = None

    @property
    def firing(self) -> bool:
        """Whether it fires."""
        return self.since is not None

    @property
    def condition(self) -> Condition:
        """The condition that counts just now: `until` while it fires, if there is one."""
        return self.spec.until or self.spec.when if self.firing else self.spec.when


def begin(spec: RuleSpec) -> RuleState:
    """Return a rule that nobody has looked at yet."""
    until = spec.until or spec.when
    return RuleState(
        spec,
        decider(spec.when.root),
        decider(until.root),
        ager(spec.when),
        ager(until),
        minuter(spec.when),
        minuter(until),
        TURNS_APART if actuators(spec.when) | actuators(until) else 0,
    )


def step(state: RuleState, sight: Sight) -> bool:
    """Look at a rule at the moment of `sight`; tell whether it began or ceased to fire.

    Whatever goes wrong in it disables it: the others go on.
    """
    if state.failed:
        return False
    sight.safety, since = state.spec.safety, state.since
    try:
        changed = _decide(state, sight)
        state.due = _due(state, sight)
    except Exception as error:  # noqa: BLE001 - nobody foresaw it, and it must be this rule's matter alone
        # What nobody was told of has not happened: a claim of which nobody knows that it fell would stand for ever.
        state.since = since
        fail(state, error, sight.now)
        return False
    return changed


def fail(state: RuleState, error: Exception, now: Millis) -> None:
    """Disable a rule: nobody can say any more whether it fires, so its claims end with their leases."""
    state.failed = f"{type(error).__name__}: {error}"
    state.unknown = now if state.unknown is None else state.unknown
    state.asked, state.truth, state.due = None, None, None


def want(state: RuleState, actuator: str) -> Want:
    """Return the claim of a rule that fires on one of its outputs."""
    spec, since = state.spec, state.since
    assert since is not None
    return Want(spec.name, spec.priority, spec.safety, spec.claims[actuator], since, state.unknown is None)


def saved(state: RuleState) -> SavedRule | None:
    """Return what must outlive a restart; None: nothing."""
    if state.since is None and state.asked is None:
        return None
    return SavedRule(state.since, state.asked, state.unknown, _text(state.spec))


def restore(state: RuleState, kept: SavedRule, shift: Millis, *, known: bool) -> None:
    """Give a rule what was kept of it. shift: what to add to its times. known: the time off is known, and counts.

    A rule that fired goes on firing, and the lease of its claim goes on. A hold does, unless it is to begin anew.
    Whoever has changed its conditions meanwhile has made it another rule.
    """
    if kept.text != _text(state.spec):
        return
    state.since = _later(kept.since, shift)
    if known:
        state.unknown = _later(kept.unknown, shift)
    if known and not state.spec.hold_anew:
        state.asked = _later(kept.asked, shift)


def _text(spec: RuleSpec) -> str:
    return f"{spec.when.text} / {spec.until.text}" if spec.until else spec.when.text


def _decide(state: RuleState, sight: Sight) -> bool:
    state.truth = truth = (state.decide_until if state.firing else state.decide)(sight)
    if truth is None:
        _pause(state, sight.now)
        return False
    _resume(state, sight.now)
    return _clears(state, truth, sight.now) if state.firing else _fires(state, truth, sight)


def _pause(state: RuleState, now: Millis) -> None:
    """Stop the clock of a hold, and forget it where nobody has known for longer than it lasts."""
    state.unknown = now if state.unknown is None else state.unknown
    if now - state.unknown > state.spec.hold:
        state.asked = None


def _resume(state: RuleState, now: Millis) -> None:
    if state.unknown is None:
        return
    paused = now - state.unknown
    state.unknown = None
    if state.asked is not None:
        state.asked = None if paused > state.spec.hold else state.asked + paused


def _fires(state: RuleState, truth: bool, sight: Sight) -> bool:
    now = sight.now
    if not truth:
        state.asked = None
        return False
    state.asked = now if state.asked is None else state.asked
    if now - state.asked < state.spec.hold or now < _turns_from(state):
        return False
    if state.spec.until and state.decide_until(sight):
        # Where both are true, as settings may have it, it would fire and clear with every reading.
        return False
    state.since, state.asked, state.turned = now, None, now
    return True


def _clears(state: RuleState, truth: bool, now: Millis) -> bool:
    if truth is (state.spec.until is None) or now < _turns_from(state):
        return False
    state.since, state.turned = None, now
    return True


def _due(state: RuleState, sight: Sight) -> Millis | None:
    """Return when the rule could change by itself: its hold ends, its condition ages, a minute begins."""
    turns = _turns_from(state)
    calm = turns if turns > sight.now else None
    if state.firing:
        return earlier(calm, _change(state.look_until, state.minutes_until, sight))
    soonest = earlier(calm, _change(state.look, state.minutes, sight))
    if state.asked is None:
        return soonest
    end = _hold_end(state)
    # After the hold it waits for `until` to be false, if for anything.
    return earlier(soonest, end if end > sight.now else _change(state.look_until, state.minutes_until, sight))


def _change(look: Look, minutes: Minutes | None, sight: Sight) -> Millis | None:
    """Return when a condition could change by itself."""
    ages = look(sight)
    soonest = None if ages is None else sight.now + ages
    if minutes is None or (local := sight.local()) is None:
        return soonest
    return earlier(soonest, sight.now + sight.until_minute(minutes(local)))


def _turns_from(state: RuleState) -> Millis:
    """Return when it may begin or cease to fire again; 0: at any time."""
    return 0 if state.turned is None else state.turned + state.apart


def _hold_end(state: RuleState) -> Millis:
    """Return when a hold is over; while nobody knows, when it is forgotten."""
    assert state.asked is not None
    return (state.asked if state.unknown is None else state.unknown + 1) + state.spec.hold


def _later(time: Millis | None, shift: Millis) -> Millis | None:
    return None if time is None else time + shift
