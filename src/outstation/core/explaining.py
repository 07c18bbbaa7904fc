"""Why a rule fires, or does not: its condition with the values, what holds it back, who decides over its outputs.

The law of this file: it looks, and changes nothing but what a span has to forget. It is the same for the
present and for the past, whose node was put together again from what is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from outstation.core import conditions, standing
from outstation.core.claims import ActuatorState
from outstation.core.conditions import Condition, Part
from outstation.core.deriving import QUALITIES
from outstation.core.readings import Level, Millis, Value
from outstation.core.rules import RuleSpec, RuleState
from outstation.core.sensors import SensorState
from outstation.core.sight import Sight
from outstation.core.standing import Pending, duration_words, level_words

When = Callable[[Millis], str]
"""How a time, UTC, is told to people."""

_WHO = {
    "lock-out": "a lock-out",
    "safety": "a safety rule",
    "manual": "a person's claim",
    "rule": "another rule",
    "default": "its default",
}


class Seen(msgspec.Struct, frozen=True):
    """A sensor that the rule looks at. age: of its newest reading; limit: past which that is stale."""

    name: str
    unit: str
    value: Value | None
    quality: str
    at: Millis | None
    age: Millis | None
    limit: Millis
    error: str = ""


class Claimed(msgspec.Struct, frozen=True):
    """An output of the rule: the level that the rule asks for, where the output is, and who decides over it.

    line: of the order; `why` in words, `until` as in Standing. decides: it is this rule. Of the past `line` is empty,
    and `why` is what the journal said last, at noted_at; None: nothing.
    """

    actuator: str
    level: Level
    state: Level | None
    line: str
    why: str
    decides: bool
    until: Millis | None = None
    pending: Pending | None = None
    noted_at: Millis | None = None


class Explanation(msgspec.Struct, frozen=True):
    """Why a rule is as it is at a moment. All times are UTC.

    since: it fires, since then; None though it fires: nobody knows any more. holding: `when` is true since then,
    and the rule fires at fires_at. undecided: nobody knows, since then. truth: of the condition that counts.
    lost: what cannot be told any more, in words.
    """

    rule: RuleSpec
    at: Millis
    firing: bool
    since: Millis | None
    holding: Millis | None
    fires_at: Millis | None
    undecided: Millis | None
    truth: bool | None
    failed: str
    when: Part
    until: Part | None
    sensors: tuple[Seen, ...]
    settings: tuple[tuple[str, float], ...]
    claims: tuple[Claimed, ...]
    lost: tuple[str, ...] = ()
    past: bool = False


def explain(
    state: RuleState, sight: Sight, sensors: Mapping[str, SensorState], claims: Iterable[Claimed]
) -> Explanation:
    """Return why a rule is as it is at the moment of `sight`."""
    spec, step = state.spec, sight.at - sight.now
    sight.safety = spec.safety
    look = _explainer(sight) if spec.enabled and not state.failed else _not_looked_at
    when, until = look(spec.when), None if spec.until is None else look(spec.until)
    holds = state.asked is not None and state.unknown is None
    return Explanation(
        rule=spec,
        at=sight.at,
        firing=state.firing,
        since=_later(state.since, step),
        holding=_later(state.asked, step),
        fires_at=_later(state.asked, step + spec.hold) if holds else None,
        undecided=_later(state.unknown, step),
        truth=_truth(until or when if state.firing else when),
        failed=state.failed,
        when=when,
        until=until,
        sensors=tuple(_seen(name, sight, sensors.get(name)) for name in sorted(_names(spec, conditions.sensors))),
        settings=tuple((name, sight.setting(name)) for name in sorted(_names(spec, conditions.settings))),
        claims=tuple(claims),
    )


def truth(state: RuleState, sight: Sight) -> bool | None:
    """Return what the condition comes to that counts for a rule: `until` while it fires, if there is one."""
    if state.failed:
        return None
    sight.safety = state.spec.safety
    return (state.decide_until if state.firing else state.decide)(sight)


def unknowns(state: RuleState, sight: Sight) -> list[str]:
    """Return which sensors have no value for the condition that counts, each with why."""
    names = sorted(conditions.sensors(state.condition))
    return [_no_value(name, quality) for name in names if (quality := sight.quality(name)) != "ok"]


def claims(state: RuleState, sight: Sight, actuators: Mapping[str, ActuatorState]) -> list[Claimed]:
    """Return who decides over the outputs of a rule at the moment of `sight`."""
    found = []
    for name, level in state.spec.claims.items():
        who = standing.who(actuators[name], at=sight.at, now=sight.now)
        decides = who.line in ("rule", "safety") and who.who == state.spec.name and who.level == level
        actual = actuators[name].level
        found.append(Claimed(name, level, actual, who.line, who.text, decides, who.until, who.pending))
    return found


def lines(found: Explanation, when: When) -> list[str]:
    """Return an explanation in lines for a person who did not write the rule."""
    return [
        _verdict(found, when),
        *_section("It fires when", _fires_when(found)),
        *_section("It clears when", conditions.lines(found.until) if found.until else ["that is true no longer"]),
        *_section("What it looks at", _sights(found, when)),
        *_section("What it claims", [_claim(found, claimed, when) for claimed in found.claims]),
        *_section("What is not known any more", found.lost),
    ]


# What it finds out.


def _explainer(sight: Sight) -> Callable[[Condition], Part]:
    return lambda condition: conditions.explain(condition, sight)


def _not_looked_at(condition: Condition) -> Part:
    return Part(condition.text, None, "not looked at")


def _seen(name: str, sight: Sight, state: SensorState | None) -> Seen:
    newest = state.newest if state else None
    return Seen(
        name,
        state.spec.unit if state else "",
        newest.value if newest else None,
        sight.quality(name),
        newest.at if newest else None,
        sight.age(name),
        state.stale_limit() if state else 0,
        state.error if state else "",
    )


def _names(spec: RuleSpec, look: Callable[[Condition], frozenset[str]]) -> frozenset[str]:
    return look(spec.when) | look(spec.until or spec.when)


def _truth(part: Part) -> bool | None:
    return None if part.value is None else bool(part.value)


def _later(time: Millis | None, step: Millis) -> Millis | None:
    return None if time is None else time + step


# What it tells.


def _section(title: str, told: Iterable[str]) -> list[str]:
    shown = [f"    {line}" for line in told]
    return [f"{title}:", *shown] if shown else []


def _verdict(found: Explanation, when: When) -> str:
    spec = found.rule
    if not spec.enabled:
        return "It is disabled in the config: enabled = false."
    if found.failed:
        return f"It failed, and is disabled until the node is started anew: {found.failed}"
    if found.firing:
        return _fires(found, when)
    if found.truth is None:
        return f"It does not fire, for its condition cannot be decided: {_reasons(found)}."
    if not found.truth:
        return "It does not fire: its condition is false."
    return _holds(found, when)


def _fires(found: Explanation, when: When) -> str:
    since = "It is firing; since when is not known."
    if found.since is not None:
        since = f"It has been firing since {when(found.since)}, for {duration_words(found.at - found.since)}."
    if found.truth is not None:
        return since
    return (
        f"{since} Whether it is to clear cannot be decided: {_reasons(found)}. "
        "It goes on firing; what it claims ends with the leases of its outputs."
    )


def _holds(found: Explanation, when: When) -> str:
    hold, holding = found.rule.hold, found.holding
    if holding is None or found.fires_at is None:
        return f"It does not fire yet: its condition is true only now, and must be for {duration_words(hold)}."
    so_far, left = duration_words(found.at - holding), duration_words(max(0, found.fires_at - found.at))
    return (
        f"It does not fire yet: its condition has been true since {when(holding)}, for {so_far}, "
        f"and must be for {duration_words(hold)}. It fires in {left}, at {when(found.fires_at)}, unless that changes."
    )


def _reasons(found: Explanation) -> str:
    """Say which sensors have no value, and why; what else is unknown stands in the condition's own lines."""
    reasons = [_reason(seen) for seen in found.sensors if seen.quality != "ok"]
    return ", and ".join(reasons) or "the lines below say what is unknown"


