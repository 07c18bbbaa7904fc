"""Where the lines of a plot's axes stand, and what is written at them. Pure: the zone comes from the caller.

The law of this file: a line stands at a round number, or at a round local time, also across a change to summer time.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator

from outstation.core.readings import Millis
from outstation.web.dashboard import wording

_SECOND, _MINUTE, _HOUR, _DAY, _MONTH, _YEAR = 1, 60, 3_600, 86_400, 2_629_800, 31_557_600
_WITHIN_A_DAY = tuple(
    count * unit
    for unit, counts in ((_SECOND, (1, 2, 5, 10, 15, 30)), (_MINUTE, (1, 2, 5, 10, 15, 30)), (_HOUR, (1, 2, 3, 6, 12)))
    for count in counts
)
_DAYS, _MONTHS, _YEARS = (1, 2, 3, 7, 14), (1, 2, 3, 6), (1, 2, 5, 10, 20, 50, 100)


def numbers(low: float, high: float, most: int) -> list[float]:
    """Return round numbers from `low` or below to `high`, which is higher, or above: 1, 2 or 5 of a power of ten."""
    rough = (high - low) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def number_text(value: float, step: float) -> str:
    """Return what is written at a line: with as many decimals as its step has, and a true minus sign."""
    if abs(value) >= 1e6 or step < 1e-5:
        text = f"{value:.4g}"
    else:
        text = f"{value:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"
    return text.replace("-", "" if not float(text) else "\u2212")


def times(start: Millis, end: Millis, most: int, zone: datetime.tzinfo | None) -> list[tuple[Millis, str]]:
    """Return round local times in a span, at most about so many, and what is written at each."""
    rough = (end - start) / 1000 / max(most, 1)
    first = wording.local(start, zone).replace(tzinfo=None)
    found: dict[Millis, str] = {}
    for moment, text in _walk(first, rough):
        at = _millis(moment, zone)
        if at > end:
            break
        if at >= start:
            found.setdefault(at, text)
    return list(found.items())


def _walk(first: datetime.datetime, rough: float) -> Iterator[tuple[datetime.datetime, str]]:
    """Walk through local times from one that is not after `first`, in steps of `rough` seconds or more."""
    for step in _WITHIN_A_DAY:
        if step >= rough:
            return _hours(first, step)
    for days in _DAYS:
        if days * _DAY >= rough:
            return _days(first, days)
    for months in _MONTHS:
        if months * _MONTH >= rough:
            return _months(first, months)
    return _months(first, 12 * next((years for years in _YEARS if years * _YEAR >= rough), _YEARS[-1]))


def _hours(first: datetime.datetime, step: int) -> Iterator[tuple[datetime.datetime, str]]:
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    since = (first - midnight).seconds // step * step
    while True:
        moment = midnight + datetime.timedelta(seconds=since)
        if moment == moment.replace(hour=0, minute=0, second=0):
            yield moment, _day(moment)
        else:
            yield moment, f"{moment:%H:%M:%S}" if step < _MINUTE else f"{moment:%H:%M}"
        since += step


def _days(first: datetime.datetime, days: int) -> Iterator[tuple[datetime.datetime, str]]:
    number = first.toordinal() // days * days
    while number < datetime.date.max.toordinal():
        moment = datetime.datetime.combine(datetime.date.fromordinal(number), datetime.time())
        yield moment, _day(moment)
        number += days


def _months(first: datetime.datetime, months: int) -> Iterator[tuple[datetime.datetime, str]]:
    number = (first.year * 12 + first.month - 1) // months * months
    while number < datetime.MAXYEAR * 12:
        moment = datetime.datetime(number // 12, number % 12 + 1, 1)  # noqa: DTZ001  local, as all that is walked here
        yield moment, f"{moment:%Y}" if moment.month == 1 else f"{moment:%b}"
        number += months


def _day(moment: datetime.datetime) -> str:
    return f"{moment.day} {moment:%b}"


def _millis(moment: datetime.datetime, zone: datetime.tzinfo | None) -> Millis:
    """Return a local time as UTC; one that summer time leaves out is the one after the gap."""
    return round((moment if zone is None else moment.replace(tzinfo=zone)).timestamp() * 1000)
