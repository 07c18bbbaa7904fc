"""Boards that report to a node over connections of their own, and do not give up when it goes away."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import NamedTuple, Self

import msgspec

from tests.running import KEY

FIRST_AT = 1_767_225_600_000
"""2026-01-01T00:00:00Z in milliseconds: the time of the first reading of a board that has a clock."""

_PATIENCE_S = 20.0


class Sent(NamedTuple):
    """A reading as a board sent it. Each value is sent for one reading only, so that it names it."""

    sensor: str
    value: int
    at: int | None


class Board(threading.Thread):
    """One board. It sends its readings one by one, and each again until it is answered."""

    def __init__(self, port: int, readings: Sequence[Sent], answered: Callable[[Sent], None]) -> None:
        super().__init__(name=f"board {readings[0].sensor}", daemon=True)
        self._port, self._readings, self._answered = port, readings, answered
        self._connection: socket.socket | None = None
        self.refused: bytes | None = None

    def run(self) -> None:
        for reading in self._readings:
            request = _request(reading)
            while not (answer := self._exchange(request)):
                self._connect()
            if not answer.startswith(b"HTTP/1.1 200 "):
                self.refused = answer
                break
            self._answered(reading)
        self._hang_up()

    def _exchange(self, request: bytes) -> bytes:
        """Return the answer; none where the node has gone."""
        if self._connection is None:
            return b""
        try:
            self._connection.sendall(request)
            return self._connection.recv(4096)
        except OSError:
            return b""

    def _connect(self) -> None:
        self._hang_up()
        try:
            self._connection = socket.create_connection(("127.0.0.1", self._port), timeout=_PATIENCE_S)
        except OSError:
            time.sleep(0.01)  # Nobody listens just now.

    def _hang_up(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None


class Boards:
    """Some boards at once. A context manager that waits until each has sent all it has."""

    def __init__(self, port: int, readings: Sequence[Sequence[Sent]]) -> None:
        self.answered: list[Sent] = []
        self._moved = threading.Condition()
        self._boards = [Board(port, own, self._take) for own in readings]

    def __enter__(self) -> Self:
        for board in self._boards:
            board.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            return
        for board in self._boards:
            board.join(_PATIENCE_S)
            assert not board.is_alive(), f"{board.name} has not sent all it has"
            assert board.refused is None, board.refused

    def wait(self, count: int) -> None:
        """Return at the moment in which `count` readings have been answered."""
        with self._moved:
            assert self._moved.wait_for(lambda: len(self.answered) >= count, _PATIENCE_S)

    def _take(self, reading: Sent) -> None:
        with self._moved:
            self.answered.append(reading)
            self._moved.notify_all()


def readings(first: int, count: int, *, boards: int, stamped: bool) -> list[list[Sent]]:
    """Return `count` readings whose values are `first` and on, dealt out to boards."""
    values = range(first, first + count)
    return [
        [Sent(f"board-{board}/level", value, FIRST_AT + value if stamped else None) for value in values[board::boards]]
        for board in range(boards)
    ]


def _request(reading: Sent) -> bytes:
    body = {"sensor": reading.sensor, "value": reading.value}
    if reading.at is not None:
        body["timestamp"] = reading.at
    encoded = msgspec.json.encode(body)
    return (
        b"POST /api/readings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"X-API-Key: %s\r\nContent-Length: %d\r\n\r\n%s" % (KEY.encode(), len(encoded), encoded)
    )
