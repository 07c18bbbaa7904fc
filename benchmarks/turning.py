"""How late a rule is: an output that a rule turns again and again, watched by a process of its own.

The rule needs nobody: it looks at its own output, so it turns every two seconds whatever else happens.
"""

from __future__ import annotations

import itertools
import multiprocessing
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import msgspec

HOLD = 2.0
"""Seconds between two turns of the output."""

CONFIG = f"""
[node]
clock = "trust"

[[actuators]]
name = "lamp"
driver = "gpio"
pin = 17
simulate = true

[[rules]]
name = "turn"
when = "lamp is off"
hold = "{HOLD:g}s"
claim = {{ lamp = "on" }}
"""


class Turns(msgspec.Struct):
    """By how many seconds each turn came later than it should."""

    late: list[float]


@contextmanager
def turns(port: int) -> Iterator[Turns]:
    """Look at a node with CONFIG; the list is full at the end."""
    seen = Turns([])
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_look, args=(port, theirs), daemon=True)
    process.start()
    try:
        yield seen
        ours.send("enough")
        seen.late = ours.recv() if ours.poll(10) else []
    finally:
        process.terminate()
        process.join()


def _look(port: int, pipe: Connection) -> None:
    """Note when the output turned, until told that it is enough."""
    times: list[float] = []
    with socket.create_connection(("127.0.0.1", port)) as stream:
        stream.sendall(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        stream.settimeout(0.2)
        rest = b""
        while not pipe.poll():
            try:
                data = stream.recv(65536)
            except TimeoutError:
                continue
            if not data:
                break
            *events, rest = (rest + data).split(b"\n\n")
            times += [time.perf_counter() for event in events if b"event: output" in event]
    pipe.send([later - earlier - HOLD for earlier, later in itertools.pairwise(times)])
