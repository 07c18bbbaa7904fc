"""Sends a message to another server, and trusts neither its name nor its answer.

The law of this file: a connection goes to exactly the address that was checked; a redirect is an
answer like any other and is not followed; and of an answer 64 KiB are read, or what the request says, whatever it says.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import functools
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

import httptools
import msgspec

from outstation import __version__, clock
from outstation.core.addresses import is_forbidden
from outstation.core.delivery import Answer
from outstation.core.readings import Millis
from outstation.errors import RefusedError
from outstation.plugins import Request

_ADDRESSES_AT_MOST = 4

_SHARE_S = 4.0
"""Of the time for all addresses but the last: one that is a black hole (IPv6 at many a site) costs an alert no more."""

_taken_by: dict[tuple[str, int], str] = {}
"""By host and port, of those in the config: the address that took us last. It is tried first."""

LookUp = Callable[..., list[tuple[Any, ...]]]
"""As socket.getaddrinfo: called in a thread of its own."""


class Target(msgspec.Struct, frozen=True):
    """Where a URL leads."""

    is_tls: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What stands in the Host header (RFC 9110, 7.2)."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.is_tls else 80) else f"{name}:{self.port}"


async def post(
    url: str, body: bytes, headers: Mapping[str, str], *, within: float, look_up: LookUp = socket.getaddrinfo
) -> Answer:
    """Send JSON, `within` so many seconds; return what came of it. Raises nothing."""
    return await exchange(Request(url, body, headers), within=within, look_up=look_up)


async def exchange(request: Request, *, within: float, look_up: LookUp = socket.getaddrinfo) -> Answer:
    """Send a request, `within` so many seconds; return what came of it. Raises nothing."""
    answering = _Answering()
    try:
        target = parse(request.url)
        message = compose(target, request)
        async with asyncio.timeout(within):
            await _exchange(target, message, request.read, answering, within, look_up)
    except TimeoutError:
        answering.fail(f"it did not answer within {within:g} s")
    except RefusedError as error:
        return Answer(None, str(error), refused=True)
    except ssl.SSLError as error:
        answering.fail(
            f"its TLS certificate or handshake failed: {getattr(error, 'verify_message', '') or error.reason}"
        )
    except OSError as error:
        answering.fail(f"it could not be reached: {error.strerror or error}")
    except httptools.HttpParserError as error:
        answering.fail(f"its answer is no HTTP: {error}")
    return answering.answer()


def parse(url: str) -> Target:
    """Take a URL apart. Raises RefusedError."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode() if ":" not in (parts.hostname or "") else parts.hostname
    except ValueError as error:  # its words may quote the URL, which may be a secret
        raise RefusedError("its URL is not one") from error
    if parts.scheme not in ("http", "https") or not host:
        raise RefusedError("its URL must begin with http:// or https:// and a host")
    is_tls = parts.scheme == "https"
    path = urllib.parse.quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = urllib.parse.quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
    return Target(is_tls, host, port or (443 if is_tls else 80), f"{path}?{query}" if query else path)


def compose(target: Target, request: Request) -> bytes:
    """Return a request as it goes over the line. Raises RefusedError for a header that would break it."""
    lines = {
        "Host": target.authority,
        "User-Agent": f"Outstation/{__version__}",
        **({"Content-Type": request.type} if request.body else {}),
        "Content-Length": str(len(request.body)),
        "Connection": "close",
        **request.headers,
    }
    fields = [f"{name}: {value}" for name, value in lines.items()]
    if not all(field.isprintable() and field.isascii() for field in fields):
        raise RefusedError("a header or key in its config has a letter that HTTP does not carry")
    return "\r\n".join([f"{request.method} {target.path} HTTP/1.1", *fields, "", ""]).encode() + request.body


async def _exchange(
    target: Target, request: bytes, left: int, answering: _Answering, within: float, look_up: LookUp
) -> None:
    addresses = await _addresses(target, look_up)
    reader, writer = await _connect(target, addresses, within / len(addresses))
    try:
        writer.write(request)
        answering.sent = len(request)
        while not answering.is_whole and left and (data := await reader.read(left)):
            answering.feed(data)
            left -= len(data)
    finally:
        writer.transport.abort()  # a polite end would wait for the other side's


