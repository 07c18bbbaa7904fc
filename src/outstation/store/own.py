"""Our own readings on their way to the disk: they wait in memory, since nobody was promised that they are stored.

The law of this file: while the disk takes nothing the newest are kept, and what had to go is counted. At every
moment each is on one list at least, so that answers can have it before it is on disk.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Sequence

from outstation.core.readings import Reading
from outstation.store import unsaved
from outstation.store.unsaved import Unsaved
from outstation.store.waiting import drain

AT_MOST = 100_000
"""What waits in memory while the disk cannot take it: a day of ten sensors at 10 s, 20 MB."""

_log = logging.getLogger(__name__)


class Own:
    """The lists. dropped: how many were lost for want of room. saved: the last row of the log before this commit."""

    def __init__(self) -> None:
        self.dropped = self._told = self.saved = 0
        self._moving = threading.Lock()  # readings on their way from one list to the next
        self._waiting: deque[Reading] = deque()
        self._under_way: list[Reading] = []  # in the commit that is being made
        self._unsure: list[Reading] = []  # in a commit that failed: it may be on disk all the same

    def __len__(self) -> int:
        """Return how many wait for a commit."""
        return len(self._waiting)

    @property
    def unstored(self) -> int:
        """How many may not be on disk yet."""
        return len(self._waiting) + len(self._unsure)

    def unsaved(self) -> Unsaved:
        """Return those that may not be on disk yet, as they came in. In any thread."""
        with self._moving:
            readings = [*self._unsure, *self._under_way, *self._waiting]
            once = {id(reading): reading for reading in readings}  # after a failure some are on two lists for a moment
            return unsaved.unsaved(self.saved, list(once.values()))

    def put(self, readings: Sequence[Reading]) -> None:
        """Let readings wait. Too many: the oldest are dropped."""
        self._waiting.extend(readings)
        self._drop_oldest()

    def take(self) -> list[Reading]:
        """Return all that wait, for the commit that is being made."""
        with self._moving:
            self._under_way = drain(self._waiting)
        return self._under_way

    def done(self) -> None:
        """Know that the commit is over, whatever became of it: what failed was given back before."""
        with self._moving:
            self._under_way = []

    def give_back(self, readings: Sequence[Reading], *, unsure: bool = False) -> None:
        """Let readings wait again. unsure: until the file says whether it has them."""
        if unsure:
            self._unsure += readings
            return
        self._waiting.extendleft(reversed(readings))
        self._drop_oldest()

    def settle(self, *, stored: bool) -> None:
        """Know whether the file has those that it was not sure of."""
        if not stored:
            self.give_back(self._unsure)
        self._unsure = []

    def lost(self) -> int:
        """Return how many were dropped since this was told."""
        return self.dropped - self._told

    def tell_lost(self) -> None:
        """Know that this was told."""
        self._told = self.dropped

    def _drop_oldest(self) -> None:
        excess = len(self._waiting) - AT_MOST
        if excess <= 0:
            return
        if not self.lost():
            _log.error("More than %d own readings wait for the disk: the oldest are dropped.", AT_MOST)
        self.dropped += excess
        with contextlib.suppress(IndexError):  # the other thread may have taken them
            for _ in range(excess):
                self._waiting.popleft()
