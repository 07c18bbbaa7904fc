"""Tells systemd how it goes, by the datagrams of sd_notify(3). Without systemd nothing is told."""

from __future__ import annotations

import math
import socket
import time

_TOLD_EVERY_S = 5.0

_MORE_S = 600
"""Until the next word. A step that has none is the commit of what a migration wrote: on a worn card, minutes."""


class Notify:
    """The socket that NOTIFY_SOCKET names, if it names one."""

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None
        self._unsaid: list[str] = []

    def say(self, *states: str) -> None:
        """Send states such as READY=1. What systemd has no room for, since it is busy, goes with the next ones."""
        if self._socket is None:
            return
        self._unsaid = [*dict.fromkeys([*self._unsaid, *states])]
        try:
            self._socket.sendto("\n".join(self._unsaid).encode(), socket.MSG_DONTWAIT, self._address)
        except BlockingIOError:
            return
        except OSError:  # it is gone, and no reason to stumble
            pass
        self._unsaid = []

    def close(self) -> None:
        """Say nothing any more. May be called twice."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Progress:
    """Asks for more time than TimeoutStartSec, for as long as there is progress: each call is some."""

    def __init__(self, notify: Notify, what: str) -> None:
        self._notify, self._what = notify, what
        self._told = -math.inf

    def __call__(self) -> None:
        """Tell of it, unless that was done just now."""
        if time.monotonic() - self._told > _TOLD_EVERY_S:
            self._told = time.monotonic()
            self._notify.say(f"EXTEND_TIMEOUT_USEC={_MORE_S * 1_000_000}", f"STATUS={self._what}")
