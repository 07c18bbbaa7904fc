"""/api/way: by which way a request came to this node, for `outstation doctor`, which sends one through the proxy.

The law of this file: only who holds a ticket is told; an admin gets one, it is worth something for a minute, and
another one ends it. So a stranger opens no stream here, and no other node can answer in this one's place.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from typing import Any

import msgspec

from outstation import clock
from outstation.http import Answer, Request, json, problem
from outstation.web.api.stream import HEADERS, Receive, Send, chunk, send_whole

_VALID_FOR = 60_000

_OPEN_FOR_S = 3.0
"""What is held back on its way arrives when the answer ends: later than the doctor waits for it."""


_MOST = 16
"""Streams at once: an asker for each of [web] hosts, and no crowd, whoever has got hold of a ticket."""


class Way:
    """The ticket, and what is told for it."""

    def __init__(self) -> None:
        self._ticket, self._until, self._open = "", 0, 0

    def start(self, _: Request) -> Answer:
        """Handle POST /api/way: a ticket."""
        self._ticket, self._until = secrets.token_urlsafe(16), clock.now() + _VALID_FOR
        return json({"ticket": self._ticket})

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer GET /api/way/{ticket} as an ASGI application: one event at once, and then nothing for a while."""
        request: Request = scope["outstation"]
        if self._open >= _MOST or not self._is_valid(request.params["ticket"]):
            await send_whole(send, problem(404, "There is no such ticket; POST /api/way gives one, for a minute."))
            return
        self._open += 1
        try:
            await self._tell(request, scope["method"], receive, send)
        finally:
            self._open -= 1

    async def _tell(self, request: Request, method: str, receive: Receive, send: Send) -> None:
        peer = request.peer
        told = {"address": peer.address, "secure": peer.is_secure, "proxied": peer.is_proxied}
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        if method != "HEAD":
            await send(chunk(b"data: " + msgspec.json.encode(told) + b"\n\n"))
            await receive()
            await asyncio.wait({leaving := asyncio.create_task(receive())}, timeout=_OPEN_FOR_S)
            leaving.cancel()
        await send({"type": "http.response.body", "body": b""})

    def _is_valid(self, ticket: str) -> bool:
        is_in_time = self._until > clock.now()
        return is_in_time and hmac.compare_digest(ticket.encode("utf-8", "replace"), self._ticket.encode())
