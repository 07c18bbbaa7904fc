"""What a sensor said over the latest minutes, hours or days: statistics that roll on with every reading.

The law of this file: what a span costs is bounded, whatever comes in. A span is kept in slices
of a six-hundredth of it: readings that share a slice are kept as one Statistics, and no reading
is looked at twice. So for all that speak no more often than that the statistics are those
of the readings in the span, exactly; of the others the oldest slice counts until its last
reading leaves, which moves the far end of the span by less than 0.2 %. What is taken in as the summary
of a window is a slice, or shares one: until it has left, the far end moves by five minutes more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from outstation.core.readings import Millis
from outstation.core.summaries import Numbers, Summary

SLICES = 600
"""Of ten minutes, seconds; of a week, a quarter of an hour. Each takes some 500 bytes."""

ENOUGH_PERCENT = 80
"""What was heard of less than this part of a span says little about it: DESIGN, "Unknown is a value"."""

_SOONEST: Millis = 1_000
_HOUR: Millis = 3_600_000


class Statistics(msgspec.Struct, frozen=True, gc=False):
    """What some readings in a row have in common, of which the first came at first_now and the last at last_now.

    squares: the sum of squared deviations of the values from their mean; squares_now: of their
    times in ms; products: the sum of the products of both. covered: the milliseconds between the
    first and the last in which the sensor was heard; lead, silence: before the first it was heard for
    `lead`, and then not for `silence`.
    """

    count: int
    mean: float
    lowest: float
    highest: float
    first: float
    last: float
    first_now: Millis
    last_now: Millis
    squares: float = 0.0
    mean_now: float = 0.0
    squares_now: float = 0.0
    products: float = 0.0
    covered: Millis = 0
    lead: Millis = 0
    silence: Millis = 0

    @property
    def stdev(self) -> float | None:
        """The standard deviation of the sample (n - 1); None for a single reading."""
        return math.sqrt(self.squares / (self.count - 1)) if self.count > 1 else None

    @property
    def change(self) -> float | None:
        """The last value less the first; None for a single reading."""
        return self.last - self.first if self.count > 1 else None

    @property
    def rate(self) -> float | None:
        """The slope of the straight line that fits best (least squares), per hour; None without two times.

        Every reading has its say: over 60 readings, their noise moves this slope by a third of what
        it moves the difference of the last and the first.
        """
        return self.products / self.squares_now * _HOUR if self.squares_now else None


def of_reading(now: Millis, value: float, lead: Millis = 0, silence: Millis = 0) -> Statistics:
    """Return the statistics of one reading."""
    number = float(value)
    return Statistics(1, number, value, value, value, value, now, now, 0.0, float(now), 0.0, 0.0, 0, lead, silence)


def of_summary(numbers: Numbers, shift: Millis, covered: Millis, lead: Millis = 0, silence: Millis = 0) -> Statistics:
    """Return the statistics of the readings of a window. shift: from UTC to `now`.

    Nobody knows any more how they rose within it: a rate goes by its mean, halfway between the first and the last.
    """
    first_now, last_now = numbers.first_at + shift, numbers.last_at + shift
    return Statistics(
        numbers.count,
        numbers.mean,
        float(numbers.lowest),
        float(numbers.highest),
        float(numbers.first),
        float(numbers.last),
        first_now,
        last_now,
        numbers.squares,
        (first_now + last_now) / 2,
        covered=covered,
        lead=lead,
        silence=silence,
    )


def merged(one: Statistics, other: Statistics) -> Statistics:
    """Return the statistics of some readings and of those that came after them.

    Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances"
    (1979), equation 2.1; the products likewise.
    """
    count = one.count + other.count
    share = other.count / count
    weight = one.count * share
    apart, apart_now = other.mean - one.mean, other.mean_now - one.mean_now
    return Statistics(
        count,
        one.mean + apart * share,
        # Written out: min() and max() would take as long as all the rest.
        one.lowest if one.lowest <= other.lowest else other.lowest,  # noqa: FURB136
        one.highest if one.highest >= other.highest else other.highest,  # noqa: FURB136
        one.first,
        other.last,
        one.first_now,
        other.last_now,
        one.squares + other.squares + apart * apart * weight,
        one.mean_now + apart_now * share,
        one.squares_now + other.squares_now + apart_now * apart_now * weight,
        one.products + other.products + apart * apart_now * weight,
        one.covered + other.lead + other.covered,
        one.lead,
        one.silence,
    )


def width(span: Millis) -> Millis:
    """Return how long a slice of a span is."""
    return -(-span // SLICES)


class Spans:
    """The latest of one sensor, over each of the spans that somebody asks for."""

    def __init__(self, spans: Iterable[Millis]) -> None:
        self._spans = {span: _Span(span) for span in spans}
        self._newest: Millis | None = None
        self._reach: Millis = 0

    def add(self, now: Millis, value: float, *, reach: Millis) -> None:
        """Take in a reading, in the order of `now`; one that comes before the newest counts for nothing.

        reach: how long it speaks for the time after it, if none follows: as long as it is not stale.
        """
        newest = self._newest
        if newest is not None and now < newest:
            return
        gap = 0 if newest is None else now - newest
        lead = min(gap, self._reach)
        self._newest, self._reach = now, reach
        reading = of_reading(now, value, lead, gap - lead)
        for span in self._spans.values():
            span.add(reading)

    def add_summary(self, summary: Summary, shift: Millis, *, reach: Millis) -> None:
        """Take in the readings of a window as `add` does, in the same order. shift: from UTC to `now`."""
        numbers, newest = summary.numbers, self._newest
        if numbers is None or (newest is not None and numbers.first_at + shift < newest):
            return
        gap = 0 if newest is None else numbers.first_at + shift - newest
        lead = min(gap, self._reach)
        # What was said before the window speaks in it as well.
        before = max(0, min(lead, lead - gap + numbers.first_at - summary.start))
        self._newest, self._reach = numbers.last_at + shift, reach
        part = of_summary(numbers, shift, _covered(summary, numbers, before, reach), lead, gap - lead)
        for span in self._spans.values():
            span.add(part)

    def count(self, span: Millis, now: Millis) -> int:
        """Return how many readings there are in a span that ends now."""
        all_ = self._spans[span].all(now)
        return all_.count if all_ else 0

    def statistics(self, span: Millis, now: Millis) -> Statistics | None:
        """Return the statistics of a span that ends now; None while less than 80 % of it was heard."""
        all_ = self._spans[span].all(now)
        return all_ if all_ and self._covered(all_, span, now) * 100 >= span * ENOUGH_PERCENT else None

    def steady_for(self, span: Millis, now: Millis) -> Millis | None:
        """Return how long the statistics stay as they are if no reading comes, at least; None: for ever."""
        one = self._spans[span]
        all_, oldest = one.all(now), one.oldest()
        if all_ is None or oldest is None:
            return None
        # What is heard grows and shrinks by no more than a millisecond in one; and while the newest speaks, it grows.
        margin = self._covered(all_, span, now) - span * ENOUGH_PERCENT // 100
        if margin < 0:
            margin = -margin
        elif (left := all_.last_now + self._reach - now) > 0:
            margin += left
        leaves = oldest + span - now
        return leaves if leaves < margin or leaves < _SOONEST else max(margin, _SOONEST)

    def _covered(self, all_: Statistics, span: Millis, now: Millis) -> Millis:
        # Written out: it is asked for with every reading, twice.
        before, since = all_.first_now - all_.silence - now + span, now - all_.last_now
        before = 0 if before < 0 else before if before < all_.lead else all_.lead  # noqa: FURB136
        return before + all_.covered + (since if since < self._reach else self._reach)  # noqa: FURB136


def _covered(summary: Summary, numbers: Numbers, before: Millis, reach: Millis) -> Millis:
    """Return for how long a sensor was heard between the first and the last reading of a window, about.

    Exactly where it has no faulty one: in a summary nothing holds on after these, and in spans they do not count.
    """
    after = min(summary.start + summary.width - numbers.last_at, reach)
    heard = summary.heard - before - after + sum(summary.bad) * reach
    return max(0, min(heard, numbers.last_at - numbers.first_at))


class _Span:
    """One span, as a queue of slices whose sum is at hand.

    Two stacks make the queue. In front the older slices, each merged with all that are newer in front;
    behind them the newer ones, the last of which still grows, and the sum of these. When the front is
    used up, the back becomes it, but for the last.
    """

    def __init__(self, length: Millis) -> None:
        self._length = length
        self._slice = width(length)
        self._front: list[tuple[Millis, Statistics]] = []
        self._back: list[Statistics] = []
        self._behind: Statistics | None = None
        self._sum: tuple[Statistics, Statistics, Statistics] | None = None

    def add(self, reading: Statistics) -> None:
        """Take in a reading, newer than all before it."""
        back, behind = self._back, self._behind
        self._behind = merged(behind, reading) if behind else reading
        if back and reading.first_now // self._slice == back[-1].first_now // self._slice:
            back[-1] = merged(back[-1], reading)
            return
        back.append(reading)
        self._forget(reading.first_now - self._length)

    def all(self, now: Millis) -> Statistics | None:
        """Return the statistics of all readings later than a span before now; None if there are none."""
        self._forget(now - self._length)
        behind = self._behind
        if not self._front or behind is None:
            return behind
        front = self._front[-1][1]
        if self._sum is None or self._sum[0] is not front or self._sum[1] is not behind:
            # Kept, for who asks for a statistic asks next how long it lasts.
            self._sum = (front, behind, merged(front, behind))
        return self._sum[2]

    def oldest(self) -> Millis | None:
        """Return when the oldest slice heard its last."""
        if self._front:
            return self._front[-1][0]
        return self._back[0].last_now if self._back else None

    def _forget(self, start: Millis) -> None:
        """Drop the slices that had their last reading at `start` or before."""
        self._drop(start)
        if self._front or not self._back or self._back[0].last_now > start:
            return
        self._turn()
        self._drop(start)
        if self._back[0].last_now <= start:
            self._back, self._behind = [], None

    def _drop(self, start: Millis) -> None:
        front = self._front
        while front and front[-1][0] <= start:
            front.pop()

    def _turn(self) -> None:
        """Make the back the front, but for the slice that still grows."""
        growing = self._back.pop()
        newer: Statistics | None = None
        for part in reversed(self._back):
            newer = merged(part, newer) if newer else part
            self._front.append((part.last_now, newer))
        self._back, self._behind = [growing], growing
