"""POST /api/readings: readings from outside, answered when they are on disk.

This is the hot route: one decode, one look at each reading, one future.
"""

from __future__ import annotations

import asyncio
import datetime
import math
import re
from collections.abc import Iterator
from itertools import repeat
from typing import Literal

import msgspec

from outstation import clock
from outstation.config.values import DEVICE_NAME, NAME
from outstation.core.readings import MAX_TEXT, Quality, Reading, Value
from outstation.core.sensors import MAX_AHEAD
from outstation.engine.site import Site
from outstation.errors import RefusedError, StoreError
from outstation.http import Answer, Later, Principal, Request, Response, json, problem
from outstation.store.columns import Column, is_rising
from outstation.store.database import Recorded

MAX_ITEMS = 10_000
_MAX_INT = 2**63

_SECONDS_BEFORE = 100_000_000_000
"""A bare number below this is Unix seconds (until the year 5138), above it milliseconds (since 1973)."""

_TOO_MANY = f"At most {MAX_ITEMS} readings at once; send the rest after."
_QUALITIES = {quality.name.lower(): quality for quality in Quality}
_NAME = re.compile(f"{DEVICE_NAME}/{NAME}")

Stamp = str | int | float
Word = Literal["ok", "out_of_range", "spike", "stuck", "fault"]


class Ago(float):
    """Seconds before the readings arrive, where a time is expected: from boards without a clock."""


class Post(msgspec.Struct, forbid_unknown_fields=True):
    """One item of a body, in any of its shapes.

    `{sensor, value, timestamp?}`; `{values: {name: value}, timestamp?}`; columns `{sensor, timestamps, values}`,
    with `qualities` where its sender has judged them: a word each, and null for a value that there is none of.
    Whoever has no clock says `age`, in seconds, in place of `timestamp`.
    """

    sensor: str | None = None
    value: Value | None = None
    timestamp: Stamp | None = None
    age: float | None = None
    values: dict[str, Value] | list[Value | None] | None = None
    timestamps: list[Stamp] | None = None
    qualities: list[Word] | None = None


class Plain(msgspec.Struct, forbid_unknown_fields=True):
    """Columns as a backlog or an import has them: they are taken in a tenth of the time."""

    sensor: str
    timestamps: list[int]
    values: list[float | int | bool]


Raw = tuple[str, Value | None, Stamp | None, Quality]

_decoder = msgspec.json.Decoder(Post | list[Post])
_columns_decoder = msgspec.json.Decoder(list[Plain])
_LONG = 2_000
"""Bytes from which it is worth a look whether a body is columns."""

_TRUSTED_FOR = 1_000


