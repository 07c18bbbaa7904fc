"""Who answers while there is no server: the reduced node, started again whenever it ends."""

from __future__ import annotations

import time

from outstation.supervisor import children

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Before the next one starts: doubled with each end."""


class Substitute:
    """The reduced node, from `begin` to `end`. start: how it is started, given the reason and the log."""

    def __init__(self, start: Callable[[str, bytes], int]) -> None:
        self._start = start
        self._pid: int | None = None
        self._why, self._log = "", b""
        self._next_at, self._pause = 0.0, FIRST_PAUSE_S

    def begin(self, why: str, log: bytes) -> None:
        """Answer from now on, for this reason. Raises OSError where that has to wait; it is tried again."""
        self._why, self._log, self._pause = why, log, FIRST_PAUSE_S
        self._try(time.monotonic())

    def look(self, now: float) -> None:
        """Start it where there should be one and is none."""
        if self._why and self._pid is None and now >= self._next_at:
            try:
                self._try(now)
            except OSError:
                return

    def buried(self, pid: int) -> None:
        """Take note that a child has ended."""
        if pid == self._pid:
            self._pid = None

    def end(self) -> None:
        """Kill it: the next server answers. May be called twice."""
        if self._pid is not None:
            children.end(self._pid)
        self._pid, self._why, self._log = None, "", b""

    def _try(self, now: float) -> None:
        self._next_at, self._pause = now + self._pause, min(self._pause * 2, LONGEST_PAUSE_S)
        self._pid = self._start(self._why, self._log)
