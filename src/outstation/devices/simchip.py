"""A simulated GPIO chip with the kernel's semantics, in a process of its own.

A line belongs to one connection, as it does to one request of the kernel's character device:
whoever shares the connection shares the line, and it is released when the last of them is gone.
Started as a script without site-packages; imports next to nothing, because its memory counts.

Messages are text, fields split by tabs. Each carries a socket for its answer (SCM_RIGHTS):
two processes may share one connection, and must not read each other's answers. What the
chip sends by itself on a connection are the edges of its line, as a kernel request does.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import sys
import time

EVENTS_KEPT = 16
"""Edges that wait for a slow reader before the oldest is dropped: the kernel's queue for one line."""

CHANGES_KEPT = 500
"""Changes of one line that are remembered for whoever looks."""

_NS = 1_000_000_000


class Line:
    """One line: who drives it, what level results, and what it has been through."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.holder: Request | None = None
        self.output: int | None = None
        self.outside: int | None = None
        self.level = 0
        self.changes: list[tuple[int, int, int]] = []

    def settle(self) -> None:
        """Work out the level; log it, and tell the holder of an input, when something changed."""
        level = self._asked()
        change = (level, int(self.output is not None))
        if not self.changes or self.changes[-1][1:] != change:
            self.changes.append((time.monotonic_ns(), *change))
            del self.changes[:-CHANGES_KEPT]
        moved, self.level = level != self.level, level
        if moved and self.holder is not None:
            self.holder.moved()

    def _asked(self) -> int:
        if self.output is not None:
            return self.output
        if self.outside is not None:
            return self.outside
        return self.level if self.holder is None else self.holder.rest(self.level)


class Request:
    """What one connection asked for: a line, and how it wants to see it."""

    def __init__(self, line: Line, fields: list[str]) -> None:
        direction, active_low, bias, debounce_us, level, self.consumer = fields
        self.line, self.bias = line, bias
        self.is_output, self.active_low = direction == "output", int(active_low)
        self.debounce_ns = int(debounce_us) * 1_000
        self.initial = int(level) ^ self.active_low
        self.settles_at: int | None = None
        self.stable = line.level
        self.events: list[bytes] = []
        self.seen_edges = 0

    def rest(self, level: int) -> int:
        """Return the level of an input that nobody drives: its pull, else where it is.

        One never touched before rests inactive, by the resistor that a real circuit has there.
        """
        if self.bias in ("up", "down"):
            return int(self.bias == "up")
        return level if self.line.changes else self.active_low

    def moved(self) -> None:
        """Take note that the line changed: an edge now, or one when it has been still long enough."""
        if self.is_output:
            return
        if self.debounce_ns:
            self.settles_at = time.monotonic_ns() + self.debounce_ns
            return
        self.stable = self.line.level
        self._edge()

    def settled(self) -> None:
        """The debounce time is over: the edge bears the time of its end, as the kernel's does."""
        self.settles_at = None
        if self.stable != self.line.level:
            self.stable = self.line.level
            self._edge()

    def value(self) -> int:
        """Return the value that the holder sees: debounced, and turned when active low."""
        return (self.line.level if self.is_output else self.stable) ^ self.active_low

    def _edge(self) -> None:
        self.seen_edges += 1
        self.events.append(b"%d\t%d\t%d" % (self.value(), time.monotonic_ns(), self.seen_edges))
        del self.events[:-EVENTS_KEPT]


class RefusedError(Exception):
    """An operation that the kernel would refuse: an errno, and what goes with it."""


