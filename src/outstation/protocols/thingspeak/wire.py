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

import msgspec

from outstation.core.readings import MAX_TEXT, Millis, Value
from outstation.errors import RefusedError
from outstation.store.rows import LATEST

FIELDS = 8

_KEY_HEADER = b"thingspeakapikey"
_KEY_PARAMETERS = ("key", "api_key", "apikey")

_MAX_PARAMETERS = 64
"""The dialect has about thirty."""

_MAX_INT = 2**63
_NUMBER = re.compile(r"(?P<whole>[+-]?\d{1,19})|[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?|[+-]?\d+,\d+", re.ASCII)
"""One look tells: whole, with a fraction, or with a comma for the decimal point."""

_CLOCK_AND_OFFSET = re.compile(r"(\d\d:\d\d(?::\d\d(?:\.\d+)?)?) ([+-]?)(\d\d:?\d\d)$", re.ASCII)
"""A time of day, then an offset. Where it is sent as it stands, the plus sign of a form arrives as a space."""


def parameters(*forms: bytes | bytearray) -> dict[str, str]:
    """Return the parameters of a query and a body; the last of a name counts. Raises RefusedError."""
    found: dict[str, str] = {}
    for form in forms:
        if not form:
            continue
        if form.count(b"&") >= _MAX_PARAMETERS:
            raise RefusedError(f"At most {_MAX_PARAMETERS} parameters are taken at once.")
        text = form.decode("utf-8", "replace")
        if "%" in text or "+" in text:
            found.update(parse_qsl(text, keep_blank_values=True, errors="replace"))
        else:  # mostly; half the time
            for pair in text.split("&"):
                if pair:
                    name, _, value_of = pair.partition("=")
                    found[name] = value_of
    return found


def key(headers: Iterable[tuple[bytes, bytes]], params: Mapping[str, str]) -> str:
    """Return the key that came along, in a header first; empty when none did. Header names are lower-case."""
    for name, value in headers:
        if name.find(_KEY_HEADER) >= 0:  # `in` looks first whether it is a number, which takes ten times as long
            return value.strip().decode("ascii", "replace")
    for parameter in _KEY_PARAMETERS:
        if found := params.get(parameter):
            return found
    return ""


def fields(params: Mapping[str, str], address: str) -> tuple[str | None, ...]:
    """Return all eight fields as they were sent; None for those that were not, or were empty. Raises RefusedError.

    address: the sender's, for which the word IP_ADDRESS stands.
    """
    found: list[str | None] = [None] * FIELDS
    for name, sent in params.items():
        place = _PLACES_OF_FIELDS.get(name)
        if place is None or (found[place] is not None and name.isdecimal()):
            continue
        # Clients that meant a line's end sent the two characters instead, and the server took them off.
        text = sent.removesuffix("\\n").removesuffix("\\r")
        if not text:
            continue
        if text.upper() == "IP_ADDRESS":
            text = address
        if len(text.encode()) > MAX_TEXT or "\0" in text:
            raise RefusedError(f"field{place + 1}: a text has at most {MAX_TEXT} bytes and no NUL.")
        found[place] = text
    return tuple(found)


def json_parameters(body: bytes | bytearray) -> dict[str, str]:
    """Return the members of a JSON object as parameters: numbers to the letter, and nothing for null.

    Raises msgspec's errors for what is no JSON object.
    """
    found = {name: json_text(raw) for name, raw in _members.decode(body).items()}
    return {name: text for name, text in found.items() if text is not None}


def json_text(raw: msgspec.Raw) -> str | None:
    """Return a JSON value as a parameter; None for null and for what is no single value."""
    written = bytes(raw)
    if written[:1] == b'"':
        return _string.decode(written)
    return None if written[:1] in (b"n", b"{", b"[") else written.decode()


def place(params: Mapping[str, str]) -> tuple[str | None, str | None, str | None]:
    """Return latitude, longitude and elevation as they were sent; what is no number was not."""
    if _PLACES.isdisjoint(params):
        return None, None, None
    found = ((params.get(short) or params.get(name) or "").strip() for short, name in _PLACE)
    latitude, longitude, elevation = (text if text and not isinstance(value(text), str) else None for text in found)
    return latitude, longitude, elevation


def status(params: Mapping[str, str]) -> str | None:
    """Return the status of an entry. Raises RefusedError."""
    text = params.get("status") or None
    if text and (len(text.encode()) > MAX_TEXT or "\0" in text):
        raise RefusedError(f"status: a text has at most {MAX_TEXT} bytes and no NUL.")
    return text


def value(text: str) -> Value:
    """Return a field's text as the number that it is; any other text as it stands. A comma may be the decimal point."""
    plain = text.strip()
    found = _NUMBER.fullmatch(plain)
    if found is None:
        return text
    if found.lastgroup and -_MAX_INT <= (whole := int(plain)) < _MAX_INT:
        return whole
    number = float(plain.replace(",", "."))
    return number if math.isfinite(number) else text


def created_at(params: Mapping[str, str]) -> Millis | None:
    """Return when the entry was made, in UTC; None when nothing was said, or nothing that can be understood.

    ISO 8601, with a space for the T if they like, read in `timezone` where it names no offset itself.
    """
    text = params.get("created_at", "")
    at = moment(text, zone(params)) if text else None
    return at if at is not None and 0 <= at < LATEST else None


def moment(text: str, here: datetime.tzinfo) -> Millis | None:
    """Return a time in UTC, read as local time where it names no offset; None when it cannot be understood."""
    text = _CLOCK_AND_OFFSET.sub(lambda found: f"{found[1]}{found[2] or '+'}{found[3]}", text.strip())
    try:
        when = datetime.datetime.fromisoformat(text.removesuffix(" UTC"))
        zoned = when if when.tzinfo else when.replace(tzinfo=here)
        return (zoned - _EPOCH) // datetime.timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return None


def zone(params: Mapping[str, str]) -> datetime.tzinfo:
    """Return the zone that `timezone` names; UTC when it names none."""
    try:
        return zoneinfo.ZoneInfo(params["timezone"]) if params.get("timezone") else datetime.UTC
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return datetime.UTC


def channel(text: str) -> int | None:
    """Return the channel that a path names; None when there can be no such channel."""
    return int(text) if re.fullmatch(r"\d{1,11}", text, re.ASCII) else None


def created(at: Millis, here: datetime.tzinfo) -> str:
    """Return a time as the dialect writes it: `2014-02-25T14:13:01-05:00`, with Z in UTC."""
    when = datetime.datetime.fromtimestamp(at // 1000, here)
    return when.isoformat().removesuffix("+00:00") + "Z" if when.utcoffset() == _NO_OFFSET else when.isoformat()


def field(text: str) -> int | None:
    """Return the field that a path names, `1` or `field1`; None when there is no such field."""
    number = text.removeprefix("field")
    return int(number) if re.fullmatch(rf"[1-{FIELDS}]", number, re.ASCII) else None


_NO_OFFSET = datetime.timedelta(0)

_PLACES_OF_FIELDS = {f"{word}{place + 1}": place for word in ("field", "") for place in range(FIELDS)}

_PLACE = (("lat", "latitude"), ("long", "longitude"), ("elevation", "elevation"))
_PLACES = frozenset(name for names in _PLACE for name in names)

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_string = msgspec.json.Decoder(str)

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
