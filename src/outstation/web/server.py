"""The HTTP server: connections on the node's sockets, and one look a second at those that take too long."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.config import Config

from outstation.web import crowd, handshakes, unread
from outstation.web.connection import Protocol
from outstation.web.handshakes import Handshakes
from outstation.web.listen import BACKLOG
from outstation.web.tls import Certificate

__all__ = ["Protocol", "Server"]

log = logging.getLogger(__name__)

_DESCRIPTORS = 4_096
_KEPT_BACK = 100
"""Descriptors for the file, its readers, the pins, connections on their way out; half of them where there are few."""


class _ControlProtocol(Protocol):
    """A connection that came in by the control socket."""

    is_control = True


class _BoardsProtocol(Protocol):
    """A connection to the port for boards: nothing is there but their dialects."""

    def __init__(self, config: Config, *server: Any, **named: Any) -> None:
        super().__init__(config, *server, **named)
        self.gate = config.app.boards_gate  # type: ignore[union-attr]


class Server(uvicorn.Server):
    """uvicorn's server on sockets that are open already; it leaves signals to the node."""

    def __init__(self, app: object, *, drain: float, certificate: Certificate | None = None) -> None:
        """certificate: for the one port; the control socket and the one for boards alone stay as they are."""
        super().__init__(
            Config(
                app=app,  # type: ignore[arg-type]
                http=Protocol,
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=int(drain),
            )
        )
        self._certificate = certificate
        self._control: socket.socket | None = None
        self._boards: socket.socket | None = None
        descriptors = _descriptors()
        self._handshakes = min(handshakes.MOST, descriptors // 8) if certificate else 0
        free = descriptors - len(list(Path("/proc/self/fd").iterdir())) - self._handshakes
        most = min(crowd.MAX_CONNECTIONS, max(free - _KEPT_BACK, free // 2))
        Protocol.most_connections, Protocol.most_refused = most, min(crowd.MAX_REFUSED, (free - most) // 2)

    async def run_on(self, port: socket.socket, control: socket.socket, boards: socket.socket | None = None) -> None:
        """Serve on a TCP socket, the control socket, and one for boards alone, until `should_exit`."""
        self._control, self._boards = control, boards
        sweeping = asyncio.create_task(self._sweep())
        try:
            await self._serve([port])
        finally:
            sweeping.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])
        loop = asyncio.get_running_loop()
        people = partial(Protocol, self.config, self.server_state, {})
        for port in sockets or ():
            if self._certificate:
                taking = Handshakes(port, people, self._certificate.context, self._handshakes)
                self.servers.append(taking)  # type: ignore[arg-type]  # they are closed, and no more
            else:
                self.servers.append(await loop.create_server(people, sock=port, backlog=BACKLOG))
        # Nobody but us removes the socket: Python 3.13's loops would look for it by the name that it was bound by.
        keeping: dict[str, Any] = {"cleanup_socket": False}
        control = partial(_ControlProtocol, self.config, self.server_state, {})
        self.servers.append(await loop.create_unix_server(control, sock=self._control, **keeping))
        if self._boards:
            boards = partial(_BoardsProtocol, self.config, self.server_state, {})
            self.servers.append(await loop.create_server(boards, sock=self._boards, backlog=BACKLOG))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(1)
            self.config.app.access.look()  # type: ignore[union-attr]
            if self._certificate:
                self._certificate.look()
            for connection in list(self.server_state.connections):
                try:
                    connection.sweep()  # type: ignore[union-attr]
                except Exception:  # one connection's fault must not end the deadlines of all others
                    log.exception("a connection could not be looked after")
            unread.relieve(self.server_state.connections)


def _descriptors() -> int:
    """Return how many files this process may have open, raised as far as is useful and allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)
