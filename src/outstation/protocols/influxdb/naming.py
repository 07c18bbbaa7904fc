"""Which sensor a line speaks of: measurement, tags and field to a name of ours.

Pure. The law of this file: the same measurement, tags and field are the same sensor, whatever the order of the tags;
and others are another one: where two series would have one name, the later has a checksum behind its own.

A key for one device decides the device; else the tag `device` does, else the tag `host` with the measurement (one
machine says hundreds of things), else the measurement. What is left of them is the sensor's name, with the field last
unless it is called `value`.

    air_temperature,device=porch value=20           porch/air_temperature
    weather temperature=20                          weather/temperature
    cpu,cpu=cpu0,host=pi usage_idle=98.1            pi-cpu/cpu0_usage_idle
"""

from __future__ import annotations

import functools
import re
import unicodedata
import zlib
from collections.abc import Callable, Container

Naming = Callable[[str, dict[str, str], str], str]
"""Measurement, tags and field to a sensor's name."""

_LONGEST = 64
"""Characters of a device's name, and of a sensor's."""

_PLAIN_FIELD = "value"

_REMEMBERED = 1_000
"""Characters: what is longer is named anew each time, so that nobody's names fill the memory."""


class Names:
    """Keeps series apart. known: the names of all sensors, those from before this start too."""

    def __init__(self, known: Container[str]) -> None:
        self._known = known
        self._holders: dict[str, int] = {}
        self._new: list[str] = []

    def of_body(self, device: str | None) -> Naming:
        """Return what names the series of a body. device: that the sender's key is bound to."""
        for name in self._new:  # of the body before: what was not let in holds no name, and fills no memory
            if name not in self._known:
                del self._holders[name]
        self._new.clear()
        return lambda measurement, tags, field: self._name(measurement, tuple(tags.items()), field, device)

    def _name(self, measurement: str, tags: tuple[tuple[str, str], ...], field: str, device: str | None) -> str:
        is_short = len(measurement) + len(field) + sum(len(name) + len(said) for name, said in tags) < _REMEMBERED
        name, series = (_sensor if is_short else _sensor.__wrapped__)(measurement, tags, field, device)
        holder = self._holders.get(name)
        if holder == series:
            return name
        # Who had to stand apart once does so after a restart too, whoever comes first then.
        if holder is not None or _apart(name, series) in self._known:
            return _apart(name, series)
        self._holders[name] = series
        self._new.append(name)
        return name


@functools.lru_cache(maxsize=2048)  # they are the same ones in line after line
def _sensor(measurement: str, tags: tuple[tuple[str, str], ...], field: str, device: str | None) -> tuple[str, int]:
    """Return a sensor's name, and the checksum of its series."""
    said, rest = dict(tags), dict(tags)
    owner, parts = _device(measurement, rest, device)
    spelt = (None if "device" in rest else said.get("device")) or device or (said.get("host"),)
    series = repr((spelt, measurement, sorted(rest.items()), field))
    parts += [rest[name] for name in sorted(rest)]
    if field != _PLAIN_FIELD or not parts:
        parts.append(field)
    name = f"{_short(owner)}/{_short(_begun('_'.join(map(_plain, parts))))}"
    return name, zlib.crc32(series.encode("utf-8", "replace"))


@functools.lru_cache(maxsize=2048)
def _apart(name: str, series: int) -> str:
    owner, _, sensor = name.partition("/")
    return f"{owner}/{sensor[: _LONGEST - 10]}_x{series:08x}"


def _device(measurement: str, rest: dict[str, str], bound: str | None) -> tuple[str, list[str]]:
    """Return the device, and what of the measurement is left for the sensor's name; take what says it from the tags."""
    said, host = rest.get("device"), rest.get("host")
    if bound is not None:
        for name in ("device", "host"):
            if name in rest and _plain_device(rest[name]) == bound:
                del rest[name]
        return bound, [measurement]
    if said is not None:
        del rest["device"]
        return _plain_device(said), [measurement]
    if host is not None:
        del rest["host"]
        return f"{_plain_device(host)}-{_plain(measurement)}", []
    return _plain_device(measurement), []


def _plain(text: str) -> str:
    """Return a text in small letters, digits and _; what has none of these, as a number that stands for it."""
    plain = re.sub(r"[^a-z0-9]+", "_", _latin(text)).strip("_")
    return plain or _stand_in(text)


def _plain_device(text: str) -> str:
    plain = re.sub(r"[^a-z0-9_-]+", "-", _latin(text)).strip("-_")
    return plain or _stand_in(text)


def _latin(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()


def _stand_in(text: str) -> str:
    return f"x{zlib.crc32(text.encode('utf-8', 'replace')):08x}"


def _begun(name: str) -> str:
    """A sensor's name begins with a letter."""
    return name if name[0].isalpha() else f"n{name}"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 10]}_{_stand_in(name)}"
