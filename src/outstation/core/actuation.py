"""What is asked of the outputs' drivers: commands, rules' claims, the end of times, and drivers that fail.

Level, not edge: at any moment the highest line of the order (claims.py) that applies asks for one
level, and the output is driven whenever it is not known to be there.

The law of this file: all functions take the whole set of outputs, since one may keep another off;
and a command that is refused changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from outstation.core import claims, interlock, standing
from outstation.core.claims import RETRY_FIRST, ActuatorSpec, ActuatorState, Claim, Lock, Want, is_on
from outstation.core.readings import Command, Effect, Event, Level, Millis, Note, Switch, Switched, Tick
from outstation.core.standing import duration_words, level_words
from outstation.errors import OutrankedError, RefusedError, UnknownActionError

__all__ = ["ActuatorSpec", "ActuatorState", "Claim", "Lock", "Want"]

ACTIONS = ("on", "off", "toggle", "pulse", "set", "release", "lock", "unlock")

PULSE: Millis = 500
"""How long a pulse lasts when nothing is said: long enough for a latching relay, and for what has a push button."""

_RETRY_MOST = 60_000

_PLAIN = {"lock-out", "manual", "default"}
"""Lines that need no note of their own: the command that a person gave is noted, and the end of its claim."""

States = Mapping[str, ActuatorState]


def link(states: States) -> None:
    """Find out who is interlocked with whom. To be called once, when all outputs are known."""
    specs = [state.spec for state in states.values()]
    for state in states.values():
        state.partners = interlock.partners(state.spec, specs)
        # What must see others off before it may come on is opened off.
        state.wanted = state.wanted and not state.partners


def command(states: States, event: Command) -> list[Effect]:
    """Take or give up a person's claim or lock. Raises UnknownActionError, and RefusedError with the reason."""
    state, action = states[event.actuator], event.action.lower()
    if action not in ACTIONS:
        raise UnknownActionError(f'{state.spec.name} knows no action "{event.action[:40]}".', valid(state.spec))
    text = f"{action} by {event.who}"
    if action == "lock":
        _lock(state, event)
    elif action == "unlock":
        text += f"; it was locked by {state.lock.who}" if state.lock else ""
        state.lock = None
    elif action == "release":
        state.claim = None
    else:
        _claim(state, event, action)
    effects = review(states, [state.spec.name], event, again=[state.spec.name])
    return [*effects, Note("command", state.spec.name, text, event.at)]


def claim(
    states: States, wants: Mapping[str, tuple[Want, ...]], event: Event, also: Sequence[str] = ()
) -> list[Effect]:
    """Take in which rules claim these outputs from now on: all that do, each time; others keep theirs.

    also: outputs to decide anew over in any case.
    """
    changed = [name for name, found in wants.items() if states[name].wants != found]
    for name in changed:
        hold(states[name], wants[name], event.now)
    return review(states, [*changed, *also], event) if changed or also else []


def hold(state: ActuatorState, wants: tuple[Want, ...], now: Millis) -> None:
    """Keep which rules claim an output, and since when which of them cannot be decided."""
    state.wants = wants
    state.undecided = {want.rule: state.undecided.get(want.rule, now) for want in wants if not want.decided}


def tick(states: States, event: Tick) -> list[Effect]:
    """Let end what has ended, and try a failed output again when its time has come."""
    again = [name for name, state in states.items() if state.retry is not None and event.now >= state.retry]
    return review(states, states, event, again=again)


def see(states: States, event: Switched) -> list[Effect]:
    """Take in what the driver did: the level is known, or unknown and to be tried again. Decide nothing yet."""
    state = states[event.actuator]
    if state.asked is None:
        # The output was opened before the core was asked anything.
        tell(state, state.wanted if event.level is None else event.level, event.now)
    return _failed(state, event) if event.error else _obeyed(state, event)


def valid(spec: ActuatorSpec) -> list[str]:
    """Return the actions that this output takes."""
    return [action for action in ACTIONS if action != "set" or spec.dimmable]


