"""Tells systemd how it goes, by the datagrams of sd_notify(3). Without systemd nothing is told."""

from __future__ import annotations

import os
import socket


class Notify:
    """The socket that NOTIFY_SOCKET names; the variable is taken away, so that no child speaks there."""

    def __init__(self) -> None:
        address = os.environ.pop("NOTIFY_SOCKET", "")
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
