"""Answers questions to the history in a process of its own, so that their work takes no turn from the node's loop.

The law of this file: it only reads, it imports nothing that it does not need, and it ends when the other end closes.
A question and an answer are a length (4 bytes, big-endian) and MessagePack; the page of an answer comes after a length
of its own, as it is: the node hands it on unread.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path

import apsw
import msgspec

from outstation.errors import DiskFullError, OutstationError, RefusedError, StoreError
from outstation.store.answers import Question, answer
from outstation.store.children import LENGTH, MEMORY, ROWS_TOLD, Answered
from outstation.store.history import History
from outstation.store.left_out import Row
from outstation.store.readers import Readers
from outstation.store.unsaved import Unsaved

QUESTION_AT_MOST = 1 << 18
"""Bytes: a node with some hundred outputs asks with 20,000."""

PAGE_AT_MOST = 64 << 20
"""Bytes: 10,000 rows are mostly 1 MB."""

ERRORS: tuple[type[OutstationError], ...] = (DiskFullError, StoreError, RefusedError)
"""What an answer may be instead of a page; the narrower ones first."""


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """A question. opened: how often the node has opened the file: it may have been set aside meanwhile.

    unsaved: what the node has in memory alone: the file did not have it when the question was asked.
    """

    opened: int
    question: Question
    unsaved: Unsaved = Unsaved()


TOO_BIG = RefusedError("The answer would be too big.", cure='Ask for fewer rows: "limit".')


class Clerk:
    """Answers one question after the other, over one connection that reads the data file."""

    def __init__(self, path: Path) -> None:
        self._opened, self._is_damaged, self._unsaved = 0, False, Unsaved()
        self._left_out: set[Row] = set()
        self._readers = Readers(path, self._on_damage, self._on_left_out)
        self._history = History(self)

    def read(self) -> AbstractContextManager[apsw.Connection]:
        return self._readers.one(self._opened)

    def unsaved(self) -> Unsaved:
        return self._unsaved

    def answer(self, asked: Asked) -> tuple[Answered, bytes]:
        """Return what to say, and the page."""
        self._opened, self._is_damaged, self._unsaved = asked.opened, False, asked.unsaved
        self._left_out.clear()
        try:
            page = answer(self._history, asked.question)
            if len(page) > PAGE_AT_MOST:
                raise TOO_BIG
        except MemoryError:
            return self._refusal(TOO_BIG), b""
        except ERRORS as error:
            return self._refusal(error), b""
        return Answered(len(page), left_out=self._rows()), page

    def _refusal(self, error: OutstationError) -> Answered:
        kind = next(number for number, each in enumerate(ERRORS) if isinstance(error, each))
        return Answered(0, kind, error.message, error.cure, self._is_damaged, self._rows())

    def _on_damage(self, opened: int) -> None:
        self._is_damaged = True

    def _on_left_out(self, opened: int, rows: Collection[Row]) -> None:
        self._left_out.update(rows)

    def _rows(self) -> tuple[Row, ...]:
        return tuple(sorted(self._left_out)[:ROWS_TOLD])


def main() -> None:
    """Answer what comes by standard input, a socket; the argument is the data file's path."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # the loop goes first where both want the same core
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(signum, signal.SIG_IGN)  # a terminal sends them to all; the node says when it is over
    gc.freeze()
    gc.set_threshold(200_000)  # the rows of a page are no cycles; looking through them took a third of the time
    clerk, link = Clerk(Path(sys.argv[1])), socket.socket(fileno=sys.stdin.fileno())
    with link, link.makefile("rwb") as stream:
        while length := stream.read(LENGTH):
            said, page = clerk.answer(_decode(stream.read(int.from_bytes(length, "big"))))
            stream.write(said.packed())
            stream.write(page)
            stream.flush()


_decode = msgspec.msgpack.Decoder(Asked).decode

if __name__ == "__main__":
    main()
