"""The summary of a window, reading by reading.

The law of this file: a reading is looked at once, in the order of time, and in a time that does not grow. The
summaries of the open windows and those made anew from the store go through it alike, so the same
readings give the same summary to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from outstation.core.readings import Millis, Quality, Value
from outstation.core.summaries import NO_BAD, Number, Numbers, Said, Summary
from outstation.core.windows import Window

LONGEST_REACH: Millis = 86_400_000
"""No reading speaks longer: a clock that leaps by twenty years would make two million windows of one reading."""

LARGEST = 1e150
"""A number beyond has a square that no float holds: it counts as out of range."""


def summarised(
    windows: Iterable[Window], readings: Iterable[Said], reach: Millis, before: Said | None = None
) -> Iterator[Summary]:
    """Return the summaries of windows in a row, from all readings in them, in order of time.

    reach: how long a reading speaks if none follows. before: the last one before the windows.
    """
    rest = iter(windows)
    running = Running(next(rest), reach)
    if before is not None:
        running.hear_before(*before)
    for at, value, quality in readings:
        while at >= running.end:
            yield running.close()
            running.open(next(rest), reach)
        running.add(at, value, quality)
    yield running.close()
    for window in rest:
        running.open(window, reach)
        yield running.close()


class Running:
    """The summary of one window, reading by reading. clean: it has heard all of the window, in order."""

    __slots__ = (
        "_bad", "_count", "_first", "_first_at", "_heard", "_highest", "_last", "_last_at", "_lowest", "_mean",
        "_newest", "_on", "_says", "_squares", "_texts", "_until",
        "clean", "end", "is_open", "reach", "since", "window",
    )  # fmt: skip

    def __init__(self, window: Window, reach: Millis) -> None:
        self._until = self._newest = window.start
        self._says: bool | None = None
        self.clean = True
        self.open(window, reach)

    def open(self, window: Window, reach: Millis) -> None:
        """Begin a window, no earlier than the last; what was said before it may still hold."""
        self.window, self.end = window, window.end
        start = self.since = window.start
        self.reach = min(reach, LONGEST_REACH)
        self.is_open = True
        self._count = self._heard = self._texts = self._first_at = self._last_at = 0
        self._mean = self._squares = 0.0
        self._lowest: Number = math.inf
        self._highest: Number = -math.inf
        self._first: Number = 0
        self._last: Number = 0
        self._on: Millis | None = None
        self._bad: list[int] | None = None
        if self._until <= start:
            self._until, self._says = start, None

    @property
    def goes_on(self) -> bool:
        """Whether what was said last holds beyond the end of the window."""
        return self._until > self.end

    @property
    def newest(self) -> Millis:
        """When the newest reading was measured, of this window or of one before."""
        return self.since if self.is_open and self.has_readings else self._newest

    @property
    def has_readings(self) -> bool:
        """Whether the window had any."""
        return bool(self._count or self._texts or self._bad)

    def hear_before(self, at: Millis, value: Value | None, quality: int) -> None:
        """Take in the last reading before the window: it may still speak in it."""
        if at + self.reach > self.since and _counts(value, quality):
            self._until = at + self.reach
            self._says = value if isinstance(value, bool) else None

    def begin_after(self, at: Millis) -> None:
        """Know of a newest reading, and of nothing else: no window is open, and the first one is not clean."""
        self.since = self.end = self._newest = at
        self.is_open = self.clean = False

    def pass_over(self, end: Millis) -> None:
        """Know that the windows until here were made from what is stored: what comes for them now is late."""
        self.since = self.end = max(end, self.end)

    def add(self, at: Millis, value: Value | None, quality: int) -> None:
        """Take in a reading of the window, no earlier than those before it."""
        # Written out, and flat: this is what each reading costs.
        until = self._until
        spoke = (until if until < at else at) - self.since  # noqa: FURB136
        self._heard += spoke
        self.since = at
        if self._says is not None:
            self._hear_on(spoke)
            self._says = None
        if quality or value is None:
            return self._add_bad(at, quality or Quality.FAULT)
        if isinstance(value, str):
            return self._add_text(at)
        if not -LARGEST <= value <= LARGEST:
            return self._add_bad(at, Quality.OUT_OF_RANGE)
        self._until = at + self.reach
        if value is True or value is False:
            self._says = value
        count = self._count = self._count + 1
        if count == 1:
            self._first, self._first_at = value, at
        apart = value - self._mean
        self._mean += apart / count
        self._squares += apart * (value - self._mean)
        if value < self._lowest:  # noqa: PLR1730
            self._lowest = value
        if value > self._highest:  # noqa: PLR1730
            self._highest = value
        self._last, self._last_at = value, at
        return None

    def close(self) -> Summary:
        """Return the summary. What was said last speaks until the end."""
        self._newest = self.newest
        spoke = min(self._until, self.end) - self.since
        self._heard += spoke
        self.since = self.end
        self.is_open = False
        if self._says is not None:
            self._hear_on(spoke)
        bad = tuple(self._bad) if self._bad else NO_BAD
        window = self.window
        return Summary(window.start, window.width, self._numbers(), self._heard, self._on, self._texts, bad)

    def _numbers(self) -> Numbers | None:
        if not self._count:
            return None
        values = self._lowest, self._highest, self._first, self._last
        return Numbers(self._count, self._mean, self._squares, *values, self._first_at, self._last_at)

    def _hear_on(self, spoke: Millis) -> None:
        if spoke:
            self._on = (self._on or 0) + (spoke if self._says else 0)

    def _add_text(self, at: Millis) -> None:
        self._until = at + self.reach
        self._texts += 1

    def _add_bad(self, at: Millis, quality: int) -> None:
        """Count a reading that is worth nothing: it says nothing, and nothing holds any longer that was said before."""
        self._until = at
        if self._bad is None:
            self._bad = list(NO_BAD)
        self._bad[quality - 1] += 1


def _counts(value: Value | None, quality: int) -> bool:
    """Tell whether a value is worth something."""
    if quality or value is None:
        return False
    return isinstance(value, str) or -LARGEST <= value <= LARGEST