class Incoming:
    """Takes readings from outside for one node."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._known = site.node.sensors
        self._checked_trust = -_TRUSTED_FOR
        self._clock_trusted = False

    def post(self, request: Request) -> Answer:
        """Handle the request. Raises RefusedError, and msgspec's errors for what is no JSON."""
        sender, boards = request.principal, self._site.boards
        if sender.device is not None and (board := boards.by_name(sender.device)) is not None:
            boards.heard(board, request.peer.address, clock.moment())
        if (columns := _columns(request.body)) and (answer := self._post_late(columns, request.principal)) is not None:
            return answer
        raw = list(_each(_decoder.decode(request.body)))
        if len(raw) > MAX_ITEMS:
            return problem(413, _TOO_MANY)
        readings, created = self.accept(raw, request.principal)
        return Later(self._taken(raw, readings), lambda recorded: _answer(len(readings), recorded, created))

    def _taken(self, raw: list[Raw], readings: list[Reading]) -> asyncio.Future[Recorded]:
        """Take readings in. An age is told from this node's clock: while that is not set, they are to move with it."""
        if not any(type(stamp) is Ago for _, _, stamp, _ in raw) or self._clock_is_trusted(clock.now()):
            return self._site.runner.take(readings)
        told = {
            (reading.sensor, reading.at) for item, reading in zip(raw, readings, strict=True) if type(item[2]) is Ago
        }
        return self._site.store.record(
            [
                msgspec.structs.replace(one, sender_stamped=False) if (one.sensor, one.at) in told else one
                for one in self._site.runner.decide(readings)
            ]
        )

    def _post_late(self, posted: list[Plain], sender: Principal) -> Answer | None:
        """Take in columns of known sensors that are all for the store alone; else None. Raises RefusedError."""
        count = sum(len(column.timestamps) for column in posted)
        if count > MAX_ITEMS:
            return problem(413, _TOO_MANY)
        columns = {name: one for one in posted if (name := self._name_of(one.sensor, sender)) in self._known}
        if len(columns) < len(posted):
            return None
        series = {name: (one.timestamps, one.values) for name, one in columns.items()}
        if self._site.feed.watched or not self._site.node.store_alone(series, *clock.moment()):
            return None
        found = [Column(name, one.timestamps, one.values) for name, one in columns.items()]
        return Later(self._site.store.record_columns(found), lambda recorded: _answer(count, recorded, []))

    def accept(self, raw: list[Raw], sender: Principal) -> tuple[list[Reading], list[str]]:
        """Return the readings, and the names of the sensors that are new. All are taken, or none: RefusedError."""
        moment, known = clock.moment(), self._known
        readings = [self._reading(item, sender, moment) for item in raw]
        unknown = [reading.sensor for reading in readings if reading.sensor not in known]
        return readings, self._admit(list(dict.fromkeys(unknown))) if unknown else unknown

    def _admit(self, unknown: list[str]) -> list[str]:
        """Make room for new sensors; return their names. Raises RefusedError."""
        if not self._site.config.web.accept_new_sensors:
            names = ", ".join(unknown[:5])
            raise RefusedError(f"Unknown here: {names}.", cure="[web] accept_new_sensors = true lets them in.")
        self._site.node.admit_all(unknown)
        return unknown

    def _reading(self, raw: Raw, sender: Principal, moment: clock.Moment) -> Reading:
        name, value, stamp, quality = raw
        name = self._name_of(name, sender)
        if value is None and not quality:
            raise RefusedError(f"{name}: a value that is null needs a quality that says why.")
        if value is not None:
            _check(name, value)
        if stamp is None:
            return Reading(name, value, moment.at, moment.now, moment.at)
        at = self._ago(stamp, moment) if type(stamp) is Ago else parse_time(stamp)
        if at > moment.at + MAX_AHEAD and self._clock_is_trusted(moment.now):
            raise RefusedError(f"{name}: the time {clock.iso(at)} is more than ten minutes ahead.")
        return Reading(name, value, at, moment.now, moment.at, quality, sender_stamped=True)

    def _ago(self, age: Ago, moment: clock.Moment) -> int:
        """Return the time that an age means. Raises RefusedError; StoreError while it cannot be told yet."""
        if not 0 <= age < _SECONDS_BEFORE:
            raise RefusedError("An age is a number of seconds from 0 on.")
        at = moment.at - round(age * 1000)
        if at >= 0:
            return at
        if self._clock_is_trusted(moment.now):
            raise RefusedError("The time that the age means lies before 1970.")
        raise StoreError("This node's clock is not set yet: that age lies before 1970.", cure="Send it again later.")

    def _name_of(self, name: str, sender: Principal) -> str:
        return name if name in self._known and self._is_of(sender, name) else self._full_name(name, sender)

    def _is_of(self, sender: Principal, name: str) -> bool:
        """Tell whether a known sensor is no own one, and one that this sender may send for."""
        device = sender.device
        return "/" in name if device is None else name.startswith(device + "/")

    def _full_name(self, name: str, sender: Principal) -> str:
        if "/" not in name and sender.device is not None:
            name = f"{sender.device}/{name}"
        if name in self._known and "/" not in name:
            raise RefusedError(f'"{name}" is this node\'s own: it is read here and cannot be sent.')
        if not _NAME.fullmatch(name):
            cure = 'For example "porch/temperature".'
            raise RefusedError("A sensor is named device/name, in small letters, digits and _.", cure=cure)
        if sender.device is not None and name.partition("/")[0] != sender.device:
            raise RefusedError(f'This key sends for the device "{sender.device}" alone.')
        return name

    def _clock_is_trusted(self, now: int) -> bool:
        if now - self._checked_trust >= _TRUSTED_FOR:
            self._checked_trust = now
            self._clock_trusted = clock.trust(self._site.config.node.clock) is clock.Trust.SYNCHRONISED
        return self._clock_trusted


def _columns(body: bytes | bytearray) -> list[Plain]:
    """Return what a body is if it is nothing but columns of numbers, by milliseconds in order of time; else nothing."""
    if len(body) < _LONG:
        return []
    try:
        posted = _columns_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []  # something else, or a mistake that is told elsewhere
    return posted if all(map(_is_plain, posted)) else []


