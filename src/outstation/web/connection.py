"""One HTTP connection: uvicorn's protocol with one gate before it, caps and deadlines.

The law of this file: nothing is read past its cap, routed or answered before the gate has
admitted it; and answers leave in the order of their requests. Handlers of our own are called
straight from the parser, without a task; the API's framework gets plain ASGI, body complete.

Pinned to the uvicorn versions named in pyproject.toml: it replaces HttpToolsProtocol's parser
callbacks and uses its `_start_asgi_task`, `flow`, `parser` and `server_state`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from outstation.http import Later, Peer, Response, from_error, problem
from outstation.routes import Route
from outstation.web import crowd, unread
from outstation.web.asgi import asgi_scope
from outstation.web.peers import plain
from outstation.web.pending import Pending
from outstation.web.security import Admission, Gate, no_room, too_large, too_many_headers

log = logging.getLogger(__name__)

MAX_HEADERS, MAX_URL = 16 * 1024, 8 * 1024

PATIENCE, IDLE, LINGER = 10, 60, 3
"""Seconds: for the headers, and again for the body, of a request; for the next request on an open
connection, and for a client that reads nothing of what it asked for; and for the client to read a
refusal that came before it had sent its whole body."""

_PORTION = 16 * 1024
"""Bytes of a body that earn its sender the same patience again: a batch may come over a slow radio link."""

_PIPELINED = 16
"""Requests that one connection may send ahead of their answers before it is read no further."""

_AT_ONCE = frozenset({413, 501})
"""Refusals of a body that is too large, or coded as nobody here understands: it is not waited for."""


class Protocol(HttpToolsProtocol):
    """One connection.

    reading: the request whose body is still to come. answering: the one whose answer is due; waiting: those after it.
    is_control: it came in by the control socket. most_connections: past these, idle ones have to go. most_refused:
    above them, who are told so. was_full_at: when none was idle, of this kind. reading_for: seconds, as unread.py says.
    deaf: the last request was read, what follows is thrown away; cut: that one was not read to its end.
    """

    is_control = False
    most_connections, most_refused = crowd.MAX_CONNECTIONS, crowd.MAX_REFUSED
    was_full_at = -1_000

    def __init__(self, config: Config, *server: Any, **named: Any) -> None:
        super().__init__(config, *server, **named)
        self.gate: Gate = config.app.gate  # type: ignore[union-attr]
        self.peer = Peer("")
        self.patience = PATIENCE
        self.reading: Pending | None = None
        self.waiting: deque[Pending] = deque()
        self.answering: Pending | None = None
        self.framework: RequestResponseCycle | None = None
        self.deaf = self.cut = False
        self._header_bytes = self._unsent = self.reading_for = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        address = transport.get_extra_info("peername")
        if self.is_control:
            self.peer = Peer("", is_control_socket=True)
        elif isinstance(address, tuple):
            self.peer = Peer(plain(address[0]), is_secure=transport.get_extra_info("sslcontext") is not None)
            self._find_room()
        else:
            self._leave()  # gone before it was greeted; what it sent is nobody's word

    def _find_room(self) -> None:
        """Let the longest idle connection go when there are too many; where none is idle, refuse this one."""
        verdict = crowd.verdict(self, self.connections)
        if verdict is crowd.Verdict.CUT:
            self._leave()
        elif verdict is crowd.Verdict.REFUSED:
            self._refuse(problem(503, "Too many connections; try again.", headers=((b"Retry-After", b"5"),)))

    def _leave(self) -> None:
        self.deaf = True
        self.transport.abort()

    @property
    def is_idle(self) -> bool:
        """Whether nothing was asked here that is not answered, and nothing is half said."""
        busy = self.is_control or self.answering or self.waiting or self._is_half_read()
        return not (busy or self.transport.is_closing())

    @property
    def has_just_come(self) -> bool:
        """Whether there was no time yet to ask: a second or two."""
        return PATIENCE - 1 <= self.patience <= PATIENCE

    def connection_lost(self, exc: Exception | None) -> None:
        for pending in filter(None, (self.reading, self.answering, *self.waiting)):
            pending.leave()
        self.waiting.clear()
        self.reading = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.deaf:
            return
        if self.reading is None:
            self._header_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # An offer that may be ignored (RFC 9110, section 7.8); the request is answered, as the last one.
        except httptools.HttpParserCallbackError as error:
            self._refuse(from_error(error.__context__ or error))
        except httptools.HttpParserError:
            self._refuse(problem(400, "This is no HTTP request (RFC 9112)."))
        if self.reading is None and self._header_bytes > MAX_HEADERS + MAX_URL:
            self._refuse(too_many_headers(MAX_HEADERS))

    def on_message_begin(self) -> None:
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self.patience = PATIENCE

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.reading is not None:
            return  # What follows a chunked body was not before the gate: it is no header.
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue" and self.parser.get_http_version() != "1.0":
            self.expect_100_continue = True  # HTTP/1.0 knows none (RFC 9110, section 10.1.1)
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.deaf:
            return
        pending = self._pending()
        self._header_bytes = 0
        self.patience = PATIENCE
        if isinstance(pending, Response):
            self._refuse(pending)
            return
        admitted = self.gate.admit(pending)
        pending.admit(admitted, keep_alive=self._keeps_alive())
        self.reading = pending
        if self.expect_100_continue or (type(admitted) is Response and admitted.status in _AT_ONCE):
            self._answer_early(admitted)

    def on_body(self, body: bytes) -> None:
        pending = self.reading
        if pending is None:
            return
        received, admitted = pending.received, pending.admitted
        if len(received) % _PORTION + len(body) >= _PORTION:
            self.patience = PATIENCE
        received += body
        if isinstance(admitted, Response):
            if len(received) > MAX_HEADERS:
                self._refuse(admitted)
        elif len(received) > admitted.route.body:
            self._refuse(too_large(admitted.route))
        elif not pending.holds(len(body)):
            self._refuse(no_room(admitted.route))

    def on_message_complete(self) -> None:
        pending, self.reading = self.reading, None
        if pending is not None:
            self.deaf = not pending.keep_alive
            self._take(pending)

    def pause_writing(self) -> None:
        """Read nothing more while the client does not read what it has asked for. Called by the transport."""
        super().pause_writing()
        self.flow.pause_reading()
        unread.relieve(self.connections)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._go_on()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer a client that has said all it will say; but one that watches a stream has left with that."""
        last = self.waiting[-1] if self.waiting else self.answering
        if last is None or (isinstance(last.admitted, Admission) and last.admitted.route.stream):
            return False
        self.deaf, last.keep_alive = True, False
        if self.framework is not None and last is self.answering:
            self.framework.keep_alive = False
        return not self.peer.is_secure  # a connection by TLS has no half that could stay open

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
        unsent = self.transport.get_write_buffer_size()
        if unsent and unsent != self._unsent:
            self.patience = IDLE
        self.reading_for = unread.reading_for(self.reading_for, before=self._unsent, unsent=unsent)
        self._unsent = unsent
        if self.answering is not None and not unsent:
            return
        self.patience -= 1
        if self.patience >= 0:
            return
        if unsent:
            self.transport.abort()
        elif self._is_half_read() and not self.deaf:
            self._refuse(problem(408, "The request came too slowly."))
        else:
            self.transport.close()

    def _pending(self) -> Pending | Response:
        url = self.url
        if len(url) > MAX_URL:
            return problem(414, f"A URL has at most {MAX_URL} bytes here.")
        if (
            self._header_bytes > MAX_HEADERS
            and sum(len(name) + len(value) for name, value in self.headers) > MAX_HEADERS
        ):
            return too_many_headers(MAX_HEADERS)
        start, _, query = url.partition(b"?")
        known = self.gate.known_paths.get(start)
        if known is not None and query.find(b"#") < 0 and not self.parser.should_upgrade():
            return Pending(self.parser.get_method().decode("ascii"), known, query, self.headers, self.peer)
        try:
            parsed = httptools.parse_url(url)
            path = parsed.path.decode("ascii")
        except (httptools.HttpParserInvalidURLError, UnicodeDecodeError, AttributeError):
            return problem(400, "This URL cannot be read.")
        if "%" in path:
            path = unquote(path)
        if parsed.schema:
            self._take_host_of_url()
        if self.parser.should_upgrade() and self._has_body():
            return problem(501, "This server upgrades no connection; send the body without the header Upgrade.")
        method = self.parser.get_method().decode("ascii")
        return Pending(method, path, parsed.query or b"", self.headers, self.peer)

    def _take_host_of_url(self) -> None:
        """Believe a whole URL, as sent to proxies, before the Host header (RFC 9112, section 3.2.2)."""
        authority = self.url.split(b"/", 3)[2]
        self.headers = [(b"host", authority), *(header for header in self.headers if header[0] != b"host")]

    def _has_body(self) -> bool:
        """Tell whether a body is announced, which the parser takes for another protocol after an Upgrade."""
        return any(name in (b"content-length", b"transfer-encoding") for name, _ in self.headers)

    def _keeps_alive(self) -> bool:
        """Tell whether another request may follow: HTTP/1.0 would have to be promised it in words of its own."""
        parser = self.parser
        return parser.should_keep_alive() and not parser.should_upgrade() and parser.get_http_version() != "1.0"

    def _take(self, pending: Pending) -> None:
        """Answer a request, if it is its turn."""
        if self.answering is None and not self.waiting and not self.flow.write_paused:
            self._answer(pending)
            return
        self.waiting.append(pending)
        if len(self.waiting) >= _PIPELINED:
            self.flow.pause_reading()
            if not self.cut and not pending.queues():
                self._leave()

    def _go_on(self) -> None:
        """Answer those whose turn it is now, and read on when none is left."""
        while self.waiting and self.answering is None and not self.flow.write_paused:
            if self.transport.is_closing():
                return
            self._answer(self.waiting.popleft())
        if not (self.waiting or self.flow.write_paused or self.transport.is_closing()):
            self.flow.resume_reading()

    def _answer_early(self, admitted: Admission | Response) -> None:
        """Say before the body comes what is known already: that it may come, or that it need not."""
        if isinstance(admitted, Response):
            self._refuse(admitted)
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
        self._go_on()

    def _finish(self, pending: Pending, answer: Response) -> None:
        """Send an answer, and hang up if it is the connection's last."""
        self._done()
        admitted = pending.admitted
        route = admitted.route if type(admitted) is Admission else None
        self.gate.access.note(pending, answer.status, route)  # also of who did not wait: what changed has changed
        transport = self.transport
        if transport.is_closing():
            return
        shared = self.gate.around(pending, route, answer.headers)
        transport.write(answer.encode(close=not pending.keep_alive, head=pending.method == "HEAD", more=shared))
        if not pending.keep_alive:
            self._hang_up()

    def _done(self) -> None:
        self.server_state.total_requests += 1
        if self.answering is not None and self.answering.held:
            self.answering.leave()
        self.answering = self.framework = None
        self.patience = PATIENCE if self._is_half_read() else IDLE

    def _is_half_read(self) -> bool:
        return self.reading is not None or self._header_bytes > 0

    def _framework_done(self) -> None:
        self._done()
        self._go_on()

    def _start_framework(self, pending: Pending, admitted: Admission) -> None:
        self.patience = IDLE
        self.framework = self.cycle = RequestResponseCycle(
            scope=asgi_scope(pending, self.server, self.scheme),  # type: ignore[arg-type]
            transport=self.transport,
            flow=self.flow,
            logger=log,
            access_logger=log,
            access_log=False,
            default_headers=list(self.gate.cors(pending, admitted.route)),
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=pending.keep_alive,
            on_response=self._framework_done,
        )
        self.cycle.body = pending.received
        self.cycle.more_body = False
        self.cycle.message_event.set()
        self._start_asgi_task(self.cycle, self.app)

    def _refuse(self, answer: Response) -> None:
        """Refuse in the middle of a request: in its turn, and as the last answer of this connection."""
        if self.deaf:
            return
        pending, self.reading = self.reading or Pending.of_nobody(self.peer), None
        pending.refuse(answer)
        self.deaf = self.cut = True
        self._take(pending)

    def _hang_up(self) -> None:
        """Close, once the client can have read why.

        A close with unread bytes would make the kernel send a reset, and the client would see that instead.
        """
        if self.cut and self.transport.can_write_eof():
            self.patience = LINGER
            self.transport.write_eof()
        else:
            self.transport.close()
