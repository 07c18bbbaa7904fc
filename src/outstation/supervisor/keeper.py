"""The process that makes safe what is no pin of this machine: loaded beforehand, and ordered when a server dies."""

from __future__ import annotations

import socket
import time

from outstation.supervisor import children
from outstation.wire import supervision

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_LOADS_S = 30.0
"""What it may take until it is ready: as long as a server."""

_GRACE_S = 1.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 300.0


class Keeper:
    """That process: there is always one, and it has one order at a time."""

    def __init__(self, start: Callable[[], tuple[int, socket.socket]] | None) -> None:
        """Take how it is started; None where every output is a pin."""
        self._start = start
        self._pid: int | None = None
        self._channel: socket.socket | None = None
        self._limit = _LOADS_S
        self._busy_until: float | None = None
        self._next_at, self._pause = 0.0, _FIRST_PAUSE_S

    def renew(self, start: Callable[[], tuple[int, socket.socket]] | None) -> None:
        """End the one there is, which has loaded another config: the next one is started in this way."""
        self.end()
        self._part()
        self._start, self._pid = start, None
        self._next_at, self._pause = 0.0, _FIRST_PAUSE_S

    def fileno(self) -> int:
        """Return the descriptor on which it answers; -1 where there is none."""
        return -1 if self._channel is None else self._channel.fileno()

    def order_safe(self) -> None:
        """Have it make its outputs safe."""
        if self._start is None:
            return
        self._busy_until = time.monotonic() + self._limit
        if self._channel is None:
            self._next_at = 0.0  # the order waits for the next one
        else:
            supervision.say(self._channel, supervision.SAFE)

    def hear(self) -> None:
        """Take what it says: how long it needs, and that it has done what it was told."""
        if self._channel is None:
            return
        try:
            said = self._channel.recv(64, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        word, _, seconds = said.partition(b" ")
        if word == supervision.READY:
            self._limit, self._pause = float(seconds) + _GRACE_S, _FIRST_PAUSE_S
        elif word == supervision.DONE:
            self._busy_until = None
        elif not said:
            self._part()

    def busy(self, now: float) -> bool:
        """Tell whether it is still at work: no server may touch its outputs meanwhile. Past its time it is killed."""
        if self._busy_until is not None and now > self._busy_until:
            self.end()
        return self._busy_until is not None

    def look(self, now: float) -> None:
        """Start it if there is none, with a growing pause."""
        if self._start is None or self._pid is not None or now < self._next_at:
            return
        self._next_at, self._pause = now + self._pause, min(self._pause * 2, _LONGEST_PAUSE_S)
        try:
            self._pid, self._channel = self._start()
        except OSError:
            return
        self._limit = _LOADS_S
        if self._busy_until is not None:
            self.order_safe()

    def buried(self, pid: int) -> None:
        """Take note that a child has ended."""
        if pid == self._pid:
            self._pid, self._busy_until, self._limit = None, None, _LOADS_S
            self._part()

    def end(self) -> None:
        """Kill it, so that it cannot come late and undo what a server has done."""
        if self._pid is not None:
            children.end(self._pid)
        self._busy_until = None

    def _part(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
