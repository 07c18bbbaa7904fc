"""An HTTP client that sends what it is told to the byte, and reads whole answers one after the other."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Self

from tests.running import KEY, Answer

HOST = "Host: localhost"


def request(
    method: str,
    path: str,
    *lines: str,
    body: bytes = b"",
    version: str = "1.1",
    host: str | None = HOST,
) -> bytes:
    """Return a request as it goes over the wire; with a body, its length is said."""
    head = [f"{method} {path} HTTP/{version}", *([host] if host else []), *lines]
    if body:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


def post(document: object, *lines: str, path: str = "/api/readings", version: str = "1.1") -> bytes:
    """Return a POST of a JSON document with the key that may do everything."""
    body = json.dumps(document).encode()
    return request("POST", path, f"X-API-Key: {KEY}", JSON, *lines, body=body, version=version)


def chunked(method: str, path: str, *lines: str, chunks: tuple[bytes, ...]) -> bytes:
    """Return a request whose body comes in chunks."""
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    return request(method, path, "Transfer-Encoding: chunked", *lines) + body


JSON = "Content-Type: application/json"


STATUS = request("GET", "/api/status")
READING = {"sensor": "porch/temperature", "value": 21.5}


class Wire:
    """One connection; a context manager that closes it."""

    def __init__(self, port: int, *, source: str = "", patience: float = 10, buffer: int = 0) -> None:
        """Connect; `source`: an address of 127.0.0.0/8 to come from; `buffer`: bytes that wait here to be read."""
        self.socket = socket.socket()
        self.socket.settimeout(patience)
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect(("127.0.0.1", port))
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *parts: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(b"".join(parts))

    def answer(self, *, head: bool = False) -> Answer:
        """Return the next answer; `head`: one without the body that its headers announce. A stream's body is left."""
        status, headers, _ = self._head()
        if head or status == 204 or headers["content-type"].startswith("text/event-stream"):
            return Answer(status, headers, b"")
        return Answer(status, headers, self._body(headers))

    def raw_head(self) -> bytes:
        """Return the status line and the headers of the next answer as they came."""
        return self._head()[2]

    def ask(self, sent: bytes) -> Answer:
        """Send a request and return its answer."""
        self.send(sent)
        return self.answer()

    def interim(self) -> bytes:
        """Return the status line of an interim answer."""
        return self._until(b"\r\n\r\n")

    def line(self) -> bytes:
        """Return the next line, without its end."""
        return self._until(b"\n").rstrip(b"\r\n")

    def is_closed(self) -> bool:
        """Tell whether the other end closes now, and sends nothing more before."""
        try:
            return self._read == b"" and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _head(self) -> tuple[int, dict[str, str], bytes]:
        raw = self._until(b"\r\n\r\n")
        first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
        pairs = (line.split(": ", 1) for line in lines)
        return int(first.split()[1]), {name.lower(): value for name, value in pairs}, raw

    def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            return b"".join(iter(self.chunk, b""))
        return self._bytes(int(headers["content-length"]))

    def chunk(self) -> bytes:
        """Return the next chunk of a body that comes in chunks; the last one is empty."""
        size = int(self._until(b"\r\n"), 16)
        return self._bytes(size + 2)[:-2]

    def _until(self, end: bytes) -> bytes:
        while end not in self._read:
            self._more()
        found, _, self._read = self._read.partition(end)
        return found + end

    def _bytes(self, count: int) -> bytes:
        while len(self._read) < count:
            self._more()
        found, self._read = self._read[:count], self._read[count:]
        return found

    def _more(self) -> None:
        part = self.socket.recv(65536)
        if not part:
            raise EOFError(f"closed after {self._read[-200:]!r}")
        self._read += part
