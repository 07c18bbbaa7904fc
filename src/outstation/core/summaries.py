"""What the readings of a window have in common, and how the summaries of windows in a row become one.

The law of this file: a summary of a span is the same whichever way it came about: from the readings,
or from the summaries of any windows that fill the span. Count, minimum, maximum, first and last
with their times, the time heard and the time on, and what was not averaged in are so to the last bit. The mean
and the spread are so up to rounding: they are merged as count, mean and sum of squared deviations,
never as an average of averages. And where there was nothing, there is nothing: no zero stands for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from outstation.core.readings import Millis, Quality, Value
from outstation.core.windows import Window
from outstation.errors import StoreError

Number = float | int | bool
"""A value that can be averaged. A bool is 0 or 1 there, and stays a bool elsewhere."""

Said = tuple[Millis, Value | None, int]
"""A reading as the store gives it: when, what, and its quality."""

FIRST_REVISION = 1

NO_BAD = (0,) * (len(Quality) - 1)
_VERSION = b"\x01"

_DECIMALS, _LONG = 4, 1e5
"""What has more decimals or is larger is no shorter as a whole number: 5 bytes hold up to 2**32, a float takes 9."""


class Numbers(msgspec.Struct, frozen=True, gc=False):
    """The statistics of one number or more. squares: the sum of squared deviations from the mean. Times are UTC."""

    count: int
    mean: float
    squares: float
    lowest: Number
    highest: Number
    first: Number
    last: Number
    first_at: Millis
    last_at: Millis

    @property
    def stdev(self) -> float:
        """The standard deviation of the sample (n - 1); 0 for one reading."""
        return math.sqrt(self.squares / (self.count - 1)) if self.count > 1 else 0.0


class Summary(msgspec.Struct, frozen=True, gc=False):
    """What one sensor said in a window. numbers: None where it said no good one.

    heard: the milliseconds for which there was a good value: a reading speaks until the next one, or as long
    as it is not stale. on: those for which it was on; None where it said neither on nor off for a while.
    texts: how many, for they are only counted. bad: how many of each quality from OUT_OF_RANGE on.
    """

    start: Millis
    width: Millis
    numbers: Numbers | None = None
    heard: Millis = 0
    on: Millis | None = None
    texts: int = 0
    bad: tuple[int, ...] = NO_BAD

    @property
    def window(self) -> Window:
        """The window that it is of."""
        return Window(self.start, self.width)

    @property
    def count(self) -> int:
        """How many readings are averaged."""
        return self.numbers.count if self.numbers else 0

    @property
    def coverage(self) -> float:
        """The share of the window in which the sensor was heard."""
        return self.heard / self.width

    @property
    def share_on(self) -> float | None:
        """The share of the time heard in which it was on; None of what is not on or off, or was not heard."""
        return None if self.on is None or not self.heard else self.on / self.heard

    @property
    def is_empty(self) -> bool:
        """Whether nothing came and nothing was heard: a gap."""
        return not (self.heard or self.has_readings)

    @property
    def has_readings(self) -> bool:
        """Whether any came, good or bad."""
        return bool(self.numbers or self.texts) or self.bad != NO_BAD


class Revision(msgspec.Struct, frozen=True):
    """A summary as it is stored and sent: each change of it has the next number. An empty one is a tombstone."""

    summary: Summary
    revision: int = FIRST_REVISION


def revised(before: Revision | None, now: Summary) -> Revision | None:
    """Return what is to be stored, now that a window has this summary; None: what is stored is right."""
    if before is None:
        return None if now.is_empty else Revision(now)
    return None if before.summary == now else Revision(now, before.revision + 1)


def merge(one: Summary, other: Summary) -> Summary:
    """Return the summary of the span of two windows, of which the other is the later one."""
    return total(Window(one.start, other.start + other.width - one.start), (one, other))


def total(window: Window, parts: Iterable[Summary]) -> Summary:
    """Return the summary of a window from those of the parts of it, in order; what is missing was not heard."""
    numbers: list[Numbers] = []
    heard = texts = 0
    on: Millis | None = None
    bad = NO_BAD
    for part in parts:
        heard += part.heard
        texts += part.texts
        if part.numbers is not None:
            numbers.append(part.numbers)
        if part.on is not None:
            on = part.on if on is None else on + part.on
        if part.bad != NO_BAD:
            bad = tuple(map(sum, zip(bad, part.bad, strict=True)))
    return Summary(window.start, window.width, _together(numbers) if numbers else None, heard, on, texts, bad)


def encode(summary: Summary) -> bytes:
    """Return a summary as the store keeps it, beside its window: a version, and an array of MessagePack."""
    on = 0 if summary.on is None else 1 + summary.heard - summary.on
    bad = () if summary.bad == NO_BAD else summary.bad
    return _VERSION + _encoder.encode((summary.width - summary.heard, on, summary.texts, bad, *_packed(summary)))


def decode(window: Window, body: bytes) -> Summary:
    """Return the summary from what the store keeps. Raises StoreError for the version of a newer program."""
    return summary(window, read(body))


def summary(window: Window, row: Row) -> Summary:
    """Return the summary that a row says."""
    heard = window.width - row.silence
    on = None if not row.on else 1 + heard - row.on
    numbers = _merged([(window.start, window.width, row)])
    return Summary(window.start, window.width, numbers, heard, on, row.texts, row.bad or NO_BAD)


def totals(windows: Iterable[Window], rows: Iterable[Stored]) -> Iterator[Summary]:
    """Return the summaries of windows in a row from the stored ones of their parts, in order.

    As total() of what summary() returns, to the last bit, in a third of the time: a plot of a year is of 8,760 rows.
    """
    waiting = iter(rows)
    row = next(waiting, _NO_MORE)
    for window in windows:
        end = window.end
        mine: list[Stored] = []
        while row[0] < end:
            mine.append(row)
            row = next(waiting, _NO_MORE)
        yield _total(window, mine)


def read(body: bytes) -> Row:
    """Return what the store keeps as a row. Raises StoreError for the version of a newer program."""
    if body[:1] != _VERSION:
        raise StoreError(
            f"A summary has version {body[0]}, and this program reads version {_VERSION[0]} alone.",
            cure="Run the version of Outstation that wrote it, or a newer one.",
        )
    return _decoder.decode(body[1:])


class Row(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A summary in the store, mostly as small numbers, for these are short in MessagePack.

    silence: the window less what was heard. on: 1 and what was heard but not on; 0: None. first_in, last_before:
    from the start to the first number, from the last to the end. values: as whole numbers where `decimals` says so.
    """

    silence: Millis
    on: Millis
    texts: int
    bad: tuple[int, ...]
    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    decimals: int | None = None
    values: tuple[Number, ...] = ()
    first_in: Millis = 0
    last_before: Millis = 0


