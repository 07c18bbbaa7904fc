"""What the stories of the backtest begin with: rules in a file, and a recording in memory or in a table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from outstation.backtest.trial import Trial
from outstation.config import load_rules
from outstation.core.readings import Millis, Quality, Reading, Value

MONDAY: Millis = 1_767_571_200_000
"""2026-01-05T00:00:00Z."""

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


class Played:
    """A recording in memory."""

    left_out = 0

    def __init__(self, readings: Sequence[Reading], names: Sequence[str] = ()) -> None:
        self._readings = sorted(readings, key=lambda reading: reading.at)
        self.names = sorted({reading.sensor for reading in readings} | set(names))

    def readings(self, start: Millis, end: Millis, sensors: Collection[str]) -> Iterator[Reading]:
        """Return those of some sensors."""
        return (one for one in self._readings if start <= one.at < end and one.sensor in sensors)


def said(sensor: str, after: Millis, value: Value | None, quality: Quality = Quality.OK) -> Reading:
    """A reading so long after Monday began."""
    at = MONDAY + after
    return Reading(sensor, value, at, at, at, quality)


def every(sensor: str, gap: Millis, *values: Value, start: Millis = 0) -> list[Reading]:
    """Readings in a rhythm."""
    return [said(sensor, start + number * gap, value) for number, value in enumerate(values)]


def trial(folder: Path, rules: str, recording: Played, only: Collection[str] = (), timezone: str = "UTC") -> Trial:
    """Return the rules of a text, to be tried on a recording."""
    file = folder / "rules.toml"
    file.write_text(f'[node]\ntimezone = "{timezone}"\n{rules}')
    return Trial(load_rules(file, recording.names), only, recording.names)
