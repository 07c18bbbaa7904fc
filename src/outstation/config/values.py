"""What one value of the config may be: durations, names, units, hosts, secrets.

Each parser takes what TOML gave and returns what the program uses, or raises ValueError with
a sentence that begins with "expected": the one who reads it knows where, and needs to know what.
"""

from __future__ import annotations

import datetime
import ipaddress
import math
import os
import re
import zoneinfo
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationInfo

from outstation.core.addresses import is_forbidden
from outstation.core.alerts import APART
from outstation.core.readings import Level, Millis

EVERY_AT_LEAST: Millis = 100
"""A driver's thread and a row on an SD card are too much for more than ten readings a second."""

LOSE_AT_MOST: Millis = 3_600_000
"""A node with ten sensors has some megabytes of readings in memory after an hour."""

LONGEST: Millis = 3_660 * 86_400_000
"""Ten years: what is longer was meant to be in another unit."""

REPORT_AT_LEAST: Millis = 86_400_000
"""Who hears of a node more seldom than once a day cannot tell it from one that is gone."""

NAME = r"[a-z][a-z0-9_]{0,63}"
"""What an own sensor, an output or a field is called."""

DEVICE_NAME = r"[a-z0-9][a-z0-9_-]{0,63}"
"""What a device is called."""

LONGEST_TIMEOUT: Millis = 60_000
"""Who has not answered after a minute will not: the alert is sent again later."""

RULE_NAME = r"[A-Za-z0-9_.-]([A-Za-z0-9 _.-]{0,62}[A-Za-z0-9_.-])?"
"""What a rule is called. No slash: its name is a part of a path."""

PLACEHOLDERS = ("CHANGE", "YOUR", "EXAMPLE", "APIKEY", "SECRET", "PASSWORD", "XXXX", "12345", "ABCDEF")
"""Parts of keys that were written into examples, and are known to all."""

UNITS = (
    *("°C", "°F", "K", "%", "hPa", "kPa", "Pa", "bar", "mbar", "mmHg", "lx", "ppm", "ppb", "µg/m³", "mg/m³", "g/m³"),
    *("V", "mV", "A", "mA", "W", "kW", "VA", "var", "Wh", "kWh", "J", "Ah", "mAh", "Ω", "kΩ", "Hz", "kHz", "MHz"),
    *("m", "cm", "mm", "km", "m/s", "km/h", "m/s²", "mm/h", "l", "ml", "m³", "l/min", "l/h", "m³/h", "kg", "g", "N"),
    *("s", "ms", "min", "h", "d", "°", "°/s", "rpm", "pH", "mS/cm", "µS/cm", "NTU", "dB", "dBm", "W/m²"),
    *("µmol/m²/s", "µT", "B", "kB", "MB", "GB", "B/s", "kB/s", "MB/s", "bit/s", "kbit/s", "Mbit/s", "1/min"),
)
"""Units that readers of the page and of other programs know. An empty text: a number without one."""

_LIKELY_UNITS = {"C": "°C", "F": "°F", "degC": "°C", "celsius": "°C", "fahrenheit": "°F", "percent": "%", "lux": "lx"}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)", re.ASCII)
_DURATIONS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9_-]+)*\.?", re.ASCII)


def parse_duration(text: object) -> Millis:
    """Return "30s", "5m", "2h", "7d" or "500ms" in milliseconds. Raises ValueError."""
    found = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise ValueError('expected a duration such as "30s", "5m", "2h" or "7d"')
    millis = round(float(found[1]) * _DURATIONS[found[2]])
    if millis > LONGEST:
        raise ValueError("expected a duration of at most ten years")
    return millis


def parse_time(text: object) -> int:
    """Return a local time such as "22:00" in minutes since midnight. Raises ValueError."""
    found = _TIME.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError('expected two local times from "00:00" to "23:59", such as ["22:00", "07:00"]')
    return int(found[1]) * 60 + int(found[2])


def parse_moment(value: object) -> Millis:
    """Return a date and time with its zone, as a text or as TOML's own, in UTC milliseconds. Raises ValueError."""
    try:
        moment = datetime.datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError("expected a date and time with its zone, such as 2026-03-01T12:00:00+01:00")
    return round(moment.timestamp() * 1000)


def _positive(value: Millis) -> Millis:
    if value <= 0:
        raise ValueError("expected a duration longer than zero")
    return value


def _not_too_often(value: Millis) -> Millis:
    if value < EVERY_AT_LEAST:
        raise ValueError(f'expected "{EVERY_AT_LEAST}ms" or longer')
    return value


def _not_told_too_often(value: Millis) -> Millis:
    if value < APART:
        raise ValueError('expected "1m" or longer')
    return value


