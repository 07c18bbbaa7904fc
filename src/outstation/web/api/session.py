"""GET, POST and DELETE /api/session: a browser signs in by key, once, and signs out."""

from __future__ import annotations

import asyncio

from outstation.engine.site import Site
from outstation.errors import RefusedError
from outstation.http import Answer, Later, Request, json
from outstation.store.sessions import LASTS
from outstation.web.security import cookie, cookie_name, sent_key


class SessionApi:
    """The sessions of one node's page."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def get(self, request: Request) -> Answer:
        """Handle GET /api/session: who asks, and what they may do."""
        who = request.principal
        is_signed_in = self._site.sessions.check(self._sent(request)) is not None
        return json({"name": who.name, "scopes": sorted(who.scopes), "signed_in": is_signed_in})

    def start(self, request: Request) -> Answer:
        """Handle POST /api/session with a key in a header: 200 and a cookie, 422 without a key."""
        text = sent_key(dict(request.headers))
        key = None if text is None else self._site.keys.check(text)
        if key is None:
            raise RefusedError("A session is begun by key.", cure="Send one in the header X-API-Key.")
        document = {"name": key.name, "scopes": sorted(key.scopes | {"read"}), "signed_in": True}
        # Whoever says so: a cookie that is Secure without need harms only who asked for it.
        is_secure = request.peer.is_secure or _is_by_tls(request)
        return Later(
            asyncio.ensure_future(self._site.sessions.start(key)),
            lambda said: json(document, headers=_cookie(self._name(request), said, LASTS // 1000, is_secure=is_secure)),
        )

    def end(self, request: Request) -> Answer:
        """Handle DELETE /api/session: 200, also where there is none."""
        ended = json({"signed_in": False}, headers=_cookie(self._name(request), "", 0, is_secure=False))
        return Later(asyncio.ensure_future(self._site.sessions.end(self._sent(request))), lambda _: ended)

    def _sent(self, request: Request) -> str:
        return cookie(dict(request.headers), self._name(request)) or ""

    def _name(self, request: Request) -> bytes:
        return cookie_name(self._site.name, request.header(b"host") or b"")


def _is_by_tls(request: Request) -> bool:
    """Tell whether the page came by TLS: its origin says so, or a proxy that it came through."""
    said = request.header(b"origin"), request.header(b"x-forwarded-proto")
    return any((word or b"").lower().startswith(b"https") for word in said)


def _cookie(name: bytes, said: str, seconds: int, *, is_secure: bool) -> tuple[tuple[bytes, bytes], ...]:
    """Return a cookie (RFC 6265) that no script reads, and no other site's page sends."""
    secure = "; Secure" if is_secure else ""
    words = f"{said}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
    return ((b"Set-Cookie", name + b"=" + words.encode()), (b"Cache-Control", b"no-store"))
