"""What a raw value is worth: inside its range, a spike, stuck; and whether it needs storing.

A judgement never changes a value, it only says what it is worth; and thinning what is
stored never hides a reading from a decision.
"""

from __future__ import annotations

from typing import TypeGuard

import msgspec

from outstation.core.readings import Millis, Quality, Reading, Value


class Limits(msgspec.Struct, frozen=True):
    """What is plausible for one sensor. None switches a check off.

    low, high: the valid range, in the sensor's unit, both ends included.
    spike: the largest step between two readings. stuck: how long one value may last. All for
    numbers: a contact may stay closed for ever.
    """

    low: float | None = None
    high: float | None = None
    spike: float | None = None
    stuck: Millis | None = None


class Memory(msgspec.Struct):
    """What judging the next value needs to know of those before it."""

    base: float | None = None
    suspected: bool = False
    lasting: float | None = None
    lasting_since: Millis = 0


def in_range(limits: Limits, value: Value | None) -> Quality:
    """Judge a value by itself: the only judgement that a late reading gets."""
    if value is None:
        return Quality.FAULT
    if isinstance(value, str | bool):
        return Quality.OK
    if (limits.low is not None and value < limits.low) or (limits.high is not None and value > limits.high):
        return Quality.OUT_OF_RANGE
    return Quality.OK


def judge(limits: Limits, memory: Memory, value: Value | None, now: Millis) -> Quality:
    """Judge a value by its range and by those before it; `memory` is brought up to date."""
    if value is None or isinstance(value, str | bool):
        return in_range(limits, value)
    stuck = _is_stuck(limits, memory, value, now)
    if quality := in_range(limits, value):
        return quality
    return Quality.STUCK if stuck else _spike(limits, memory, value)


def _is_stuck(limits: Limits, memory: Memory, value: float, now: Millis) -> bool:
    if value != memory.lasting:
        memory.lasting, memory.lasting_since = value, now
    return limits.stuck is not None and now - memory.lasting_since >= limits.stuck


def _spike(limits: Limits, memory: Memory, value: float) -> Quality:
    """A far step is doubted once: when the next value is far off as well, the world has changed."""
    far = limits.spike is not None and memory.base is not None and abs(value - memory.base) > limits.spike
    if far and not memory.suspected:
        memory.suspected = True
        return Quality.SPIKE
    memory.base, memory.suspected = value, False
    return Quality.OK


def worth_storing(reading: Reading, stored: Reading | None, dead_band: float, heartbeat: Millis) -> bool:
    """Tell whether a reading says more than the last stored one: by value, by quality, or by time."""
    if stored is None or reading.quality != stored.quality or reading.now - stored.now >= heartbeat:
        return True
    old, new = stored.value, reading.value
    if _is_number(old) and _is_number(new):
        return abs(new - old) >= dead_band
    return old != new


def _is_number(value: Value | None) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
