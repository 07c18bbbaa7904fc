"""Where windows begin and end: five minutes and hours by the UTC epoch, days by the node's time zone.

The law of this file: the windows of a tier cut all of time into pieces, without a gap and without
an overlap, whatever the zone does; and each edge of a window is one of the next finer tier as
well, or at least one of five minutes (half past the hour begins the days of India).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping

import msgspec

from outstation.core.readings import Millis

FIVE_MINUTES: Millis = 300_000
HOUR: Millis = 3_600_000
DAY: Millis = 86_400_000
"""By the calendar; a day of the zone may have an hour less or more."""

Offset = Callable[[Millis], Millis]
"""What is added to UTC at a moment to have local time."""


class Tier(enum.IntEnum):
    """What a question may be answered from. Stored: numbers stay."""

    RAW = 0
    FIVE_MINUTES = 1
    HOUR = 2
    DAY = 3


WIDTHS = {Tier.FIVE_MINUTES: FIVE_MINUTES, Tier.HOUR: HOUR}
"""Of the windows of those tiers that have one width."""


class Window(msgspec.Struct, frozen=True, order=True):
    """A span of UTC: its start belongs to it, its end does not."""

    start: Millis
    width: Millis

    @property
    def end(self) -> Millis:
        """The start of the next one."""
        return self.start + self.width

    @property
    def tier(self) -> Tier:
        """The tier whose window it is."""
        return _TIERS.get(self.width, Tier.DAY)


class Piece(msgspec.Struct, frozen=True):
    """A part of a span, and the tier whose windows fill it."""

    tier: Tier
    start: Millis
    end: Millis


_TIERS = {width: tier for tier, width in WIDTHS.items()}


def window(tier: Tier, at: Millis, offset: Offset) -> Window:
    """Return the window of a tier, other than RAW, that holds this moment."""
    if tier is Tier.DAY:
        return _day(at, offset)
    width = WIDTHS[tier]
    return Window(at - at % width, width)


def touched(start: Millis, end: Millis, reach: Millis) -> list[Window]:
    """Return the windows of five minutes that change with readings from `start` to `end`, both included.

    reach: how long a reading speaks. The last may be heard in later windows than its own.
    """
    first = start - start % FIVE_MINUTES
    return [Window(at, FIVE_MINUTES) for at in range(first, end + max(reach, 1), FIVE_MINUTES)]


def pieces(
    start: Millis, end: Millis, tier: Tier, offset: Offset, closed: Mapping[Tier, Millis] | None = None
) -> list[Piece]:
    """Return a span as whole windows of a tier, and at its edges of finer ones, in order.

    closed: until when the windows of a tier are closed; none given: all are.
    """
    if start >= end:
        return []
    if tier is Tier.RAW:
        return [Piece(tier, start, end)]
    finer = Tier(tier - 1)
    first, last = _inside(start, min(end, (closed or {}).get(tier, end)), tier, offset)
    if first >= last:
        return pieces(start, end, finer, offset, closed)
    before, after = (pieces(*edge, finer, offset, closed) for edge in ((start, first), (last, end)))
    return [*before, Piece(tier, first, last), *after]


def parts(window_: Window, offset: Offset) -> list[Piece]:
    """Return what a window is made from: a day from hours, an hour from five minutes, these from readings."""
    return pieces(window_.start, window_.end, Tier(window_.tier - 1), offset)


def day_number(at: Millis, offset: Offset) -> int:
    """Return the number of the local day that holds this moment; 0 is 1 January 1970."""
    # Where clocks go back over midnight (St. John's did so at 0:01) the date is that of the day before for a while.
    number = (at + offset(at)) // DAY
    while at < day_start(number, offset):
        number -= 1
    while at >= day_start(number + 1, offset):
        number += 1
    return number


def day_start(number: int, offset: Offset) -> Millis:
    """Return when a local day begins: at midnight, or where clocks leap over midnight, when they do.

    By the offset at its noon, when no clock is put forward or back: so it is the same for every moment of the day.
    The offset is taken in steps of five minutes: no zone has had another since 1972 (tz database, Africa/Monrovia).
    """
    midnight = number * DAY
    noon = midnight + DAY // 2
    at_noon = _stepped(offset, noon - _stepped(offset, noon))
    start = midnight - at_noon
    before = _stepped(offset, start)
    return start if before == at_noon else midnight - before


def _day(at: Millis, offset: Offset) -> Window:
    number = day_number(at, offset)
    start = day_start(number, offset)
    return Window(start, day_start(number + 1, offset) - start)


def _inside(start: Millis, end: Millis, tier: Tier, offset: Offset) -> tuple[Millis, Millis]:
    """Return where the first whole window of a span begins, and where the last one ends."""
    first = window(tier, start, offset)
    return first.start if first.start == start else first.end, window(tier, end, offset).start


def _stepped(offset: Offset, at: Millis) -> Millis:
    found = offset(at)
    return found - found % FIVE_MINUTES