def review(states: States, names: Iterable[str], event: Event, *, again: Collection[str] = ()) -> list[Effect]:
    """Decide anew over these outputs and all that they are tied to; ask for what is not asked yet.

    again: those that are driven even if that was the last thing their driver was told.
    """
    notes = weigh(states, names := interlock.tied(states, names), event)
    due = [states[name] for name in names if _is_due(states[name], again=name in again)]
    switches = [_ask(state, event.now) for state in due]
    for name in names:
        states[name].due = _due(states[name], event.now)
    # What goes off does so first: where a driver serves two outputs, one is off before the other is on.
    return [*sorted(switches, key=lambda switch: is_on(switch.level)), *notes]


def weigh(states: States, names: Collection[str], event: Event) -> list[Note]:
    """Settle what is wanted of these outputs, a whole tie, and drive nothing; return what is to be noted."""
    notes = [note for name in names for note in _end_claims(states[name], event)]
    waiting = interlock.waits(states, names, event.now)
    for name in names:
        state = states[name]
        state.waits_for = waiting.get(name, "")
        decision = claims.decide(state, event.now)
        notes += _turned(state, decision, event)
        state.decision, state.wanted = decision, decision.ask.level
    return notes


def tell(state: ActuatorState, level: Level, now: Millis) -> None:
    """Keep what the driver was told; from then on, what was told to come on may be on."""
    state.asked = level
    if is_on(level):
        state.running, state.off_since = level, None
        state.on_from = now if state.on_from is None else state.on_from


def _lock(state: ActuatorState, event: Command) -> None:
    """Lock an output, for good: a lock that ends by itself would start a pump in somebody's hands."""
    if state.lock and state.lock.who != event.who:
        raise OutrankedError(
            f"{state.spec.name} is locked out already, by {state.lock.who}.", cure="Wait for its unlock."
        )
    if event.duration is not None:
        raise RefusedError(f"{state.spec.name}: a lock-out ends by unlock alone.", cure='Leave out "for".')
    state.lock = state.lock or Lock(event.who, event.now, event.at)
    state.claim = None


def _claim(state: ActuatorState, event: Command, action: str) -> None:
    if state.lock:
        raise OutrankedError(f"{state.spec.name} is locked out by {state.lock.who}.", cure="Unlock it first.")
    level, safety = _level(state, event, action), claims.safety_ask(state, event.now)
    if safety and safety.level != level:
        raise OutrankedError(
            f'{state.spec.name}: the safety rule "{safety.who}" asks for {level_words(safety.level)}.',
            cure="It can be moved when that rule lets go.",
        )
    before, state.claim = state.claim, _claimed(state, event, action, level)
    if why := _too_late(state, event.now):
        state.claim = before
        raise OutrankedError(f"{state.spec.name}: {why}", cure='Ask for longer, with "for", or later.')


def _claimed(state: ActuatorState, event: Command, action: str, level: Level) -> Claim:
    duration = event.duration
    if duration is None:
        duration = PULSE if action == "pulse" else state.spec.manual_limit
    if duration is None:
        return Claim(event.who, level, event.now, event.at)
    if duration <= 0:
        raise RefusedError(f'{state.spec.name}: "for" is longer than zero.')
    return Claim(event.who, level, event.now, event.at, event.now + duration, event.at + duration)


def _level(state: ActuatorState, event: Command, action: str) -> Level:
    if action == "toggle":
        return _turned_round(state, event.now)
    if action != "set":
        return action in ("on", "pulse")
    if not state.spec.dimmable:
        raise UnknownActionError(f"{state.spec.name} is on or off and cannot be set.", valid(state.spec))
    if event.value is None or not 0 <= event.value <= 1:
        raise RefusedError(f'{state.spec.name}: "set" needs a value from 0 to 1.')
    return float(event.value)


def _turned_round(state: ActuatorState, now: Millis) -> bool:
    """Return the other level: from what was claimed last, so that two toggles in a row cancel out."""
    # The answer to doubt is off.
    if state.level is None:
        return False
    safety = claims.safety_ask(state, now)
    return not is_on((safety or claims.decide(state, now).wish).level)