def _is_plain(column: Plain) -> bool:
    times, values = column.timestamps, column.values
    if not times or len(times) != len(values) or times[0] < _SECONDS_BEFORE or times[-1] >= _SECONDS_BEFORE * 1000:
        return False
    return is_rising(times) and -_MAX_INT <= min(values) <= max(values) < _MAX_INT


def _each(posted: Post | list[Post]) -> Iterator[Raw]:
    for item in posted if isinstance(posted, list) else (posted,):
        if (
            item.sensor is not None
            and item.value is not None
            and item.values is item.timestamps is item.qualities is None
        ):
            yield item.sensor, item.value, item.timestamp if item.age is None else _age_of(item), Quality.OK
        else:
            yield from _many(item)


def _many(item: Post) -> Iterator[Raw]:
    values, stamps = item.values, item.timestamps
    if item.value is not None or values is None:
        raise RefusedError('A reading needs "sensor" and "value", or "values".')
    if isinstance(values, dict):
        if item.sensor is not None or stamps is not None or item.qualities is not None:
            raise RefusedError('"values" by name go without "sensor", "timestamps" and "qualities".')
        stamp = item.timestamp if item.age is None else _age_of(item)
        for name, named in values.items():
            yield name, named, stamp, Quality.OK
        return
    if item.sensor is None or stamps is None or not item.timestamp is item.age is None or len(values) != len(stamps):
        raise RefusedError('Columns need "sensor", and "timestamps" and "values" of the same length.')
    words = item.qualities
    if words is not None and len(words) != len(values):
        raise RefusedError('"qualities" has as many words as there are values.')
    qualities = repeat(Quality.OK, len(values)) if words is None else map(_QUALITIES.__getitem__, words)
    for stamp, value, quality in zip(stamps, values, qualities, strict=True):
        yield item.sensor, value, stamp, quality


def _age_of(item: Post) -> Ago:
    if item.timestamp is not None or item.age is None:
        raise RefusedError('A reading has a "timestamp" or an "age", not both.')
    return Ago(item.age)


def _check(name: str, value: Value) -> None:
    if isinstance(value, str):
        if len(value.encode()) > MAX_TEXT or "\x00" in value:
            raise RefusedError(f"{name}: a text has at most {MAX_TEXT} bytes and no NUL.")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise RefusedError(f"{name}: the value is no finite number.")
    elif not -_MAX_INT <= value < _MAX_INT:
        raise RefusedError(f"{name}: a whole number has at most 64 bits.")


def parse_time(stamp: Stamp) -> int:
    """Return ISO 8601 with a zone, Unix seconds or Unix milliseconds as UTC milliseconds. Raises RefusedError."""
    if isinstance(stamp, str):
        return _parse_iso(stamp)
    if isinstance(stamp, float) and not math.isfinite(stamp):
        raise RefusedError("The time is no finite number.")
    millis = stamp * 1000 if abs(stamp) < _SECONDS_BEFORE else stamp
    if not 0 <= millis < _SECONDS_BEFORE * 1000:
        raise RefusedError("The time lies before 1970 or after 5138.")
    return round(millis)


def check_in_time(before: Stamp | None) -> None:
    """Raise RefusedError for what was asked for before a time that is past: a network has delivered it late."""
    if before is not None and clock.at() > parse_time(before):
        raise RefusedError("This came too late, and is not done.", cure="Look how it is, and ask anew.")


def _parse_iso(text: str) -> int:
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise RefusedError('A time is written like "2026-03-01T12:00:00Z", with Z or an offset, or as Unix time.')
    try:
        delta = when - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    except OverflowError:
        delta = datetime.timedelta(-1)
    millis = delta // datetime.timedelta(milliseconds=1)
    if not 0 <= millis < _SECONDS_BEFORE * 1000:
        raise RefusedError("The time lies before 1970 or after 5138.")
    return millis


def _answer(accepted: int, recorded: Recorded, created: list[str]) -> Response:
    if not created and recorded.stored == accepted:
        return Response(b'{"accepted":%d}' % accepted)
    document: dict[str, object] = {"accepted": accepted}
    if recorded.duplicates or recorded.corrected:
        document |= {"duplicates": recorded.duplicates, "corrected": recorded.corrected}
    if created:
        document["created"] = created
    return json(document)
