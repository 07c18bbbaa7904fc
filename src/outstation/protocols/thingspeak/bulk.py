"""Many entries in one body, as JSON or as a form with lines: what a board kept while the network was away.

Pure. Source: MathWorks, "Bulk-Write JSON Data" and "Bulk-Write CSV Data". Where entries say how long after the one
before them they were made, and nothing else, the last of them was made now: boards send when they have measured.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence

import msgspec

from outstation.core.readings import Millis
from outstation.errors import RefusedError
from outstation.protocols.thingspeak import wire
from outstation.store.rows import LATEST

MOST = 10_000
"""Values in one body, as many as the native route takes: while they are taken in, everybody else waits."""

_COLUMNS = (*(f"field{number}" for number in range(1, wire.FIELDS + 1)), "latitude", "longitude", "elevation", "status")

_SECONDS = re.compile(r"\d{9,10}", re.ASCII)
_MILLIS = re.compile(r"\d{12,13}", re.ASCII)
"""Unix time: eight digits would be a day of ISO 8601."""

_MOST_SECONDS = 10 * 365 * 86_400


class Update(msgspec.Struct, frozen=True):
    """One entry as it came. at: the time that it came with; None: it was made so many milliseconds ago."""

    params: Mapping[str, str]
    at: Millis | None = None
    age: Millis = 0


class Posted(msgspec.Struct, frozen=True):
    """A body. params: what it says of all of it."""

    params: Mapping[str, str]
    updates: Sequence[Update]

    @property
    def size(self) -> int:
        """How many values there are; an entry without any counts as one."""
        return sum(max(1, sum(name.startswith("field") for name in update.params)) for update in self.updates)


class _Json(msgspec.Struct):
    write_api_key: str
    updates: list[dict[str, msgspec.Raw]]


_decoder = msgspec.json.Decoder(_Json)


def from_json(body: bytes | bytearray) -> Posted:
    """Return what a JSON body says. Raises RefusedError, and msgspec's errors for what is no such body."""
    found = _decoder.decode(body)
    texts = [{name: wire.json_text(raw) for name, raw in update.items()} for update in found.updates]
    some = [{name: text for name, text in update.items() if text is not None} for update in texts]
    return Posted({"api_key": found.write_api_key}, _timed(some))


def from_form(body: bytes | bytearray) -> Posted:
    """Return what a form says whose parameter `updates` holds lines that end in `|`. Raises RefusedError."""
    params = wire.parameters(body)
    time = "delta_t" if params.get("time_format", "").strip() == "relative" else "created_at"
    lines = [line.strip() for line in params.get("updates", "").split("|")]
    rows = [dict(zip((time, *_COLUMNS), map(str.strip, line.split(",")), strict=False)) for line in lines if line]
    found = [{name: text for name, text in row.items() if text} for row in rows]
    return Posted({"api_key": params.get("write_api_key", ""), **params}, _timed(found))


def _timed(updates: Sequence[Mapping[str, str]]) -> list[Update]:
    """Return the updates with their times, looking back from the last one."""
    found, age = [], 0
    for update in reversed(updates):
        text = update.get("created_at", "").strip()
        found.append(Update(update, _moment(text) if text else None, age))
        age += _step(update.get("delta_t", ""))
    return found[::-1]


def _moment(text: str) -> Millis:
    if _SECONDS.fullmatch(text):
        return int(text) * 1000
    at = int(text) if _MILLIS.fullmatch(text) else wire.moment(text, datetime.UTC)
    if at is None or not 0 <= at < LATEST:
        raise RefusedError(f"created_at: {text[:40]!a} is no time.")
    return at


def _step(text: str) -> Millis:
    """Return the milliseconds since the entry before. Raises RefusedError."""
    if not text.strip():
        return 0
    seconds = wire.value(text)
    if isinstance(seconds, str) or not 0 <= seconds <= _MOST_SECONDS:
        raise RefusedError(f"delta_t: {text[:40]!a} is no time in seconds.")
    return round(seconds * 1000)
