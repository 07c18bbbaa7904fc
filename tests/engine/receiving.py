"""Servers that are told of alerts: real sockets, and whatever answer a story needs."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable

import msgspec

from tests.running import free_port

OK = b"HTTP/1.1 204 No Content\r\n\r\n"


def answer(status: int, *lines: str, body: bytes = b"") -> bytes:
    """An answer as it goes over the wire."""
    head = [f"HTTP/1.1 {status} So", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


class Seen(msgspec.Struct):
    """A request as it came in."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str:
        return self.headers["outstation-delivery"]

    @property
    def alert(self) -> tuple[int, str]:
        told = msgspec.json.decode(self.body)
        return told["alert"]["id"], told["happened"]


class Server:
    """Answers each request with the next of `answers`, then with `otherwise`. on_seen: called before it answers."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.answers: deque[bytes] = deque()
        self.otherwise = OK
        self.port = free_port()
        self.stays_open = False
        self._serving: set[asyncio.Task[None]] = set()
        self.on_seen: Callable[[], object] = lambda: None
        self.on_answered: Callable[[], object] = lambda: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def alerts(self) -> list[tuple[int, str]]:
        """What was told, doubles dropped by their key as the page of alerts says."""
        return list({seen.key: seen.alert for seen in self.seen}.values())

    @contextlib.asynccontextmanager
    async def up(self, context: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
        """Serve for a while, each time on the same port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=context)
        try:
            yield self
        finally:
            server.close()
            for task in list(self._serving):
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    def answer_to(self, seen: Seen) -> bytes:
        """What is answered when no other answer is prepared."""
        return self.otherwise

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._serving.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._answer(reader, writer)
        finally:
            self._serving.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.seen.append(Seen(head[0], headers, body))
        self.on_seen()
        writer.write(self.answers.popleft() if self.answers else self.answer_to(self.seen[-1]))
        await writer.drain()
        self.on_answered()
        if self.stays_open:
            await reader.read()


async def until(is_so: Callable[[], object]) -> None:
    """Wait for what must become so."""
    async with asyncio.timeout(15):
        while not is_so():  # noqa: ASYNC110  nobody rings when it does
            await asyncio.sleep(0.005)
