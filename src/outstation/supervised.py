"""The server's side of its supervision: what it was given at its start, what it says, and whom it asks for lines.

`wire/supervision.py` has the messages. A server that runs unsupervised, as in a test, has none of this.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from outstation.errors import OutstationError
from outstation.wire import RefusedError, supervision

_UNANSWERED = 9
"""Beats in a row, of about a second each, without an answer to any: the supervisor stands still."""

_BEAT_S = 0.9
"""Beats that follow each other sooner count as one."""


class Supervision:
    """This process is a server below a supervisor; `folder` is its data folder. Any thread may ask for lines."""

    def __init__(
        self,
        channel: socket.socket,
        lock: int,
        port: socket.socket,
        folder: Path,
        notebook: int,
        boards: socket.socket | None = None,
    ) -> None:
        """notebook: memory that the supervisor holds for the next server. boards: the port for them alone, if any."""
        self._channel, self._lock, self.port = channel, lock, port
        self.folder, self.notebook, self.boards = folder, notebook, boards
        for descriptor in (channel.fileno(), lock, port.fileno(), notebook, *([boards.fileno()] if boards else [])):
            os.set_inheritable(descriptor, False)
        # Python closes its sockets before the process has ended; the end that the supervisor sees is the kernel's.
        self._until_the_end = os.dup(channel.fileno())
        self._unanswered, self._counted = 0, time.monotonic()
        self._lost: Callable[[str], None] = lambda _: None
        os.register_at_fork(after_in_child=self._leave)

    @staticmethod
    def inherited() -> Supervision | None:
        """Return what the supervisor gave this process; None for a process that it did not start."""
        given = os.environ.pop(supervision.ENVIRONMENT, None)
        if given is None:
            return None
        words, _, folder = given.partition("\n")
        channel, lock, notebook, *ports = map(int, words.split())
        sockets = [socket.socket(fileno=number) for number in (channel, *ports)]
        return Supervision(sockets[0], lock, sockets[1], Path(folder), notebook, *sockets[2:])

    def beat(self) -> None:
        """Say that the rules are alive. Called in the loop that `when_lost` has.

        Beats are counted, not seconds: while this process stood still itself, nobody was silent.
        """
        supervision.say(self._channel, supervision.BEAT)
        now = time.monotonic()
        if now - self._counted >= _BEAT_S:
            self._counted, self._unanswered = now, self._unanswered + 1
        if self._unanswered >= _UNANSWERED:
            self._lose(f"did not answer {_UNANSWERED} beats")

    def refuse(self) -> None:
        """Say that this process will end by itself and has told why."""
        supervision.say(self._channel, supervision.REFUSED)

    def line(self, kind: str, chip: str, pin: int, active_low: bool) -> int:
        """Return a descriptor of an output line's request. Raises RefusedError, OSError."""
        return supervision.ask_line(self._channel, kind, chip, pin, active_low=active_low)

    def adopt(self, outputs: str, drivers: str) -> None:
        """Have the supervisor hold these outputs from now on, written as DATA/outputs is. Raises OutstationError."""
        try:
            supervision.ask_to_adopt(self._channel, outputs, drivers)
        except (RefusedError, OSError) as error:
            why = error.detail if isinstance(error, RefusedError) else str(error)
            raise OutstationError(
                f"The supervising process does not hold the outputs of the config: {why}.",
                cure="Stop the node and start it again.",
            ) from error

    def hand_terms(self, memory: int) -> None:
        """Hand the supervisor the terms on which a reduced node answers. Where that fails, the older ones hold."""
        with contextlib.suppress(OSError):
            supervision.hand_terms(self._channel, memory)

    def when_lost(self, act: Callable[[str], None]) -> None:
        """Have `act` called in the running loop when the supervisor is gone or stands still, with words for which."""
        self._lost = act
        asyncio.get_running_loop().add_reader(self._channel, self._look)

    def _look(self) -> None:
        try:
            told = self._channel.recv(64, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            told = b""
        if told:
            self._unanswered = 0
        else:
            self._lose("is gone")

    def _lose(self, how: str) -> None:
        asyncio.get_running_loop().remove_reader(self._channel)
        act, self._lost = self._lost, lambda _: None
        act(how)

    def _leave(self) -> None:
        """Part from all of it: a process that a driver has forked must not keep the data and the port from others."""
        for descriptor in (self._lock, self._until_the_end):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._channel.close()
        self.port.close()
        if self.boards:
            self.boards.close()
