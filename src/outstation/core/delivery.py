"""What an answer to an alert means, and how long to wait before the next try.

The law of this file: only 2xx is a receipt. Whatever may get better by itself is tried again for
ever; what a person must mend is tried seldom; and what will never be taken makes room.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from outstation.core.readings import Millis

FIRST, LONGEST = 1_000, 60_000
"""The bound of the first wait, doubled each time up to the longest."""

SELDOM: Millis = 300_000
"""Between two tries when a person must act first."""

LONGEST_ASKED: Millis = 900_000
"""Retry-After is obeyed up to here: an alert is not put off for a day by one line of an answer."""

_TRANSIENT = frozenset({408, 425, 429})
"""Request Timeout (RFC 9110), Too Early (RFC 8470), Too Many Requests (RFC 6585)."""

_FORBIDDEN = frozenset({401, 403})


class Answer(msgspec.Struct, frozen=True):
    """What came of one try. status: of HTTP; None: there was none. error: what a person is told.

    refused: we did not even try, since the address or the config must be mended first.
    """

    status: int | None
    error: str = ""
    retry_after: Millis | None = None
    refused: bool = False


class Verdict(msgspec.Struct, frozen=True):
    """What to do: it is done, or never will be (park), or is tried again `after` milliseconds.

    urgent: a person must act, and is told at once.
    """

    then: Literal["done", "park", "again"]
    after: Millis = 0
    urgent: bool = False


DONE, PARK = Verdict("done"), Verdict("park")


def judge(attempt: int, answer: Answer, chance: float) -> Verdict:
    """Return what an answer to try number `attempt` (from 1) means. chance: random, in [0, 1)."""
    status = answer.status
    if answer.refused or status in _FORBIDDEN:
        return Verdict("again", SELDOM, urgent=True)
    if status is None:
        return Verdict("again", jittered(attempt, chance))
    if 200 <= status < 300:
        return DONE
    if 400 <= status < 500 and status not in _TRANSIENT:
        return PARK
    return Verdict("again", max(jittered(attempt, chance), min(answer.retry_after or 0, LONGEST_ASKED)))


def jittered(attempt: int, chance: float) -> Millis:
    """Return a wait anywhere up to a bound that doubles with each try ("full jitter")."""
    return int(chance * min(FIRST << min(attempt - 1, 30), LONGEST))
