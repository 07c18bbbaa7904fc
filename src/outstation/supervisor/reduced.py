"""The reduced node: answers while the whole one cannot run. Says why, shows the last of its log, and no more.

The law of this file: standard library alone, one request a connection, nothing is read beyond the head of a
request. Its outputs are the supervisor's matter. Started as a script by the supervisor.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time

_HEAD_BYTES = 8_192
_PATIENCE_S = 5.0
_MOST = 64
"""Connections at once; one more waits in the kernel's queue."""

_AGAIN_S = 30
"""What Retry-After says."""

_LOCAL = ("127.", "::1", "::ffff:127.")
_FORWARDED = ("forwarded", "x-forwarded", "x-real-ip", "via")
"""As in web/peers.py: what a proxy adds."""

_LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")


class Peer:
    """One connection: what it has sent so far, and what is still to be sent to it."""

    def __init__(self, connection: socket.socket, address: str) -> None:
        self.connection, self.address = connection, address
        self.head, self.answer = b"", b""
        self.until = time.monotonic() + _PATIENCE_S
        connection.setblocking(False)


class Reduced:
    """The loop. why: the reason in words. log: the last that the whole node said.

    ports: that for boards alone is among them, since a board that nobody answers waits, and does nothing else.
    """

    def __init__(self, ports: list[socket.socket], log: bytes, why: str) -> None:
        self._ports = {port.fileno(): port for port in ports}
        self._log, self._why = log, why
        self._peers: dict[int, Peer] = {}
        self._parent = os.getppid()
        for port in ports:
            port.setblocking(False)

    def run(self) -> None:
        """Serve until killed, or the supervisor is gone: an orphan would keep the port from the next node."""
        while os.getppid() == self._parent:
            poll = select.poll()
            if len(self._peers) < _MOST:
                for fd in self._ports:
                    poll.register(fd, select.POLLIN)
            for fd, peer in self._peers.items():
                poll.register(fd, select.POLLOUT if peer.answer else select.POLLIN)
            for fd, _ in poll.poll(1_000):
                if fd in self._ports:
                    self._welcome(self._ports[fd])
                else:
                    self._serve(self._peers[fd])
            now = time.monotonic()
            for peer in [peer for peer in self._peers.values() if peer.until < now]:
                self._part(peer)

    def _welcome(self, port: socket.socket) -> None:
        try:
            connection, address = port.accept()
        except OSError:  # gone again
            return
        self._peers[connection.fileno()] = Peer(connection, str(address[0]))

    def _serve(self, peer: Peer) -> None:
        try:
            if peer.answer:
                peer.answer = peer.answer[peer.connection.send(peer.answer) :]
                if not peer.answer:
                    self._part(peer)
                return
            found = peer.connection.recv(_HEAD_BYTES)
        except BlockingIOError:
            return
        except OSError:
            found = b""
        peer.head += found
        if not found or len(peer.head) > _HEAD_BYTES:
            self._part(peer)
        elif b"\r\n\r\n" in peer.head:
            peer.answer = answer(peer.head, peer.address, self._log, self._why)

    def _part(self, peer: Peer) -> None:
        del self._peers[peer.connection.fileno()]
        peer.connection.close()


def answer(head: bytes, address: str, log: bytes, why: str) -> bytes:
    """Return the whole answer to a request."""
    request, *rows = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    method, _, target = request.partition(" ")
    path = target.partition(" ")[0].partition("?")[0]
    headers = {name.strip().lower(): value.strip() for name, _, value in (row.partition(":") for row in rows)}
    if path == "/api/health":
        return _written(method, 503, "application/json", _health(why))
    if path == "/api/log" and _is_local(address, headers):
        return _written(method, 200, "text/plain; charset=utf-8", log)
    return _written(method, 503, "application/problem+json", _problem(why))


def _is_local(address: str, headers: dict[str, str]) -> bool:
    """Tell whether whoever asks sits at this machine: not a proxy's client, nor a page from elsewhere in a browser."""
    host = headers.get("host", "")
    name, _, port = host.rpartition(":")
    host = name if port.isdecimal() and name else host
    proxied = any(name.startswith(_FORWARDED) for name in headers)
    return address.startswith(_LOCAL) and host in _LOCAL_HOSTS and "origin" not in headers and not proxied


def _health(why: str) -> bytes:
    return f'{{"status": "unhealthy", "reduced": true, "problems": [{_quoted(why)}]}}\n'.encode()


def _problem(why: str) -> bytes:
    text = _quoted(f"{why} /api/log shows its last words to whoever asks on this machine.")
    return (
        f'{{"type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": {text}, "error": {text}}}\n'
    ).encode()


def _quoted(text: str) -> str:
    """Return text as JSON; json itself would be a megabyte more."""
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character >= " " else f"\\u{ord(character):04x}"


def _written(method: str, status: int, kind: str, body: bytes) -> bytes:
    reason = "OK" if status == 200 else "Service Unavailable"
    again = "" if status == 200 else f"Retry-After: {_AGAIN_S}\r\n"
    head = (
        f"HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{again}"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (b"" if method == "HEAD" else body)


def main(arguments: list[str]) -> None:
    """Serve with the log in this file, for this reason, on the sockets with these numbers."""
    log, why, *numbers = arguments
    with open(int(log), "rb") as file:  # noqa: PTH123 - a descriptor
        file.seek(0)
        text = file.read()
    ports = [socket.socket(fileno=int(number)) for number in numbers]
    for port in ports:
        os.set_inheritable(port.fileno(), False)
    Reduced(ports, text, why).run()


if __name__ == "__main__":
    main(sys.argv[1:])
