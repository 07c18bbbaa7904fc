"""What the server writes to its standard error: kept, the last of it, and passed on. Nobody waits for a slow reader."""

from __future__ import annotations

import os
import select
import stat

KEPT = 65_536
"""Bytes of the past that are kept for whoever asks what went wrong; as many wait for a slow reader at most."""

_READS = 4
"""At once: a server that writes without end must not keep its supervisor from all else."""

_AT_ONCE = 4_096
"""PIPE_BUF: a pipe that poll(2) calls writable takes as many without blocking (pipe(7))."""


class Passage:
    """From a pipe to the real standard error, past a ring."""

    def __init__(self, source: int, target: int = 2) -> None:
        self._source, self._target = source, _unblocked(target)
        self._waiting = bytearray()
        self.ring = bytearray()
        os.set_blocking(source, False)

    @property
    def waiting(self) -> int:
        """Bytes that nobody has taken yet."""
        return len(self._waiting)

    def fileno(self) -> int:
        """Return the descriptor that is readable when there is something to carry."""
        return self._source

    def carry(self) -> None:
        """Take what waits in the pipe, or the first of it."""
        for _ in range(_READS):
            try:
                found = os.read(self._source, KEPT)
            except OSError:  # nothing waits
                break
            if not found:
                break
            self._take(found)
        self.flush()

    def say(self, text: str) -> None:
        """Add a line of the supervisor's own."""
        self._take(f"WARNING outstation.supervisor: {text}\n".encode())
        self.flush()

    def flush(self) -> None:
        """Pass on as much as is taken at once."""
        ready = select.poll()
        ready.register(self._target, select.POLLOUT)
        while self._waiting and ready.poll(0):
            try:
                written = os.write(self._target, self._waiting[:_AT_ONCE])
            except BlockingIOError:
                return
            except OSError:  # nobody reads any more
                self._waiting.clear()
                return
            del self._waiting[:written]

    def _take(self, found: bytes) -> None:
        for kept in (self.ring, self._waiting):
            kept.extend(found)
            del kept[:-KEPT]


def _unblocked(target: int) -> int:
    """Return a descriptor of the same pipe or terminal that never blocks, without changing it for others.

    A file is always ready, and its position is shared; a socket (journald's) cannot be opened again.
    """
    mode = os.fstat(target).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        try:
            return os.open(f"/proc/self/fd/{target}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            return target
    return target
