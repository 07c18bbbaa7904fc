"""Sends one message by Apprise, in a process of its own, which takes Apprise and its 40 MB away with it when it ends.

The URL and the text come by standard input: arguments can be read by everybody on the machine.
"""

from __future__ import annotations

import logging
import socket
import sys
from typing import Any

import msgspec

from outstation.core.addresses import is_forbidden

DELIVERED, FAILED, UNKNOWN_URL = 0, 1, 2
"""What the exit status says."""


class Message(msgspec.Struct, frozen=True):
    """What to send, and where."""

    url: str
    title: str
    text: str
    kind: str


def main() -> int:
    """Send what standard input says."""
    import apprise  # noqa: PLC0415  an extra, and only this process pays for it

    message = msgspec.json.decode(sys.stdin.buffer.read(), type=Message)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    sys.addaudithook(_watch)
    sender = apprise.Apprise()
    if not sender.add(message.url):
        return UNKNOWN_URL
    is_delivered = sender.notify(title=message.title, body=message.text, notify_type=message.kind)
    return DELIVERED if is_delivered else FAILED


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Let no plugin, and no redirect that one follows, connect where nothing may be sent (sys.addaudithook)."""
    if event not in ("socket.connect", "socket.sendto") or not isinstance(arguments[1], tuple):
        return
    host, port = arguments[1][:2]
    if any(is_forbidden(str(row[4][0])) for row in socket.getaddrinfo(host, port)):
        raise OSError(None, "link-local, multicast and metadata addresses are not for messages")


if __name__ == "__main__":
    sys.exit(main())
