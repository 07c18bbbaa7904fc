"""What an answer to alerts or summaries means, how long to wait before the next try, and when a node reports.

The law of this file: only 2xx is a receipt. Whatever may get better by itself is tried again for
ever; what a person must mend is tried seldom; and what will never be taken makes room.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from outstation.core.readings import Millis
from outstation.core.summaries import Summary

FIRST, LONGEST = 1_000, 60_000
"""The bound of the first wait, doubled each time up to the longest."""

LONGEST_BATCH: Millis = 300_000
"""The same for summaries: they come every five minutes."""

SELDOM: Millis = 300_000
"""Between two tries when a person must act first."""

LONGEST_ASKED: Millis = 900_000
"""Retry-After is obeyed up to here: an alert is not put off for a day by one line of an answer."""

_TRANSIENT = frozenset({408, 425, 429})
"""Request Timeout (RFC 9110), Too Early (RFC 8470), Too Many Requests (RFC 6585)."""

_FORBIDDEN = frozenset({401, 403})

_PORTAL = 511
"""Network Authentication Required (RFC 6585): a login page in between."""

_OF_THE_ADDRESS = frozenset({404, 405, 407, 410, 421, _PORTAL})
"""Statuses of RFC 9110 and 6585 that speak of the URL or the network, not of what was sent: a wrong URL in a config
must not be taken for a wish to have none of the summaries."""

_SPREAD: Millis = 60_000
"""Nodes report within so much of the end of a window: more would only make what people see older."""


class Item(msgspec.Struct, frozen=True, gc=False):
    """A summary that is to be sent. number: of its revision; what is sent and what is not is told by it."""

    number: int
    sensor: str
    summary: Summary


class Answer(msgspec.Struct, frozen=True):
    """What came of one try. status: of HTTP; None: there was none. error: what a person is told.

    refused: we did not even try, since the address or the config must be mended first. type: of the body, without
    its parameters. sent, received: bytes of HTTP, heads and bodies.
    """

    status: int | None
    error: str = ""
    retry_after: Millis | None = None
    refused: bool = False
    body: bytes = b""
    type: str = ""
    sent: int = 0
    received: int = 0


class Verdict(msgspec.Struct, frozen=True):
    """What to do: it is done, or never will be (park), or is tried again `after` milliseconds.

    urgent: a person must act, and is told at once.
    """

    then: Literal["done", "park", "again"]
    after: Millis = 0
    urgent: bool = False


DONE, PARK = Verdict("done"), Verdict("park")


def judge(attempt: int, answer: Answer, chance: float, longest: Millis | None = None) -> Verdict:
    """Return what an answer to try number `attempt` (from 1) means. chance: random, in [0, 1)."""
    status = answer.status
    if answer.refused or status in _FORBIDDEN:
        return Verdict("again", SELDOM, urgent=True)
    if status is None:
        return Verdict("again", jittered(attempt, chance, longest))
    if 200 <= status < 300:
        return DONE
    if 400 <= status < 500 and status not in _TRANSIENT:
        return PARK
    return Verdict("again", max(jittered(attempt, chance, longest), min(answer.retry_after or 0, LONGEST_ASKED)))


def judge_uplink(attempt: int, answer: Answer, chance: float, longest: Millis | None = None) -> Verdict:
    """As `judge`, for an uplink: a wrong URL must park nothing. longest: between two tries, None: LONGEST."""
    if answer.status in _OF_THE_ADDRESS:
        return Verdict("again", SELDOM, urgent=True)
    return judge(attempt, answer, chance, longest)


def told(answer: Answer) -> str:
    """Return what a person is told of an answer to an uplink: with what to look at."""
    if answer.status in _FORBIDDEN:
        return f"{answer.error} (is its key right?)"
    if answer.status in _OF_THE_ADDRESS and answer.status != _PORTAL:
        return f"{answer.error} (is its URL right?)"
    return answer.error


def jittered(attempt: int, chance: float, longest: Millis | None = None) -> Millis:
    """Return a wait anywhere up to a bound that doubles with each try ("full jitter")."""
    return int(chance * min(FIRST << min(attempt - 1, 30), LONGEST if longest is None else longest))


def piece(items: Sequence[Item], limit: int, after: int, upto: int) -> tuple[Sequence[Item], int]:
    """Return the first `limit` of the items between two numbers, and up to which number these are all.

    Items that were packed together share a number: it is done when the last of them is.
    """
    part, rest = items[:limit], items[limit:]
    if not rest:
        return part, upto
    return part, max((item.number for item in part if item.number < rest[0].number), default=after)


def own_moment(chance: float, every: Millis) -> Millis:
    """Return how long after the others a node reports: 2,000 must not all come at once. chance: its own, in [0, 1)."""
    return int(chance * min(every // 5, _SPREAD))
