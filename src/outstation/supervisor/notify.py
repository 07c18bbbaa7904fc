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

    def say(self, *states: str) -> None:
        """Send states such as READY=1. A lost one is no reason to stumble."""
        if self._socket is None:
            return
        try:
            self._socket.sendto("\n".join(states).encode(), socket.MSG_DONTWAIT, self._address)
        except OSError:
            return
