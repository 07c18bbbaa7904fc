"""Asks a web address by GET, and gives up in time.

The law of this file: one deadline for all of it, redirects included, however slowly the other side drips; and what is
secret (headers, the query of the URL) goes to the host that was named, and into no message.
"""

from __future__ import annotations

import functools
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from urllib.parse import SplitResult, urljoin, urlsplit

import msgspec

from outstation.devices.wiring.addresses import is_address, shown
from outstation.errors import DeviceError

ANSWER_BYTES = 1_048_576
"""A page that is longer is not for reading one value."""

REDIRECTS = 5

_MOVED = frozenset({301, 302, 303, 307, 308})


class Asked(msgspec.Struct, frozen=True):
    """What is asked. timeout_s: for all of it, seconds."""

    url: str
    headers: Mapping[str, str]
    timeout_s: float


def get(asked: Asked) -> str:
    """Return what a web address answers. Raises DeviceError."""
    until = time.monotonic() + asked.timeout_s
    url = asked.url
    for _ in range(REDIRECTS + 1):
        status, location, body = _exchange(url, asked, until)
        if status not in _MOVED or not location:
            break
        url = _followed(url, location)
    else:
        raise DeviceError(f"{shown(asked.url)} redirects more than {REDIRECTS} times.")
    if not 200 <= status < 300:
        raise _refused(url, status)
    return body.decode(errors="replace")


def _exchange(url: str, asked: Asked, until: float) -> tuple[int, str, bytes]:
    """Return status, Location and body of one request. Raises DeviceError."""
    own = asked.headers if _origin(url) == _origin(asked.url) else {}
    connection = _connection(urlsplit(url), max(until - time.monotonic(), 0.001))
    answered: DeviceError | tuple[int, str, bytes]
    try:
        answered = _answered(connection, url, {"User-Agent": "outstation", **own}, until)
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        answered = DeviceError(f"{shown(url)} cannot be asked: {_reason(error)}.", cure=_CURE)
    finally:
        connection.close()
    if time.monotonic() >= until:  # a connection that was cut may look like one that ended
        raise DeviceError(f"{shown(url)} has not answered in {asked.timeout_s:g} s.", cure=_SLOW)
    if isinstance(answered, DeviceError):
        raise answered
    return answered


def _answered(
    connection: http.client.HTTPConnection, url: str, headers: dict[str, str], until: float
) -> tuple[int, str, bytes]:
    """Raises OSError, HTTPException, DeviceError."""
    parts = urlsplit(url)
    connection.connect()
    with _ended_at(until, connection.sock):
        connection.request("GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), headers=headers)
        answer = connection.getresponse()
        body = answer.read(ANSWER_BYTES + 1)
    if len(body) > ANSWER_BYTES:
        raise DeviceError(f"{shown(url)} answers more than {ANSWER_BYTES} bytes.")
    if answer.length:
        raise http.client.HTTPException("the answer broke off")
    return answer.status, answer.headers.get("Location", ""), body


_SLOW = "It may need a longer `timeout`."
_CURE = "Look at the network, and at the address in `url`."


def _connection(parts: SplitResult, patience: float) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, parts.port, timeout=patience)
    return http.client.HTTPSConnection(host, parts.port, timeout=patience, context=_context())


@functools.cache
def _context() -> ssl.SSLContext:
    """Return what knows the authorities of this machine: to read their certificates takes longer than to ask."""
    return ssl.create_default_context()


@contextmanager
def _ended_at(until: float, connected: socket.socket) -> Iterator[None]:
    """End whatever waits on a connection when the time has come: a timeout of its own counts anew at each byte."""
    watch = threading.Timer(max(0.0, until - time.monotonic()), _cut, [connected])
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


def _cut(connected: socket.socket) -> None:
    with suppress(OSError):  # it has just been closed
        socket.socket.shutdown(connected, socket.SHUT_RDWR)  # an SSLSocket's own would pull TLS from under the reader


def _followed(url: str, location: str) -> str:
    """Return where a redirect leads. Raises DeviceError: nowhere one may go."""
    target = urljoin(url, location)
    if not is_address(target):
        raise DeviceError(f"{shown(url)} redirects to what is no web address.")
    if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
        raise DeviceError(f"{shown(url)} redirects to what is not encrypted.", cure="Set `url` to it, if it is meant.")
    return target


def _refused(url: str, status: int) -> DeviceError:
    phrase = http.client.responses.get(status, "")
    cure = "Look at `headers` and at the key in `url`." if status in (401, 403) else "Look at the address in `url`."
    return DeviceError(f"{shown(url)} answers {status} {phrase}".rstrip() + ".", cure=cure if status < 500 else "")


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", "") or str(error) or type(error).__name__).rstrip(".").lower()
