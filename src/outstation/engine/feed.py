"""What just happened, to whoever watches. A slow watcher loses; the node does not wait for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Self

import msgspec

from outstation import clock
from outstation.core.readings import Millis, Reading

LOOKED: Millis = 60_000
"""So long somebody who asked how the node is counts as one who watches."""

_KEPT = 1_000
"""Events kept for a watcher that does not fetch them: past these it loses the oldest, and is told how many."""


class Happening(msgspec.Struct, frozen=True):
    """One thing that happened: its kind (`reading`, `output`, `lost`) and its document for people."""

    kind: str
    document: dict[str, object]


def measured(reading: Reading) -> Happening:
    """Return a reading as it is shown."""
    document: dict[str, object] = {
        "sensor": reading.sensor,
        "timestamp": clock.iso(reading.at),
        "value": reading.value,
        "quality": reading.quality.name.lower(),
    }
    return Happening("reading", document)


class Feed:
    """Hands each happening to every watcher."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()
        self.looked: Millis | None = None

    @property
    def watched(self) -> bool:
        """Whether anybody watches: when nobody does, nothing needs to be put together."""
        return bool(self._watchers)

    def look(self) -> None:
        """Somebody asked how the node is."""
        self.looked = clock.now()

    def attended(self, now: Millis) -> bool:
        """Tell whether anybody watches, or has looked a moment ago."""
        return self.watched or (self.looked is not None and now - self.looked < LOOKED)

    def publish(self, happenings: Sequence[Happening]) -> None:
        """Hand happenings to every watcher: each is encoded once, however many watch."""
        if not (self._watchers and happenings):
            return
        kept = [event_of(happening) for happening in happenings[-_KEPT:]]
        for watcher in self._watchers:
            watcher.put(kept, len(happenings) - len(kept))

    def watch(self) -> Watcher:
        """Return a new watcher: a context manager that stops watching at its end."""
        return Watcher(self._watchers)


class Watcher:
    """One who watches the feed."""

    def __init__(self, watchers: set[Watcher]) -> None:
        self._watchers = watchers
        self._waiting: deque[bytes] = deque(maxlen=_KEPT)
        self._something = asyncio.Event()
        self._lost = 0

    def __enter__(self) -> Self:
        self._watchers.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._watchers.discard(self)

    def put(self, events: Sequence[bytes], lost: int = 0) -> None:
        """Keep events until they are fetched. lost: how many before them were too many for any watcher."""
        self._lost += lost + max(0, len(self._waiting) + len(events) - _KEPT)
        self._waiting.extend(events)
        self._something.set()

    async def next(self, patience: float) -> list[bytes]:
        """Return what has happened since the last call; an empty list after `patience` seconds of nothing.

        What was lost is told first: `lost`, with how many.
        """
        try:
            async with asyncio.timeout(patience):  # wait_for() of Python 3.11 swallows a cancel that meets an event
                await self._something.wait()
        except TimeoutError:
            return []
        self._something.clear()
        happened = [event_of(Happening("lost", {"count": self._lost}))] if self._lost else []
        happened += self._waiting
        self._waiting.clear()
        self._lost = 0
        return happened


def event_of(happening: Happening) -> bytes:
    """Return a happening as an event of a stream (WHATWG HTML, section 9.2)."""
    return b"event: %s\ndata: %s\n\n" % (happening.kind.encode(), msgspec.json.encode(happening.document))