Stored = tuple[Millis, Millis, Row]
"""A summary as it is in the store: start, width, and all else."""

_NO_MORE: Stored = (1 << 62, 0, Row(0, 0, 0, ()))

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Row)


def _packed(summary: Summary) -> tuple[object, ...]:
    """Return the last fields of a row, those about numbers; nothing where there are none."""
    found = summary.numbers
    if found is None:
        return ()
    decimals, values = _short((found.lowest, found.highest, found.first, found.last))
    ends = found.first_at - summary.start, summary.start + summary.width - found.last_at
    return found.count, found.mean, found.squares, decimals, values, *ends


def _total(window: Window, rows: Sequence[Stored]) -> Summary:
    heard = texts = 0
    on: Millis | None = None
    bad = NO_BAD
    for _, width, row in rows:
        heard += width - row.silence
        texts += row.texts
        if row.on:
            on = (on or 0) + 1 + width - row.silence - row.on
        if row.bad:
            bad = tuple(map(sum, zip(bad, row.bad, strict=True)))
    return Summary(window.start, window.width, _merged(rows), heard, on, texts, bad)


def _merged(rows: Iterable[Stored]) -> Numbers | None:
    """Return the numbers of rows as _together() does, and quicker than by way of the Numbers of each."""
    count, mean, squares, first_at, last_at = 0, 0.0, 0.0, 0, 0
    lowest: Number = 0
    highest: Number = 0
    first: Number = 0
    last: Number = 0
    for start, width, row in rows:
        if not row.count:
            continue
        low, high, begin, last = row.values
        if row.decimals is not None:
            scale = 10**row.decimals
            low, high, begin, last = low / scale, high / scale, begin / scale, last / scale
        if not count:
            lowest, highest, first, first_at = low, high, begin, start + row.first_in
        whole = count + row.count
        share, apart = row.count / whole, row.mean - mean
        mean += apart * share
        squares += row.squares + apart * apart * share * count
        count, last_at = whole, start + width - row.last_before
        if low < lowest:  # noqa: PLR1730  quicker than min(), here and below
            lowest = low
        if high > highest:  # noqa: PLR1730
            highest = high
    return Numbers(count, mean, squares, lowest, highest, first, last, first_at, last_at) if count else None


def _short(values: tuple[Number, ...]) -> tuple[int | None, tuple[Number, ...]]:
    """Return values as whole numbers of as many decimals as they have; as they are, and None, if that loses a bit."""
    # Lists: quicker than generators, and each window that is closed comes by here.
    if any([type(value) is not float or abs(value) >= _LONG for value in values]):  # noqa: C419
        return None, values
    wanted = list(values)
    for decimals in range(_DECIMALS + 1):
        scale = 10**decimals
        whole = [round(value * scale) for value in values]
        if [number / scale for number in whole] == wanted:
            return decimals, tuple(whole)
    return None, values


def _together(numbers: Sequence[Numbers]) -> Numbers:
    """Merge in order: Chan, Golub and LeVeque, "Updating Formulae" (1979), equation 2.1."""
    first = last = numbers[0]
    count, mean, squares, lowest, highest = first.count, first.mean, first.squares, first.lowest, first.highest
    for last in numbers[1:]:
        whole = count + last.count
        share = last.count / whole
        apart = last.mean - mean
        mean += apart * share
        squares += last.squares + apart * apart * share * count
        count = whole
        if last.lowest < lowest:  # noqa: PLR1730  quicker than min(), here and below
            lowest = last.lowest
        if last.highest > highest:  # noqa: PLR1730
            highest = last.highest
    return Numbers(count, mean, squares, lowest, highest, first.first, last.last, first.first_at, last.last_at)
