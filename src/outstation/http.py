"""What the server's own handlers take and give: a request that has passed the gate, and an answer."""

from __future__ import annotations

import asyncio
import functools
import http
import logging
import re
from collections.abc import Callable
from typing import Any

import msgspec

from outstation.errors import (
    DeviceError,
    DiskFullError,
    OutrankedError,
    RefusedError,
    StoreError,
    UnknownActionError,
    UnknownNameError,
)

log = logging.getLogger(__name__)

JSON = b"application/json"
PROBLEM = b"application/problem+json"
TEXT = b"text/plain; charset=utf-8"
HTML = b"text/html; charset=utf-8"


class Principal(msgspec.Struct, frozen=True):
    """Who asks: a name for the journal, the scopes held, and the device that the key is bound to."""

    name: str
    scopes: frozenset[str]
    device: str | None = None


NOBODY = Principal("anonymous", frozenset())


class Peer(msgspec.Struct, frozen=True):
    """Who asks: the other end of a connection, or whom a trusted proxy speaks for. address: an IP without a zone.

    is_secure: nobody could listen, since it came by TLS. is_proxied: `address` is a trusted proxy's word.
    is_control_socket: it came through the data folder, which only admins reach. The listener says so, and nothing
    else: a peer that has left before it was greeted has no address either.
    """

    address: str
    is_control_socket: bool = False
    is_secure: bool = False
    is_proxied: bool = False


class Request:
    """One request as a handler sees it. headers: lower-case names; params: the names in the route's path."""

    __slots__ = ("body", "headers", "method", "params", "path", "peer", "principal", "query")

    body: bytes | bytearray
    params: dict[str, str]
    principal: Principal

    def __init__(self, method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]], peer: Peer) -> None:
        self.method, self.path, self.query, self.headers, self.peer = method, path, query, headers, peer

    def header(self, name: bytes) -> bytes | None:
        """Return the first header of that lower-case name."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


Headers = tuple[tuple[bytes, bytes], ...]
"""Names as boards' libraries look for them, and values."""


class Response(msgspec.Struct, frozen=True):
    """An answer, whole."""

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    headers: Headers = ()

    def encode(self, *, close: bool, head: bool = False, more: Headers = ()) -> bytes:
        """Return the bytes for the wire, with `more` headers: always with a Content-Length, never chunked."""
        lines = _lines(self.headers + more) if self.headers or more else b""
        if self.status in _BODILESS:
            return b"%b%b%b" % (STATUS_LINES[self.status], lines, b"Connection: close\r\n\r\n" if close else b"\r\n")
        return b"%bContent-Type: %b\r\nContent-Length: %d\r\n%b%b%b" % (
            STATUS_LINES[self.status],
            self.content_type,
            len(self.body),
            lines,
            b"Connection: close\r\n\r\n" if close else b"\r\n",
            b"" if head else self.body,
        )


class Later(msgspec.Struct, frozen=True):
    """An answer that has to wait: when `future` is done, `finish` makes the answer of its result."""

    future: asyncio.Future[Any]
    finish: Callable[[Any], Response]


@functools.lru_cache(maxsize=64)
def _lines(headers: Headers) -> bytes:
    """Return headers for the wire; most answers to boards have the same four."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


Answer = Response | Later
Handler = Callable[[Request], Answer]

_BODILESS = frozenset({204, 304})
"""The statuses of ours that go without a Content-Length: there is no body to have one (RFC 9110, section 8.6)."""

STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus}

_encode = msgspec.json.Encoder().encode


def json(document: object, status: int = 200, headers: Headers = ()) -> Response:
    """Answer with a JSON document."""
    return Response(_encode(document), status, JSON, headers)


def problem(
    status: int,
    error: str,
    *,
    headers: Headers = (),
    **more: object,
) -> Response:
    """Answer with a problem document (RFC 9457) and the one-line `error`."""
    document = {
        "type": "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": error,
        "error": error,
        **more,
    }
    return Response(_encode(document), status, PROBLEM, headers)


_STATUS_OF_ERROR: tuple[tuple[type[BaseException], int], ...] = (
    (UnknownActionError, 400),
    (UnknownNameError, 404),
    (OutrankedError, 409),
    (RefusedError, 422),
    (DiskFullError, 507),
    (StoreError, 503),
    (DeviceError, 503),
)


def from_error(error: BaseException, refuse: Callable[..., Response] = problem) -> Response:
    """Answer for an error that a handler raised; one that nobody foresaw is logged whole and told as 500."""
    if isinstance(error, msgspec.ValidationError):
        return refuse(422, f"The JSON body is not as expected: {_shape_error(error)}.")
    if isinstance(error, msgspec.DecodeError):
        return refuse(400, f"The body is not JSON: {error}.")
    if isinstance(error, RecursionError):  # msgspec's, of what it hands on unread
        return refuse(400, "The body is nested too deeply.")
    if isinstance(error, UnicodeDecodeError):
        return refuse(400, "The body is not JSON: it is not UTF-8.")
    if isinstance(error, asyncio.CancelledError):
        return refuse(503, "This node is stopping.")
    for kind, status in _STATUS_OF_ERROR:
        if isinstance(error, kind):
            return _known(error, status, refuse)
    log.error("a request failed in a way nobody foresaw; please report this", exc_info=error)
    return refuse(500, "This server made a mistake; its log says more.")


def _known(error: BaseException, status: int, refuse: Callable[..., Response]) -> Response:
    text = harmless(str(error))
    if refuse is not problem:
        return refuse(status, text)
    headers = ((b"Retry-After", b"5"),) if status in (503, 507) else ()
    if isinstance(error, UnknownActionError):
        return problem(status, text, headers=headers, valid=error.valid)
    return problem(status, text, headers=headers)


def harmless(text: str) -> str:
    """Return a text of ours with a sender's words in it as it may go back: no markup, nothing that moves a cursor."""
    return "".join(letter if letter.isprintable() and letter not in "<>" else "?" for letter in text)


def _shape_error(error: msgspec.ValidationError) -> str:
    """Return what msgspec says, unless it repeats a sender's field name that is no name."""
    text = str(error)
    if text.startswith("Invalid enum value"):
        text = f"there is a word that is none of those expected{text[text.rfind(' - at ') :]}"
    return text if _OURS.fullmatch(text) else "it has a field that is unknown here"


_OURS = re.compile(r"[\w ,|$.`()\[\]-]{1,160}", re.ASCII)
