"""What a client wants to see of a channel: the path and the query of a reading request.

Pure. Sources: iobridge/thingspeak (feed_factory.rb, feed_helper.rb and feed_controller.rb) and MathWorks' "Read Data".
An empty parameter is none; one that cannot be read is refused, since an answer to another question would look right.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping
from typing import Literal, cast

import msgspec

from outstation.core.readings import Millis
from outstation.errors import RefusedError
from outstation.protocols.thingspeak import wire

How = Literal["timescale", "sum", "average", "median"]
What = Literal["channel", "feeds", "fields", "status"]
Form = Literal["json", "csv", "txt"]

WAYS: tuple[How, ...] = ("timescale", "sum", "average", "median")
"""What may be made of a slice; of several that are asked for, the first of these counts."""

MOST, USUAL = 8_000, 100
"""Entries in an answer: at most, and where neither a number nor a time is asked for."""

LAST_OF_MANY, LAST_OF_MOST = 30, 100
"""Entries that `last_average` looks at: without a number, and at most."""

HIGHEST = 2**62
"""A time and a number that nothing reaches, and SQLite can hold."""

_MINUTES = (10, 15, 20, 30, 60, 240, 720, 1440)
_MINUTE, _DAY = 60_000, 86_400_000
_AGES = 1e9
"""Days or minutes before everything, and not too many to be counted in milliseconds."""
_DIGITS = 15
"""Decimal places: a float has no more."""

_PATH = re.compile(
    r"(?P<whole>/stream)?/channels/(?P<channel>[0-9]{1,10})"
    r"(?:/(?P<what>feed|feeds|status|statuses|fields?/(?:field)?(?P<field>[1-8]))"
    r"(?:/(?P<entry>(?:entry/)?[0-9]{1,18}|last|last_data_age|last_average|last_median|last_sum))?)?"
    r"(?:\.(?P<form>json|csv|txt|text))?"
)
_NOUNS: tuple[What, ...] = ("channel", "feeds", "fields", "status")
_LAST_GROUPED = re.compile(r"last_(average|median|sum)")


class Asked(msgspec.Struct, frozen=True):
    """What a path names. field: 0: none. entry: "" for many, a number, or one of the words of `last`.

    whole: all of a channel, however long it is.
    form: None: the path names none, and the answer has the usual one of its kind.
    """

    channel: int
    what: What
    field: int = 0
    entry: str = ""
    form: Form | None = None
    whole: bool = False

    @property
    def grouped(self) -> How | None:
        """How the last entries are to be made one; None: they are not."""
        found = _LAST_GROUPED.fullmatch(self.entry)
        return cast("How", found[1]) if found else None


class Group(msgspec.Struct, frozen=True):
    """How entries become one a slice of time. width: of a slice, in milliseconds."""

    how: How
    width: Millis


class Query(msgspec.Struct, frozen=True):
    """Which entries, and how they are shown.

    start, end: UTC, from and before; first, last: numbers, both included. limit: the newest of these, before anything
    is made of them. low, high: an entry with a number outside is left out. digits: after the point.
    """

    start: Millis = -HIGHEST
    end: Millis = HIGHEST
    first: int = 1
    last: int = HIGHEST
    limit: int = USUAL
    zone: datetime.tzinfo = datetime.UTC
    low: float = -math.inf
    high: float = math.inf
    digits: int | None = None
    group: Group | None = None
    status: bool = False
    location: bool = False
    metadata: bool = False
    prepend: str = ""
    append: str = ""


def asked(path: str) -> Asked | None:
    """Return what a path names; None when there is nothing of that kind."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    noun, entry = found["what"] or "channel", (found["entry"] or "").removeprefix("entry/")
    what = next(what for what in _NOUNS if noun.startswith(what[:4]))
    if entry.startswith("last_") and entry != "last_data_age" and what != "feeds":
        return None
    is_whole = found["whole"] is not None
    form = "csv" if is_whole else "txt" if found["form"] == "text" else cast("Form | None", found["form"])
    return Asked(int(found["channel"]), what, int(found["field"] or 0), entry, form, is_whole)


