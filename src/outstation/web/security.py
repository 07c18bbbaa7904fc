"""The one gate: no request reaches a handler but through `Gate.admit`.

The law of this file: every check is here, in one order, for every route; a valid key never
suffers for its neighbours; and nothing that came in is sent back.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from outstation.engine.guesses import WAIT, Guesses
from outstation.http import JSON, NOBODY, Headers, Principal, Request, Response, problem
from outstation.routes import SCOPES, Route, Scope, Table
from outstation.store.keys import Key, Keys
from outstation.store.sessions import Sessions
from outstation.web.access import Access
from outstation.web.hosts import Hosts
from outstation.web.peers import Peers

CONTROL_SOCKET = Principal("control socket", frozenset(SCOPES))
READER = Principal("anonymous", frozenset({"read"}))

_KEYS = (b"x-api-key", b"authorization")
_ANY_ORIGIN = ((b"Access-Control-Allow-Origin", b"*"),)
_KEY_HEADERS = b"X-API-Key, Authorization, X-THINGSPEAKAPIKEY"
_DIALECT = (
    *_ANY_ORIGIN,
    (b"Access-Control-Allow-Methods", b"GET, POST, PUT, OPTIONS, DELETE, PATCH"),
    (b"Access-Control-Allow-Headers", b"origin, content-type, X-Requested-With, " + _KEY_HEADERS),
    (b"Access-Control-Max-Age", b"1800"),
)
"""What ThingSpeak says with every answer (recorded in the tests of mchwalisz/thingspeak), and the headers of keys."""


class Admission(msgspec.Struct, frozen=True):
    """A request that may go in: its row of the table, who asks, and the names in its path."""

    route: Route
    principal: Principal
    params: dict[str, str]


class Gate:
    """Checks a request against the table of routes, before its body is read."""

    def __init__(
        self,
        table: Table,
        keys: Keys,
        hosts: Hosts,
        peers: Peers,
        access: Access,
        *,
        origins: tuple[str, ...] = (),
        public: tuple[str, ...] = (),
        sessions: Sessions | None = None,
        node: str = "",
    ) -> None:
        self.known_paths = {path.encode(): path for path in table.fixed}
        self.table, self._keys, self._hosts, self._peers = table, keys, hosts, peers
        self.access = access
        self._sessions, self._node = sessions, node
        self._public = frozenset(public)
        self._origins = frozenset(origin.encode() for origin in origins)
        self._has_open_routes = any(route.any_origin for route in table.routes)
        self._guesses = Guesses()

    def admit(self, request: Request) -> Admission | Response:
        """Return the admission, or the refusal to send."""
        headers = dict(request.headers)
        if self._peers.has_proxies and not request.peer.is_proxied:
            request.peer = self._peers.behind(request.peer, headers)
        match = self.table.find(request.path)
        route = match.rows.get("GET" if request.method == "HEAD" else request.method) if match else None
        if match is None or route is None:
            return self._nowhere(request, match.rows if match else {}, headers)
        refusal = self._refuse_early(request, route, headers)
        if refusal is not None:
            return refusal
        if route.scope is None:
            return Admission(route, NOBODY, match.params)
        principal = self._principal(request, route, headers)
        if isinstance(principal, Response):
            return principal
        return Admission(route, principal, match.params)

    def admits(self, request: Request) -> bool:
        """Tell whether a request that went in would go in now: a key may be revoked by now, a neighbour stays one."""
        return request.principal is READER or isinstance(self.admit(request), Admission)

    def around(self, request: Request, route: Route | None, said: Headers) -> Headers:
        """Return the headers that stand around an answer. said: its own."""
        shared = self.cors(request, route)
        is_private = route is not None and route.method == "GET" and route.scope is not None and not route.any_origin
        return (*shared, NOT_KEPT) if is_private and leaves_open(said) else shared

    def cors(self, request: Request, route: Route | None) -> tuple[tuple[bytes, bytes], ...]:
        """Return the headers that let a page of another origin read the answer: none unless it is listed.

        route: None for a refusal. The listed origin `*` is for reads only.
        """
        if route is not None and route.any_origin:
            return _DIALECT
        if not (self._origins or self._has_open_routes):
            return ()
        wanted = route or self._wanted(request)
        if wanted is not None and wanted.any_origin:
            return _DIALECT
        origin = request.header(b"origin")
        if origin is None:
            return ()
        if origin in self._origins:
            return ((b"Access-Control-Allow-Origin", origin), (b"Vary", b"Origin"))
        if wanted is not None and b"*" in self._origins and wanted.scope == "read":
            return _ANY_ORIGIN
        return ()

    def _wanted(self, request: Request) -> Route | None:
        """Return the row that a request is for, or a preflight asks about."""
        match = self.table.find(request.path)
        method = request.method
        if method == "OPTIONS":
            method = (request.header(b"access-control-request-method") or b"").decode("ascii", "replace")
        return match.rows.get("GET" if method == "HEAD" else method) if match else None

    def _refuse_early(self, request: Request, route: Route, headers: dict[bytes, bytes]) -> Response | None:
        if len(headers) != len(request.headers) and _stands_twice(request, b"host"):
            return route.refuse(400, "There is more than one Host header.")
        if not (route.any_host or self._is_for_us(request, headers)):
            return _misdirected()
        if route.acts and (request.method == "HEAD" or _is_a_browsers_doing(headers)):
            return route.refuse(405, "A browser's look at this address changes nothing.")
        return _refuse_body(route, headers)

    def _is_for_us(self, request: Request, headers: dict[bytes, bytes]) -> bool:
        return request.peer.is_control_socket or self._hosts.allow(headers.get(b"host", b""))

    def _nowhere(self, request: Request, rows: dict[str, Route], headers: dict[bytes, bytes]) -> Response:
        """Refuse what no row is for, and answer OPTIONS."""
        if not (any(row.any_host for row in rows.values()) or self._is_for_us(request, headers)):
            return _misdirected()
        if not rows:
            return problem(404, "There is nothing at this path; /docs lists what there is.")
        allowed = b", ".join(sorted(method.encode() for method in {*rows, "OPTIONS"} | _heads(rows)))
        if request.method != "OPTIONS":
            return problem(405, "This path knows other methods; see the Allow header.", headers=((b"Allow", allowed),))
        return Response(b"", 204, headers=((b"Allow", allowed), *self._preflight(request, allowed)))

    def _preflight(self, request: Request, allowed: bytes) -> tuple[tuple[bytes, bytes], ...]:
        if self.cors(request, None) in ((), _DIALECT):
            return ()
        names = b"Content-Type, " + _KEY_HEADERS
        return ((b"Access-Control-Allow-Methods", allowed), (b"Access-Control-Allow-Headers", names))

    def _principal(self, request: Request, route: Route, headers: dict[bytes, bytes]) -> Principal | Response:
        assert route.scope is not None
        if request.peer.is_control_socket:
            return CONTROL_SOCKET
        text = sent_key(headers)
        if text is None:
            return self._visitor(request, route, headers)
        key = None if _key_stands_twice(request, headers) else self._keys.check(text)
        if key is None:
            return self._wrong_key(request.peer.address, text, route.scope)
        return _allowed(key, route.scope, key.scopes)

    def _visitor(self, request: Request, route: Route, headers: dict[bytes, bytes]) -> Principal | Response:
        """Admit who sent no key: by the cookie of a session, or as one who only looks, from the local network."""
        key = self._session(route, headers)
        if key is not None and (request.method in LOOKING or _is_own_page(headers)):
            return _allowed(key, route.scope or "any", key.scopes | {"read"})
        if route.scope == "read" and (route.path in self._public or self._peers.may_read(request.peer, headers)):
            return READER
        if key is not None:
            return problem(403, "A page of another site asked for this; a session is for this node's own page.")
        words = f"This needs a key in the header X-API-Key; {_how_to_make(route.scope or 'read')}."
        return _unauthorised(words) if route.refuse is problem else route.refuse(401, words)

    def _session(self, route: Route, headers: dict[bytes, bytes]) -> Key | None:
        """Return the key of a session; on routes for boards and for pages of others a cookie says nothing."""
        if self._sessions is None or route.any_host or route.any_origin or _is_a_browsers_doing(headers):
            return None
        text = cookie(headers, cookie_name(self._node, headers.get(b"host", b"")))
        return None if text is None else self._sessions.check(text)

    def _wrong_key(self, address: str, text: str, scope: str) -> Response:
        """Refuse a wrong key, and after too many guesses say so; only wrong keys ever come here."""
        if self._guesses.are_too_many(address, text):
            return problem(429, "Too many wrong keys from this address; wait a minute.", headers=WAIT)
        return _unauthorised(f"This key is not known or was revoked; {_how_to_make(scope)}.")


NOT_KEPT = (b"Cache-Control", b"no-store")


def leaves_open(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether an answer leaves open who keeps it: to a shared cache X-API-Key means nothing (RFC 9111, 3.5)."""
    return not any(name.lower() == b"cache-control" for name, _ in headers)


