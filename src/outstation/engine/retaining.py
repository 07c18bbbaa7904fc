"""Keeps a node's history within its limits, and knows how big it is, how fast it grows and when it is full.

The law of this file: what is asked often (health, the page) is answered from the last look, never from the disk.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from outstation import clock
from outstation.config import Config
from outstation.core import retention
from outstation.core.readings import Millis
from outstation.core.retention import Limits, Now
from outstation.core.windows import DAY
from outstation.store import outlook
from outstation.store.database import Store
from outstation.store.outlook import Figures, Going, Plan
from outstation.store.retention import Retention
from outstation.store.stock import Stock

ROOM_EVERY_S = 10.0
"""In this time not even a thousand readings a second make more than a megabyte."""

AGE_EVERY_S = 3_600.0
AGE_FIRST_S = 300.0
"""By then a clock has been set that is going to be."""

LOOK_EVERY_S, LOOK_AGAIN_S = 300.0, 12.0
"""A new node is looked at by a person who wants to see that it grows."""

_MEGABYTE = 1_000_000
_MEASURED: Millis = 600_000
"""What was written in less time than this says nothing about a day."""


class Retaining:
    """The limits of one node, and the last look at what it keeps."""

    def __init__(self, store: Store, config: Config) -> None:
        self._store, self._config = store, config
        self._retention = Retention(store)
        self._limits: Limits | None = None
        self._figures: Figures | None = None
        self._since = clock.now()
        self._full = False
        self._one = asyncio.Lock()

    def troubles(self) -> list[str]:
        """Return what is wrong, for health."""
        return ["The data file is larger than [store] keep_mb, and holds nothing that could go."] if self._full else []

    async def make_room(self) -> None:
        """Hold the cap. Raises StoreError."""
        limits = await self._limited()
        async with self._one:
            self._full = (await self._retention.make_room(limits, clock.at())).full

    async def forget_old(self) -> None:
        """Delete what is too old, as far as that may be now. Raises StoreError."""
        limits = await self._limited()
        async with self._one:
            await self._retention.by_age(limits, _now(self._config))

    async def look(self) -> None:
        """Measure anew. Raises StoreError."""
        limits, at = await self._limited(), clock.at()
        self._figures = await asyncio.to_thread(self._retention.look, lambda seen: outlook.figures(seen, limits, at))

    @property
    def since(self) -> Millis | None:
        """When the oldest reading was measured, at the last look; None: there was none."""
        return self._figures.since if self._figures else None

    def document(self) -> dict[str, Any]:
        """Return the figures of the last look, and what was written: for health, the page and the command."""
        document = {**figures_document(self._figures), **self._budget()}
        return document | {"in_words": words(document)}

    async def plan(self, *, asked: bool) -> dict[str, Any]:
        """Return the figures, and what a run would delete now. asked: by a person's word. Raises StoreError."""
        await self.look()
        limits, now = await self._limited(), _now(self._config)
        planned = await asyncio.to_thread(
            self._retention.look, lambda seen: outlook.plan(seen, limits, now, asked=asked)
        )
        return self.document() | plan_document(planned, limits)

    async def run(self) -> dict[str, Any]:
        """Delete, by a person's word, all that is too old or too much. Raises StoreError."""
        limits = await self._limited()
        async with self._one:
            old = await self._retention.by_age(limits, _now(self._config), asked=True)
            much = await self._retention.make_room(limits, clock.at())
        await self.look()
        return self.document() | {"deleted": old.readings + much.readings, "kept": old.kept}

    async def _limited(self) -> Limits:
        """Return the limits; the disk is asked once, so that what others put on it later deletes nothing here."""
        if self._limits is None:
            used = await asyncio.to_thread(self._retention.look, Stock.used)
            self._limits = limits_of(self._config, self._store.path.parent, used)
        return self._limits

    def _budget(self) -> dict[str, Any]:
        written, passed = written_bytes(), clock.now() - self._since
        a_day = None if written is None or passed < _MEASURED else round(written * DAY / passed)
        lose = self._config.store.lose_at_most / 1000
        return {"written_bytes": written, "written_bytes_a_day": a_day, "lose_at_most_seconds": lose}


def of_stopped(path: Path, config: Config, *, asked: bool) -> dict[str, Any]:
    """Return the same of the file of a node that does not run: the figures, and the plan. Raises StoreError."""
    now = _now(config)
    with outlook.stopped(path) as seen:
        limits = limits_of(config, path.parent, seen.used())
        document = figures_document(outlook.figures(seen, limits, now.at))
        planned = outlook.plan(seen, limits, now, asked=asked)
    return document | {"in_words": words(document)} | plan_document(planned, limits)


