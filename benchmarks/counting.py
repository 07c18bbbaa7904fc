"""A line to a server that counts: what HTTP says, and what TCP and TLS made of it on the wire.

The law of this file: HTTP is all that the two ends read and wrote; the wire is what the kernel counted on the socket
(tcp(7), TCP_INFO; struct tcp_info in linux/tcp.h): its payload, and for each segment the heads of IPv4 and of TCP with
its timestamps. Nothing is estimated but the length of those heads.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import subprocess
import threading
from pathlib import Path
from typing import Self

import msgspec

HEADS = 20 + 20 + 12
"""Bytes of IPv4 (RFC 791), TCP (RFC 9293) and the timestamps option with its padding (RFC 7323, A)."""

MAXSEG = 1_448
"""As on an Ethernet: loopback's own segments are 64 KiB."""

_INFO = struct.Struct("=8B24I4Q2I")
"""struct tcp_info up to tcpi_segs_in: the last four are bytes_acked, bytes_received, segs_out and segs_in."""

_LINGER_S = 0.05
"""For the last acknowledgement."""


class Passed(msgspec.Struct):
    """What one connection carried, in bytes both ways."""

    http: int = 0
    wire: int = 0


class Line:
    """A context manager: a thread with a port of its own, in front of `behind`. `passed` has one entry a connection."""

    def __init__(self, behind: int, context: ssl.SSLContext | None = None) -> None:
        self.passed: list[Passed] = []
        self._behind, self._context = behind, context
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="line", daemon=True)
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _listen(self) -> None:
        listening = socket.socket()
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, MAXSEG)
        listening.bind(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        await asyncio.start_server(self._take, sock=listening, ssl=self._context)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = Passed()
        counted = writer.get_extra_info("socket").dup()  # asyncio closes its own as soon as the other end is gone
        there = await asyncio.open_connection("127.0.0.1", self._behind)
        with contextlib.suppress(OSError):
            await asyncio.gather(self._pump(reader, there[1], passed), self._pump(there[0], writer, passed))
        await asyncio.sleep(_LINGER_S)
        with counted:
            passed.wire = _on_the_wire(counted)
        self.passed.append(passed)
        for each in (writer, there[1]):
            each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passed: Passed) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                passed.http += len(data)
                writer.write(data)
                await writer.drain()
        if writer.can_write_eof():
            with contextlib.suppress(OSError):
                writer.write_eof()


def context(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Make a certificate for 127.0.0.1; return what serves it, and the file that a client has to trust."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=hub".split()
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(words, check=True, capture_output=True)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    return serving, certificate


def _on_the_wire(connection: socket.socket) -> int:
    found = _INFO.unpack(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size))
    acked, received, segments_out, segments_in = found[-4:]
    return int(acked + received + (segments_out + segments_in) * HEADS)
