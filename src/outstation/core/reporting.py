"""What a hub makes of a node that reports: whether it can follow it, and whether what it says can be.

The law of this file: a batch moves a node's cursor only where it goes on from there. Who sends the token of the last
receipt, or the one before it, whose answer was lost, goes on; whoever does not has been restored, or the hub has, or
there are two of them. Two of them are never merged: neither goes on until a person has looked. Numbers mean something
in their own epoch, and in those that follow it: of any other all is sent again.
"""

from __future__ import annotations

import math
import re
from typing import Literal

import msgspec

from outstation.core.readings import Millis
from outstation.core.sensors import MAX_AHEAD
from outstation.core.summaries import NO_BAD, Number, Numbers, Summary
from outstation.core.windows import FIVE_MINUTES

EPOCHS = 16
"""Epochs of the past that are remembered: a node takes a new one when it was restored, or the hub was."""

SILENT_AT_LEAST: Millis = 180_000
"""No node is silent sooner: a link that was cut is tried again after so long at the latest, and a little."""

LATEST: Millis = 100_000_000_000_000
"""The year 5138: no window is later, whatever the clocks say."""

MOST = 2**53
"""Readings in a window: what every program of any language can count up to."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}([./][a-z0-9][a-z0-9_-]{0,63}){0,3}", re.ASCII)

_ROUNDING = 1e-9
"""A mean may be outside of the least and the greatest by so much of them: it is a sum of floats."""

Verdict = Literal["goes on", "behind", "cloned"]


class Standing(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a node has got. ancestors, others: epochs that this one follows, and those that it does not.

    issued, acked: the token of the last receipt, and the one that it answered. cloned: since when, UTC; else None.
    sent_at: when the last batch left, by the node's clock.
    """

    epoch: str = ""
    cursor: int = 0
    issued: str = ""
    acked: str = ""
    ancestors: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    cloned: Millis | None = None
    sent_at: Millis = 0


class Step(msgspec.Struct, frozen=True):
    """Where a batch says that it stands, and to where it goes."""

    epoch: str
    before: tuple[str, ...]
    token: str
    after: int
    upto: int
    sent_at: Millis


def followed(known: Standing, step: Step, token: str, at: Millis) -> tuple[Verdict, Standing]:
    """Return whether a node can be followed one step, and how it stands then; "behind": what it is told of that.

    token: for the receipt. at: now, UTC.
    """
    if known.cloned is not None:
        return "cloned", known
    is_overtaken = step.sent_at < known.sent_at
    if step.epoch in known.others and not is_overtaken:
        return "cloned", msgspec.structs.replace(known, cloned=at)
    if step.epoch in (*known.ancestors, *known.others):
        return "behind", _from_the_beginning(known)
    if step.epoch != known.epoch:
        return _begun(known, step, token)
    if step.token not in (known.issued, known.acked) or step.after > known.cursor:
        return "behind", known
    if step.token != known.issued and is_overtaken:  # on its way, by what was sent in its place and may say more
        return "behind", known
    cursor = max(known.cursor, step.upto)
    return "goes on", msgspec.structs.replace(
        known, cursor=cursor, issued=token, acked=step.token, sent_at=step.sent_at
    )


def _begun(known: Standing, step: Step, token: str) -> tuple[Verdict, Standing]:
    """Follow a node into an epoch that was not heard of before."""
    is_next = known.epoch in step.before[:1] or (not known.epoch and bool(step.token))
    if is_next and step.after > known.cursor:  # the hub was restored: what is between has to come again
        return "behind", known
    if known.epoch and not is_next and step.after:  # so was the hub, or more than once the node
        return "behind", _from_the_beginning(known)
    left = known.others if known.epoch in step.before else (known.epoch, *known.ancestors, *known.others)
    others = tuple(epoch for epoch in left if epoch and epoch not in step.before)[:EPOCHS]
    before = step.before[:EPOCHS]
    return "goes on", Standing(step.epoch, step.upto, token, step.token, before, others, sent_at=step.sent_at)


def _from_the_beginning(known: Standing) -> Standing:
    return msgspec.structs.replace(known, cursor=0)


def silent_after(every: Millis) -> Millis:
    """Return how long a node that reports every so often may say nothing."""
    return max(3 * every, SILENT_AT_LEAST)


def is_history(at: Millis, sent_at: Millis, every: Millis) -> bool:
    """Tell by the clock of a node that reports every so often whether what it measured was old when it left."""
    return sent_at - at > 3 * max(every, FIVE_MINUTES)


def name(node: str, sensor: str) -> str:
    """Return what a node's sensor is called at the hub; "" for what is no name."""
    return f"{node}/{sensor.replace('/', '.')}" if _NAME.fullmatch(sensor) else ""


def fault(summary: Summary, width: Millis, at: Millis | None) -> str:
    """Say what is wrong with a summary that was sent, or "". at: now, UTC; None while nobody is sure of it."""
    if summary.width != width:
        return f"its width is not {width} ms"
    if not 0 <= summary.start <= LATEST or summary.start % width:
        return "it does not begin where a window does"
    if at is not None and summary.start > at + MAX_AHEAD:
        return "it is of the future"
    if not (0 <= summary.heard <= width and (summary.on is None or 0 <= summary.on <= summary.heard)):
        return "heard and on are not within its width"
    if len(summary.bad) != len(NO_BAD) or not all(0 <= count <= MOST for count in (summary.texts, *summary.bad)):
        return "texts and bad are counts"
    return _fault_of(summary.numbers, summary) if summary.numbers else ""


def _fault_of(numbers: Numbers, summary: Summary) -> str:
    low, high = numbers.lowest, numbers.highest
    if not 0 < numbers.count <= MOST or not math.isfinite(numbers.mean + numbers.squares) or numbers.squares < 0:
        return "its numbers are none"
    if not all(map(_is_number, (low, high, numbers.first, numbers.last))):
        return "its numbers are none"
    slack = _ROUNDING * max(abs(low), abs(high))
    if not low - slack <= numbers.mean <= high + slack:
        return "its mean is not between min and max"
    if not (low <= numbers.first <= high and low <= numbers.last <= high):
        return "first and last are not between min and max"
    if not summary.start <= numbers.first_at <= numbers.last_at < summary.start + summary.width:
        return "first_at and last_at are not in it, in this order"
    return ""


def _is_number(value: Number) -> bool:
    return math.isfinite(value) if isinstance(value, float) else -(2**63) <= value < 2**63