def limits_of(config: Config, folder: Path, used: int) -> Limits:
    """Return what the owner wants kept. folder: on the disk in question. used: what is in the file."""
    table = config.store
    if table.keep_mb is None:
        disk = os.statvfs(folder)
        cap = retention.default_cap(disk.f_bavail * disk.f_frsize, used)
    else:
        cap = table.keep_mb * _MEGABYTE
    own = {sensor.name: sensor.keep for sensor in config.sensors if sensor.keep is not None}
    return Limits(cap, table.keep, table.keep_5m, own)


def _now(config: Config) -> Now:
    return Now(clock.at(), clock.trust(config.node.clock) is clock.Trust.SYNCHRONISED)


def written_bytes() -> int | None:
    """Return what this process has had written to the disk, as the kernel counts it; None: it does not say.

    `write_bytes` in proc_pid_io(5): counted when a page becomes dirty, so that what the file system and the card
    write besides is not in it.
    """
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("write_bytes:")), None)


def figures_document(figures: Figures | None) -> dict[str, Any]:
    """Return the figures of a file as programs read them; None: it was not looked at yet."""
    if figures is None:
        return dict.fromkeys(("readings", "bytes", "cap_bytes", "since", "bytes_a_day", "full_at"))
    growth = figures.forecast
    return {
        "readings": figures.readings,
        "bytes": figures.used,
        "cap_bytes": figures.cap,
        "since": _iso(figures.since),
        "bytes_a_day": None if growth is None else round(growth.a_day),
        "full_at": None if growth is None else _iso(growth.full_at),
    }


def plan_document(plan: Plan, limits: Limits) -> dict[str, Any]:
    """Return what a run would delete as programs read it."""
    return {"going": [_going(one, limits) for one in plan.going], "kept": plan.kept, "left": plan.left}


def words(document: Mapping[str, Any]) -> list[str]:
    """Return the figures in a sentence or two each."""
    if document["bytes"] is None:
        return ["The data file was not looked at yet."]
    return [_size_in_words(document), _growth_in_words(document), *_budget_in_words(document)]


def plan_in_words(document: Mapping[str, Any]) -> Iterable[str]:
    """Return what a run would delete, a line each, and why nothing more."""
    for one in document["going"]:
        count = f"{one['readings']:,} " if one["readings"] else ""
        yield f"{one['sensor']}: {count}{one['what']}, up to {one['until'][:16].replace('T', ' ')} UTC: {one['why']}"
    if document["left"]:
        yield "More is too old. It goes a tenth of all a day, unless you say so: outstation retention --now"
    if document["kept"]:
        yield document["kept"]
    if not document["going"] and not document["kept"]:
        yield "Nothing is to be deleted."


def _size_in_words(document: Mapping[str, Any]) -> str:
    since = f" since {document['since'][:10]}" if document["since"] else ""
    return f"{document['readings']:,} readings{since}, in {_mb(document['bytes'])} of {_mb(document['cap_bytes'])}."


def _growth_in_words(document: Mapping[str, Any]) -> str:
    if retention.is_full(document["bytes"], document["cap_bytes"]):
        return "It is full: the oldest readings make room for new ones."
    if document["bytes_a_day"] is None:
        return "How fast it grows is known when the first readings are sealed, within a day."
    rate = f"It grows by {_mb(document['bytes_a_day'])} a day"
    if document["full_at"] is None:
        return f"{rate}, and will not be full in ten years."
    return f"{rate}, and is full on {document['full_at'][:10]}: then the oldest readings make room."


def _budget_in_words(document: Mapping[str, Any]) -> Iterable[str]:
    """Return nothing for a node that does not run."""
    if document.get("written_bytes") is None:
        return []
    a_day = document["written_bytes_a_day"]
    rate = "" if a_day is None else f", {_mb(a_day)} a day"
    lose = f"a power cut costs at most {document['lose_at_most_seconds']:g} s of this node's own readings"
    return [f"Written to the disk since the start: {_mb(document['written_bytes'])}{rate}; {lose}."]


def _going(one: Going, limits: Limits) -> dict[str, Any]:
    return {
        "what": one.what.words,
        "sensor": one.sensor,
        "readings": one.readings,
        "until": clock.iso(one.until),
        "why": _why(one, limits),
    }


def _why(one: Going, limits: Limits) -> str:
    if not one.by_age:
        return f"the file is to have {_mb(limits.cap)} at most"
    keep = limits.keep_5m if one.what is retention.What.FIVE_MINUTES else limits.of(one.sensor)
    return f"older than {(keep or 0) / DAY:g} days"


def _mb(size: int) -> str:
    megabytes = size / _MEGABYTE
    return f"{megabytes:,.0f} MB" if megabytes >= 10 else f"{megabytes:.1f} MB"


def _iso(at: Millis | None) -> str | None:
    return None if at is None else clock.iso(at)
