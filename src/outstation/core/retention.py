"""What of the history is deleted next, and why nothing is; how fast it grows, and when it fills its room.

The law of this file: by age nothing goes while the clock is in doubt, never before its summary is stored and every
uplink has had it, and never more than a tenth at once (or one block) unless a person says so. By size the cap is held
always: first goes what is kept in shorter form as well, and only when nothing else is left, what is kept nowhere else.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping

import msgspec

from outstation.core.readings import Millis
from outstation.core.windows import DAY, FIVE_MINUTES, HOUR

TWO_YEARS: Millis = 730 * DAY

MOST_CAP = 2_000_000_000
"""Bytes: without a word of the owner."""

STEPPED: Millis = DAY
"""A trusted clock that moved by more than this since the boot was wrong before or is wrong now."""

_WHOLE_EVERY: Millis = DAY
"""Between two runs that delete whatever is too old: each may take a tenth, so that a clock that is wrong takes no more
in a day. All other runs see to what became too old just now."""

_JUST_NOW: Millis = 2 * DAY
_EVER: Millis = -(1 << 60)

LAST_DAY: Millis = DAY
"""Of a sensor's summaries: people look at these, so readings go before them, also those that are kept nowhere else."""

_MOST_SHARE = 10
_FROM, _DOWN_TO = 50, 25
"""Parts of the cap: room is made when so much of it is left, until so much is. What is freed is what is filled next."""

_LOG_SHARE = 4
"""A log of more than this part of the cap is sealed before anything is deleted: that makes it a tenth of itself."""

_TOO_FAR: Millis = 10 * 365 * DAY
"""A rate of today says nothing about what is further off."""


class Limits(msgspec.Struct, frozen=True):
    """What the owner wants kept. cap: bytes. keep: readings; of a sensor in `own`: its own. None: for ever.

    keep_5m: summaries of five minutes; those of hours and days have no age.
    """

    cap: int
    keep: Millis | None = None
    keep_5m: Millis | None = TWO_YEARS
    own: Mapping[str, Millis] = {}

    def of(self, sensor: str) -> Millis | None:
        """Return for how long the readings of a sensor are kept."""
        return self.own.get(sensor, self.keep)


class Now(msgspec.Struct, frozen=True):
    """The clock. moved: by how much it has stepped since the boot, while it was trusted."""

    at: Millis
    trusted: bool
    moved: Millis = 0


class Frontier(msgspec.Struct, frozen=True):
    """How far a sensor's readings are summarised, and until when all uplinks have its summaries; None: all have all."""

    summarised: Millis | None
    sent: Millis | None = None

    @property
    def until(self) -> Millis | None:
        """Until when both is so; None: nothing is summarised."""
        if self.summarised is None or self.sent is None:
            return self.summarised
        return min(self.summarised, self.sent)

    def covers(self, end: Millis) -> bool:
        """Say whether all up to a moment is summarised and sent: the window that holds it, too."""
        return self.until is not None and window_end(end) <= self.until


class What(enum.IntEnum):
    """What goes to make room: the first of these that there is."""

    READINGS = 0
    FIVE_MINUTES = 1
    HOURS = 2
    BARE_READINGS = 3
    UNSENT_FIVE_MINUTES = 4
    UNSENT_HOURS = 5
    DAYS = 6

    @property
    def words(self) -> str:
        """What it is called."""
        return _WORDS[self]


_WORDS = {
    What.READINGS: "readings that are summarised",
    What.FIVE_MINUTES: "summaries of five minutes",
    What.HOURS: "summaries of hours",
    What.BARE_READINGS: "readings that are not summarised yet",
    What.UNSENT_FIVE_MINUTES: "summaries of five minutes of the last day, or that not every uplink has had",
    What.UNSENT_HOURS: "summaries of hours of the last day, or that not every uplink has had",
    What.DAYS: "summaries of days",
}


READINGS = (What.READINGS, What.BARE_READINGS)


def default_cap(free: int, used: int) -> int:
    """Return the cap that holds without a setting: 2 GB, or a quarter of what the disk has for us, if that is less.

    Never less than is used: another program that fills the disk must not cost readings.
    """
    return min(MOST_CAP, max((free + used) // 4, used))


def hindrance(now: Now) -> str:
    """Return why nothing is deleted by age now, or ""."""
    if not now.trusted:
        return "Nothing is deleted by age: the clock is not synchronised."
    if now.moved > STEPPED:
        return f"Nothing is deleted by age until the next boot: the clock has stepped by {now.moved // DAY} days."
    return ""


def is_whole_due(last: Millis | None, now: Now) -> bool:
    """Say whether a run may delete whatever is too old. A last one in the future was by a clock that was wrong."""
    return last is None or abs(now.at - last) >= _WHOLE_EVERY


def readings_between(keep: Millis, now: Now, *, whole: bool) -> tuple[Millis, Millis]:
    """Return from when, and until before when, readings are that go by age."""
    before = now.at - keep
    return (_EVER if whole else before - _JUST_NOW), before


def allowance(readings: int) -> int:
    """Return how many of all readings may go in one run by age."""
    return readings // _MOST_SHARE


def summaries_before(keep: Millis | None, now: Now, first: Millis, last: Millis, *, asked: bool) -> Millis:
    """Return before when a sensor's summaries of five minutes go by age, of those from `first` to `last`.

    Unasked, that is a tenth of them. On the hour: an hour whose parts are partly gone could not be made anew.
    """
    if keep is None:
        return first
    before = min(now.at - keep, last if asked else first + (last - first) // _MOST_SHARE)
    return before - before % HOUR


def too_much(used: int, cap: int) -> int:
    """Return how many bytes are to be freed; 0 while there is room."""
    return used - (cap - cap // _DOWN_TO) if used > cap - cap // _FROM else 0


def is_full(used: int, cap: int) -> bool:
    """Say whether what comes takes the place of what goes."""
    return used >= cap - cap // _DOWN_TO


def is_log_first(log: int, cap: int) -> bool:
    """Say whether the log has so many bytes that sealing it comes before deleting."""
    return log > cap // _LOG_SHARE


def window_end(at: Millis) -> Millis:
    """Return the end of the window of five minutes that holds a moment."""
    return at - at % FIVE_MINUTES + FIVE_MINUTES


class Growth(msgspec.Struct, frozen=True):
    """Something that grows by so many bytes a day, until its age is reached; None: for ever."""

    a_day: float
    until: Millis | None = None


class Forecast(msgspec.Struct, frozen=True):
    """bytes a day at the present rate, and when the cap is reached at it. None: not in ten years."""

    a_day: float
    full_at: Millis | None


def forecast(used: int, cap: int, growing: Iterable[Growth], at: Millis) -> Forecast:
    """Return when so many bytes will have filled the cap. What has reached its age loses as much as it gains."""
    growths, cap = list(growing), cap - cap // _FROM
    whole = sum(growth.a_day for growth in growths)
    ends = sorted((growth.until, growth.a_day) for growth in growths if growth.until is not None and growth.until > at)
    rate = whole - sum(growth.a_day for growth in growths if growth.until is not None and growth.until <= at)
    left, since = float(cap - used), at
    for until, a_day in ends:
        gained = rate * (until - since) / DAY
        if gained >= left:
            break
        left, since, rate = left - gained, until, rate - a_day
    return Forecast(whole, _reached(left, since, rate, at))


def _reached(left: float, since: Millis, rate: float, at: Millis) -> Millis | None:
    if left <= 0:
        return at
    if left * DAY > rate * _TOO_FAR:
        return None
    full = since + round(left * DAY / rate)
    return full if full - at <= _TOO_FAR else None