def _reason(seen: Seen) -> str:
    words = _no_value(seen.name, seen.quality)
    if seen.error:
        return f"{words} ({seen.error.rstrip('.')})"
    if seen.quality != "stale" or seen.age is None:
        return words
    return f"{words} (nothing heard for {duration_words(seen.age)}, and it counts for {duration_words(seen.limit)})"


def _no_value(name: str, quality: str) -> str:
    return f"{name} {QUALITIES.get(quality, quality)}"


def _fires_when(found: Explanation) -> list[str]:
    hold = found.rule.hold
    return [*conditions.lines(found.when), *([f"for {duration_words(hold)}"] if hold else [])]


def _sights(found: Explanation, when: When) -> Iterator[str]:
    for seen in found.sensors:
        quality = "" if seen.quality == "ok" else f"{seen.quality.replace('_', ' ')}: "
        value = "no value" if seen.value is None else _shown(seen.value, seen.unit)
        if seen.at is None or seen.age is None:
            yield f"{seen.name}: never seen"
        else:
            yield f"{seen.name}: {quality}{value}, measured {when(seen.at)}, {duration_words(seen.age)} ago"
    for name, setting in found.settings:
        yield f"{name}: {setting:g}, a setting"


def _shown(value: Value, unit: str) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return value
    return f"{value:.6g} {unit}".rstrip() if isinstance(value, float) else f"{value} {unit}".rstrip()


def _claim(found: Explanation, claimed: Claimed, when: When) -> str:
    state = "unknown" if claimed.state is None else level_words(claimed.state)
    asks = f"This rule {'asks' if found.firing else 'would ask'} for {level_words(claimed.level)}"
    if not claimed.line:
        return f"{claimed.actuator} is {state}. {asks}. {_noted(claimed, when)}"
    if claimed.decides:
        return f"{claimed.actuator} is {state}. {asks}, and decides."
    is_own = claimed.line in ("rule", "safety") and f'rule "{found.rule.name}"' in claimed.why
    who = "the end of its lease" if is_own else _WHO.get(claimed.line, "a limit")
    says = f"{who} says {_brief(claimed.why, claimed.until, when)}"
    return (
        f"{claimed.actuator} is {state}. {asks}{', but' if found.firing else '; now'} {says}.{_pending(claimed, when)}"
    )


def _brief(why: str, until: Millis | None, when: When) -> str:
    """Write the words of a Standing as a level, and its reason in parentheses."""
    level, _, reason = why.partition(": ")
    return f"{level} ({reason}{'' if until is None else f', until {when(until)}'})"


def _noted(claimed: Claimed, when: When) -> str:
    if claimed.noted_at is None:
        return "Who decided is not known."
    return f"The journal says of it, at {when(claimed.noted_at)}: {claimed.why}."


def _pending(claimed: Claimed, when: When) -> str:
    pending = claimed.pending
    if pending is None:
        return ""
    at = "when that lets go" if pending.effective_at is None else f"at {when(pending.effective_at)} at the earliest"
    return f" Next, {at}: {_brief(pending.text, None, when)}."
