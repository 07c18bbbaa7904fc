"""What rules are tried on: what a node has stored, or a table in a file."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Protocol

from outstation.core.readings import Millis, Reading
from outstation.store import replay

EARLIEST: Millis = -(1 << 62)
LATEST: Millis = 1 << 62


class Recording(Protocol):
    """Readings of some sensors. left_out: how many rows of a table went back in time, when it was last read."""

    @property
    def names(self) -> list[str]:
        """The sensors in it."""

    @property
    def left_out(self) -> int:
        """How many rows of a table went back in time, when it was last read."""

    def readings(self, start: Millis, end: Millis, sensors: Collection[str]) -> Iterator[Reading]:
        """Return those of some sensors from `start` until before `end`, in order; `now` is `at`."""


class Stored:
    """What a node has stored."""

    left_out = 0

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.names = replay.names(connection)

    def readings(self, start: Millis, end: Millis, sensors: Collection[str]) -> Iterator[Reading]:
        """Return them as if each had arrived when it was measured."""
        return replay.replay(self._connection, start=start, end=end, sensors=sensors)


@contextlib.contextmanager
def stored(folder: Path) -> Iterator[Stored]:
    """Lend what the node of a data folder has stored, while it runs or not. Raises StoreError."""
    with replay.opened(folder) as connection:
        yield Stored(connection)
