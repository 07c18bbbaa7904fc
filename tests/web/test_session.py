"""/api/session: a browser signs in by key once; its cookie is worth what the key is worth, for our own page alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import KEY, Answer, Running
from tests.web.asking import EVIL, ask, with_key
from tests.web.table import CONFIG
from tests.web.wire import JSON, Wire, request

OURS = "Origin: http://localhost"


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Running]:
    with Running(folder / "data", CONFIG) as running:
        yield running


def key(node: Running, *scopes: str) -> str:
    return str(node.post("/api/keys", {"name": "phone", "scopes": scopes}).json["key"])


def sign_in(node: Running, key: str) -> str:
    answer = ask(node, "POST", "/api/session", with_key(key), JSON, body=b"{}")
    assert answer.status == 200, answer.body
    return "Cookie: other=1; " + answer.headers["set-cookie"].partition(";")[0]


def switch(node: Running, *lines: str) -> Answer:
    return ask(node, "POST", "/api/vent", JSON, *lines, body=b'{"action": "on"}')


def test_a_cookie_may_do_what_its_key_may(node: Running) -> None:
    cookie = sign_in(node, key(node, "control"))
    assert switch(node, cookie, OURS).status == 200
    assert ask(node, "GET", "/api/session", cookie).json == {
        "name": "phone",
        "scopes": ["control", "read"],
        "signed_in": True,
    }
    assert ask(node, "GET", "/api/keys", cookie).status == 403


def test_who_acts_is_named_by_the_key(node: Running) -> None:
    cookie = sign_in(node, key(node, "control"))
    assert switch(node, cookie, OURS).json["claimed_by"] == "phone"


def test_no_script_reads_the_cookie_and_no_other_site_sends_it(node: Running) -> None:
    answer = ask(node, "POST", "/api/session", with_key(KEY), JSON, body=b"{}")
    words = answer.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} < set(words)
    assert "Secure" not in words
    for by_tls in ("X-Forwarded-Proto: https", "X-Forwarded-Proto: https, http", "Origin: https://localhost"):
        behind = ask(node, "POST", "/api/session", with_key(KEY), JSON, by_tls, body=b"{}")
        assert behind.headers["set-cookie"].endswith("; Secure")


def test_a_page_of_another_site_does_nothing_by_it(node: Running) -> None:
    cookie = sign_in(node, KEY)
    assert switch(node, cookie, f"Origin: {EVIL}").status == 403
    assert switch(node, cookie).status == 403
    assert switch(node, cookie, "Origin: null").status == 403
    assert switch(node, cookie, OURS, "Sec-Fetch-Site: cross-site").status in {401, 403}
    assert switch(node, cookie, OURS, "Sec-Fetch-Site: same-site").status in {401, 403}
    assert switch(node, cookie, "Sec-Fetch-Site: same-origin").status == 200
    assert ask(node, "GET", "/api/keys", cookie, "Sec-Fetch-Site: cross-site").status == 401


def test_it_ends_when_one_signs_out(node: Running) -> None:
    cookie = sign_in(node, KEY)
    answer = ask(node, "DELETE", "/api/session", cookie, OURS)
    assert (answer.status, "Max-Age=0" in answer.headers["set-cookie"]) == (200, True)
    assert switch(node, cookie, OURS).status == 401


def test_it_ends_with_its_key(node: Running) -> None:
    text = key(node, "control")
    cookie = sign_in(node, text)
    node.request("DELETE", f"/api/keys/{text.partition('.')[0]}", key=KEY)
    assert switch(node, cookie, OURS).status == 401


def test_a_wrong_key_begins_none(node: Running) -> None:
    answer = ask(node, "POST", "/api/session", with_key("nobodys.secret"), JSON, body=b"{}")
    assert (answer.status, "set-cookie" in answer.headers) == (401, False)
    cookie = sign_in(node, KEY)
    assert ask(node, "POST", "/api/session", cookie, OURS, JSON, body=b"{}").status == 422


def test_a_guessed_cookie_is_none_at_all(node: Running) -> None:
    name = sign_in(node, KEY).partition("; ")[2].partition("=")[0]
    assert switch(node, f"Cookie: {name}=guessed", OURS).status == 401
    assert switch(node, f"Cookie: {name}=", OURS).status == 401


def test_it_survives_a_restart_and_is_in_no_file(tmp_path: Path) -> None:
    with Running(tmp_path / "data", CONFIG) as node:
        cookie = sign_in(node, key(node, "control"))
        fixed = sign_in(node, KEY)
        node.stop()
        node.start()
        assert switch(node, cookie, OURS).status == 200
        assert switch(node, fixed, OURS).status == 401  # it was of a key that the next start need not have
        secret = cookie.rpartition("=")[2].encode()
        for file in node.data.iterdir():
            assert not file.is_file() or secret not in file.read_bytes()
        assert secret not in node.log.read_bytes()


def test_a_stream_ends_with_the_session_and_with_the_key_that_it_was_opened_by(tmp_path: Path) -> None:
    with Running(tmp_path / "data", f'{CONFIG}[web]\nreads = "key"\n') as node:
        text = key(node, "read")
        signed_out, revoked = (sign_in(node, text) for _ in range(2))
        with (
            Wire(node.port) as of_signed_out,
            Wire(node.port) as of_revoked,
            Wire(node.port) as of_key,
            Wire(node.port) as of_owner,
        ):
            asked = [(of_signed_out, signed_out), (of_revoked, revoked), (of_key, with_key(text))]
            for wire, line in [*asked, (of_owner, with_key(KEY))]:
                wire.send(request("GET", "/api/stream", line))
                assert wire.answer().status == 200
                assert b"live" in wire.chunk()
            assert ask(node, "DELETE", "/api/session", signed_out, OURS).status == 200
            happens(node)
            assert (of_signed_out.chunk(), b"21" in of_revoked.chunk()) == (b"", True)
            node.request("DELETE", f"/api/keys/{text.partition('.')[0]}", key=KEY)
            happens(node)
            assert of_revoked.chunk() == b""
            assert b"21" in of_key.chunk()
            assert of_key.chunk() == b""
            assert b"21" in of_owner.chunk()


def happens(node: Running) -> None:
    assert node.post("/api/readings", {"sensor": "porch/secret", "value": 21}).status == 200


def test_two_nodes_of_one_name_on_one_machine_have_a_session_each(node: Running) -> None:
    """A browser sends every cookie of a host to all of its ports (RFC 6265, section 8.5)."""
    names = set()
    for host in ("Host: localhost:5000", "Host: localhost:5001", "Host: localhost"):
        with Wire(node.port) as wire:
            answer = wire.ask(request("POST", "/api/session", with_key(KEY), JSON, body=b"{}", host=host))
            cookie = answer.headers["set-cookie"].partition(";")[0]
            names.add(cookie.partition("=")[0])
            assert wire.ask(request("GET", "/api/session", f"Cookie: {cookie}", host=host)).json["signed_in"]
    assert names == {"outstation-everything-5000", "outstation-everything-5001", "outstation-everything"}


def test_no_cache_on_the_way_keeps_what_a_key_opened(node: Running) -> None:
    """A cache that knows no X-API-Key would show it to whoever asks next (RFC 9111, section 3.5)."""
    for path in ("/api/status", "/api/sensors", "/api/session", "/api/keys", "/api/readings", "/api/rules", "/"):
        for method in ("GET", "HEAD"):
            answer = ask(node, method, path, with_key(KEY), "Via: 1.1 cache")
            assert (answer.status, answer.headers.get("cache-control")) == (200, "no-store")
    assert (
        ask(node, "GET", "/api/plot.svg?sensor=door", with_key(KEY)).headers["cache-control"] == "private, max-age=60"
    )
    assert ask(node, "GET", "/docs").headers["cache-control"] == "no-cache"
