"""Which sensor a line speaks of: measurement, tags and field to a name of ours.

Pure. The law of this file: the same measurement, tags and field are the same sensor, whatever the order of the tags.
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
from collections.abc import Mapping

_LONGEST = 64
"""Characters of a device's name, and of a sensor's."""

_PLAIN_FIELD = "value"


def sensor(measurement: str, tags: Mapping[str, str], field: str, device: str | None = None) -> str:
    """Return the full name of a sensor. device: that the sender's key is bound to."""
    return _sensor(measurement, tuple(tags.items()), field, device)


@functools.lru_cache(maxsize=2048)  # they are the same ones in line after line
def _sensor(measurement: str, tags: tuple[tuple[str, str], ...], field: str, device: str | None) -> str:
    rest = dict(tags)
    owner, parts = _device(measurement, rest, device)
    parts += [rest[name] for name in sorted(rest)]
    if field != _PLAIN_FIELD or not parts:
        parts.append(field)
    return f"{_short(owner)}/{_short(_begun('_'.join(map(_plain, parts))))}"


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
