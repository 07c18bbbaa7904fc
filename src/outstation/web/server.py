"""The HTTP server: uvicorn's protocol with one gate before it, caps, deadlines and canonical headers.

The law of this file: nothing is read past its cap, routed or answered before the gate has
admitted it; and answers leave in the order of their requests. Handlers of our own are called
straight from the parser, without a task; the API's framework gets plain ASGI, body complete.

Pinned to the uvicorn versions named in pyproject.toml: it replaces HttpToolsProtocol's parser
callbacks and uses its `_start_asgi_task`, `flow`, `parser` and `server_state`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import httptools
import uvicorn
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from outstation.http import Later, Peer, Request, Response, from_error, problem
from outstation.routes import Route
from outstation.web.peers import plain
from outstation.web.security import Admission, Gate

log = logging.getLogger(__name__)

MAX_HEADERS, MAX_URL = 16 * 1024, 8 * 1024
MAX_CONNECTIONS = 1_000

PATIENCE, IDLE, LINGER = 10, 60, 3
"""Seconds: for the headers, and again for the body, of a request; for the next request on an open
connection; and for the client to read a refusal that came before it had sent its whole body."""

_PIPELINED = 16
"""Requests that one connection may send ahead of their answers before it is read no further."""


_TOO_LARGE = 413


class Pending(Request):
    """One request on its way: read, then answered in its turn."""

    __slots__ = ("admitted", "keep_alive", "received")

    admitted: Admission | Response
    keep_alive: bool
    received: bytearray


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.gate: Gate = config.app.gate  # type: ignore[union-attr]
        self.peer = Peer("")
        self.patience = PATIENCE
        self.reading: Pending | None = None
        self.waiting: deque[Pending] = deque()
        self.answering: Pending | None = None
        self.framework: RequestResponseCycle | None = None
        self.lingering = False
        self._working_off = False
        self._header_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        address = transport.get_extra_info("peername")
        self.peer = Peer(plain(address[0])) if isinstance(address, tuple) else Peer("")
        if len(self.connections) > MAX_CONNECTIONS:
            busy = problem(503, "Too many connections; try again.", headers=((b"Retry-After", b"5"),))
            self._write_last(busy)

    def connection_lost(self, exc: Exception | None) -> None:
        self.waiting.clear()
        self.reading = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.lingering:
            return
        if self.reading is None:
            self._header_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._write_last(problem(501, "This server upgrades no connections."))
        except httptools.HttpParserError:
            self._write_last(problem(400, "This is no HTTP request (RFC 9112)."))
        if self.reading is None and self._header_bytes > MAX_HEADERS + MAX_URL:
            self._write_last(_too_many_headers())

    def on_message_begin(self) -> None:
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self.patience = PATIENCE

    def on_headers_complete(self) -> None:
        if self.lingering:
            return
        pending = self._pending()
        self._header_bytes = 0
        self.patience = PATIENCE
        if isinstance(pending, Response):
            self._write_last(pending)
            return
        pending.admitted = admitted = self.gate.admit(pending)
        pending.keep_alive = self.parser.should_keep_alive()
        pending.received = bytearray()
        self.reading = pending
        if self.expect_100_continue or (type(admitted) is Response and admitted.status == _TOO_LARGE):
            self._answer_early(admitted)

    def on_body(self, body: bytes) -> None:
        pending = self.reading
        if pending is None:
            return
        pending.received += body
        admitted = pending.admitted
        cap = MAX_HEADERS if isinstance(admitted, Response) else admitted.route.body
        if len(pending.received) > cap:
            refuse = problem if isinstance(admitted, Response) else admitted.route.refuse
            self._write_last(refuse(_TOO_LARGE, f"At most {cap} bytes are taken here; send less at once."))

    def on_message_complete(self) -> None:
        pending, self.reading = self.reading, None
        if pending is None:
            return
        if self.answering is not None:
            self.waiting.append(pending)
            if len(self.waiting) >= _PIPELINED:
                self.flow.pause_reading()
            return
        self._answer(pending)

    def shutdown(self) -> None:
        """Close when what was asked is answered: called by uvicorn when the server stops."""
        if self.answering is None:
            self.transport.close()
            return
        self.answering.keep_alive = False
        if self.framework is not None:
            self.framework.keep_alive = False

    def sweep(self) -> None:
        """Count a second of silence, and cut a client that took too many. Called once a second."""
        if self.answering is not None:
            return
        self.patience -= 1
        if self.patience < 0 and not self.transport.is_closing():
            half_sent = self.reading is not None or self._header_bytes
            if half_sent and not self.lingering:
                self.transport.write(problem(408, "The request came too slowly.").encode(close=True))
            self.transport.close()

    def _pending(self) -> Pending | Response:
        url = self.url
        if len(url) > MAX_URL:
            return problem(414, f"A URL has at most {MAX_URL} bytes here.")
        if (
            self._header_bytes > MAX_HEADERS
            and sum(len(name) + len(value) for name, value in self.headers) > MAX_HEADERS
        ):
            return _too_many_headers()
        try:
            parsed = httptools.parse_url(url)
            path = parsed.path.decode("ascii")
        except (httptools.HttpParserInvalidURLError, UnicodeDecodeError, AttributeError):
            return problem(400, "This URL cannot be read.")
        if "%" in path:
            path = unquote(path)
        method = self.parser.get_method().decode("ascii")
        return Pending(method, path, parsed.query or b"", self.headers, self.peer)

    def _answer_early(self, admitted: Admission | Response) -> None:
        """Say before the body comes what is known already: that it may come, or that it need not."""
        if isinstance(admitted, Response):
            self._write_last(admitted)
        elif self.answering is None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _answer(self, pending: Pending) -> None:
        """Begin to answer a request that is whole."""
        self.answering = pending
        admitted = pending.admitted
        if type(admitted) is Response:
            self._finish(pending, admitted)
            return
        assert type(admitted) is Admission
        route = admitted.route
        pending.body, pending.params, pending.principal = pending.received, admitted.params, admitted.principal
        if route.handler is None:
            self._start_framework(pending, admitted)
            return
        try:
            answer = route.handler(pending)
        except Exception as error:  # noqa: BLE001  one request's fault must not end the connection's others
            answer = from_error(error, route.refuse)
        if type(answer) is Later:
            later = answer
            later.future.add_done_callback(lambda done: self._finish_later(pending, route, later.finish, done))
        else:
            assert type(answer) is Response
            self._finish(pending, answer)

    def _finish_later(
        self, pending: Pending, route: Route, finish: Callable[[Any], Response], done: asyncio.Future[Any]
    ) -> None:
        try:
            answer = finish(done.result())
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  as above
            answer = from_error(error, route.refuse)
        self._finish(pending, answer)

    def _finish(self, pending: Pending, answer: Response) -> None:
        """Send an answer, and go on with the next request of this connection."""
        transport = self.transport
        if not transport.is_closing() and not self.lingering:
            admitted = pending.admitted
            if type(admitted) is Admission and (shared := self.gate.cors(pending, admitted.route)):
                answer = Response(answer.body, answer.status, answer.content_type, (*answer.headers, *shared))
            transport.write(answer.encode(close=not pending.keep_alive, head=pending.method == "HEAD"))
            if not pending.keep_alive:
                transport.close()
        self._next()

    def _next(self) -> None:
        """Be ready for the next request: one that came ahead, or one to be read."""
        self.server_state.total_requests += 1
        self.answering = self.framework = None
        self.patience = IDLE
        if not self.waiting:
            self.flow.resume_reading()
        elif not self._working_off:
            self._work_off()

    def _work_off(self) -> None:
        """Answer requests that came ahead; in a loop, since there may be hundreds."""
        self._working_off = True
        while self.waiting and self.answering is None and not self.transport.is_closing():
            self._answer(self.waiting.popleft())
        self._working_off = False

    def _start_framework(self, pending: Pending, admitted: Admission) -> None:
        scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": (self.peer.address, 0),
            "scheme": self.scheme,
            "root_path": "",
            "headers": pending.headers,
            "state": {},
            "method": pending.method,
            "path": pending.path,
            "raw_path": pending.path.encode(),
            "query_string": pending.query,
            "outstation": pending,
        }
        self.framework = self.cycle = RequestResponseCycle(
            scope=scope,  # type: ignore[arg-type]
            transport=self.transport,
            flow=self.flow,
            logger=log,
            access_logger=log,
            access_log=False,
            default_headers=list(self.gate.cors(pending, admitted.route)),
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=pending.keep_alive,
            on_response=self._next,
        )
        self.cycle.body = pending.received
        self.cycle.more_body = False
        self.cycle.message_event.set()
        self._start_asgi_task(self.cycle, self.app)

    def _write_last(self, answer: Response) -> None:
        """Refuse in the middle of a request, and end the connection once the client can have read why.

        A close with unread bytes would make the kernel send a reset, and the client would see that instead.
        """
        self.reading = None
        if self.lingering or self.transport.is_closing():
            return
        self.transport.write(answer.encode(close=True))
        self.lingering = True
        self.patience = LINGER
        if self.transport.can_write_eof():
            self.transport.write_eof()


class Server(uvicorn.Server):
    """uvicorn's server on sockets that are open already; it leaves signals to the node."""

    def __init__(self, app: object, *, drain: float) -> None:
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
        self._control: socket.socket | None = None

    async def run_on(self, port: socket.socket, control: socket.socket) -> None:
        """Serve on a TCP socket and on the control socket until `should_exit`."""
        self._control = control
        sweeping = asyncio.create_task(self._sweep())
        try:
            await self._serve([port])
        finally:
            sweeping.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(self._protocol, sock=self._control)
        self.servers.append(server)

    def _protocol(self) -> Protocol:
        return Protocol(self.config, self.server_state, {})

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(1)
            for connection in list(self.server_state.connections):
                connection.sweep()  # type: ignore[union-attr]


def _too_many_headers() -> Response:
    return problem(431, f"Headers have at most {MAX_HEADERS} bytes in all here.")
