"""What a picture is drawn from: each sensor's columns as stretches without a gap, in the reader's units.

The law of this file: nothing is drawn where nothing was heard. A sensor that is silent between two readings that still
speak is not silent; one that said only bad ones is. All here is plain values, for a child process draws from it, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from outstation.core.readings import Millis
from outstation.core.summaries import Summary
from outstation.web.dashboard import wording

FARTHEST = 1e300
"""What is farther from zero is drawn there: the length of an axis must be a number, too."""

LABEL_AT_MOST = 60
"""Characters: more would be wider than most pictures."""


class Stretch(msgspec.Struct, frozen=True):
    """Columns without a gap between them: their middles and means, and the band from the lowest to the highest."""

    at: list[float]
    mean: list[float]
    low: list[float]
    high: list[float]


class Series(msgspec.Struct, frozen=True):
    """One sensor. words: what 0 and 1 are called where it is a switch, and drawn as its share of time on."""

    label: str
    unit: str
    said: str
    stretches: list[Stretch]
    words: tuple[str, str] | None = None


class Panel(msgspec.Struct, frozen=True):
    """Sensors with one axis: of one unit, or one switch."""

    series: list[Series]

    @property
    def words(self) -> tuple[str, str] | None:
        """What 0 and 1 are called where it is of a switch."""
        return self.series[0].words


class Picture(msgspec.Struct, frozen=True):
    """A whole plot. ticks: local times and what is written there. until: the end in words."""

    start: Millis
    end: Millis
    width: int
    height: int
    ticks: list[tuple[Millis, str]]
    until: str
    panels: list[Panel]


def stretches(columns: Iterable[Summary], unit: str, units: wording.Units) -> list[Stretch]:
    """Return the stretches of numbers."""
    found: list[Stretch] = []
    is_open = False
    for column in columns:
        numbers = column.numbers
        if numbers is None:
            is_open = is_open and column.heard > 0
            continue
        if not is_open:
            found.append(Stretch([], [], [], []))
            is_open = True
        last = found[-1]
        last.at.append(column.start + column.width / 2)
        for values, value in ((last.mean, numbers.mean), (last.low, numbers.lowest), (last.high, numbers.highest)):
            values.append(_near(wording.in_units(float(value), unit, units)[0]))
    return found


def shares(columns: Iterable[Summary], until: Millis) -> list[Stretch]:
    """Return the stretches of a switch: steps of its share of time on, up to `until`."""
    found: list[Stretch] = []
    end: Millis | None = None
    for column in columns:
        share = column.share_on
        if share is None or column.start >= until:
            end = None
            continue
        if column.start != end:
            found.append(Stretch([], [], [], []))
        end, last = column.window.end, found[-1]
        for at in (column.start, min(end, until)):
            last.at.append(at)
            last.mean.append(share)
            last.low.append(0.0)
            last.high.append(share)
    return found


def is_switch(columns: Iterable[Summary]) -> bool:
    """Tell whether these are of a sensor that is on or off."""
    return any(column.share_on is not None or (column.numbers and column.numbers.last is True) for column in columns)


def said_last(name: str, columns: Sequence[Summary], unit: str, units: wording.Units) -> str:
    """Return the last value in words; empty where there is none."""
    last = next((column.numbers.last for column in reversed(columns) if column.numbers), None)
    shown, unit = wording.value_and_unit(name, last, unit, units)
    return f"{shown} {unit}".strip().replace("-", "\u2212") if not isinstance(last, bool) else shown


def panels(found: Iterable[Series]) -> list[Panel]:
    """Return sensors by their axes, in their order: those of one unit together, a switch alone."""
    axes: dict[str, list[Series]] = {}
    for number, series in enumerate(found):
        axes.setdefault(f"switch {number}" if series.words else f"unit {series.unit}", []).append(series)
    return [Panel(series) for series in axes.values()]


def _near(value: float) -> float:
    return max(-FARTHEST, min(FARTHEST, value))
