"""What outlives a restart: claims, locks and the times of outputs, and how a time is carried over.

The law of this file: within one boot a time goes on. Into another boot it is carried by the wall
clock, if that was right before and is right now. Else nobody knows how long the node was away:
then no time has passed.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from outstation.core.actuation import States, hold, tell, weigh
from outstation.core.claims import ActuatorState, Claim, Lock, Want, is_refraining
from outstation.core.readings import Level, Millis, Note, Tick


class Stamp(msgspec.Struct, frozen=True):
    """A moment, with all that is needed to find it again: the boot, both clocks, and whether UTC was right."""

    boot: str
    now: Millis
    at: Millis
    trusted: bool


class Saved(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of one output; the times are on `now` of the boot in which it was saved."""

    claim: Claim | None = None
    lock: Lock | None = None
    on_since: Millis | None = None
    off_since: Millis | None = None
    on_from: Millis | None = None
    run_ended: Millis | None = None
    running: Level = True
    undecided: dict[str, Millis] = {}


class Snapshot(msgspec.Struct, frozen=True):
    """What is kept of all outputs. To be stored as JSON, whenever `outputs` has changed.

    And every now and then while an output is on: what was on when the power failed has used of its
    max_on what was known at the last stamp.
    """

    stamp: Stamp
    outputs: dict[str, Saved]


class Passage(msgspec.Struct, frozen=True):
    """How to carry a time from one stamp to another: add shift. known: how long it took is known."""

    shift: Millis
    known: bool


def passage(then: Stamp, here: Stamp) -> Passage:
    """Return how times are carried from a stamp to a later one."""
    if then.boot == here.boot:
        return Passage(0, known=True)
    known = then.trusted and here.trusted
    away = max(0, here.at - then.at) if known else 0
    return Passage(here.now - then.now - away, known)


def snapshot(states: States, stamp: Stamp) -> Snapshot:
    """Return what must outlive a restart."""
    return Snapshot(stamp, {name: saved(state) for name, state in states.items()})


def saved(state: ActuatorState) -> Saved:
    """Return what must outlive a restart of one output."""
    on_since = None if is_refraining(state) else state.on_since
    return Saved(
        state.claim,
        state.lock,
        on_since,
        state.off_since,
        state.on_from,
        state.run_ended,
        state.running,
        state.undecided,
    )


def restore(
    states: States, kept: Snapshot, here: Stamp, wants: Mapping[str, tuple[Want, ...]] | None = None
) -> list[Note]:
    """Give outputs that were not opened yet what was kept of them, and settle what is wanted of each.

    wants: the rules' claims that have outlived the restart. Outputs of another configuration are
    forgotten. Nothing is driven: each output counts as told to be where it is `wanted`, and is to
    be opened there.
    """
    way, notes = passage(kept.stamp, here), list[Note]()
    for name, state in states.items():
        if name in kept.outputs:
            notes += _restore(state, kept.outputs[name], way, here)
    for name, found in (wants or {}).items():
        hold(states[name], found, here.now)
    notes += weigh(states, states, Tick(here.at, here.now))
    for state in states.values():
        tell(state, state.wanted, here.now)
    return notes


def _restore(state: ActuatorState, saved: Saved, way: Passage, here: Stamp) -> list[Note]:
    shift, lock = way.shift, saved.lock
    state.lock = lock and Lock(lock.who, lock.since + shift, lock.since_at)
    state.running, state.run_ended = saved.running, _later(saved.run_ended, shift)
    # Meanwhile the output was safe: only what it was already could go on. The other ended now, at the latest.
    kept = saved.on_since if state.spec.safe else saved.off_since
    since = kept + shift if kept is not None and way.known else here.now
    state.on_since, state.off_since = (since, None) if state.spec.safe else (None, since)
    state.on_from = _later(saved.on_from, shift)
    if not way.known:
        return _drop(saved.claim, state.spec.name, here)
    state.undecided = {rule: since + shift for rule, since in saved.undecided.items()}
    state.claim = saved.claim and _carried(saved.claim, shift)
    return []


def _drop(claim: Claim | None, name: str, here: Stamp) -> list[Note]:
    if claim is None:
        return []
    text = f"the claim of {claim.who} ended: nobody knows how long the node was away"
    return [Note("claim ended", name, text, here.at)]


def _carried(claim: Claim, shift: Millis) -> Claim:
    until = _later(claim.until, shift)
    return Claim(claim.who, claim.level, claim.since + shift, claim.since_at, until, claim.until_at)


def _later(time: Millis | None, shift: Millis) -> Millis | None:
    return None if time is None else time + shift
