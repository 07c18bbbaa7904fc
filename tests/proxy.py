"""A proxy on loopback between a node and its hub that spoils what it is told to spoil.

The law of this file: what comes through it unspoilt is the same bytes both ways, on the same number of connections; it
counts all bytes that a real line would have carried, also those that never arrived. It knows as much of HTTP/1.1 as
the programs here speak: heads, and bodies with a Content-Length.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import msgspec

from tests.running import free_port

_Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_CHUNK = 1024
"""Bytes that a slow line carries at once."""


class Way(msgspec.Struct, frozen=True):
    """What becomes of one request.

    asked, answered: the share of the request and of the answer's body that gets through before the line is cut; 0 of an
    answer: not its head either. says: this is the answer, and nobody else hears of the request. hole: taken, and never
    answered. garbled: bytes of the answer's body are others.
    """

    after_s: float = 0.0
    asked: float = 1.0
    answered: float = 1.0
    says: bytes = b""
    hole: bool = False
    garbled: bool = False


PASS = Way()
UNSENT = Way(asked=0)
TORN = Way(asked=0.5)
LOST = Way(answered=0)
"""The hub has it, and the node never hears so."""
HALF_HEARD = Way(answered=0.5)
GARBLED = Way(garbled=True)
HOLE = Way(hole=True)

PORTAL = b"<!DOCTYPE html><title>Welcome</title><form>Your room number, please</form>"


def says(status: int, *lines: str, body: bytes = b"") -> Way:
    """The proxy itself answers so. lines: of the head."""
    head = [f"HTTP/1.1 {status} So", f"Content-Length: {len(body)}", *lines]
    return Way(says="\r\n".join(head).encode() + b"\r\n\r\n" + body)


class Asked(msgspec.Struct):
    """A request as it came, and what was answered, however far that got."""

    line: str
    headers: dict[str, str]
    body: bytes
    size: int
    way: Way
    status: int | None = None
    answer: bytes = b""

    @property
    def json(self) -> Any:
        """What was asked, unpacked."""
        is_packed = self.headers.get("content-encoding") == "gzip"
        return json.loads(gzip.decompress(self.body) if is_packed else self.body)

    @property
    def receipt(self) -> Any:
        """What was answered."""
        return json.loads(self.answer)


Choose = Callable[[Asked], Way | None]


class Proxy:
    """A context manager: a thread of its own with a port of its own, in front of `behind`.

    A request takes the next of `ways`, and `otherwise` after those; or as `choose` says, where it says something.
    speed: bytes a second each way; None: as fast as it goes.
    """

    def __init__(self, behind: int, *, host: str = "127.0.0.1", port: int | None = None) -> None:
        self.behind, self.host, self.port = behind, host, port or free_port()
        self.ways: deque[Way] = deque()
        self.otherwise = PASS
        self.choose: Choose = lambda _: None
        self.speed: int | None = None
        self.asked: list[Asked] = []
        self.connections = self.bytes_up = self.bytes_down = 0
        self._loop = asyncio.new_event_loop()
        self._lines: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{self.host}:{self.port}"

    def up(self) -> None:
        """Listen."""
        asyncio.run_coroutine_threadsafe(self._up(), self._loop).result(10)

    def down(self) -> None:
        """Refuse connections, and cut those there are."""
        asyncio.run_coroutine_threadsafe(self._down(), self._loop).result(10)

    async def _up(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._take, self.host, self.port)

    async def _down(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for line in list(self._lines):
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.current_task()
        assert line
        self._lines.add(line)
        self.connections += 1
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                await self._carry(reader, writer)
        finally:
            self._lines.discard(line)
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry requests over one connection until one of them is spoilt or somebody hangs up."""
        async with contextlib.AsyncExitStack() as stack:
            hub: _Line | None = None
            while True:
                head, body = await self._message(reader)
                asked = self._note(head, body)
                await asyncio.sleep(asked.way.after_s)
                if asked.way.hole:
                    await asyncio.Event().wait()
                if asked.way.says:
                    asked.status = int(asked.way.says.split(b" ", 2)[1])
                    await self._send(writer, asked.way.says)
                    continue
                if asked.way.asked == 0:
                    return
                if hub is None:
                    hub = await stack.enter_async_context(_connected(self.behind))
                await self._pass_on(head + body, asked, hub, writer)

    def _note(self, head: bytes, body: bytes) -> Asked:
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
        asked = Asked(lines[0], headers, body, len(head) + len(body), PASS)
        asked.way = self.choose(asked) or (self.ways.popleft() if self.ways else self.otherwise)
        self.asked.append(asked)
        self.bytes_up += asked.size
        return asked

    async def _pass_on(
        self,
        request: bytes,
        asked: Asked,
        hub: _Line,
        node: asyncio.StreamWriter,
    ) -> None:
        """Pass a request on, and its answer back, as far as it may come. Raises EOFError where it is cut."""
        hub[1].write(request[: int(len(request) * asked.way.asked)])
        await hub[1].drain()
        if asked.way.asked < 1:
            raise EOFError
        head, body = await self._message(hub[0])
        asked.status, asked.answer = int(head.split(b" ", 2)[1]), body
        if asked.way.garbled:
            body = bytes(byte ^ 0x15 if place % 7 == 3 else byte for place, byte in enumerate(body))
        if asked.way.answered:
            await self._send(node, head + body[: int(len(body) * asked.way.answered)])
        if asked.way.answered < 1:
            raise EOFError

    async def _message(self, reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
        """Return a head and a body as they come in."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        body = bytearray()
        while len(body) < length:
            body += await self._slowly(await reader.readexactly(min(length - len(body), _CHUNK)))
        return head, bytes(body)

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        self.bytes_down += len(data)
        writer.write(data)
        await writer.drain()

    async def _slowly(self, data: bytes) -> bytes:
        if self.speed:
            await asyncio.sleep(len(data) / self.speed)
        return data


@contextlib.asynccontextmanager
async def _connected(port: int) -> AsyncIterator[_Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
