"""Who wants an output in which state, until when, and what to do when its driver fails.

Level, not edge: at any moment the output has one wanted level, asked for by whoever stands
highest (a manual claim, else the default), and it is driven whenever it is not known to be there.
"""

from __future__ import annotations

import msgspec

from outstation.core.readings import Command, Effect, Level, Millis, Note, Switch, Switched, Tick
from outstation.errors import RefusedError, UnknownActionError

ACTIONS = ("on", "off", "toggle", "pulse", "set", "release")

PULSE: Millis = 500
"""How long a pulse lasts when nothing is said: long enough for a latching relay, and for what has a push button."""

_RETRY_FIRST, _RETRY_MOST = 1_000, 60_000


class ActuatorSpec(msgspec.Struct, frozen=True):
    """One output as configured. `safe` is the level for when nobody decides, `default` when nobody asks."""

    name: str
    label: str = ""
    safe: bool = False
    default: bool = False
    dimmable: bool = False


class Claim(msgspec.Struct, frozen=True):
    """Somebody wants the output at `level`, since and until (None: until released) these times on both clocks."""

    who: str
    level: Level
    since: Millis
    since_at: Millis
    until: Millis | None = None
    until_at: Millis | None = None


class ActuatorState(msgspec.Struct):
    """One output now. level: None while unknown; since changed_at, UTC. asked: what the driver was last told.

    retry: when a failed output is tried again. retry_wait: how long after the next failure.
    """

    spec: ActuatorSpec
    level: Level | None = None
    changed_at: Millis | None = None
    asked: Level | None = None
    claim: Claim | None = None
    error: str = ""
    retry: Millis | None = None
    retry_wait: Millis = _RETRY_FIRST

    @property
    def wanted(self) -> Level:
        """The level that the highest claim asks for."""
        return self.claim.level if self.claim else self.spec.default

    def next_due(self) -> Millis | None:
        """Return when this output wants a Tick."""
        until = self.claim.until if self.claim else None
        due = [time for time in (until, self.retry) if time is not None]
        return min(due, default=None)


def command(state: ActuatorState, event: Command) -> list[Effect]:
    """Take or give up a manual claim. Raises UnknownActionError, RefusedError."""
    action = event.action.lower()
    if action not in ACTIONS:
        raise UnknownActionError(f'{state.spec.name} knows no action "{event.action[:40]}".', valid(state.spec))
    state.claim = None if action == "release" else _claim(state, event, action)
    return [*_pursue(state, again=True), Note("command", state.spec.name, f"{action} by {event.who}", event.at)]


def tick(state: ActuatorState, event: Tick) -> list[Effect]:
    """Let an ended claim fall, and try a failed output again when its time has come."""
    effects: list[Effect] = []
    if state.claim and state.claim.until is not None and event.now >= state.claim.until:
        effects.append(Note("claim ended", state.spec.name, f"the claim of {state.claim.who} ended", event.at))
        state.claim = None
    again = state.retry is not None and event.now >= state.retry
    return [*_pursue(state, again=again), *effects]


def switched(state: ActuatorState, event: Switched) -> list[Effect]:
    """Take in what the driver did: the level is known, or unknown and to be tried again."""
    if state.asked is None:
        # The output was opened before the core was asked anything.
        state.asked = state.wanted if event.level is None else event.level
    if event.error:
        return _failed(state, event)
    effects: list[Effect] = []
    if state.error:
        effects.append(Note("output well", state.spec.name, "the output answers again", event.at))
    if state.level != event.level:
        state.changed_at = event.at
    state.level, state.error, state.retry, state.retry_wait = event.level, "", None, _RETRY_FIRST
    return [*effects, *_pursue(state, again=False)]


def valid(spec: ActuatorSpec) -> list[str]:
    """Return the actions that this output takes."""
    return [action for action in ACTIONS if action != "set" or spec.dimmable]


def _failed(state: ActuatorState, event: Switched) -> list[Effect]:
    known = state.error == event.error
    if state.level is not None:
        state.changed_at = event.at
    state.level, state.error = None, event.error
    state.retry, state.retry_wait = event.now + state.retry_wait, min(2 * state.retry_wait, _RETRY_MOST)
    return [] if known else [Note("output failed", state.spec.name, event.error, event.at)]


def _pursue(state: ActuatorState, *, again: bool) -> list[Effect]:
    """Ask for the wanted level; `again`: even if that was the last thing the driver was told."""
    if not again and state.asked == state.wanted:
        return []
    state.asked, state.retry = state.wanted, None
    return [Switch(state.spec.name, state.wanted)]


def _claim(state: ActuatorState, event: Command, action: str) -> Claim:
    duration = event.duration
    if action == "pulse" and duration is None:
        duration = PULSE
    until = None if duration is None else event.now + duration
    until_at = None if duration is None else event.at + duration
    return Claim(event.who, _level(state, event, action), event.now, event.at, until, until_at)


def _level(state: ActuatorState, event: Command, action: str) -> Level:
    if action == "toggle":
        # From where it was sent last, so that two in a row cancel out. The answer to doubt is off.
        return state.level is not None and state.asked == 0
    if action != "set":
        return action in ("on", "pulse")
    if not state.spec.dimmable:
        raise UnknownActionError(f"{state.spec.name} is on or off and cannot be set.", valid(state.spec))
    if event.value is None or not 0 <= event.value <= 1:
        raise RefusedError(f'{state.spec.name}: "set" needs a value from 0 to 1.')
    return float(event.value)
