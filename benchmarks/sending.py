"""Posts readings to a server, from a process of its own: one at a time, or so many a second come what may.

The law of this file: a reading's time is taken right before it is sent, and its sending never waits for an answer to
another one (open loop): a server that is slow gets its readings all the same.
"""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Sequence

import msgspec

ABOVE, BELOW = 30.0, 28.0
"""On above the one, off below the other."""

FLIPS_EVERY = 5
"""At a rate, every fifth reading is one of the first sensor, and flips its pin; the others flip none."""

_GAP_S = 0.005
"""Between an answer and the next reading, one at a time."""

_REST_S = 0.3
_PATIENCE_S = 10.0


class Target(msgspec.Struct, frozen=True):
    """Where readings go. paths: one for each sensor."""

    port: int
    sensors: Sequence[str]
    paths: Sequence[str]
    key: str = ""

    def post(self, number: int, value: float) -> bytes:
        """Return the request that posts a value of that sensor."""
        body = json.dumps({"sensor": self.sensors[number], "value": value}).encode()
        head = f"POST {self.paths[number]} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nX-API-Key: {self.key}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


class Flip(msgspec.Struct, frozen=True):
    """A reading that must move the pin: when it was sent (CLOCK_MONOTONIC), or when the pin moved; and where to."""

    at_ns: int
    level: bool


def now_ns() -> int:
    """Return CLOCK_MONOTONIC, which the chip and Node.js stamp with too."""
    return time.monotonic_ns()


def rest() -> None:
    """Wait until the last changes have surely come."""
    time.sleep(_REST_S)


def one_at_a_time(target: Target, number: int) -> list[Flip]:
    """Send so many readings, each when the one before was answered, and each moves the pin."""
    connection = Connection(target.port)
    flips = []
    for level, request in _flips(target, number):
        flips.append(Flip(now_ns(), level))
        connection.send(request)
        while not connection.hear():
            pass
        time.sleep(_GAP_S)
    connection.close()
    return flips


def at_rate(target: Target, rate: int, number: int) -> list[Flip]:
    """Send so many readings at a rate, each at its time; return those that move the pin."""
    flips = []
    moving = iter(_flips(target, number // FLIPS_EVERY + 1))
    still = [target.post(sensor, 20.0 + sensor / 10) for sensor in range(1, len(target.sensors))]
    lines = Lines(target.port)
    start = now_ns() + 10_000_000
    for each in range(number):
        lines.hear_until(start + each * 1_000_000_000 // rate)
        connection = lines.take()
        if each % FLIPS_EVERY:
            connection.send(still[each % len(still)])
            continue
        level, request = next(moving)
        flips.append(Flip(now_ns(), level))
        connection.send(request)
    lines.finish()
    return flips


class Connection:
    """One connection, kept alive, with at most one request on its way."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._heard = b""

    def fileno(self) -> int:
        """Return what select() waits for."""
        return self._socket.fileno()

    def send(self, request: bytes) -> None:
        """Send a request."""
        self._socket.sendall(request)

    def hear(self) -> bool:
        """Take in what there is; return whether the answer is complete. Ends everything where it is not a 200."""
        new = self._socket.recv(65_536)
        self._heard += new
        head, found, body = self._heard.partition(b"\r\n\r\n")
        if not new or not head.startswith(b"HTTP/1.1 200"[: len(head)]):
            raise RuntimeError(f"not the expected answer: {self._heard[:500]!r}")
        if not found or len(body) < _length(head):
            return False
        self._heard = b""
        return True

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


class Lines:
    """As many connections as have to be."""

    def __init__(self, port: int, ready: int = 8) -> None:
        self._port = port
        self._idle = [Connection(port) for _ in range(ready)]
        self._busy: set[Connection] = set()

    def take(self) -> Connection:
        """Return a connection for one request."""
        connection = self._idle.pop() if self._idle else Connection(self._port)
        self._busy.add(connection)
        return connection

    def hear_until(self, due_ns: int) -> None:
        """Take in answers until a time."""
        while (left := due_ns - now_ns()) > 0:
            self._hear(left / 1e9)

    def finish(self) -> None:
        """Wait for the last answers, and hang up."""
        give_up = time.monotonic() + _PATIENCE_S
        while self._busy:
            self._hear(0.1)
            if time.monotonic() > give_up:
                raise RuntimeError(f"{len(self._busy)} readings were not answered")
        for connection in self._idle:
            connection.close()

    def _hear(self, seconds: float) -> None:
        readable, _, _ = select.select(list(self._busy), [], [], seconds)
        for connection in readable:
            if connection.hear():
                self._busy.discard(connection)
                self._idle.append(connection)


def _flips(target: Target, number: int) -> list[tuple[bool, bytes]]:
    """Return readings of the first sensor, and what each moves its pin to: on, off, on, ..."""
    on, off = target.post(0, ABOVE + 1), target.post(0, BELOW - 1)
    return [(False, off) if each % 2 else (True, on) for each in range(number)]


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    raise RuntimeError(f"an answer without a length: {head[:500]!r}")
