"""Outputs that must not be on at once: which of them has its turn, and which wait for whom.

The law of this file: of outputs that are interlocked, at most one is asked to be on; and but for
a matter of safety it is asked only when each of the others was seen off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from outstation.core.claims import (
    ActuatorSpec,
    ActuatorState,
    below_interlock,
    is_on,
    may_be_on,
    must_run_on,
    safety_ask,
)
from outstation.core.readings import Millis

_SAFETY, _CLAIM, _DEFAULT = 0, 1, 2
"""Who comes first. A default is no claim: what is on by it alone makes way."""

_Place = tuple[int, bool, Millis, str]


def partners(spec: ActuatorSpec, specs: Iterable[ActuatorSpec]) -> tuple[str, ...]:
    """Return the outputs that one is interlocked with: named by it, naming it, or sharing a word with it."""
    return tuple(other.name for other in specs if other.name != spec.name and _are_interlocked(spec, other))


def tied(states: Mapping[str, ActuatorState], names: Iterable[str]) -> list[str]:
    """Return these outputs, and all that an interlock ties them to, directly or through others."""
    found = list(dict.fromkeys(names))
    for name in found:
        found += [partner for partner in states[name].partners if partner not in found]
    return found


def waits(states: Mapping[str, ActuatorState], names: Iterable[str], now: Millis) -> dict[str, str]:
    """Return which of these outputs are kept off, each with one that keeps it off. names: a whole tie."""
    places = {name: place for name in names if states[name].partners and (place := _place(states[name], now))}
    waiting: dict[str, str] = {}
    for name in sorted(places, key=places.__getitem__):
        ahead = (partner for partner in states[name].partners if _keeps_off(name, partner, states, places, waiting))
        if partner := next(ahead, ""):
            waiting[name] = partner
    return waiting


def _are_interlocked(one: ActuatorSpec, other: ActuatorSpec) -> bool:
    shared = set(one.interlock) & set(other.interlock)
    return bool(shared) or other.name in one.interlock or one.name in other.interlock


def _place(state: ActuatorState, now: Millis) -> _Place | None:
    """Return the place in the queue of an output that would be on; None for one that would be off anyway.

    What is on stays on before what waits, so that an interlock never switches to and fro by itself.
    """
    if state.lock:
        return None
    ask, rank = safety_ask(state, now), _SAFETY
    if ask is None:
        ask = below_interlock(state, now)
        rank = _DEFAULT if ask.line == "default" and not must_run_on(state, now) else _CLAIM
    if not is_on(ask.level):
        return None
    return rank, not is_on(state.asked), ask.since or 0, state.spec.name


def _keeps_off(
    name: str,
    partner: str,
    states: Mapping[str, ActuatorState],
    places: Mapping[str, _Place],
    waiting: Mapping[str, str],
) -> bool:
    """Tell whether a partner keeps an output off; `waiting`: what was found of all that come first."""
    place, before = places[name], places.get(partner)
    comes_first = before is not None and before < place
    if comes_first and partner not in waiting:
        return True
    if place[0] == _SAFETY:
        return False
    # What makes way does so also for what still waits.
    makes_way = before is not None and before[0] < place[0]
    return makes_way or may_be_on(states[partner])
