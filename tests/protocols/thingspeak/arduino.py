"""How a board with the Arduino library asks, and how it reads an answer: mathworks/thingspeak-arduino 2.1.1.

Told after the library's source, step by step: it does not parse HTTP, it looks for bytes in a stream.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time

OK, BAD_RESPONSE, TIMEOUT, NOT_INSERTED = 200, -303, -304, -401

_PATIENCE_S = 5.0
_SHORTEST = 17
"""Bytes: `HTTP/1.1 200 OK` and an end of line, which it waits for."""


class Stream:
    """Arduino's Stream over a socket: it finds bytes and leaves what follows them."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S)
        self._unread = b""

    def print(self, text: str) -> None:
        self._socket.sendall(text.encode())

    def wait_for(self, count: int) -> bool:
        """Tell whether so many bytes come within its patience."""
        until = time.monotonic() + _PATIENCE_S
        while len(self._unread) < count and time.monotonic() < until:
            if not self._more():
                break
        return len(self._unread) >= count

    def find(self, target: bytes) -> bool:
        """Read up to and with these very bytes; False at the end of the stream."""
        while target not in self._unread:
            if not self._more():
                return False
        self._unread = self._unread.partition(target)[2]
        return True

    def parse_int(self) -> int:
        """Skip what is no digit, and read the digits (Stream::parseInt)."""
        while not (found := re.search(rb"(-?\d+)[^\d]", self._unread)):
            if not self._more():
                return 0
        self._unread = self._unread[found.end(1) :]
        return int(found[1])

    def read(self, count: int) -> bytes:
        self.wait_for(count)
        found, self._unread = self._unread[:count], self._unread[count:]
        return found

    def stop(self) -> None:
        self._socket.close()

    def _more(self) -> bool:
        part = b""
        with contextlib.suppress(TimeoutError):
            part = self._socket.recv(64)  # as a radio's little buffer gives it
        self._unread += part
        return bool(part)


class ThingSpeak:
    """The library's one object. status: of the last answer, as `getLastReadStatus` says it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.status = 0

    def write_fields(self, key: str, **fields: str) -> int:
        """`ThingSpeak.writeFields`: 200, or the library's own number for what went wrong."""
        body = "&".join(f"{name}={value}" for name, value in fields.items()) + "&headers=false"  # encoded in no way
        kind = "Content-Type: application/x-www-form-urlencoded\r\n"
        answer = self._ask("POST /update", key, f"{kind}Content-Length: {len(body.encode())}\r\n\r\n{body}")
        if self.status != OK:
            return self.status
        number = re.match(r"\s*(-?\d+)", answer)  # String::toInt
        return OK if number and int(number[1]) else NOT_INSERTED

    def read_string_field(self, channel: int, field: int, key: str = "") -> str:
        return self.read_raw(channel, f"/fields/{field}/last", key)

    def read_multiple_fields(self, channel: int, key: str = "") -> str:
        """`readMultipleFields`, whose answer `value_of` takes apart."""
        return self.read_raw(channel, "/feeds/last.txt?status=true&location=true", key)

    def read_raw(self, channel: int, suffix: str, key: str = "") -> str:
        answer = self._ask(f"GET /channels/{channel}{suffix}", key, "\r\n")
        return answer if self.status == OK else ""

    def _ask(self, line: str, key: str, rest: str) -> str:
        stream = Stream(self._port)
        stream.print(f"{line} HTTP/1.1\r\nHost: api.thingspeak.com\r\nUser-Agent: tslib-arduino/2.1.1 (ESP8266)\r\n")
        stream.print((f"X-THINGSPEAKAPIKEY: {key}\r\n" if key else "") + rest)
        self.status, content = _http_response(stream)
        stream.stop()
        return content


def value_of(content: str, key: str) -> str:
    """`getJSONValueByKey`: what stands between `"key":"` and the next quotation mark; "" where that is not found."""
    _, found, rest = content.partition(f'"{key}":"')
    value, end, _ = rest.partition('"')
    return value if found and end else ""


def _http_response(stream: Stream) -> tuple[int, str]:
    """`getHTTPResponse`: the status, and the content where it is 200."""
    if not stream.wait_for(_SHORTEST):
        return TIMEOUT, ""
    if not stream.find(b"HTTP/1.1"):
        return BAD_RESPONSE, ""
    status = stream.parse_int()
    if status != OK:
        return status, ""
    if not stream.find(b"\r\n") or not stream.find(b"Content-Length:"):
        return BAD_RESPONSE, ""
    length = stream.parse_int()
    if not stream.find(b"\r\n\r\n"):
        return BAD_RESPONSE, ""
    return status, stream.read(length).decode()
