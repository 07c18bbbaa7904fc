"""The messages of the simulated chip (devices/simchip.py), as whoever speaks to it sends them.

Fields are split by tabs, and each message carries a socket for its answer: on a connection that
two processes share, an answer could reach the other one.
"""

from __future__ import annotations

import errno
import os
import socket

from outstation.wire import RefusedError

ANSWER_S = 1.0
"""What the chip has for an answer."""


def reach(path: str) -> socket.socket:
    """Connect to the chip at `path`. Raises OSError.

    By its folder's descriptor: an address has 108 bytes (unix(7)), a path may have more.
    """
    above, _, name = path.rpartition("/")
    folder = os.open(above or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.settimeout(ANSWER_S)
        connection.connect(f"/proc/self/fd/{folder}/{name}")
        connection.settimeout(None)
    except OSError:
        connection.close()
        raise
    finally:
        os.close(folder)
    return connection


def ask(connection: socket.socket, *words: str) -> list[str]:
    """Return the chip's answer. Raises RefusedError when it refuses, TimeoutError, OSError when it is gone."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with mine:
        mine.settimeout(ANSWER_S)
        with theirs:
            socket.send_fds(connection, ["\t".join(words).encode()], [theirs.fileno()])
        answer = mine.recv(65536).decode()
    kind, *values = answer.split("\t")
    if kind == "refused":
        raise RefusedError("request", int(values[0]), values[1])
    if kind != "ok":
        raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
    return values


def output(pin: int, *, level: bool, active_low: bool, holder: str) -> list[str]:
    """Return the words that request an output."""
    return ["request", str(pin), "output", str(int(active_low)), "", "0", str(int(level)), holder.replace("\t", " ")]


def request_output(path: str, pin: int, *, level: bool, active_low: bool, holder: str) -> socket.socket:
    """Return a connection that holds the line, driven to `level`. Raises RefusedError."""
    try:
        connection = reach(path)
    except OSError as error:
        raise RefusedError("chip", error.errno or 0, path) from None
    try:
        ask(connection, *output(pin, level=level, active_low=active_low, holder=holder))
    except RefusedError:
        connection.close()
        raise
    except OSError as error:
        connection.close()
        raise RefusedError("chip", error.errno or errno.ETIMEDOUT, path) from None
    return connection