def _often_enough(value: Millis) -> Millis:
    if value > REPORT_AT_LEAST:
        raise ValueError('expected "1d" or shorter')
    return value


def _at_least(text: str, why: str) -> AfterValidator:
    least = parse_duration(text)

    def check(value: Millis) -> Millis:
        if value < least:
            raise ValueError(f'expected "{text}" or longer{why}')
        return value

    return AfterValidator(check)


def _soon(value: Millis) -> Millis:
    if value > LOSE_AT_MOST:
        raise ValueError('expected "1h" or shorter, as what waits is in memory')
    return value


def _name(text: str) -> str:
    if not re.fullmatch(NAME, text):
        raise ValueError('expected a name such as "air_temperature": small letters, digits and _, a letter first')
    return text


def _device_name(text: str) -> str:
    if not re.fullmatch(DEVICE_NAME, text):
        raise ValueError('expected a name such as "greenhouse-1": small letters, digits, - and _')
    return text


def _label(text: str) -> str:
    if not text.isprintable() or len(text) > 100:
        raise ValueError("expected a printable text of at most 100 characters")
    return text


def known_unit(text: str) -> str:
    """Return a unit that others know, or "". Raises ValueError."""
    if text and text not in UNITS:
        likely = _LIKELY_UNITS.get(text) or next((unit for unit in UNITS if unit.lower() == text.lower()), "")
        hint = f'did you mean "{likely}"?' if likely else f'such as {" ".join(UNITS[:12])} or "" for none'
        raise ValueError(f"expected a unit that others know; {hint}")
    return text


def _timezone(text: str) -> str:
    try:
        zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError('expected a time zone such as "Europe/Berlin"') from error
    return text


def _range(value: object) -> tuple[float, ...]:
    two = tuple(value) if isinstance(value, list | tuple) else ()
    if len(two) != 2 or not all(isinstance(number, int | float) and not isinstance(number, bool) for number in two):
        raise ValueError("expected two numbers, the lower one first, such as [-30, 60]")
    if not two[0] < two[1]:
        raise ValueError("expected the lower number first, such as [-30, 60]")
    return two


def _not_zero(value: float) -> float:
    if value == 0:
        raise ValueError("expected a factor other than zero")
    return value


def _rule_name(text: str) -> str:
    if not re.fullmatch(RULE_NAME, text):
        raise ValueError('expected a name such as "open the windows": 1 to 64 letters, digits, spaces, _, - and .')
    return text


def _coordinates(value: object) -> tuple[float, ...]:
    two = tuple(value) if isinstance(value, list | tuple) else ()
    if len(two) != 2 or not all(isinstance(number, int | float) and not isinstance(number, bool) for number in two):
        raise ValueError("expected latitude and longitude in degrees, such as [52.52, 13.41]")
    if not (-90 <= two[0] <= 90 and -180 <= two[1] <= 180):
        raise ValueError("expected a latitude from -90 to 90 and a longitude from -180 to 180")
    return two


def _quiet(value: object) -> tuple[int, ...]:
    two = tuple(value) if isinstance(value, list | tuple) else ()
    minutes = tuple(parse_time(text) for text in two) if len(two) == 2 else (parse_time(None),)
    if minutes[0] == minutes[1]:
        raise ValueError("expected two different times: from one to itself is either never or always")
    return minutes


def _priority(value: object) -> float | Literal["safety"]:
    if value == "safety":
        return "safety"
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    raise ValueError('expected a number, the higher the more urgent, or "safety"')


def _level(value: object) -> Level:
    if value in ("on", "off"):
        return value == "on"
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise ValueError('expected "on", "off" or, for an output that can be dimmed, a number from 0.0 to 1.0')


def _timeout(value: Millis) -> Millis:
    if value > LONGEST_TIMEOUT:
        raise ValueError('expected "60s" or shorter')
    return value


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError("expected a text that is not empty")
    return text


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected a secret of letters that can be printed, on one line")
    return text


def _webhook_url(url: str) -> str:
    host = _host_of(url)
    if not host:
        raise ValueError('expected an address such as "https://hooks.example.org/outstation", without a user in it')
    if is_forbidden(host):
        raise ValueError(f"expected a receiver elsewhere: {host} is a link-local, multicast or metadata address")
    return url


