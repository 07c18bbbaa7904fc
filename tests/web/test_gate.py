"""The one gate: every route of the table refuses what is to be refused, and lets in who may."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from outstation import clock
from outstation.cli import control
from outstation.config import Config
from outstation.http import Peer, Request, Response
from outstation.routes import SCOPES, Route
from outstation.store.database import Boot, Store
from outstation.web import security
from outstation.web.security import Admission, Gate
from tests.running import KEY, Answer, Running
from tests.web.keys import make_key, revoke
from tests.web.table import CONFIG, ROUTES, WRITE_KEY, application, path, title
from tests.web.wire import JSON, Wire, chunked, request

OURS, EVIL = "https://garden.example.org", "https://evil.example"

every_route = pytest.mark.parametrize("route", ROUTES, ids=title)
kept = [route for route in ROUTES if route.scope is not None]
every_kept_route = pytest.mark.parametrize("route", kept, ids=title)
every_json_route = pytest.mark.parametrize("route", [route for route in ROUTES if route.json], ids=title)
every_path = pytest.mark.parametrize("found", sorted({path(route) for route in ROUTES}))

_sources = itertools.count(1)


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Running]:
    config = f'{CONFIG}\n[web]\nhosts = ["garden.example.org"]\ncors_origins = ["{OURS}"]\n'
    with Running(folder / "data", config) as running:
        yield running


@pytest.fixture(scope="module")
def behind_a_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    config = f'{CONFIG}\n[web]\ntrusted_proxies = ["127.0.0.1"]\ncors_origins = ["*"]\n'
    with Running(tmp_path_factory.mktemp("proxied") / "data", config) as running:
        yield running


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("closed") / "data", f'{CONFIG}\n[web]\nreads = "key"\n') as running:
        yield running


def stranger() -> str:
    """An address that nobody came from before: what it guesses wrong counts for it alone."""
    number = next(_sources)
    return f"127.1.{number // 250}.{number % 250 + 1}"


def ask(node: Running, method: str, where: str, *lines: str, body: bytes = b"", source: str = "") -> Answer:
    with Wire(node.port, source=source or stranger()) as wire:
        wire.send(request(method, where, *lines, body=body))
        return wire.answer(head=method == "HEAD")


def call(node: Running, route: Route, *lines: str, source: str = "") -> Answer:
    """Ask as a route is asked, with an empty document where it takes one."""
    body, kind = (b"{}", (JSON,)) if route.json else (b"", ())
    return ask(node, route.method, path(route), *kind, *lines, body=body, source=source)


def with_key(key: str) -> str:
    return f"X-API-Key: {key}"


def without(scope: str | None) -> tuple[str, ...]:
    return tuple(other for other in SCOPES if other != scope)


@pytest.fixture(scope="module")
def lacking(node: Running) -> dict[str, str]:
    """For each scope a key that has all the others."""
    return {scope: make_key(node, *without(scope)) for scope in SCOPES}


@pytest.fixture(scope="module")
def revoked(node: Running) -> str:
    key = make_key(node, *SCOPES)
    assert node.get("/api/keys", key=key).status == 200
    revoke(node, key)
    return key


def test_the_table_is_walked() -> None:
    assert len(ROUTES) > 20
    assert {route.scope for route in ROUTES} == {None, *SCOPES}


@every_kept_route
def test_without_a_key_only_reads_are_answered(node: Running, route: Route) -> None:
    answer = call(node, route)
    assert (answer.status == 401) == (route.scope != "read")
    if answer.status == 401:
        assert "outstation keys create" in answer.json["error"]
        assert answer.headers["www-authenticate"].startswith("Bearer")


@every_kept_route
@pytest.mark.parametrize(
    "lines",
    [
        ("X-API-Key: wrong",),
        ("X-API-Key:",),
        (f"X-API-Key: {KEY[: len(KEY) // 2]}",),
        (f"X-API-Key: {KEY}x",),
        (f"X-API-Key: {KEY}, {KEY}",),
        (f"X-API-Key: {KEY}", f"X-API-Key: {KEY}"),
        (f"X-API-Key: {KEY}", "X-API-Key: wrong"),
        (f"X-API-Key: {KEY}", f"Authorization: Bearer {KEY}"),
        ("X-API-Key: \xe9\xff",),
        ("X-API-Key: " + "x" * 10_000,),
        ("Authorization: Bearer wrong",),
        ("Authorization: Bearer",),
        (f"Authorization: Bearer Bearer {KEY}",),
    ],
)
def test_a_key_that_is_not_wholly_right_is_refused(node: Running, route: Route, lines: tuple[str, ...]) -> None:
    """Also where no key would have been needed: who shows a wrong one is told."""
    answer = call(node, route, *lines)
    assert answer.status == 401
    assert KEY.encode() not in answer.body


def test_parts_of_a_made_key_are_no_key(node: Running) -> None:
    key = make_key(node, "read")
    number, _, secret = key.partition(".")
    assert ask(node, "GET", "/api/status", with_key(key)).status == 200
    for wrong in (
        number,
        secret,
        f"{number}.",
        f".{secret}",
        key[:-1],
        f"{key}.",
        f"{number}.{secret[::-1]}",
        key.swapcase(),
    ):
        assert ask(node, "GET", "/api/status", with_key(wrong)).status == 401


@every_kept_route
def test_a_revoked_key_is_refused(node: Running, revoked: str, route: Route) -> None:
    assert call(node, route, with_key(revoked)).status == 401


def test_a_key_is_refused_at_the_next_request_after_it_was_revoked(node: Running) -> None:
    """On the same connection, sent in one go."""
    key = make_key(node, "read")
    number = key.partition(".")[0]
    read = request("GET", "/api/status", with_key(key))
    with Wire(node.port, source=stranger()) as wire:
        wire.send(read, request("DELETE", f"/api/keys/{number}", with_key(KEY)))
        assert [wire.answer().status for _ in range(2)] == [200, 200]
        assert wire.ask(read).status == 401


@every_kept_route
def test_a_key_without_the_scope_is_403(node: Running, lacking: dict[str, str], route: Route) -> None:
    answer = call(node, route, with_key(lacking[str(route.scope)]))
    assert answer.status == 403
    assert f'"{route.scope}"' in answer.json["error"]


@every_kept_route
@pytest.mark.parametrize("form", ["X-API-Key: {}", "Authorization: Bearer {}", "authorization: bearer {}"])
def test_a_key_with_the_scope_gets_in(node: Running, route: Route, form: str) -> None:
    assert call(node, route, form.format(KEY)).status in {200, 201, 400, 404, 422}


def test_a_password_for_a_proxy_is_no_key(node: Running) -> None:
    basic = "Authorization: Basic YWRtaW46YWRtaW4="
    assert ask(node, "GET", "/api/status", basic).status == 200
    assert ask(node, "GET", "/api/keys", basic).status == 401
    assert ask(node, "GET", "/api/keys", basic, with_key(KEY)).status == 200


def test_a_key_in_the_url_is_none(node: Running) -> None:
    assert ask(node, "GET", f"/api/keys?api_key={KEY}&key={KEY}&X-API-Key={KEY}").status == 401


@every_route
@pytest.mark.parametrize("how", ["announced", "in chunks"])
def test_a_body_past_its_cap_is_413(node: Running, route: Route, how: str) -> None:
    with Wire(node.port, source=stranger()) as wire:
        kind = (JSON,) if route.json else ()
        if how == "announced":
            wire.send(request(route.method, path(route), *kind, with_key(KEY), f"Content-Length: {route.body + 1}"))
        else:
            chunks = (b" " * (route.body // 2 + 1),) * 2
            wire.send(chunked(route.method, path(route), *kind, with_key(KEY), chunks=chunks))
        assert wire.answer().status == 413
        assert wire.is_closed()


@every_json_route
@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", "application/xml", "text/json", ""])
@pytest.mark.parametrize("how", ["announced", "in chunks"])
def test_what_is_not_json_is_415_and_the_header_to_add_is_named(
    node: Running, route: Route, kind: str, how: str
) -> None:
    lines = (f"Content-Type: {kind}", with_key(KEY))
    with Wire(node.port, source=stranger()) as wire:
        if how == "announced":
            wire.send(request(route.method, path(route), *lines, body=b"{}"))
        else:
            wire.send(chunked(route.method, path(route), *lines, chunks=(b"{}",)))
        answer = wire.answer()
    assert answer.status == 415
    assert "Content-Type: application/json" in answer.json["error"]


@every_json_route
@pytest.mark.parametrize(
    "kind",
    ["application/json", "application/json; charset=utf-8", "Application/JSON", "application/x-www-form-urlencoded"],
)
def test_json_is_taken_by_name_and_as_curl_sends_it(node: Running, route: Route, kind: str) -> None:
    answer = ask(node, route.method, path(route), f"Content-Type: {kind}", with_key(KEY), body=b"{}")
    assert answer.status in {400, 422}


@every_json_route
def test_a_form_without_a_key_in_a_header_is_no_json(node: Running, route: Route) -> None:
    """What a page of another site can send without asking first."""
    kind = "Content-Type: application/x-www-form-urlencoded"
    assert ask(node, route.method, path(route), kind, body=b"{}").status == 415


@every_route
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, gzip", "x-nobody-knows"])
def test_coded_bodies_are_415(node: Running, route: Route, coding: str) -> None:
    answer = ask(node, route.method, path(route), f"Content-Encoding: {coding}", with_key(KEY), JSON)
    assert answer.status == 415


@every_route
@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:5000"])
def test_a_foreign_host_is_421(node: Running, route: Route, host: str) -> None:
    with Wire(node.port) as wire:
        answer = wire.ask(request(route.method, path(route), with_key(KEY), host=f"Host: {host}"))
    assert (answer.status == 421) == (not route.any_host)
    assert not route.any_host or route.path.startswith(("/update", "/channels/"))


@pytest.mark.parametrize(
    ("method", "where"), [("GET", "/nothing"), ("OPTIONS", "/api/status"), ("TRACE", "/api/status")]
)
def test_a_foreign_host_learns_nothing_else(node: Running, method: str, where: str) -> None:
    with Wire(node.port) as wire:
        assert wire.ask(request(method, where, host="Host: evil.example")).status == 421


def _own_names() -> list[str]:
    name = socket.gethostname()
    bare = name.partition(".")[0]
    return ["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.5.5.5", "[::1]", bare, f"{bare}.local", name]


@pytest.mark.parametrize("host", [*_own_names(), "garden.example.org", "GARDEN.example.org"])
@pytest.mark.parametrize("port", ["", ":5000", ":80", ":"])
def test_own_hosts_are_answered(node: Running, host: str, port: str) -> None:
    with Wire(node.port) as wire:
        assert wire.ask(request("GET", "/api/status", host=f"Host: {host}{port}")).status == 200


@pytest.mark.parametrize(
    "host", ["", "localhost:abc", "[::1", "user@localhost", "localhost/", "localhost, evil", "\xe9"]
)
def test_what_is_no_host_is_421(node: Running, host: str) -> None:
    with Wire(node.port) as wire:
        assert wire.ask(request("GET", "/api/status", host=f"Host: {host}")).status == 421


@every_route
@pytest.mark.parametrize("origin", [EVIL, "null", f"{OURS}.evil.example", f"{OURS}:444", OURS.replace("https", "http")])
def test_a_foreign_origin_may_not_read_the_answer(node: Running, route: Route, origin: str) -> None:
    asked = f"Origin: {origin}"
    answers = [
        call(node, route, asked, with_key(KEY)),
        call(node, route, asked, with_key("wrong")),
        ask(node, "OPTIONS", path(route), asked, f"Access-Control-Request-Method: {route.method}"),
    ]
    for answer in answers:
        assert answer.headers.get("access-control-allow-origin") == ("*" if route.any_origin else None)
        assert "access-control-allow-credentials" not in answer.headers


@every_kept_route
def test_a_listed_origin_may_read_answers_and_refusals(node: Running, route: Route) -> None:
    for key in (KEY, "wrong"):
        answer = call(node, route, f"Origin: {OURS}", with_key(key))
        assert answer.headers["access-control-allow-origin"] == OURS
        assert answer.headers["vary"] == "Origin"


@every_route
def test_a_listed_origin_may_ask_first(node: Running, route: Route) -> None:
    asked = (f"Origin: {OURS}", f"Access-Control-Request-Method: {route.method}")
    answer = ask(node, "OPTIONS", path(route), *asked, "Access-Control-Request-Headers: x-api-key, content-type")
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] in {OURS, "*"}
    assert route.method in answer.headers["access-control-allow-methods"].split(", ")
    assert "X-API-Key" in answer.headers["access-control-allow-headers"]


@every_kept_route
def test_the_origin_star_is_for_reads_only(behind_a_proxy: Running, route: Route) -> None:
    asked = (f"Origin: {EVIL}", f"Access-Control-Request-Method: {route.method}")
    answer = ask(behind_a_proxy, "OPTIONS", path(route), *asked)
    assert answer.headers.get("access-control-allow-origin") == ("*" if route.scope == "read" else None)
    answer = call(behind_a_proxy, route, f"Origin: {EVIL}", with_key(KEY))
    assert answer.headers.get("access-control-allow-origin") == ("*" if route.scope == "read" else None)


def test_what_follows_the_chunks_of_a_body_is_no_header(node: Running) -> None:
    """It was not before the gate."""
    sent = chunked("POST", "/api/readings", JSON, with_key(KEY), chunks=(b"[]",)).removesuffix(b"\r\n")
    board = chunked("POST", "/update", chunks=(b"field1=20",)).removesuffix(b"\r\n")
    with Wire(node.port) as wire:
        answer = wire.ask(sent + f"Origin: {OURS}\r\n\r\n".encode())
        assert (answer.status, answer.headers.get("access-control-allow-origin")) == (200, None)
        answer = wire.ask(board + f"X-THINGSPEAKAPIKEY: {WRITE_KEY}\r\n\r\n".encode())
        assert (answer.status, answer.body) == (400, b"0")


@every_path
def test_options_says_what_there_is(node: Running, found: str) -> None:
    answer = ask(node, "OPTIONS", found)
    allowed = set(answer.headers["allow"].split(", "))
    rows = [route for route in ROUTES if path(route) == found]
    assert answer.status == 204
    assert allowed >= {"OPTIONS", *(route.method for route in rows)}
    assert ("HEAD" in allowed) == any(route.method == "GET" and not route.acts for route in rows)


@every_path
def test_head_is_get_without_the_body_or_405(node: Running, found: str) -> None:
    got = [route for route in ROUTES if path(route) == found and route.method == "GET"]
    answer = ask(node, "HEAD", found, with_key(KEY))
    if got and not got[0].acts:
        assert answer.status in {200, 404}
        assert answer.status == 200 or found.startswith("/docs/")
    else:
        assert answer.status == 405


@every_path
@pytest.mark.parametrize("method", ["TRACE", "PUT", "PATCH", "PROPFIND", "DELETE", "QUERY"])
def test_other_methods_are_405_and_the_right_ones_are_named(node: Running, found: str, method: str) -> None:
    rows = [route for route in ROUTES if path(route) == found]
    if any(route.method == method for route in rows):
        return
    answer = ask(node, method, found, with_key(KEY))
    assert answer.status == 405
    assert {route.method for route in rows} <= set(answer.headers["allow"].split(", "))


@pytest.mark.parametrize("where", ["/nothing", "/api", "/api/", "/api/status/", "/API/status", "/api/vent/x", "/.env"])
def test_unknown_paths_are_404(node: Running, where: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        answer = ask(node, method, where, with_key(KEY))
        assert answer.status == 404
        assert answer.headers["content-type"] == "application/problem+json"


FORGED = [
    "X-Forwarded-For: 192.168.1.5",
    "X-Forwarded-For: 127.0.0.1",
    "Forwarded: for=127.0.0.1",
    "X-Real-IP: 127.0.0.1",
    "Via: 1.1 proxy",
    "X-Forwarded-Host: localhost",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Port: 443",
    "X-Forwarded-Anything: yes",
]


@every_kept_route
@pytest.mark.parametrize("line", FORGED)
def test_behind_a_proxy_that_nobody_trusts_reads_need_a_key(node: Running, route: Route, line: str) -> None:
    assert call(node, route, line).status == 401


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((), 200),
        (("X-Forwarded-For: 192.168.1.5",), 200),
        (("X-Forwarded-For: fd00::5",), 200),
        (("X-Forwarded-For: 203.0.113.9",), 401),
        (("X-Forwarded-For: 2001:db8::1",), 401),
        (("X-Forwarded-For: 192.168.1.5, 203.0.113.9",), 401),
        (("X-Forwarded-For: 203.0.113.9, 192.168.1.5",), 200),
        (("X-Forwarded-For: 203.0.113.9, 127.0.0.1",), 401),
        (("X-Forwarded-For: 192.168.1.5", "X-Forwarded-For: 203.0.113.9"), 401),
        (("X-Forwarded-For: unknown",), 401),
        (("X-Forwarded-For:",), 401),
        (("Forwarded: for=192.168.1.5",), 401),
        (("Via: 1.1 proxy",), 401),
    ],
)
def test_behind_a_trusted_proxy_the_clients_address_decides(
    behind_a_proxy: Running, lines: tuple[str, ...], status: int
) -> None:
    """The last hop that is no proxy of ours: whatever stands before it, the client wrote itself."""
    with Wire(behind_a_proxy.port) as wire:
        assert wire.ask(request("GET", "/api/status", *lines)).status == status


def test_a_proxy_is_trusted_by_its_address(behind_a_proxy: Running) -> None:
    assert ask(behind_a_proxy, "GET", "/api/status", "X-Forwarded-For: 192.168.1.5").status == 401


@every_kept_route
def test_reads_may_be_closed_too(closed: Running, route: Route) -> None:
    assert call(closed, route).status == 401
    assert call(closed, route, with_key(KEY)).status != 401


def test_a_thousand_guesses_are_429_and_the_neighbours_do_not_suffer(node: Running) -> None:
    source = stranger()
    good = make_key(node, "read")
    with Wire(node.port, source=source) as wire:
        wire.send(*(request("GET", "/api/keys", with_key(f"guess-{number:04}-")) for number in range(1_000)))
        answers = [wire.answer() for _ in range(1_000)]
        assert answers[0].status == 401
        assert {answer.status for answer in answers[100:]} == {429}
        assert 0 < int(answers[-1].headers["retry-after"]) <= 60
        assert wire.ask(request("GET", "/api/keys", with_key(KEY))).status == 200
        assert wire.ask(request("GET", "/api/status", with_key(good))).status == 200
        assert wire.ask(request("GET", "/api/status")).status == 200
        assert wire.ask(request("GET", "/api/keys")).status == 401
    assert ask(node, "GET", "/api/keys", with_key("guess-0000-")).status == 401, "another address is another guesser"


def test_one_lost_key_is_429_long_before_that(node: Running) -> None:
    """A board with a revoked key, say: it is told to wait, and its neighbours behind the same address are not."""
    source = stranger()
    with Wire(node.port, source=source) as wire:
        answers = [wire.ask(request("GET", "/api/status", with_key("lostkey1.x"))).status for _ in range(12)]
        assert answers == [401] * 10 + [429] * 2
        assert wire.ask(request("GET", "/api/status", with_key("lostkey2.x"))).status == 401


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    moment = clock.moment()
    with Store(tmp_path, boot=Boot(clock.boot_id(), moment.at - moment.now, clock.Trust.UNSET)) as store:
        yield application(tmp_path, store, Config()).gate


def admitted(gate: Gate, address: str, *headers: tuple[bytes, bytes], where: str = "/api/status") -> int:
    """Return the status of the refusal, 200 when there is none."""
    found = gate.admit(Request("GET", where, b"", [(b"host", b"localhost"), *headers], Peer(address)))
    assert isinstance(found, Admission | Response)
    return found.status if isinstance(found, Response) else 200


def test_guessing_does_not_fill_the_memory(gate: Gate) -> None:
    for number in range(20_000):
        admitted(gate, f"2001:db8::{number:x}", (b"x-api-key", b"%08d" % number))
    assert len(gate._guesses) <= security._REMEMBERED
    assert max(len(times) for times in gate._guesses.values()) <= security.GUESSES_AN_ADDRESS + 1
    assert admitted(gate, "192.168.1.5") == 200


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("127.0.0.1", 200),
        ("::1", 200),
        ("10.1.2.3", 200),
        ("172.16.0.1", 200),
        ("172.32.0.1", 401),
        ("192.168.255.255", 200),
        ("169.254.1.1", 200),
        ("fe80::1", 200),
        ("fd12:3456::1", 200),
        ("8.8.8.8", 401),
        ("203.0.113.9", 401),
        ("100.64.0.1", 401),
        ("2606:4700::1111", 401),
        ("0.0.0.0", 401),
        ("nonsense", 401),
    ],
)
def test_without_a_key_only_the_local_network_reads(gate: Gate, address: str, status: int) -> None:
    assert admitted(gate, address) == status
    assert admitted(gate, address, where="/api/keys") == 401


def test_the_control_socket_is_admin_without_a_key(node: Running) -> None:
    assert control.ask(node.data, "GET", "/api/keys")["keys"] is not None
    assert control.ask(node.data, "POST", "/api/vent", {"action": "on", "for": "1s"})["claimed_by"] == "control socket"
    assert (node.data / "control.sock").stat().st_mode & 0o777 == 0o660


def test_refusals_stand_in_the_log_once_and_without_what_came_in(node: Running) -> None:
    secret, source = "SECRETSECRET", stranger()
    for _ in range(3):
        ask(node, "GET", f"/api/keys?api_key={secret}", f"X-API-Key: {secret}", source=source)
        ask(node, "GET", "/%1b[31m/forged", source=source)
    lines = [line for line in node.log.read_text().splitlines() if source in line]
    assert len(lines) == 2
    assert "GET /api/keys was answered 401" in lines[0]
    assert "GET an unknown path was answered 404" in lines[1]
    assert secret not in node.log.read_text()
