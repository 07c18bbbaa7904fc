"""A client of the benchmarks that asks when it is due, whether or not earlier requests were answered (an open loop).

The law of this file: a wait counts from the moment a request was due, so that a server that stalls cannot hide it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator

import msgspec

PATIENCE = 10.0
"""Seconds that an answer is waited for."""

CUT, LATE = 0, 1
"""The statuses of a request that was hung up on, and of one that was not answered in time."""


class Asked(msgspec.Struct, frozen=True):
    """One request: its status, when it was due (perf_counter), the seconds until the answer, whether told to wait."""

    status: int
    due: float
    wait: float
    is_told: bool


class Line(asyncio.Protocol):
    """One connection: one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._read = b""
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, found, body = self._read.partition(b"\r\n\r\n")
        if found and len(body) >= _length(head) and self._answer and not self._answer.done():
            self._answer.set_result(head)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self._answer and not self._answer.done():
            self._answer.set_result(b"")

    @property
    def is_open(self) -> bool:
        """Whether another request may be asked here."""
        return self.transport is not None and not self.transport.is_closing()

    async def ask(self, request: bytes) -> bytes:
        """Return the head of the answer; nothing where the connection was cut."""
        if self.transport is None:
            return b""
        self._answer = asyncio.get_running_loop().create_future()
        if not self._read:  # a refusal may have come before the request
            self.transport.write(request)
        self.data_received(b"")
        head = await self._answer
        self._read = b""
        return head

    def close(self) -> None:
        """Hang up. May be called twice."""
        if self.transport:
            self.transport.close()


class Client:
    """Asks one server over as many connections as it needs, each used again when its answer has come."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Line] = []
        self.asked: list[Asked] = []

    async def at_rate(self, rate: float, seconds: float, request: Callable[[int], bytes]) -> None:
        """Ask so often a second for so long, and wait for what comes of it."""
        began = time.perf_counter()
        tasks = set()
        for number, due in enumerate(_dues(began, rate, seconds)):
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            tasks.add(task := asyncio.create_task(self.ask(request(number), due)))
            task.add_done_callback(tasks.discard)
        if tasks:
            await asyncio.wait(set(tasks), timeout=PATIENCE + 1)

    async def ask(self, request: bytes, due: float) -> Asked:
        """Ask once; note what came of it. One that was cut on a connection used before is asked again on a new one."""
        line, head, unanswered = None, b"", CUT
        try:
            async with asyncio.timeout(PATIENCE):
                line = self._idle_line()
                head = await line.ask(request) if line else b""
                if not head:
                    line = await self._new_line()
                    head = await line.ask(request)
        except TimeoutError:
            unanswered = LATE
        except OSError:
            unanswered = CUT
        wait, is_told = time.perf_counter() - due, b"retry-after:" in head.lower()
        asked = Asked(int(head[9:12]) if head else unanswered, due, wait, is_told)
        self.asked.append(asked)
        if line and head and b"connection: close" not in head.lower() and line.is_open:
            self._idle.append(line)
        elif line:
            line.close()
        return asked

    def close(self) -> None:
        """Hang up everywhere. May be called twice."""
        for line in self._idle:
            line.close()
        self._idle.clear()

    def _idle_line(self) -> Line | None:
        while self._idle:
            if (line := self._idle.pop()).is_open:
                return line
        return None

    async def _new_line(self) -> Line:
        _, line = await asyncio.get_running_loop().create_connection(Line, "127.0.0.1", self._port)
        return line


def statuses(asked: list[Asked]) -> Counter[int]:
    """Count the answers by status."""
    return Counter(one.status for one in asked)


def percentile(waits: list[float], share: float) -> float:
    """Return the wait that this share of all stays below, in seconds; 0 for none."""
    return sorted(waits)[min(len(waits) - 1, int(len(waits) * share))] if waits else 0.0


def _dues(began: float, rate: float, seconds: float) -> Iterator[float]:
    for number in range(int(rate * seconds)):
        yield began + number / rate


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
