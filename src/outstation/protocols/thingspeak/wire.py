"""The ThingSpeak dialect on the wire: parameters to keys, fields and times.

Pure. Sources: the open server iobridge/thingspeak (app/controllers/channels_controller.rb, post_data)
and the library mathworks/thingspeak-arduino 2.1.1, which percent-encodes nothing. So a parser here
takes what the boards send, and the refusals are few.
"""

from __future__ import annotations

import datetime
import math
import re
import zoneinfo
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl

from outstation.core.readings import MAX_TEXT, Millis, Value
from outstation.errors import RefusedError

FIELDS = 8

_KEY_HEADER = b"thingspeakapikey"
_KEY_PARAMETERS = ("key", "api_key", "apikey")

_MAX_PARAMETERS = 64
"""The dialect has about thirty."""

_MAX_INT = 2**63
_WHOLE = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_FRACTION = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)

_CLOCK_AND_OFFSET = re.compile(r"(\d\d:\d\d(?::\d\d(?:\.\d+)?)?) ([+-]?)(\d\d:?\d\d)$", re.ASCII)
"""A time of day, then an offset. Where it is sent as it stands, the plus sign of a form arrives as a space."""


def parameters(*forms: bytes | bytearray) -> dict[str, str]:
    """Return the parameters of a query and a body; the last of a name counts. Raises RefusedError."""
    found: dict[str, str] = {}
    for form in forms:
        try:
            pairs = parse_qsl(
                form.decode("utf-8", "replace"),
                keep_blank_values=True,
                errors="replace",
                max_num_fields=_MAX_PARAMETERS,
            )
        except ValueError as error:
            raise RefusedError(f"At most {_MAX_PARAMETERS} parameters are taken at once.") from error
        found.update(pairs)
    return found


def key(headers: Iterable[tuple[bytes, bytes]], params: Mapping[str, str]) -> str:
    """Return the key that came along, in a header first; empty when none did. Header names are lower-case."""
    for name, value in headers:
        if _KEY_HEADER in name:
            return value.strip().decode("ascii", "replace")
    return next((params[name] for name in _KEY_PARAMETERS if params.get(name)), "")


def texts(params: Mapping[str, str], address: str) -> dict[int, str]:
    """Return the fields that came along, by number, as they were sent; empty ones did not. Raises RefusedError.

    address: the sender's, for which the word IP_ADDRESS stands.
    """
    found: dict[int, str] = {}
    for number in range(1, FIELDS + 1):
        text = params.get(f"field{number}") or params.get(str(number)) or ""
        # Clients that meant a line's end sent the two characters instead, and the server took them off.
        text = text.removesuffix("\\n").removesuffix("\\r")
        if not text:
            continue
        text = address if text.upper() == "IP_ADDRESS" else text
        if len(text.encode()) > MAX_TEXT or "\0" in text:
            raise RefusedError(f"field{number}: a text has at most {MAX_TEXT} bytes and no NUL.")
        found[number] = text
    return found


def value(text: str) -> Value:
    """Return a field's text as the number that it is; any other text as it stands. A comma may be the decimal point."""
    plain = text.strip()
    if _WHOLE.fullmatch(plain) and -_MAX_INT <= int(plain) < _MAX_INT:
        return int(plain)
    if _COMMA.fullmatch(plain):
        plain = plain.replace(",", ".")
    if _FRACTION.fullmatch(plain) and math.isfinite(number := float(plain)):
        return number
    return text


def created_at(params: Mapping[str, str]) -> Millis | None:
    """Return when the entry was made, in UTC; None when nothing was said, or nothing that can be understood.

    ISO 8601, with a space for the T if they like, read in `timezone` where it names no offset itself.
    """
    text = params.get("created_at", "").strip()
    text = _CLOCK_AND_OFFSET.sub(lambda found: f"{found[1]}{found[2] or '+'}{found[3]}", text)
    try:
        when = datetime.datetime.fromisoformat(text.removesuffix(" UTC"))
        zoned = when if when.tzinfo else when.replace(tzinfo=_zone(params))
        at = (zoned - _EPOCH) // datetime.timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return None
    return at if at >= 0 else None


def field(text: str) -> int | None:
    """Return the field that a path names, `1` or `field1`; None when there is no such field."""
    number = text.removeprefix("field")
    return int(number) if re.fullmatch(rf"[1-{FIELDS}]", number, re.ASCII) else None


def _zone(params: Mapping[str, str]) -> datetime.tzinfo:
    try:
        return zoneinfo.ZoneInfo(params.get("timezone") or "UTC")
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return datetime.UTC


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