def _too_late(state: ActuatorState, now: Millis) -> str:
    """Tell why a person's claim would be over before it could have any effect."""
    decision = claims.decide(state, now)
    for ask in decision.held:
        if ask.until is not None and decision.wish.until is not None and ask.until >= decision.wish.until:
            left = duration_words(ask.until - now)
            return f"{ask.line} keeps it {level_words(ask.level)} for {left}, which is longer."
    return ""


def _end_claims(state: ActuatorState, event: Event) -> list[Note]:
    """Let fall what has ended: a person's claim whose time is over, or which stood while max_on ran out."""
    if is_on(state.asked) and claims.run_is_over(state, event.now):
        state.run_ended = claims.run_end(state)
    claim = state.claim
    if claim is None:
        return []
    if claim.until is not None and event.now >= claim.until:
        text = f"the claim of {claim.who} ended"
    elif is_on(claim.level) and state.run_ended is not None and claim.since < state.run_ended:
        text = f"max_on ended the claim of {claim.who}"
    else:
        return []
    state.claim = None
    return [Note("claim ended", state.spec.name, text, event.at)]


def _turned(state: ActuatorState, decision: claims.Decision, event: Event) -> list[Note]:
    """Return the note that something other than a person has moved the output, and what."""
    line = state.decision.ask.line if state.decision else "default"
    if state.wanted == decision.ask.level or {line, decision.ask.line} <= _PLAIN:
        return []
    return [Note("decided", state.spec.name, standing.words(state, decision.ask, event.now), event.at)]


def _due(state: ActuatorState, now: Millis) -> Millis | None:
    """Return when the next line begins or ends to apply by itself."""
    spec = state.spec
    times = [claims.lease_end(state, rule) for rule in state.undecided]
    times.append(state.claim.until if state.claim else None)
    times.append(claims.run_end(state))
    times.append(None if state.on_since is None else state.on_since + spec.min_on)
    times.append(None if state.off_since is None else state.off_since + spec.min_off)
    return min((time for time in times if time is not None and time > now), default=None)


def _is_due(state: ActuatorState, *, again: bool) -> bool:
    """Tell whether the driver is to be asked; what a command could not change, it does not drive again."""
    if state.asked != state.wanted:
        return True
    heeded = state.decision is None or not state.decision.held
    return again and (heeded or bool(state.error))


def _ask(state: ActuatorState, now: Millis) -> Switch:
    tell(state, state.wanted, now)
    state.retry = None
    return Switch(state.spec.name, state.wanted)


def _failed(state: ActuatorState, event: Switched) -> list[Effect]:
    known = state.error == event.error
    if state.level is not None:
        state.changed_at = event.at
    state.level, state.error = None, event.error
    state.retry, state.retry_wait = event.now + state.retry_wait, min(2 * state.retry_wait, _RETRY_MOST)
    _see(state, None, event.now)
    return [] if known else [Note("output failed", state.spec.name, event.error, event.at)]


def _obeyed(state: ActuatorState, event: Switched) -> list[Effect]:
    effects: list[Effect] = []
    if state.error:
        effects.append(Note("output well", state.spec.name, "the output answers again", event.at))
    if state.level != event.level:
        state.changed_at = event.at
    state.level, state.error, state.retry, state.retry_wait = event.level, "", None, RETRY_FIRST
    _see(state, event.level, event.now)
    return effects


def _see(state: ActuatorState, level: Level | None, now: Millis) -> None:
    """Keep since when the output is on, or off, or may be on."""
    if level is not None and not is_on(level):
        state.on_since = None
        # Else the answer to an older order: the one to come on is under way.
        if claims.is_refraining(state):
            state.on_from, state.off_since = None, now if state.off_since is None else state.off_since
        return
    state.off_since = None
    state.on_from = now if state.on_from is None else state.on_from
    state.on_since = None if level is None else now if state.on_since is None else state.on_since
