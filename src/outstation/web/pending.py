"""A request on its way, and the room that all of them share.

The law of this file: what is sent takes no more memory than is set aside for it, however many send.
"""

from __future__ import annotations

from itertools import chain

from outstation.http import NOBODY, Peer, Request, Response
from outstation.web.security import READER, Admission

ROOM, STRANGERS_ROOM = 32 * 1024 * 1024, 8 * 1024 * 1024
"""Bytes of requests that may be held, unanswered: all of them, and as far as strangers may fill that. A stranger is who
showed no key before the body came: boards among them, whose protocols have it in there."""

_PITTANCE = 4 * 1024
"""Bytes of a body that are taken though nothing is left: a board's reading always gets in."""

_QUEUED = 1_024
"""Bytes that a request costs besides what it says, while it waits for its turn."""

_held = [0]
"""Bytes that are held, in this process."""


class Pending(Request):
    """One request on its way: read, then answered in its turn. held: so much of the room is for it."""

    __slots__ = ("admitted", "held", "keep_alive", "received")

    admitted: Admission | Response
    held: int
    keep_alive: bool
    received: bytearray

    @classmethod
    def of_nobody(cls, peer: Peer) -> Pending:
        """Return one that stands for what was no request."""
        pending = cls("", "", b"", [], peer)
        pending.admit(Response(b""), keep_alive=False)
        return pending

    def admit(self, admitted: Admission | Response, *, keep_alive: bool) -> None:
        """Note what the gate said: from now on there may be a body."""
        self.admitted, self.keep_alive = admitted, keep_alive
        self.received, self.held = bytearray(), 0

    def refuse(self, answer: Response) -> None:
        """Note that it is refused, whatever else comes of it, and as the last of its connection."""
        self.leave()
        self.admit(answer, keep_alive=False)

    def holds(self, more: int) -> bool:
        """Hold so many bytes more of its body; tell whether there was room."""
        return len(self.received) <= _PITTANCE or self._hold(more)

    def queues(self) -> bool:
        """Hold what it takes to wait behind many others of its connection; tell whether there was room."""
        return self._hold(_QUEUED + sum(map(len, chain.from_iterable(self.headers))))

    def leave(self) -> None:
        """Give back the room. May be called twice."""
        _held[0] -= self.held
        self.held = 0

    def _hold(self, size: int) -> bool:
        if _held[0] + size > (STRANGERS_ROOM if self._is_a_strangers() else ROOM):
            return False
        _held[0] += size
        self.held += size
        return True

    def _is_a_strangers(self) -> bool:
        admitted = self.admitted
        return isinstance(admitted, Response) or admitted.principal in (NOBODY, READER)
