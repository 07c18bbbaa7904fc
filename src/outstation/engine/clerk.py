"""Has big pages of the history made by child processes: in this one they would take turns from the loop.

The law of this file: what a clerk cannot answer, the caller can. Its death costs time, and no answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Iterator

import msgspec

from outstation import clock
from outstation.core.readings import Millis
from outstation.store.answers import Question
from outstation.store.children import LENGTH, Answered
from outstation.store.clerk_child import ERRORS, PAGE_AT_MOST, QUESTION_AT_MOST, Asked
from outstation.store.database import Store

log = logging.getLogger(__name__)

MOST = 2
"""Clerks at once, as many as questions that are answered at once: 12 MB each at rest, 36 with pages of 10,000 rows."""

IDLE_S = 15.0
"""Seconds that one waits for its next question: a client that pages through a year asks again at once."""

PATIENCE_S = 60.0
"""Seconds until one that says nothing is given up: a question may read for 30."""

AGAIN: Millis = 60_000
"""After one has died: the time until another is started."""

_HEAD_AT_MOST = 1 << 16
_PART = 1 << 17
"""Bytes that are copied at once: 20 µs of the loop's time."""


class Clerks:
    """The clerks of one node, started when they are needed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._all: set[_Clerk] = set()
        self._idle: dict[_Clerk, asyncio.TimerHandle] = {}
        self._ending: set[asyncio.Task[int]] = set()
        self._busy = self._exports = 0
        self._not_before: Millis = 0
        self._is_closed = self._is_told = False

    async def answer(self, question: Question) -> memoryview | None:
        """Return the page, or None: no clerk can answer. Raises StoreError, RefusedError."""
        asked = Asked(self._store.opened, question, self._store.unsaved())
        packed = msgspec.msgpack.encode(asked)
        if self._is_closed or self._is_full() or len(packed) > QUESTION_AT_MOST or clock.now() < self._not_before:
            return None
        try:
            said, page = await self._ask(packed)
        except (OSError, EOFError, msgspec.DecodeError) as error:  # TimeoutError is an OSError
            self._fail(error)
            return None
        self._is_told = False
        if said.left_out:
            self._store.move_damaged(asked.opened, said.left_out)
        if said.is_damaged:
            self._store.doubt(asked.opened)
        if said.error is not None:
            raise ERRORS[said.error](said.message, cure=said.cure)
        return page

    @contextlib.contextmanager
    def make_way(self) -> Iterator[None]:
        """Have one clerk at most, and none that is idle, while an export is made: a process of some 14 MB, too."""
        self._exports += 1
        for clerk in list(self._idle):
            self._end(clerk)
        try:
            yield
        finally:
            self._exports -= 1

    def _is_full(self) -> bool:
        return self._busy >= (1 if self._exports else MOST)

    async def close(self) -> None:
        """End them all; from now on none answers. Whoever waits for one sees its end."""
        self._is_closed = True
        for clerk in list(self._all):
            self._kill(clerk)
        for clerk in list(self._idle):
            self._end(clerk)
        if self._ending:
            await asyncio.wait(self._ending)

    async def _ask(self, packed: bytes) -> tuple[Answered, memoryview]:
        self._busy += 1
        try:
            clerk = self._called() or await self._start()
            try:
                async with asyncio.timeout(PATIENCE_S):
                    answered = await clerk.ask(packed)
            except BaseException:  # cancelled too: what it says next would be the answer to nobody's question
                self._end(clerk)
                raise
        finally:
            self._busy -= 1
        self._rest(clerk)
        return answered

    def _called(self) -> _Clerk | None:
        if not self._idle:
            return None
        clerk, leaving = self._idle.popitem()
        leaving.cancel()
        return clerk

    def _rest(self, clerk: _Clerk) -> None:
        if self._is_closed or self._exports:
            self._end(clerk)
        else:
            self._idle[clerk] = asyncio.get_running_loop().call_later(IDLE_S, self._end, clerk)

    async def _start(self) -> _Clerk:
        """Start another one. Raises OSError."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        words = (sys.executable, "-P", "-m", "outstation.store.clerk_child", str(self._store.path))
        try:
            process = await asyncio.create_subprocess_exec(
                *words, stdin=theirs.fileno(), stdout=asyncio.subprocess.DEVNULL
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        clerk = _Clerk(process, ours)
        self._all.add(clerk)
        return clerk

    def _end(self, clerk: _Clerk) -> None:
        if leaving := self._idle.pop(clerk, None):
            leaving.cancel()
        self._kill(clerk)
        clerk.close()

    def _kill(self, clerk: _Clerk) -> None:
        if clerk in self._all:
            self._all.remove(clerk)
            ending = asyncio.get_running_loop().create_task(clerk.end())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    def _fail(self, error: Exception) -> None:
        self._not_before = clock.now() + AGAIN
        if not (self._is_told or self._is_closed):
            log.warning("the node makes big pages of the history itself for now: its clerk failed: %r", error)
        self._is_told = True


class _Clerk:
    """One child process, and the socket to it."""

    def __init__(self, process: asyncio.subprocess.Process, link: socket.socket) -> None:
        self.process, self._link = process, link

    async def ask(self, packed: bytes) -> tuple[Answered, memoryview]:
        """Return what it says, and the page. Raises OSError, EOFError, msgspec.DecodeError."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._link, len(packed).to_bytes(LENGTH, "big") + packed)
        length = int.from_bytes(await self._receive(LENGTH), "big")
        said = _decode(await self._receive(min(length, _HEAD_AT_MOST)))
        return said, memoryview(await self._receive(min(said.page, PAGE_AT_MOST)))  # no copy: that is 1 ms of the loop

    def close(self) -> None:
        """Close the socket; nobody is asking."""
        self._link.close()

    async def end(self) -> int:
        """Kill it: it only reads, and leaves nothing behind."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        return await self.process.wait()

    async def _receive(self, size: int) -> bytearray:
        loop, body = asyncio.get_running_loop(), bytearray(size)
        rest = memoryview(body)
        while rest:
            count = await loop.sock_recv_into(self._link, rest[:_PART])
            if not count:
                raise EOFError("it has ended")
            rest = rest[count:]
        return body


_decode = msgspec.msgpack.Decoder(Answered).decode
