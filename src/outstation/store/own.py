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

from outstation.core.readings import Millis, Reading
from outstation.store import unsaved
from outstation.store.rows import is_fit
from outstation.store.unsaved import Unsaved
from outstation.store.waiting import drain

AT_MOST = 100_000
"""What waits in memory while the disk cannot take it: a day of ten sensors at 10 s, 20 MB."""

_log = logging.getLogger(__name__)


class Own:
    """The lists. dropped: how many were lost. saved: the last row of the log before this commit."""

    def __init__(self) -> None:
        self.dropped = self._told = self.saved = 0
        self._offset: Millis = 0  # of the boot in force, as of the row `saved`
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
            saved, offset = self.saved, self._offset
            readings = [*self._unsure, *self._under_way, *self._waiting]
        once = {id(reading): reading for reading in readings}  # after a failure some are on two lists for a moment
        return unsaved.unsaved(saved, offset, list(once.values()))

    def put(self, readings: Sequence[Reading]) -> None:
        """Let readings wait. Too many: the oldest are dropped. One that cannot be stored is dropped at once."""
        if all(map(is_fit, readings)):
            self._waiting.extend(readings)
        else:
            self._put_fit(readings)
        self._drop_oldest()

    def take(self) -> list[Reading]:
        """Return all that wait, for the commit that is being made."""
        with self._moving:
            self._under_way = drain(self._waiting)
        return self._under_way

    def done(self, saved: int, offset: Millis) -> None:
        """Know in one step that what was under way is in the file, and which is the last row of the log now.

        offset: of the boot in force.
        """
        with self._moving:
            self._under_way = []
            self._reach(saved, offset)

    def failed(self) -> None:
        """Know that the commit is over, and that what was under way was given back."""
        with self._moving:
            self._under_way = []

    def opened(self, saved: int, offset: Millis) -> None:
        """Know which is the last row of a file that was opened, while a commit may be under way."""
        with self._moving:
            self._reach(saved, offset)

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

    def _put_fit(self, readings: Sequence[Reading]) -> None:
        unfit = [reading for reading in readings if not is_fit(reading)]
        _log.error("Own readings cannot be stored, and are dropped: %d, as this one: %.200r", len(unfit), unfit[0])
        self.dropped += len(unfit)
        self._told += len(unfit)  # they were not lost for want of room
        self._waiting.extend(filter(is_fit, readings))

    def _reach(self, saved: int, offset: Millis) -> None:
        self.saved, self._offset = max(self.saved, saved), offset  # a file begun anew goes on counting

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
