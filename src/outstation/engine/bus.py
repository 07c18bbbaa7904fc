"""One thread for each bus: all drivers on it are called there, one after the other.

A driver may block for as long as it likes and delays nobody but its own bus. The threads
are daemons: one that hangs in a driver does not keep the program from ending.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

NEXT = 0.0
"""A time that is always past: work for it is done as soon as the bus is free, in the order of asking."""

AHEAD = -1.0
"""Before all that waits: for outputs that must become safe."""

Work = Callable[[], None]


class Bus:
    """A thread and its calendar. Times are those of time.monotonic()."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._calendar: list[tuple[float, int, Work]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._working = threading.Lock()

    def at(self, when: float, work: Work) -> None:
        """Have work done at a time, or as soon after it as the bus is free."""
        with self._changed:
            heapq.heappush(self._calendar, (when, next(self._order), work))
            self._changed.notify()
            if self._thread is None:
                self._thread = self._started()

    def at_once(self, work: Work) -> bool:
        """Do work in the caller's thread, unless other work is under way or due; tell whether it was done."""
        if not self._working.acquire(blocking=False):
            return False
        try:
            if self._is_due():
                return False
            work()
        finally:
            self._working.release()
        return True

    def close(self) -> None:
        """End when what is due has been done; does not wait for it. May be called twice."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def _started(self) -> threading.Thread | None:
        """Return a thread that does what is in the calendar; None where the machine has none left: the next may be."""
        thread = threading.Thread(target=self._run, name=f"bus {self.name}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            log.warning("Bus %s stands still: %s.", self.name, error)
            return None
        return thread

    def _run(self) -> None:
        while (work := self._next()) is not None:
            try:
                with self._working:
                    work()
            except BaseException:
                # A mistake in one piece of work must not silence everything else on this bus for ever.
                log.exception("Bus %s: work failed.", self.name)

    def _is_due(self) -> bool:
        with self._changed:
            return bool(self._calendar) and self._calendar[0][0] <= time.monotonic()

    def _next(self) -> Work | None:
        with self._changed:
            while True:
                wait = self._calendar[0][0] - time.monotonic() if self._calendar else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._calendar)[2]
                if self._closing:
                    return None
                self._changed.wait(wait)


class Buses:
    """The buses of one node by name. Sensors and outputs of one bus share its thread."""

    def __init__(self) -> None:
        self._buses: dict[str, Bus] = {}

    def __getitem__(self, name: str) -> Bus:
        """Return the bus of that name, made when first asked for."""
        return self._buses.setdefault(name, Bus(name))

    def close(self) -> None:
        """End all of them when what is due has been done. Does not wait. May be called twice."""
        for bus in self._buses.values():
            bus.close()