def _host_of(url: str) -> str:
    """Return the host of an http or https address; nothing where it is none, or has a user in it."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return ""
    return (parts.hostname or "") if valid and url.isprintable() and " " not in url else ""


def _apprise_url(url: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://\S+", url):
        raise ValueError('expected an address of Apprise such as "ntfys://ntfy.sh/my-greenhouse"')
    return url


def _listen_host(text: str) -> str:
    return text if not text else _host(text)


def _listen(value: object) -> tuple[str, int]:
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not re.fullmatch(r"\d{1,5}", port, re.ASCII) or not 0 < int(port) < 65536 or (":" in host) > _is_address(host):
        raise ValueError('expected an address and a port, such as "0.0.0.0:80"')
    return _listen_host(host), int(port)


def _host(text: str) -> str:
    if _is_address(text) or _HOST_NAME.fullmatch(text.lower()):
        return text.lower()
    raise ValueError('expected a host name or an address, without port, such as "garden.example.org"')


def _origin(text: str) -> str:
    if text == "*" or re.fullmatch(r"https?://[^/\s@?#]+", text.lower()):
        return text.lower()
    raise ValueError('expected an origin such as "https://garden.example.org", without a path, or "*"')


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError('expected an address or a network such as "127.0.0.1" or "10.0.0.0/8"') from error
    return text


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _folder(text: str) -> str:
    if not text.startswith("/") or "\0" in text:
        raise ValueError('expected a folder by its whole path, such as "/mnt/usb/outstation"')
    return text


def _file(text: str) -> str:
    if not text.startswith("/") or "\0" in text:
        raise ValueError('expected a file by its whole path, such as "/etc/outstation/certificate.pem"')
    return text


def resolve(value: object, info: ValidationInfo) -> object:
    """Follow "env:NAME" and "file:PATH" (relative to the config) to the secret itself."""
    if not isinstance(value, str):
        return value
    kind, _, rest = value.partition(":")
    if kind == "env":
        return _from_environment(rest, os.environ)
    if kind == "file":
        base: Path = (info.context or {}).get("base", Path())
        return _from_file(base / _expanded(rest))
    return value


def _from_environment(name: str, environment: Mapping[str, str]) -> str:
    secret = environment.get(name, "").strip()
    if not secret:
        raise ValueError(f"expected a secret in the environment variable {name or 'NAME'}, which is not set")
    return secret


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"expected a secret in the file {path}, but that user has no home here") from error


def _from_file(path: Path) -> str:
    try:
        secret = path.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a text"
        raise ValueError(f"expected a secret in the file {path}, which cannot be read ({reason.lower()})") from error
    if not secret:
        raise ValueError(f"expected a secret in the file {path}, which is empty")
    return secret


Duration = Annotated[Millis, BeforeValidator(parse_duration), AfterValidator(_positive)]
Keep = Annotated[Duration, _at_least("1d", " (m is minutes)")]
KeepSummaries = Annotated[Duration, _at_least("7d", " (m is minutes)")]
LoseAtMost = Annotated[Duration, AfterValidator(_soon)]
BackupEvery = Annotated[Duration, _at_least("10m", "")]
ReportEvery = Annotated[Duration, _at_least("10s", ""), AfterValidator(_often_enough)]
Timeout = Annotated[Duration, AfterValidator(_timeout)]
Every = Annotated[Duration, AfterValidator(_not_too_often)]
Repeat = Annotated[Duration, AfterValidator(_not_told_too_often)]
Name = Annotated[str, AfterValidator(_name)]
DeviceName = Annotated[str, AfterValidator(_device_name)]
Label = Annotated[str, AfterValidator(_label)]
Unit = Annotated[str, AfterValidator(known_unit)]
Timezone = Annotated[str, AfterValidator(_timezone)]
Range = Annotated[tuple[float, float], BeforeValidator(_range)]
AboveZero = Annotated[float, Field(gt=0)]
Factor = Annotated[float, AfterValidator(_not_zero)]
ListenHost = Annotated[str, AfterValidator(_listen_host)]
Listen = Annotated[tuple[str, int], BeforeValidator(_listen)]
Folder = Annotated[str, AfterValidator(_folder)]
File = Annotated[str, AfterValidator(_file)]
Host = Annotated[str, AfterValidator(_host)]
Origin = Annotated[str, AfterValidator(_origin)]
Network = Annotated[str, AfterValidator(_network)]
OnOff = Literal["on", "off"]
RuleName = Annotated[str, AfterValidator(_rule_name)]
Coordinates = Annotated[tuple[float, float], BeforeValidator(_coordinates)]
Quiet = Annotated[tuple[int, int], BeforeValidator(_quiet)]
Priority = Annotated[int | float | Literal["safety"], PlainValidator(_priority)]
ClaimedLevel = Annotated[bool | float, PlainValidator(_level)]
Secret = Annotated[str, BeforeValidator(resolve), AfterValidator(_not_empty), AfterValidator(_one_line)]
WebhookUrl = Annotated[str, BeforeValidator(resolve), AfterValidator(_webhook_url)]
AppriseUrl = Annotated[str, BeforeValidator(resolve), AfterValidator(_apprise_url)]
