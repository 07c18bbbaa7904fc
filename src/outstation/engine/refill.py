"""Filling the spans that rules look at, before the first decision after a start.

The law of this file: it never holds up a start. What there is no time for is the oldest: a span that was
not filled far enough is unknown to its rules until it has been heard, as after a silence. Of a long span the youngest
part is filled with readings, the rest with the summaries of five minutes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from itertools import pairwise
from operator import itemgetter

from outstation import clock
from outstation.core.node import Node
from outstation.core.readings import Millis
from outstation.core.sensors import SensorState
from outstation.core.spans import Spans
from outstation.core.summaries import Summary
from outstation.engine.reaches import reach
from outstation.engine.runner import Runner, stamp_now
from outstation.errors import StoreError
from outstation.store.lookback import FRESH, Look, as_stored, summed
from outstation.store.recent import Said, recent

log = logging.getLogger(__name__)

SUMMARIES_WITHIN: Millis = 300
READ_WITHIN: Millis = 600
FILL_WITHIN: Millis = 900
"""Milliseconds: the last two are together as long as a start may wait for it, the first is a part of them."""

_TRIED = 200
"""Readings, or summaries, whose cost is measured, to know how many there is time for."""

_RHYTHM = 10
"""Readings of a board that tell its rhythm."""

Told = list[tuple[Millis, float | Summary]]
"""Readings, and summaries by the first reading in them: when, on `now` of this boot, and what; the oldest first."""


def refill(runner: Runner, setting: clock.Setting) -> None:
    """Give the spans what the store still knows, on the clock of this boot. Blocks while it reads, but not for long."""
    node, here = runner.node, stamp_now(setting)
    # What was said just before a span begins speaks for its beginning.
    lengths = {
        name: max(spans) + reach(state) for name, state in node.sensors.items() if (spans := node.spans_of(name))
    }
    if not lengths:
        return
    begun = clock.now()
    try:
        with runner.store.read() as connection:
            here = as_stored(connection, here)
            rows = summed(connection, _looks(node, lengths), here, lambda: clock.now() < begun + SUMMARIES_WITHIN)
            said, is_all = recent(connection, lengths, here, lambda: clock.now() < begun + READ_WITHIN, rows)
    except StoreError as error:
        log.warning("starting without what sensors said lately: %s", error)
        return
    shift = here.now - here.at
    told = {name: _together(said.get(name, []), rows.get(name, []), shift) for name in lengths}
    since = _affordable(node, told, shift)
    for name, each in told.items():
        _fill(node.sensors[name], each if since is None else [one for one in each if one[0] >= since], shift)
    if not is_all or since is not None:
        log.warning("there was no time to read all that rules look back on: they wait until they have heard enough")


def _looks(node: Node, lengths: Mapping[str, Millis]) -> dict[str, Look]:
    """Return what is asked of summaries: what is older than that is read as readings in any case."""
    return {
        name: Look(length, state.newest.at if state.newest else None, reach(state))
        for name, length in lengths.items()
        if length - reach(state := node.sensors[name]) > FRESH
    }


def _together(said: Said, rows: Iterable[Summary], shift: Millis) -> Told:
    summed = [(row.numbers.first_at + shift, row) for row in rows if row.numbers]
    return sorted([*summed, *said], key=itemgetter(0))


def _affordable(node: Node, told: Mapping[str, Told], shift: Millis) -> Millis | None:
    """Return since when there is time to fill in what was told; None: there is for all of it."""
    count = sum(map(len, told.values()))
    if count <= _TRIED:
        return None
    name, longest = max(told.items(), key=lambda item: len(item[1]))
    tried = Spans(node.spans_of(name))
    begun = clock.monotonic_ns()
    _tell(tried, longest[:_TRIED], shift, 0)
    cost = max(1, (clock.monotonic_ns() - begun) // len(longest[:_TRIED]))
    most = FILL_WITHIN * 1_000_000 // cost
    return None if count <= most else sorted(now for each in told.values() for now, _ in each)[-most]


def _fill(state: SensorState, told: Told, shift: Millis) -> None:
    assert state.spans is not None
    if state.spec.every is None:
        latest = [now for one in told[-_RHYTHM:] for now in _times(*one)][-_RHYTHM:]
        state.intervals = [later - now for now, later in pairwise(latest) if later > now]
    _tell(state.spans, told, shift, reach(state))


def _tell(spans: Spans, told: Told, shift: Millis, reach: Millis) -> None:
    for now, what in told:
        if isinstance(what, Summary):
            spans.add_summary(what, shift, reach=reach)
        else:
            spans.add(now, what, reach=reach)


def _times(now: Millis, what: float | Summary) -> list[Millis]:
    """Return about when it was measured: the readings of a window as if they came evenly."""
    numbers = what.numbers if isinstance(what, Summary) else None
    if numbers is None or numbers.count == 1:
        return [now]
    step = (numbers.last_at - numbers.first_at) // (numbers.count - 1)
    return [now + number * step for number in range(max(0, numbers.count - _RHYTHM), numbers.count)]
