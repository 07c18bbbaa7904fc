"""How an output stands, in words: who decides, since and until when, and what waits for its turn."""

from __future__ import annotations

import msgspec

from outstation.core.claims import ActuatorState, Ask, Decision, decide, is_on, lease_end
from outstation.core.readings import Level, Millis


class Pending(msgspec.Struct, frozen=True):
    """What an output is asked for and kept from. effective_at: UTC, at the earliest; None: nobody can say."""

    level: Level
    who: str
    effective_at: Millis | None
    text: str


class Standing(msgspec.Struct, frozen=True):
    """How an output stands. line: of the order. who: the person, the rule, or the output that keeps it off.

    since, until: UTC; None: not known, or no end by itself.
    """

    line: str
    level: Level
    who: str
    since: Millis | None
    until: Millis | None
    text: str
    pending: Pending | None = None


def who(state: ActuatorState, *, at: Millis, now: Millis) -> Standing:
    """Name the line that decides over an output at this moment, and what waits for it."""
    decision = state.decision or decide(state, now)
    ask, step = decision.ask, at - now
    return Standing(
        ask.line,
        ask.level,
        ask.who,
        None if ask.since is None else ask.since + step,
        None if ask.until is None else ask.until + step,
        words(state, ask, now),
        _pending(state, decision, step, now),
    )


def effective(decision: Decision) -> Millis | None:
    """Return when what is kept back comes into effect, at the earliest; None when nobody can say, or nothing is."""
    ends = [ask.until for ask in decision.held]
    known = [end for end in ends if end is not None]
    return max(known, default=None) if len(known) == len(ends) else None


def words(state: ActuatorState, ask: Ask, now: Millis) -> str:
    """Say what a line asks for and why: `on: rule "ventilate", for 5m`."""
    return f"{level_words(ask.level)}: {_reason(state, ask, now)}"


def level_words(level: Level) -> str:
    """Return a level in words: on, off, or how far a dimmed one is on."""
    if isinstance(level, float) and 0 < level < 1:
        return f"{level * 100:.3g} %"
    return "on" if is_on(level) else "off"


def duration_words(millis: Millis) -> str:
    """Return a time as the config would: `1h30m`, `45s`, `500ms`; of a long one the two largest units."""
    if millis < 1_000:
        return f"{max(0, millis)}ms"
    parts, rest = [], millis // 1_000
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, seconds)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2])


def _reason(state: ActuatorState, ask: Ask, now: Millis) -> str:
    spec = state.spec
    since = f", for {duration_words(now - ask.since)}" if ask.since is not None and now - ask.since >= 1_000 else ""
    left = "" if ask.until is None else f", {duration_words(ask.until - now)} more"
    match ask.line:
        case "lock-out":
            return f"locked out by {ask.who}{since}"
        case "safety":
            return f"safety {_rule(state, ask, now)}{since}{left}"
        case "interlock":
            return f"interlock: it waits for {ask.who}"
        case "max_on":
            return _max_on(state, ask)
        case "min_off":
            return f"min_off: {duration_words(spec.min_off)} from when it was seen off{left}"
        case "min_on":
            return f"min_on: {duration_words(spec.min_on)} from when it was seen on{left}"
        case "manual":
            return f"{ask.who}{since}{left}"
        case "rule":
            return f"{_rule(state, ask, now)}{since}{left}"
    return "nobody asks, it is the default"


def _max_on(state: ActuatorState, ask: Ask) -> str:
    most = duration_words(state.spec.max_on or 0)
    if is_on(state.level):
        return f"max_on: it has been on for {most}"
    if state.on_from is not None:
        return f"max_on: it may have been on for {most}, and was not seen off since"
    return f'max_on: it was on for {most}, and rests until the rule "{ask.who}" lets go'


def _rule(state: ActuatorState, ask: Ask, now: Millis) -> str:
    end = lease_end(state, ask.who)
    if end is None:
        return f'rule "{ask.who}"'
    lease = duration_words(state.spec.lease)
    if now < end:
        return f'rule "{ask.who}", which cannot be decided just now'
    return f'rule "{ask.who}" could not be decided for {lease}, so this is the safe state'


def _pending(state: ActuatorState, decision: Decision, step: Millis, now: Millis) -> Pending | None:
    wish = decision.wish
    forced = decision.ask.line in ("lock-out", "safety") and wish.line == "default"
    if not decision.held or forced:
        return None
    starts = effective(decision)
    return Pending(wish.level, wish.who, None if starts is None else starts + step, words(state, wish, now))
