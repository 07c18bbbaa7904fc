"""The server's side of its supervision: what it was given at its start, what it says, and whom it asks for lines.

`wire/supervision.py` has the messages. A server that runs unsupervised, as in a test, has none of this.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

from outstation.wire import supervision


class Supervision:
    """This process is a server below a supervisor; `folder` is its data folder. Any thread may ask for lines."""

    def __init__(self, channel: socket.socket, lock: int, port: socket.socket, folder: Path) -> None:
        self._channel, self._lock, self.port = channel, lock, port
        self.folder = folder
        for descriptor in (channel.fileno(), lock, port.fileno()):
            os.set_inheritable(descriptor, False)
        # Python closes its sockets before the process has ended; the end that the supervisor sees is the kernel's.
        self._until_the_end = os.dup(channel.fileno())

    @staticmethod
    def inherited() -> Supervision | None:
        """Return what the supervisor gave this process; None for a process that it did not start."""
        given = os.environ.pop(supervision.ENVIRONMENT, None)
        if given is None:
            return None
        words, _, folder = given.partition("\n")
        channel, lock, port = words.split()
        sockets = [socket.socket(fileno=int(number)) for number in (channel, port)]
        return Supervision(sockets[0], int(lock), sockets[1], Path(folder))

    def beat(self) -> None:
        """Say that the rules are alive."""
        supervision.say(self._channel, supervision.BEAT)

    def refuse(self) -> None:
        """Say that this process will end by itself and has told why."""
        supervision.say(self._channel, supervision.REFUSED)

    def line(self, kind: str, chip: str, pin: int, active_low: bool) -> int:
        """Return a descriptor of an output line's request. Raises RefusedError, OSError."""
        return supervision.ask_line(self._channel, kind, chip, pin, active_low=active_low)

    def when_lost(self, act: Callable[[], None]) -> None:
        """Have `act` called in the running loop when the supervisor is gone."""
        loop = asyncio.get_running_loop()

        def look() -> None:
            try:
                told = self._channel.recv(1, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                told = b""
            if not told:
                loop.remove_reader(self._channel)
                act()

        loop.add_reader(self._channel, look)