LOOKING = ("GET", "HEAD")


def _allowed(key: Key, scope: Scope, held: frozenset[str]) -> Principal | Response:
    if scope not in held and scope != "any":
        return problem(403, f'This needs a key with the scope "{scope}"; {_how_to_make(scope)}.')
    return Principal(key.name, held, key.device)


def cookie_name(node: str, host: bytes) -> bytes:
    """Return a session's cookie's name: browsers do not tell the ports of one host apart (RFC 6265, section 8.5)."""
    port = host.rpartition(b":")[2]
    return f"outstation-{node}".encode() + (b"-" + port if port.isdigit() else b"")


def cookie(headers: dict[bytes, bytes], name: bytes) -> str | None:
    """Return what the cookie of this name says (RFC 6265, section 4.2); None where it was not sent."""
    for pair in headers.get(b"cookie", b"").split(b";"):
        found, _, value = pair.partition(b"=")
        if found.strip() == name:
            return value.strip().decode("ascii", "replace")
    return None


def _is_own_page(headers: dict[bytes, bytes]) -> bool:
    """Tell whether a page of ours sent this. Over plain HTTP there is no Fetch Metadata, and the Origin tells."""
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site == b"same-origin"
    return headers.get(b"origin", b"").partition(b"://")[2] == headers.get(b"host")


