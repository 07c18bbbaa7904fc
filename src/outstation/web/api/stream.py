"""GET /api/stream: server-sent events (WHATWG HTML, section 9.2): readings and outputs as they happen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgspec

from outstation.engine.feed import Feed, Happening

_BEAT = 15.0
"""Seconds of silence before a comment is sent: proxies cut connections that say nothing for a minute."""

_HEADERS = [
    (b"Content-Type", b"text/event-stream; charset=utf-8"),
    (b"Cache-Control", b"no-store"),
    (b"X-Accel-Buffering", b"no"),
]

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Coroutine[Any, Any, dict[str, Any]]]


class Stream:
    """Streams the feed to whoever asks, until they leave or the node stops."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._open: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """End every stream: the node stops."""
        for task in self._open:
            task.cancel()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer as an ASGI application."""
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        await receive()
        telling = asyncio.create_task(self._tell(send))
        self._open.add(telling)
        leaving = asyncio.create_task(receive())
        await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
        for task in (telling, leaving):
            task.cancel()
        self._open.discard(telling)
        await asyncio.gather(telling, leaving, return_exceptions=True)
        await send({"type": "http.response.body", "body": b""})

    async def _tell(self, send: Send) -> None:
        with self._feed.watch() as watcher:
            await send(_chunk(b": live\nretry: 2000\n\n"))
            while True:
                happened = await watcher.next(_BEAT)
                await send(_chunk(b"".join(map(_event, happened)) or b": still here\n\n"))


def _event(happening: Happening) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (happening.kind.encode(), msgspec.json.encode(happening.document))


def _chunk(body: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}
