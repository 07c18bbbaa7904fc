"""Where a request comes from and what it is for: hosts, origins, methods, proxies, networks."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from outstation import clock
from outstation.config import Config
from outstation.engine import guesses
from outstation.http import Peer, Request, Response
from outstation.routes import Route
from outstation.store.database import Boot, Store
from outstation.web.hosts import Hosts
from outstation.web.security import Admission, Gate
from tests.running import KEY, Running
from tests.web.asking import (
    EVIL,
    LISTED,
    OURS,
    ask,
    call,
    every_kept_route,
    every_path,
    every_route,
    with_key,
)
from tests.web.table import CONFIG, ROUTES, application, path
from tests.web.wire import Wire, request


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Running]:
    with Running(folder / "data", LISTED) as running:
        yield running


@pytest.fixture(scope="module")
def behind_a_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    config = f'{CONFIG}\n[web]\ntrusted_proxies = ["127.0.0.1"]\ncors_origins = ["*"]\n'
    with Running(tmp_path_factory.mktemp("proxied") / "data", config) as running:
        yield running


DIALECTS = (
    *("/update", "/s/update", "/channels/", "/stream/channels/"),
    *("/write", "/query", "/ping", "/health", "/api/v2/write"),
)
"""What boards find under any host name."""


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("closed") / "data", f'{CONFIG}\n[web]\nreads = "key"\n') as running:
        yield running


@every_route
@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:5000"])
def test_a_foreign_host_is_421(node: Running, route: Route, host: str) -> None:
    with Wire(node.port) as wire:
        answer = wire.ask(request(route.method, path(route), with_key(KEY), host=f"Host: {host}"))
    assert (answer.status == 421) == (not route.any_host)
    assert not route.any_host or route.path.startswith(DIALECTS)


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
        assert answer.status == (200 if got[0].stream else ask(node, "GET", found, with_key(KEY)).status)
        assert not answer.body
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


def test_ports_do_not_fill_the_memory() -> None:
    hosts = Hosts()
    for port in range(10_000):
        assert hosts.allow(b"localhost:%d" % port)
    assert len(hosts._allowed) <= 256
    assert not hosts.allow(b"localhost:" + b"0" * 15_000)
    assert not hosts.allow(b"localhost:000080")
    assert not hosts.allow(b"localhost" + b"." * 15_000)


def test_guessing_does_not_fill_the_memory(gate: Gate) -> None:
    for number in range(20_000):
        admitted(gate, f"2001:db8::{number:x}", (b"x-api-key", b"%08d" % number))
    found = gate._guesses._guesses
    assert len(found) <= guesses._REMEMBERED
    assert max(len(times) for times in found.values()) <= guesses.OF_ONE_ADDRESS + 1
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