async def _connect(
    target: Target, addresses: list[str], share: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first address that takes us; each has its share of the time."""
    context: dict[str, Any] = {}
    if target.is_tls:  # in a thread: to read some hundred certificates takes a small board long
        context = {"ssl": await asyncio.to_thread(_context), "server_hostname": target.host}
    known = target.host, target.port
    addresses = sorted(addresses, key=lambda address: address != _taken_by.get(known))
    for address in addresses[:-1]:
        try:
            async with asyncio.timeout(min(share, _SHARE_S)):
                line = await asyncio.open_connection(address, target.port, **context)
        except OSError:  # a time-out too; the last address gives the reason that is told
            continue
        _taken_by[known] = address
        return line
    line = await asyncio.open_connection(addresses[-1], target.port, **context)
    _taken_by[known] = addresses[-1]
    return line


async def _addresses(target: Target, look_up: LookUp) -> list[str]:
    """Resolve and check a host. Any forbidden address refuses all: a name with two faces is not to be trusted."""
    found = list(dict.fromkeys(await _resolve(target, look_up)))
    if any(is_forbidden(address) for address in found):
        raise RefusedError(
            f'"{target.host}" leads to a link-local, multicast or metadata address: nothing is sent there'
        )
    if not found:
        raise OSError(None, "its name has no address")
    return found[:_ADDRESSES_AT_MOST]


async def _resolve(target: Target, look_up: LookUp) -> list[str]:
    """Ask for addresses in a daemon thread: one that hangs in the resolver keeps no program from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[str]] = loop.create_future()

    def ask() -> None:
        try:
            rows, error = look_up(target.host, target.port, 0, socket.SOCK_STREAM), None
        except (OSError, UnicodeError) as problem:
            rows, error = [], problem
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(_settle, future, [str(row[4][0]) for row in rows], error)

    threading.Thread(target=ask, name="resolver", daemon=True).start()
    return await future


def _settle(future: asyncio.Future[list[str]], found: list[str], error: Exception | None) -> None:
    if future.done():
        return
    if error:
        future.set_exception(OSError(None, f"its name could not be resolved: {error}"))
    else:
        future.set_result(found)


@functools.cache
def _context() -> ssl.SSLContext:
    """Verify with the certificates that this machine trusts; 2 MB, when first needed."""
    return ssl.create_default_context()


class _Answering:
    """What has been seen of an answer. Once its head is in, it is the answer, whatever comes of the rest."""

    def __init__(self) -> None:
        self.is_whole = False
        self.sent = self._received = 0
        self._body = bytearray()
        self._parser = httptools.HttpResponseParser(self)
        self._status: int | None = None
        self._headers: dict[str, str] = {}
        self._error = "it closed the connection without an answer"

    def feed(self, data: bytes) -> None:
        """Take what came. Raises HttpParserError."""
        self._received += len(data)
        self._parser.feed_data(data)

    def fail(self, error: str) -> None:
        """Say why there is no answer."""
        self._error = error

    def answer(self) -> Answer:
        """Return the answer as far as it came."""
        if self._status is None:
            return Answer(None, self._error, sent=self.sent, received=self._received)
        error = "" if 200 <= self._status < 300 else f"it answered {self._status}{self._led_away()}"
        kind = self._headers.get("content-type", "").partition(";")[0].strip().lower()
        wait = _millis(self._headers.get("retry-after", ""))
        return Answer(self._status, error, wait, False, bytes(self._body), kind, self.sent, self._received)

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser has read a line of the head."""
        if self._status is None:
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The parser has read a head: of the answer, or of one that only comes before it (RFC 9110, 15.2)."""
        if self._status is None and (status := self._parser.get_status_code()) >= 200:
            self._status = status

    def on_body(self, data: bytes) -> None:
        """The parser has read a part of the body."""
        self._body += data

    def on_message_complete(self) -> None:
        """The parser has read a body."""
        self.is_whole = self._status is not None

    def _led_away(self) -> str:
        """Name the host of a redirect, and no more of it: what else is in a URL may be a secret."""
        if self._status is None or self._status >= 400:
            return ""
        with contextlib.suppress(ValueError):
            host = urllib.parse.urlsplit(self._headers.get("location", "")).hostname
            return f", a redirect to {host!a}, which is not followed: is there a login page in between?"
        return ""


def _millis(retry_after: str) -> Millis | None:
    """Read Retry-After: seconds, or a date (RFC 9110, 10.2.3). None: there is none that can be read."""
    if retry_after.isascii() and retry_after.isdigit():
        return int(retry_after[:9]) * 1000
    try:
        when = email.utils.parsedate_to_datetime(retry_after).timestamp()
    except (ValueError, OverflowError):  # the second: a year of twenty digits
        return None
    return max(0, int(when * 1000) - clock.at())
