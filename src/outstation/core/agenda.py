"""Who wants to be woken when: a heap in which a name may be moved."""

from __future__ import annotations

import heapq

from outstation.core.readings import Millis


class Agenda:
    """A time for each name, or none."""

    def __init__(self) -> None:
        self._times: dict[str, Millis] = {}
        self._heap: list[tuple[Millis, str]] = []

    def put(self, name: str, time: Millis | None) -> None:
        """Wake a name at this time, and no more at the one before; None: not at all."""
        if self._times.get(name) == time:
            return
        if time is None:
            del self._times[name]
            return
        self._times[name] = time
        heapq.heappush(self._heap, (time, name))

    def first(self) -> Millis | None:
        """Return the earliest time."""
        heap = self._heap
        while heap and self._times.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        if len(heap) > 8 + 8 * len(self._times):
            # Most are of times that were moved: whoever moves them further ahead each time would fill the memory.
            self._heap = [(time, name) for name, time in self._times.items()]
            heapq.heapify(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: Millis) -> list[str]:
        """Take out all names whose time has come, the earliest first."""
        found: list[str] = []
        while (first := self.first()) is not None and first <= now:
            name = heapq.heappop(self._heap)[1]
            del self._times[name]
            found.append(name)
        return found