def _how_to_make(scope: str) -> str:
    scope = "read" if scope == "any" else scope
    return f"make one on the machine: outstation keys create NAME --scope {scope}"


def _heads(rows: dict[str, Route]) -> set[str]:
    return {"HEAD"} if "GET" in rows and not rows["GET"].acts else set()


def sent_key(headers: dict[bytes, bytes]) -> str | None:
    """Return the key as sent; None when none was. Other schemes are another's: a proxy's password, for one."""
    raw = headers.get(b"x-api-key")
    if raw is None:
        raw = _bearer(headers.get(b"authorization", b""))
    return None if raw is None else raw.strip().decode("ascii", "replace")


def _bearer(value: bytes) -> bytes | None:
    scheme, _, key = value.partition(b" ")
    return key if scheme.lower() == b"bearer" else None


def _key_stands_twice(request: Request, headers: dict[bytes, bytes]) -> bool:
    if len(headers) == len(request.headers) and not (b"x-api-key" in headers and b"authorization" in headers):
        return False
    keys = [name == b"x-api-key" or _bearer(value) is not None for name, value in request.headers if name in _KEYS]
    return sum(keys) > 1


def _stands_twice(request: Request, wanted: bytes) -> bool:
    return sum(name == wanted for name, _ in request.headers) > 1


def _misdirected() -> Response:
    return problem(421, "This node does not answer to that host name; [web] hosts in outstation.toml adds one.")


def _unauthorised(error: str) -> Response:
    return problem(401, error, headers=((b"WWW-Authenticate", b'Bearer realm="outstation"'),))


def _is_a_browsers_doing(headers: dict[bytes, bytes]) -> bool:
    """Tell whether a page of another site, or a browser that looks ahead, sent this (Fetch Metadata)."""
    if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
        return True
    purpose = headers.get(b"sec-purpose", b"") + headers.get(b"purpose", b"")
    return bool(purpose) and b"prefetch" in purpose


def too_large(route: Route) -> Response:
    """Return the refusal of a body past the route's cap."""
    return route.refuse(413, f"At most {route.body} bytes are taken here; send less at once.")


def no_room(route: Route) -> Response:
    """Return the refusal of a body that there is no memory for just now."""
    words = "Too much is being sent at once; try again."
    return (
        problem(503, words, headers=((b"Retry-After", b"5"),)) if route.refuse is problem else route.refuse(503, words)
    )


_LONGEST_LENGTH = 15
"""Digits of a Content-Length: a petabyte."""


def _refuse_body(route: Route, headers: dict[bytes, bytes]) -> Response | None:
    sent = headers.get(b"content-length", b"0")
    if not sent.isdigit() or len(sent) > _LONGEST_LENGTH:
        return route.refuse(400, "Content-Length is no number.")
    length = int(sent)
    if length > route.body:
        return too_large(route)
    coding = headers.get(b"content-encoding", b"identity")
    if coding != b"identity" and not (route.gzip and coding == b"gzip"):
        return route.refuse(415, "This Content-Encoding is not taken here; send the body as it is.")
    chunked = b"transfer-encoding" in headers
    if chunked and headers[b"transfer-encoding"].lower() != b"chunked":
        return route.refuse(501, "No Transfer-Encoding but chunked is taken here.")
    if route.json and (length or chunked):
        return _refuse_type(route, headers)
    return None


def _refuse_type(route: Route, headers: dict[bytes, bytes]) -> Response | None:
    """Take JSON by its name, without a type, or with curl's default when the key came in a header."""
    kind = headers.get(b"content-type", JSON)
    if kind == JSON:
        return None
    kind = kind.partition(b";")[0].strip().lower()
    if kind == JSON:
        return None
    if kind == b"application/x-www-form-urlencoded" and sent_key(headers) is not None:
        return None
    return route.refuse(415, 'The body must be JSON; add the header "Content-Type: application/json".')
