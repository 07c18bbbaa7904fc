"""The reduced node: answers while the whole one cannot run. Says why, shows the last of its log, and no more.

The law of this file: standard library alone, one request a connection, nothing is read beyond the head of a
request; and why is said to those alone who may read, by TLS where the whole node speaks it. Its outputs are the
supervisor's matter. Started as a script by the supervisor: the numbers of two files in memory, one with the reason, a
NUL and the log, one with the terms, and those of the sockets. Everybody on a machine may read what arguments say.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time

if __name__ == "__main__":
    # Without site-packages nobody else says where this package lies.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # noqa: PTH100, PTH120

from outstation.supervisor.readers import Readers, is_here
from outstation.wire import terms
from outstation.wire.terms import CLOSED

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

    from outstation.supervisor.secure import Secure

_HEAD_BYTES = 8_192
_PATIENCE_S = 5.0
_MOST = 64
"""Connections at once; for one more the oldest goes that has said nothing, else it waits in the kernel's queue."""

_AGAIN_S = 30
"""What Retry-After says."""


class Story:
    """What is told at a port. why: the reason in words. log: the last that the whole node said."""

    def __init__(self, why: str, log: bytes, readers: Readers) -> None:
        self.why, self.log, self.readers = why, log, readers


class Peer:
    """One connection: what it has sent so far, and what is still to be sent to it. wants: what poll waits for."""

    def __init__(self, connection: socket.socket | Secure, address: str, story: Story) -> None:
        self.connection, self.address, self.story = connection, address, story
        self.head, self.answer = b"", b""
        self.wants = select.POLLIN
        self.until = time.monotonic() + _PATIENCE_S


class Reduced:
    """The loop. shown: a certificate, where people come by TLS.

    ports: the second one, if there is one, is for boards alone, and without TLS: a board that nobody answers waits, and
    does nothing else; but the reason is for nobody there.
    """

    def __init__(self, ports: list[socket.socket], story: Story, shown: ssl.SSLContext | None = None) -> None:
        self._ports = {port.fileno(): port for port in ports}
        self._people, self._story, self._shown = ports[0], story, shown
        self._closed = Story(story.why, b"", Readers(None))
        self._peers: dict[int, Peer] = {}
        self._parent = os.getppid()

    def run(self) -> None:
        """Serve until killed, or the supervisor is gone: an orphan would keep the port from the next node."""
        while os.getppid() == self._parent:
            poll = select.poll()
            if len(self._peers) < _MOST or self._silent() is not None:
                for fd in self._ports:
                    poll.register(fd, select.POLLIN)
            for fd, peer in self._peers.items():
                poll.register(fd, peer.wants)
            for fd, _ in poll.poll(1_000):
                if fd in self._ports:
                    self._welcome(self._ports[fd])
                elif fd in self._peers:  # it may have made room for another
                    self._serve(self._peers[fd])
            now = time.monotonic()
            for peer in [peer for peer in self._peers.values() if peer.until < now]:
                self._part(peer)

    def _silent(self) -> Peer | None:
        """Return who has been here for longest of those that have said nothing."""
        return next((peer for peer in self._peers.values() if not peer.head and not peer.answer), None)

    def _welcome(self, port: socket.socket) -> None:
        if len(self._peers) >= _MOST and (silent := self._silent()):
            self._part(silent)
        try:
            connection, address = port.accept()
            connection.setblocking(False)
            is_people = port is self._people
            line = self._secured(connection) if is_people and self._shown else connection
        except OSError:  # gone again
            return
        self._peers[line.fileno()] = Peer(line, str(address[0]), self._story if is_people else self._closed)

    def _secured(self, connection: socket.socket) -> Secure:
        from outstation.supervisor.secure import Secure  # noqa: PLC0415 - ssl is some megabytes that most have no use for

        assert self._shown is not None
        return Secure(connection, self._shown)

    def _serve(self, peer: Peer) -> None:
        try:
            if peer.answer:
                peer.answer = peer.answer[peer.connection.send(peer.answer) :]
                if not peer.answer:
                    self._part(peer)
                return
            found = peer.connection.recv(_HEAD_BYTES)
        except BlockingIOError:
            peer.wants = getattr(peer.connection, "wants", peer.wants)
            return
        except OSError:  # gone, or no TLS
            found, peer.answer = b"", b""
        peer.head += found
        if not found or len(peer.head) > _HEAD_BYTES:
            self._part(peer)
        elif b"\r\n\r\n" in peer.head:
            peer.answer, peer.wants = answer(peer.head, peer.address, peer.story), select.POLLOUT

    def _part(self, peer: Peer) -> None:
        del self._peers[peer.connection.fileno()]
        peer.connection.close()


def answer(head: bytes, address: str, story: Story) -> bytes:
    """Return the whole answer to a request."""
    request, *rows = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    method, _, target = request.partition(" ")
    path = target.partition(" ")[0].partition("?")[0]
    headers = {name.strip().lower(): value.strip() for name, _, value in (row.partition(":") for row in rows)}
    is_reader = story.readers.has(address, headers)
    if path == "/api/health":
        return _written(method, 503, "application/json", _health(story.why if is_reader else CLOSED))
    if path == "/api/log" and is_reader and is_here(address, headers):
        return _written(method, 200, "text/plain; charset=utf-8", story.log)
    more = f"{story.why} /api/log shows its last words to whoever asks on this machine."
    return _written(method, 503, "application/problem+json", _problem(more if is_reader else CLOSED))


def _health(why: str) -> bytes:
    return f'{{"status": "unhealthy", "reduced": true, "problems": [{_quoted(why)}]}}\n'.encode()


def _problem(why: str) -> bytes:
    text = _quoted(why)
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


def begin(ports: list[socket.socket], log: bytes, why: str, known: terms.Terms) -> Reduced:
    """Return the loop; without a certificate that can be used nobody is told more than that there is a fault."""
    if not known.certificate:
        return Reduced(ports, Story(why, log, Readers(known)))
    from outstation.supervisor import secure  # noqa: PLC0415 - as above

    try:
        return Reduced(ports, Story(why, log, Readers(known)), secure.context(known.certificate, known.key))
    except (OSError, ValueError) as error:
        said = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        text = (
            f"ERROR outstation.supervisor: the reduced node speaks no TLS, and so tells nobody why it is there: {said}:"
        )
        sys.stderr.write(f"{text} {known.certificate} with {known.key}\n")
    return Reduced(ports, Story(why, b"", Readers(None)))


def main(arguments: list[str]) -> None:
    """Serve with the story and on the terms in these files, on the sockets with these numbers."""
    told, given, *numbers = arguments
    with open(int(told), "rb") as file:  # noqa: PTH123 - a descriptor
        file.seek(0)
        why, _, log = file.read().partition(b"\0")
    ports = [socket.socket(fileno=int(number)) for number in numbers]
    for port in ports:
        os.set_inheritable(port.fileno(), False)
        port.setblocking(False)
    begin(ports, log, why.decode(), terms.read_from(int(given))).run()


if __name__ == "__main__":
    main(sys.argv[1:])