class Chip:
    """All lines, all connections, and the loop between them."""

    def __init__(self, door: socket.socket, *, lines: int, keeps: bool, linger_ns: int) -> None:
        self.door, self.keeps, self.linger_ns = door, keeps, linger_ns
        self.lines = [Line(offset) for offset in range(lines)]
        self.connections: dict[int, socket.socket] = {}
        self.requests: dict[int, Request] = {}
        self.returns: list[tuple[int, Line, int | None]] = []
        self.stopping = False
        self.poll = select.poll()
        self.poll.register(door, select.POLLIN)
        self.alone_since = time.monotonic_ns()

    def run(self) -> None:
        """Serve until nobody has been connected for the time it lingers."""
        while not self.stopping:
            for fd, _ in self.poll.poll(self._timeout_ms()):
                if fd == self.door.fileno():
                    self._welcome()
                elif fd in self.connections:
                    self._hear(fd)
            self._do_what_is_due()
            self._send_edges()
            if not self.connections and time.monotonic_ns() - self.alone_since >= self.linger_ns:
                return

    def _timeout_ms(self) -> int:
        due = [request.settles_at for request in self.requests.values() if request.settles_at is not None]
        due += [when for when, _, _ in self.returns]
        if not self.connections:
            due.append(self.alone_since + self.linger_ns)
        if not due:
            return -1
        return max(0, -((time.monotonic_ns() - min(due)) // 1_000_000))

    def _welcome(self) -> None:
        connection, _ = self.door.accept()
        connection.setblocking(False)
        self.connections[connection.fileno()] = connection
        self.poll.register(connection, select.POLLIN)

    def _hear(self, fd: int) -> None:
        if fd in self.requests:
            self.poll.modify(fd, select.POLLIN)
        try:
            message, extra, _, _ = self.connections[fd].recvmsg(4096, socket.CMSG_SPACE(4))
        except BlockingIOError:
            return
        except OSError:
            message, extra = b"", []
        if not message:
            self._part(fd)
            return
        for _, _, data in extra:
            self._answer(int.from_bytes(data[:4], sys.byteorder), fd, message.decode().split("\t"))

    def _answer(self, answer_fd: int, fd: int, words: list[str]) -> None:
        try:
            answer = "ok\t" + self._do(fd, words)
        except RefusedError as refusal:
            answer = "\t".join(["refused", *map(str, refusal.args)])
        except (ValueError, LookupError, TypeError):
            answer = f"refused\t{errno.EINVAL}\t"
        try:  # noqa: SIM105 - contextlib would be one more module in a process that must be small
            os.write(answer_fd, answer.encode())
        except OSError:
            pass  # Whoever asked is gone; what was asked is done all the same.
        os.close(answer_fd)

    def _do(self, fd: int, words: list[str]) -> str:
        match words:
            case ["request", offset, *fields]:
                return self._request(fd, self._line(offset), fields)
            case ["get"]:
                return str(self._own(fd).value())
            case ["set", value]:
                return self._set(self._own(fd), int(value))
            case ["inspect", offset]:
                return _described(self._line(offset))
            case ["changes", offset]:
                return "\t".join(f"{at_ns} {level} {driven}" for at_ns, level, driven in self._line(offset).changes)
            case ["drive", offset, level, for_ms]:
                return self._drive(self._line(offset), None if level == "" else int(level), int(for_ms))
            case ["stop"]:
                self.stopping = True
                return ""
        raise RefusedError(errno.EINVAL, "")

    def _line(self, offset: str) -> Line:
        if not 0 <= int(offset) < len(self.lines):
            raise RefusedError(errno.ENOENT, len(self.lines))
        return self.lines[int(offset)]

    def _own(self, fd: int) -> Request:
        if fd not in self.requests:
            raise RefusedError(errno.EPERM, "")
        return self.requests[fd]

    def _request(self, fd: int, line: Line, fields: list[str]) -> str:
        if line.holder is not None:
            raise RefusedError(errno.EBUSY, line.holder.consumer)
        if fd in self.requests:
            raise RefusedError(errno.EINVAL, "")
        request = Request(line, fields)
        line.output = request.initial if request.is_output else None
        self.requests[fd] = request
        # Settled before it is held: to begin is no edge.
        line.level = request.rest(line.level) if line.output is None else line.output
        line.settle()
        line.holder, request.stable = request, line.level
        return ""

    def _set(self, request: Request, value: int) -> str:
        if not request.is_output:
            raise RefusedError(errno.EPERM, "")
        request.line.output = int(value != 0) ^ request.active_low
        request.line.settle()
        return ""

    def _drive(self, line: Line, level: int | None, for_ms: int) -> str:
        if line.output is not None:
            raise RefusedError(errno.EBUSY, line.holder.consumer if line.holder else "")
        self.returns = [item for item in self.returns if item[1] is not line]
        if for_ms:
            self.returns.append((time.monotonic_ns() + for_ms * 1_000_000, line, line.outside))
        line.outside = level
        line.settle()
        return ""

    def _part(self, fd: int) -> None:
        self.poll.unregister(fd)
        self.connections.pop(fd).close()
        self.alone_since = time.monotonic_ns()
        request = self.requests.pop(fd, None)
        if request is None:
            return
        line = request.line
        line.holder = None
        if not self.keeps:
            line.output = None
        line.settle()

    def _do_what_is_due(self) -> None:
        now = time.monotonic_ns()
        for request in self.requests.values():
            if request.settles_at is not None and request.settles_at <= now:
                request.settled()
        for when, line, outside in [item for item in self.returns if item[0] <= now]:
            self.returns.remove((when, line, outside))
            line.outside = outside
            line.settle()

    def _send_edges(self) -> None:
        for fd, request in self.requests.items():
            while request.events:
                try:
                    self.connections[fd].send(request.events[0])
                except BlockingIOError:
                    self.poll.modify(fd, select.POLLIN | select.POLLOUT)
                    break
                except OSError:
                    break  # Gone: the poll will say so.
                del request.events[0]


def _described(line: Line) -> str:
    held = line.holder
    return f"{line.level}\t{int(line.output is not None)}\t{held.consumer if held else ''}"


def main(arguments: list[str]) -> int:
    """Take the name in the working folder, go into the background once it can be reached, and serve."""
    name, on_release, linger_s, lines = arguments
    folder = os.open(".", os.O_PATH | os.O_DIRECTORY)
    os.umask(0o077)
    lock = os.open(f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0  # There is one already: it will be used.
    os.ftruncate(lock, 0)
    _unlink(name, folder)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    door.bind(name)
    door.listen(64)
    if child := os.fork():
        os.write(lock, b"%d\n" % child)
        os._exit(0)
    _into_the_background()
    keeps, linger_ns = on_release == "kept", int(float(linger_s) * _NS)
    Chip(door, lines=int(lines), keeps=keeps, linger_ns=linger_ns).run()
    _unlink(name, folder)
    return 0


def _unlink(name: str, folder: int) -> None:
    try:  # noqa: SIM105 - as above
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass


def _into_the_background() -> None:
    os.setsid()
    os.chdir("/")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
