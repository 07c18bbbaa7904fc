"""Who comes by TLS, until the handshake is done.

The law of this file: who never ends one costs the node no descriptor that it needs: past the most that are under way,
the one that began first has to go. A server's own `ssl=` counts none of them: no protocol hears of one before its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable

from outstation.web.connection import LINGER, PATIENCE

log = logging.getLogger(__name__)

MOST = 250
"""Handshakes under way at once: an honest one takes some round trips."""

_TOGETHER = 16
"""Newcomers that are taken at once, before others have their turn."""

_REST = 1.0
"""Seconds until newcomers are taken again when there was no descriptor for one."""


class Handshakes:
    """Takes who comes to a port; `close` ends that. protocol: of the connection, once it is secure."""

    def __init__(
        self, port: socket.socket, protocol: Callable[[], asyncio.Protocol], context: ssl.SSLContext, most: int
    ) -> None:
        self._port, self._protocol, self._context, self._most = port, protocol, context, most
        self._loop = asyncio.get_running_loop()
        self._under_way: dict[socket.socket, asyncio.Task[None]] = {}
        self._resting: asyncio.TimerHandle | None = None
        port.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Take nobody more."""
        if self._resting:
            self._resting.cancel()
        self._loop.remove_reader(self._port)
        for task in self._under_way.values():
            task.cancel()

    async def wait_closed(self) -> None:
        """Wait until all that were under way have gone."""
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    def _listen(self) -> None:
        self._resting = None
        self._loop.add_reader(self._port, self._take)

    def _take(self) -> None:
        for _ in range(_TOGETHER):
            try:
                newcomer, _ = self._port.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                log.warning("newcomers have to wait: %s", error.strerror)
                self._loop.remove_reader(self._port)
                self._resting = self._loop.call_later(_REST, self._listen)
                return
            newcomer.setblocking(False)
            self._under_way[newcomer] = self._loop.create_task(self._greet(newcomer))
            if len(self._under_way) > self._most:
                self._part(next(iter(self._under_way)))

    def _part(self, oldest: socket.socket) -> None:
        del self._under_way[oldest]
        with contextlib.suppress(OSError):  # gone already
            oldest.shutdown(socket.SHUT_RDWR)  # which ends its handshake

    async def _greet(self, newcomer: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._protocol,
                newcomer,
                ssl=self._context,
                ssl_handshake_timeout=PATIENCE,
                ssl_shutdown_timeout=LINGER,  # who does not say good-bye is not waited for; else 30 s
            )
        except (OSError, asyncio.CancelledError):  # no TLS, or too slow, or the node stops
            newcomer.close()
        finally:
            self._under_way.pop(newcomer, None)
