"""Pages of other people: one origin that the owner named may read and act with a key; all others can do neither."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.signing import sign_in
from tests.browser.watch import Watch
from tests.running import KEY, Running

CONFIG = """
[web]
cors_origins = ["{origin}"]

[[actuators]]
name = "led"
driver = "gpio"
pin = 17
simulate = true
"""


class Somebody(http.server.BaseHTTPRequestHandler):
    """Another web site: an empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def garden() -> Iterator[int]:
    """The port of that web site: by each of its names it is an origin of its own."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Somebody) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, garden: int) -> Iterator[Running]:
    config = CONFIG.format(origin=f"http://allowed.localhost:{garden}")
    with Running(Path(tmp_path_factory.mktemp("node")) / "data", config) as running:
        yield running


ASK = """([address, options]) => fetch(address, options).then(
  async answer => [answer.type, answer.status, await answer.text()], error => ["failed", 0, String(error)])"""


def ask(page: Page, node: Running, path: str, **options: Any) -> list[Any]:
    """Have the page ask the node; return the kind of the answer, its status and what it says."""
    found: list[Any] = page.evaluate(ASK, [f"http://127.0.0.1:{node.port}{path}", options])
    return found


def led(node: Running) -> Any:
    return node.get("/api/actuators/led").json["state"]


ORDER = {"method": "POST", "body": '{"action": "on"}'}
JSON = {"Content-Type": "application/json"}
FORM = """address => {
  const form = Object.assign(document.createElement("form"), {method: "post", enctype: "text/plain", action: address});
  form.append(Object.assign(document.createElement("input"), {name: '{"action": "on", "x": "', value: '"}'}));
  document.body.append(form);
  form.submit();
}"""
BARE = """address => fetch(address, {
  method: "POST", mode: "no-cors", credentials: "include", body: new Blob(['{"action": "on"}'])}).catch(() => 0)"""
"""What a page may send anywhere unasked (WHATWG Fetch, "CORS-safelisted"): a form, and a body of no type."""


def test_an_origin_that_was_named_reads_and_acts_with_a_key(
    node: Running, garden: int, watch: Watch, page: Page
) -> None:
    watch.expected += ["request to another host: http://allowed.localhost"]
    page.goto(f"http://allowed.localhost:{garden}/")
    kind, status, said = ask(page, node, "/api/status")
    assert (kind, status) == ("cors", 200)
    assert "led" in said
    assert ask(page, node, "/api/led", **ORDER, headers=JSON | {"X-API-Key": KEY})[1] == 200
    assert led(node) == "on"


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_another_origin_can_do_nothing_even_where_its_reader_is_signed_in(
    node: Running, garden: int, watch: Watch, page: Page, name: str
) -> None:
    """Neither from another site nor from another port of the same, to which older browsers send the cookie along."""
    watch.expected += [
        "request to another host: http://localhost",
        "CORS policy",
        "ERR_FAILED",
        "status of 4(01|03|15)",
    ]
    page.goto(f"http://127.0.0.1:{node.port}/")
    sign_in(page)
    assert ask(page, node, "/api/led", **ORDER, headers=JSON)[1] == 200
    node.post("/api/led", {"action": "off"})

    page.goto(f"http://{name}:{garden}/")
    for options in ({}, {"credentials": "include"}):
        assert ask(page, node, "/api/status", **options)[0] == "failed"
    assert ask(page, node, "/api/led", **ORDER, headers=JSON, credentials="include")[0] == "failed"
    for unasked in (BARE, FORM):
        with page.expect_response("**/api/led") as answered:
            page.evaluate(unasked, f"http://127.0.0.1:{node.port}/api/led")
        assert answered.value.status in (401, 403, 415)
    assert led(node) == "off"
