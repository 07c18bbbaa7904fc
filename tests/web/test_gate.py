"""The one gate: every route of the table refuses what is to be refused, and lets in who may."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from outstation.cli import control
from outstation.routes import SCOPES, Route
from tests.running import KEY, Running
from tests.system.waiting import until
from tests.web.asking import (
    LISTED,
    OURS,
    ask,
    call,
    every_json_route,
    every_kept_route,
    every_route,
    stranger,
    with_key,
)
from tests.web.keys import make_key, revoke
from tests.web.table import ROUTES, WRITE_KEY, path
from tests.web.wire import JSON, Wire, chunked, request


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Running]:
    with Running(folder / "data", LISTED) as running:
        yield running


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
    assert {route.scope for route in ROUTES} == {None, "any", *SCOPES}


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
    if route.scope == "any":
        pytest.skip("any key will do")
    answer = call(node, route, with_key(lacking[str(route.scope)]))
    assert answer.status == 403
    assert f'"{route.scope}"' in answer.json["error"]
    assert f"--scope {route.scope}." in answer.json["error"]


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
    may_be_empty = "/alerts/" in route.path or route.path.endswith(("/renew", "/resend", "/session"))
    assert answer.status in ({200, 404} if may_be_empty else {400, 422})


@every_json_route
def test_a_form_without_a_key_in_a_header_is_no_json(node: Running, route: Route) -> None:
    """What a page of another site can send without asking first."""
    kind = "Content-Type: application/x-www-form-urlencoded"
    assert ask(node, route.method, path(route), kind, body=b"{}").status == 415


@every_route
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, gzip", "x-nobody-knows"])
def test_coded_bodies_are_415(node: Running, route: Route, coding: str) -> None:
    answer = ask(node, route.method, path(route), f"Content-Encoding: {coding}", with_key(KEY), JSON)
    assert (answer.status == 415) is not (route.gzip and coding == "gzip")


def test_what_follows_the_chunks_of_a_body_is_no_header(node: Running) -> None:
    """It was not before the gate."""
    sent = chunked("POST", "/api/readings", JSON, with_key(KEY), chunks=(b"[]",)).removesuffix(b"\r\n")
    board = chunked("POST", "/update", chunks=(b"field1=20",)).removesuffix(b"\r\n")
    with Wire(node.port) as wire:
        answer = wire.ask(sent + f"Origin: {OURS}\r\n\r\n".encode())
        assert (answer.status, answer.headers.get("access-control-allow-origin")) == (200, None)
        answer = wire.ask(board + f"X-THINGSPEAKAPIKEY: {WRITE_KEY}\r\n\r\n".encode())
        assert (answer.status, answer.body) == (400, b"0")


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


def test_the_control_socket_is_admin_without_a_key(node: Running) -> None:
    assert control.ask(node.data, "GET", "/api/keys")["keys"] is not None
    assert control.ask(node.data, "POST", "/api/vent", {"action": "on", "for": "1s"})["claimed_by"] == "control socket"
    assert (node.data / "control.sock").stat().st_mode & 0o777 == 0o660


def test_refusals_stand_in_the_log_once_and_without_what_came_in(node: Running) -> None:
    secret, source, last = "SECRETSECRET", stranger(), stranger()
    for _ in range(3):
        ask(node, "GET", f"/api/keys?api_key={secret}", f"X-API-Key: {secret}", source=source)
        ask(node, "GET", "/%1b[31m/forged", source=source)
    ask(node, "GET", "/nothing", source=last)
    until(lambda: last in node.log.read_text())  # the supervisor writes it, a moment later
    lines = [line for line in node.log.read_text().splitlines() if source in line]
    assert len(lines) == 2
    assert "GET /api/keys was answered 401" in lines[0]
    assert "GET an unknown path was answered 404" in lines[1]
    assert secret not in node.log.read_text()
