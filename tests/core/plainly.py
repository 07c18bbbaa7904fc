"""The summary of a window as one would work it out by hand: slow, plain, from a list of readings."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import pytest

from outstation.core.readings import Millis, Quality, Value
from outstation.core.summaries import NO_BAD, Number, Said, Summary
from outstation.core.windows import Window

TINY = 1e-150
"""The square of a number much below is 0, and the last bits of the smallest floats are large."""


def is_good(said: Said) -> bool:
    return not said[2] and said[1] is not None


def spoken(window: Window, readings: Sequence[Said], reach: Millis) -> list[tuple[Millis, Value | None]]:
    """Return for how long each good reading speaks in a window, and what it says. readings: of all time, in order."""
    found = []
    ends = [*(at for at, _, _ in readings[1:]), window.end][: len(readings)]
    for said, following in zip(readings, ends, strict=True):
        start, end = max(said[0], window.start), min(said[0] + reach, following, window.end)
        if is_good(said) and (end > start or said[0] >= window.start):
            found.append((max(end - start, 0), said[1]))
    return found


def same(found: Summary, window: Window, readings: Sequence[Said], reach: Millis) -> None:
    """Assert that a summary is that of a window. readings: of all time, in order; those after the window count not."""
    before = [said for said in readings if said[0] < window.end]
    inside = [said for said in before if said[0] >= window.start]
    good = [said for said in inside if is_good(said)]
    numbers: list[tuple[Millis, Number]] = [(at, value) for at, value, _ in good if isinstance(value, int | float)]
    assert found.window == window
    assert found.texts == len(good) - len(numbers)
    bad = [said[2] or Quality.FAULT for said in inside if not is_good(said)]
    assert found.bad == tuple(bad.count(quality) for quality in Quality if quality)
    times = spoken(window, before, reach)
    assert found.heard == sum(time for time, _ in times)
    on = [time if value else 0 for time, value in times if isinstance(value, bool) and time]
    assert found.on == (sum(on) if on else None)
    assert found.count == len(numbers)
    if found.numbers is None:
        return
    values = [value for _, value in numbers]
    assert (found.numbers.lowest, found.numbers.highest) == (min(values), max(values))
    assert (found.numbers.first_at, found.numbers.first) == numbers[0]
    assert (found.numbers.last_at, found.numbers.last) == numbers[-1]
    size = max(abs(float(value)) for value in values)
    assert found.numbers.mean == pytest.approx(statistics.fmean(values), rel=1e-12, abs=max(1e-12 * size, TINY))
    exact = statistics.stdev(map(float, values)) if len(values) > 1 else 0.0
    assert found.numbers.stdev == pytest.approx(exact, rel=1e-9, abs=max(1e-9 * size, TINY))


def empty(window: Window) -> Summary:
    return Summary(window.start, window.width, bad=NO_BAD)
