"""Filling the spans that rules look at, before the first decision after a start.

The law of this file: it never holds up a start. What there is no time for is the oldest: a span that was
not filled far enough is unknown to its rules until it has been heard, as after a silence.
"""

from __future__ import annotations

import logging
from itertools import pairwise

from outstation import clock
from outstation.core.node import Node
from outstation.core.readings import Millis
from outstation.core.sensors import SensorState
from outstation.core.spans import Spans
from outstation.engine.runner import Runner, stamp_now
from outstation.errors import StoreError
from outstation.store.recent import Said, recent

log = logging.getLogger(__name__)

READ_WITHIN: Millis = 600
FILL_WITHIN: Millis = 900
"""Milliseconds: together as long as a start may wait for it."""

_TRIED = 200
"""Readings whose cost is measured, to know how many there is time for."""

_RHYTHM = 10
"""Readings of a board that tell its rhythm."""


def refill(runner: Runner, setting: clock.Setting) -> None:
    """Give the spans what the store still knows, on the clock of this boot. Blocks while it reads, but not for long."""
    node, here = runner.node, stamp_now(setting)
    # What was said just before a span begins speaks for its beginning.
    lengths = {
        name: max(spans) + _reach(state)
        for name, state in node.sensors.items()
        if (spans := node.decisions.spans_of(name))
    }
    if not lengths:
        return
    until = clock.now() + READ_WITHIN
    try:
        with runner.store.read() as connection:
            said, is_all = recent(connection, lengths, here, lambda: clock.now() < until)
    except StoreError as error:
        log.warning("starting without what sensors said lately: %s", error)
        return
    since = _affordable(node, said)
    for name, readings in said.items():
        _fill(node.sensors[name], readings if since is None else [one for one in readings if one[0] >= since])
    if not is_all or since is not None:
        log.warning("there was no time to read all that rules look back on: they wait until they have heard enough")


def _affordable(node: Node, said: dict[str, Said]) -> Millis | None:
    """Return since when there is time to fill in what was said; None: there is for all of it."""
    count = sum(map(len, said.values()))
    if count <= _TRIED:
        return None
    name, readings = max(said.items(), key=lambda item: len(item[1]))
    tried = Spans(node.decisions.spans_of(name))
    begun = clock.monotonic_ns()
    for now, value in readings[:_TRIED]:
        tried.add(now, value, reach=0)
    cost = max(1, (clock.monotonic_ns() - begun) // len(readings[:_TRIED]))
    most = FILL_WITHIN * 1_000_000 // cost
    return None if count <= most else sorted(now for said_ in said.values() for now, _ in said_)[-most]


def _fill(state: SensorState, readings: Said) -> None:
    assert state.spans is not None
    if state.spec.every is None:
        latest = [now for now, _ in readings[-_RHYTHM:]]
        state.intervals = [later - now for now, later in pairwise(latest) if later > now]
    reach = _reach(state)
    for now, value in readings:
        state.spans.add(now, value, reach=reach)


def _reach(state: SensorState) -> Millis:
    """Return how long a stored reading speaks for the time after it."""
    if state.spec.dead_band is None:
        return state.stale_limit()
    # What the dead band kept from the store was said all the same.
    return max(state.stale_limit(), state.spec.heartbeat + (state.spec.every or 0))
