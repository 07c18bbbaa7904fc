"""What just happened, to whoever watches. A slow watcher loses; the node does not wait for it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Self

import msgspec

_KEPT = 1_000
"""Events kept for a watcher that does not fetch them: past these it loses the oldest, and is told how many."""


class Happening(msgspec.Struct, frozen=True):
    """One thing that happened: its kind (`reading`, `output`, `lost`) and its document for people."""

    kind: str
    document: dict[str, object]


class Feed:
    """Hands each happening to every watcher."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()

    @property
    def watched(self) -> bool:
        """Whether anybody watches: when nobody does, nothing needs to be put together."""
        return bool(self._watchers)

    def publish(self, happening: Happening) -> None:
        """Hand one happening to every watcher."""
        for watcher in self._watchers:
            watcher.put(happening)

    def watch(self) -> Watcher:
        """Return a new watcher: a context manager that stops watching at its end."""
        return Watcher(self._watchers)


class Watcher:
    """One who watches the feed."""

    def __init__(self, watchers: set[Watcher]) -> None:
        self._watchers = watchers
        self._waiting: deque[Happening] = deque(maxlen=_KEPT)
        self._something = asyncio.Event()
        self._lost = 0

    def __enter__(self) -> Self:
        self._watchers.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._watchers.discard(self)

    def put(self, happening: Happening) -> None:
        """Keep one happening until it is fetched."""
        self._lost += len(self._waiting) == _KEPT
        self._waiting.append(happening)
        self._something.set()

    async def next(self, patience: float) -> list[Happening]:
        """Return what has happened since the last call; an empty list after `patience` seconds of nothing.

        What was lost is told first: `lost`, with how many.
        """
        try:
            async with asyncio.timeout(patience):  # wait_for() of Python 3.11 swallows a cancel that meets an event
                await self._something.wait()
        except TimeoutError:
            return []
        self._something.clear()
        happened = [Happening("lost", {"count": self._lost})] if self._lost else []
        happened += self._waiting
        self._waiting.clear()
        self._lost = 0
        return happened
