"""How people read what the node knows: numbers, units, ages, times, states.

Pure: every function gets the time, the zone and the units from its caller. What comes back is text,
not yet escaped.
"""

from __future__ import annotations

import datetime
import re
from typing import Literal

import msgspec

from outstation.core.readings import Level, Millis, Value

Temperature = Literal["c", "f"]
Pressure = Literal["hpa", "inhg"]


class Units(msgspec.Struct, frozen=True):
    """What one reader reads temperatures and pressures of the air in."""

    temperature: Temperature = "c"
    pressure: Pressure = "hpa"


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_ALWAYS_ONE_DECIMAL = frozenset({"°C", "°F", "%"})
_DECIMALS = {"inHg": 2}
"""Of these one decimal would hide the weather: 0.1 inHg are 3.4 hPa."""

_INCH_OF_MERCURY = 33.86389
"""In hPa: the conventional inch of mercury (NIST SP 811, appendix B.8)."""

_TOO_LONG = 1e9
"""From here on a number with all its digits is no longer read but counted."""

_STATES = (
    (frozenset({"button", "key"}), ("pressed", "not pressed")),
    (frozenset({"door", "window", "gate", "hatch", "lid", "contact"}), ("open", "closed")),
    (frozenset({"motion", "pir", "presence"}), ("motion", "no motion")),
    (frozenset({"leak", "water", "rain"}), ("wet", "dry")),
)
"""What true and false mean, by a word in the sensor's name. True is the active one, as everywhere in the field:
an open contact, a button that is held."""


def state_words(name: str) -> tuple[str, str]:
    """Return what true and false are called at a sensor of this name."""
    parts = frozenset(re.split(r"[^a-z]+", name.rpartition("/")[2]))
    for names, words in _STATES:
        if parts & names:
            return words
    return "on", "off"


def in_units(value: float, unit: str, units: Units) -> tuple[float, str]:
    """Return a temperature or a pressure in the units that its reader chose; anything else as it is."""
    match unit, units.temperature, units.pressure:
        case "°C", "f", _:
            return value * 9 / 5 + 32, "°F"
        case "°F", "c", _:
            return (value - 32) * 5 / 9, "°C"
        case "hPa" | "mbar", _, "inhg":
            return value / _INCH_OF_MERCURY, "inHg"
        case "inHg", _, "hpa":
            return value * _INCH_OF_MERCURY, "hPa"
    return value, unit


def number(value: float, unit: str) -> str:
    """Return a number with one decimal, of inHg two; a whole, a tiny and a huge one so that it is still itself."""
    if isinstance(value, int) and unit not in _ALWAYS_ONE_DECIMAL and abs(value) < _TOO_LONG:
        return str(value)
    if abs(value) >= _TOO_LONG:
        return f"{value:.3e}"
    if 0 < abs(value) < 0.05 and unit not in _ALWAYS_ONE_DECIMAL:
        return f"{value:.2g}"
    text = f"{value:.{_DECIMALS.get(unit, 1)}f}"
    return text.lstrip("-") if not float(text) else text


def value_and_unit(name: str, value: Value | None, unit: str, units: Units) -> tuple[str, str]:
    """Return a sensor's value in words, and the unit that belongs to them."""
    if value is None:
        return "", ""
    if isinstance(value, bool):
        return state_words(name)[0 if value else 1], ""
    if isinstance(value, str):
        return value, ""
    converted, unit = in_units(value, unit, units)
    return number(converted, unit), unit


def level(value: Level | None) -> str:
    """Return an output's level in words; a dimmed one in percent."""
    if value is None:
        return "unknown"
    if isinstance(value, float):
        return f"{value * 100:.0f} %"
    return "on" if value else "off"


def age(millis: Millis) -> str:
    """Return how long ago something was, in the largest unit that says enough."""
    seconds = millis // 1000
    if seconds < 1:
        return "just now"
    if seconds < 60:
        return f"{seconds} s ago"
    if seconds < 3_600:
        return f"{seconds // 60} min ago"
    if seconds < 172_800:
        return f"{seconds // 3_600} h ago"
    return f"{seconds // 86_400} d ago"


def local(at: Millis, zone: datetime.tzinfo | None) -> datetime.datetime:
    """Return UTC milliseconds as a time in `zone`; None is the system's."""
    return (_EPOCH + datetime.timedelta(milliseconds=at)).astimezone(zone)


def clock_time(when: datetime.datetime, today: datetime.date) -> str:
    """Return a local time as short as it can be without being mistaken: the date only where it is another day."""
    return f"{when:%H:%M:%S}" if when.date() == today else f"{when:%Y-%m-%d %H:%M:%S}"


def human(name: str) -> str:
    """Return a name as a label, for what has none: `air_temperature` is "Air temperature"."""
    text = name.rpartition("/")[2].replace("_", " ").strip()
    return text[:1].upper() + text[1:] if text else name


def size(count: int) -> str:
    """Return a number of bytes, in the largest unit that says enough."""
    for unit, step in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= step:
            return f"{count / step:.1f} {unit}"
    return f"{count} B"
