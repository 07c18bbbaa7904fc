"""GET /api/stream: server-sent events (WHATWG HTML, section 9.2): readings and outputs as they happen."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple

from outstation.engine.feed import Feed
from outstation.http import Peer, Request, Response, problem
from outstation.web.security import READER

_BEAT = 15.0
"""Seconds of silence before a comment is sent: proxies cut connections that say nothing for a minute."""

MOST, MOST_OF_STRANGERS, MOST_OF_ONE = 100, 80, 20
"""Streams at once: in all, without a key, and from one address. Each keeps a connection for good, and there are only so
many; where the page is public, some addresses of one stranger would have them all."""

_PATIENCE = 60.0
"""Seconds that a watcher has to read what was sent to it, before its stream ends and its place is another's."""

HEADERS = [
    (b"Content-Type", b"text/event-stream; charset=utf-8"),
    (b"Cache-Control", b"no-store"),
    (b"X-Accel-Buffering", b"no"),
]

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Coroutine[Any, Any, dict[str, Any]]]


class _Origin(NamedTuple):
    """Whom a stream counts for: a right key does not suffer for its neighbours."""

    address: str
    is_stranger: bool


class Stream:
    """Streams the feed to whoever asks, until they leave or the node stops.

    may_watch: asked anew before all that is sent, since keys are revoked and sessions end while a stream is open.
    """

    def __init__(self, feed: Feed, may_watch: Callable[[Request], bool]) -> None:
        self._feed, self._may_watch = feed, may_watch
        self._open: set[asyncio.Task[None]] = set()
        self._origins: Counter[_Origin] = Counter()

    def close(self) -> None:
        """End every stream: the node stops."""
        for task in self._open:
            task.cancel()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer as an ASGI application."""
        request: Request = scope["outstation"]
        origin = _Origin(request.peer.address, is_stranger=request.principal is READER)
        if (refusal := self._refusal(request.peer, origin)) is not None:
            await send_whole(send, refusal)
            return
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        telling = asyncio.create_task(self._tell(send, request))
        self._open.add(telling)
        self._origins[origin] += 1
        telling.add_done_callback(lambda task: self._leave(task, origin))
        await receive()
        leaving = asyncio.create_task(receive())
        await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
        for task in (telling, leaving):
            task.cancel()
        await asyncio.gather(telling, leaving, return_exceptions=True)
        await send({"type": "http.response.body", "body": b""})

    def _refusal(self, peer: Peer, origin: _Origin) -> Response | None:
        if peer.is_control_socket:
            return None
        if len(self._open) >= MOST:
            return _full(f"At most {MOST} streams are open at once")
        strangers = sum(count for each, count in self._origins.items() if each.is_stranger)
        if origin.is_stranger and strangers >= MOST_OF_STRANGERS:
            return _full(f"At most {MOST_OF_STRANGERS} streams are open at once without a key")
        if self._origins[origin] >= MOST_OF_ONE:
            return _full(f"At most {MOST_OF_ONE} streams are open at once for one address")
        return None

    def _leave(self, telling: asyncio.Task[None], origin: _Origin) -> None:
        self._open.discard(telling)
        self._origins[origin] -= 1
        if not self._origins[origin]:
            del self._origins[origin]

    async def _tell(self, send: Send, request: Request) -> None:
        with self._feed.watch() as watcher:
            await send(chunk(b": live\nretry: 2000\n\n"))
            while True:
                happened = await watcher.next(_BEAT)
                if not self._may_watch(request):
                    return
                async with asyncio.timeout(_PATIENCE):
                    await send(chunk(b"".join(happened) or b": still here\n\n"))


def _full(why: str) -> Response:
    return problem(503, f"{why}; close one, or try again.", headers=((b"Retry-After", b"30"),))


async def send_whole(send: Send, answer: Response) -> None:
    """Send an answer that is none of the endless ones."""
    headers = [
        (b"Content-Type", answer.content_type),
        (b"Content-Length", b"%d" % len(answer.body)),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def chunk(body: bytes) -> dict[str, Any]:
    """Return a part of an answer that goes on."""
    return {"type": "http.response.body", "body": body, "more_body": True}