def read(params: Mapping[str, str], now: Millis) -> Query:
    """Return what a query asks for. now: UTC. Raises RefusedError."""
    here = _zone(params)
    start, end = _time(params, "start", here), _time(params, "end", here)
    results = _whole(params, "results", 0)
    past = _past(params, "minutes", _MINUTE) or _past(params, "days", _DAY)
    first, last = _whole(params, "start_entry_id", 0), _whole(params, "end_entry_id", 0)
    if start is None and past is not None:
        start = now - past
    is_bounded = any(bound is not None for bound in (results, start, end, first, last))
    low, high, digits = _number(params, "min"), _number(params, "max"), _whole(params, "round", 0, _DIGITS)
    return Query(
        # Times are shown in whole seconds: an entry belongs to the one that it shows.
        start=-HIGHEST if start is None else start - start % 1000,
        end=HIGHEST if end is None else end - end % 1000 + 1000,
        first=1 if first is None else first,
        last=HIGHEST if last is None else last,
        limit=min(results if results is not None else MOST, MOST) if is_bounded else USUAL,
        zone=here,
        low=-math.inf if low is None else low,
        high=math.inf if high is None else high,
        digits=digits,
        group=_group(params),
        status=_flag(params, "status"),
        location=_flag(params, "location"),
        metadata=_flag(params, "metadata"),
        prepend=params.get("prepend", ""),
        append=params.get("append", ""),
    )


def last_of(params: Mapping[str, str]) -> int:
    """Return how many entries `last_average` and its kin look at. Raises RefusedError."""
    given = [_whole(params, name, 1) for name in ("average", "median", "sum")]
    return min(next((one for one in given if one is not None), LAST_OF_MANY), LAST_OF_MOST)


def _group(params: Mapping[str, str]) -> Group | None:
    """Return what is made of each slice; as on the service, a width that it does not know is as good as none."""
    for how in WAYS:
        text = params.get(how, "")
        minutes = 1440 if text == "daily" else int(text) if re.fullmatch(r"[0-9]{1,4}", text) else 0
        if minutes in _MINUTES:
            return Group(how, minutes * _MINUTE)
    return None


def _zone(params: Mapping[str, str]) -> datetime.tzinfo:
    """Return the zone of `offset`, in hours, before that of `timezone`."""
    hours = _number(params, "offset")
    if hours is None:
        return wire.zone(params)
    if not abs(hours) <= 23:
        raise RefusedError(f"offset: expected hours from -23 to 23, found {params['offset'][:40]}.")
    return datetime.timezone(datetime.timedelta(minutes=round(hours * 60))) if hours else datetime.UTC


def _time(params: Mapping[str, str], name: str, here: datetime.tzinfo) -> Millis | None:
    if not (text := params.get(name, "").strip()):
        return None
    at = wire.moment(text, here)
    if at is None:
        raise RefusedError(f"{name}: expected a time such as 2026-03-01 12:00:00, found {text[:40]}.")
    return at


def _past(params: Mapping[str, str], name: str, unit: Millis) -> Millis | None:
    number = _number(params, name)
    if number is not None and number < 0:
        raise RefusedError(f"{name}: expected a number of 0 or more, found {params[name][:40]}.")
    return None if number is None else int(min(number, _AGES) * unit)


def _whole(params: Mapping[str, str], name: str, least: int, most: int = HIGHEST) -> int | None:
    if not (text := params.get(name, "").strip()):
        return None
    if not re.fullmatch(r"\+?[0-9]{1,18}", text) or not least <= int(text) <= most:
        upto = f"a whole number of {least} to {most}" if most < HIGHEST else f"a whole number of {least} or more"
        raise RefusedError(f"{name}: expected {upto}, found {text[:40]}.")
    return int(text)


def _number(params: Mapping[str, str], name: str) -> float | None:
    if not (text := params.get(name, "").strip()):
        return None
    number = wire.value(text)
    if isinstance(number, str):
        raise RefusedError(f"{name}: expected a number, found {text[:40]}.")
    return float(number)


def _flag(params: Mapping[str, str], name: str) -> bool:
    return params.get(name, "").lower() == "true"
