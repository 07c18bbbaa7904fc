"""Settings: numbers that people change while the node runs."""

from __future__ import annotations

import math

import msgspec

from outstation.core.readings import Millis


class SettingSpec(msgspec.Struct, frozen=True):
    """A number that people change: its default and its bounds, both included."""

    name: str
    default: float
    low: float | None = None
    high: float | None = None
    unit: str = ""
    label: str = ""


class SavedSetting(msgspec.Struct, frozen=True):
    """What people have set, and who."""

    value: float
    who: str
    at: Millis


def out_of_bounds(spec: SettingSpec, value: float) -> str:
    """Tell why a setting cannot be set so."""
    low = -math.inf if spec.low is None else spec.low
    high = math.inf if spec.high is None else spec.high
    if low <= value <= high and math.isfinite(value):
        return ""
    return f"expected a number from {low:g} to {high:g}, found {value:g}."
