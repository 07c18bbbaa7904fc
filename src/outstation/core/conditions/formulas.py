"""What is worked out from numbers alone: the smaller of two, a square root, a dew point.

The law of this file: a formula is for numbers as they are, and raises ArithmeticError or ValueError where there is
no answer; who asks for one makes that unknown.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

_HPA, _SLOPE, _ZERO = 6.112, 17.62, 243.12
"""Over water, -45 to 60 °C: e = 6.112 hPa * exp(17.62 t / (243.12 + t)), the formula that Magnus found in 1844 with the
constants of the World Meteorological Organization (WMO-No. 8, "Guide to Instruments and Methods of Observation",
volume I, annex 4.B)."""

ALIKE = "alike"
"""The kind of arguments that are compared with one another, and of what comes out of that; a duration may be one."""


class Formula(msgspec.Struct, frozen=True):
    """A function of numbers. takes: the unit of each argument, "" for any; gives: that of the result."""

    work_out: Callable[..., float]
    takes: tuple[str, ...]
    gives: str = ""


def dew_point(temperature: float, humidity: float) -> float:
    """Return the temperature in °C at which air of this one, with this relative humidity in percent, is saturated."""
    found = math.log(humidity / 100) + _exponent(temperature)
    if found >= _SLOPE:
        raise ValueError("so damp is no air")
    return _ZERO * found / (_SLOPE - found)


def vapour_pressure_deficit(temperature: float, humidity: float) -> float:
    """Return the pressure of water vapour that air of this temperature could still take up, in kPa."""
    return _HPA / 10 * math.exp(_exponent(temperature)) * (1 - humidity / 100)


def _exponent(temperature: float) -> float:
    if temperature <= -_ZERO:
        raise ValueError("so cold is no air")
    return _SLOPE * temperature / (_ZERO + temperature)


FORMULAS: dict[str, Formula] = {
    "min": Formula(min, (ALIKE, ALIKE), ALIKE),
    "max": Formula(max, (ALIKE, ALIKE), ALIKE),
    "abs": Formula(abs, (ALIKE,), ALIKE),
    "sqrt": Formula(math.sqrt, ("",)),
    "exp": Formula(math.exp, ("",)),
    "log": Formula(math.log, ("",)),
    "dew_point": Formula(dew_point, ("°C", "%"), "°C"),
    "vapour_pressure_deficit": Formula(vapour_pressure_deficit, ("°C", "%"), "kPa"),
}
"""By the names that they have in conditions."""
