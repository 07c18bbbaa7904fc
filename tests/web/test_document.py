"""/openapi.json and /docs: all of the API, true to what it does, with nothing from another host."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outstation import __version__
from outstation.routes import Route
from outstation.web.docs import ASSETS
from tests.running import KEY, Answer, Running
from tests.web.table import CONFIG, ROUTES, WRITE_KEY, path, title
from tests.web.wire import Wire, request

PAGES = {"/", "/wall", "/ui/{edition}/{file}", "/favicon.ico", "/docs", "/docs/{file}", "/openapi.json"}
"""For people and browsers: no API."""

api = [route for route in ROUTES if route.path not in PAGES]
native = [route for route in api if not route.any_host or route.path == "/update"]
"""What boards speak has examples of its own, in tests/protocols."""
every_native_route = pytest.mark.parametrize("route", native, ids=title)
every_api_route = pytest.mark.parametrize("route", api, ids=title)

ELSEWHERE = {("DELETE", "/api/sensors/{name}"), ("POST", "/api/backup")}
"""Routes that answer nothing good here, and in test_cli_backup.py do: a sensor of the config stays, and the control
socket alone may name files."""

BODIES: dict[str, object] = {
    "/api/keys": {"name": "phone", "scopes": ["read"]},
    "/api/simulate": {"sensor": "door", "value": True},
}
"""What to send where the document has no example."""


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Running]:
    with Running(folder / "data", CONFIG) as running:
        running.post("/api/readings", {"sensor": "porch/temperature", "value": 1})
        yield running


@pytest.fixture(scope="module")
def document(node: Running) -> dict[str, Any]:
    answer = node.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json
    return found


def operations(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {(method.upper(), where) for where, methods in document["paths"].items() for method in methods}


def operation(document: dict[str, Any], route: Route) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"][route.path][route.method.lower()]
    return found


def test_it_covers_the_table_and_nothing_else(document: dict[str, Any]) -> None:
    assert operations(document) == {(route.method, route.path) for route in api}


def test_it_says_what_it_is(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.")
    assert (document["info"]["title"], document["info"]["version"]) == ("Outstation", __version__)
    assert document["components"]["securitySchemes"] == {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}


@every_api_route
def test_each_operation_says_what_it_needs(document: dict[str, Any], route: Route) -> None:
    found = operation(document, route)
    assert found["summary"]
    assert found["tags"]
    needed: dict[str | None, list[object]] = {"read": [{"key": []}, {}], None: []}
    assert found["security"] == needed.get(route.scope, [{"key": []}])
    if route.scope:
        assert f"Scope: {route.scope}." in found["description"]
        assert {"401", "403", "421", "429"} <= found["responses"].keys()
    named = {parameter["name"] for parameter in found.get("parameters", ()) if parameter["in"] == "path"}
    assert named == set(re.findall(r"{(\w+)}", route.path))
    assert ("requestBody" in found) == route.json


def test_names_of_operations_are_their_own(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names))


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = set(re.findall(r"'\$ref': '#/components/schemas/([^']+)'", str(document)))
    assert found
    assert found <= document["components"]["schemas"].keys()


def call(node: Running, document: dict[str, Any], route: Route) -> Answer:
    """Ask as the document says, with its example."""
    body = None
    if route.json:
        content = operation(document, route)["requestBody"]["content"]["application/json"]
        body = content.get("example", BODIES.get(route.path))
    where = path(route)
    if route.path == "/update":
        where = f"/update?api_key={WRITE_KEY}&field1=20.5"
    if route.path in ("/api/plot.svg", "/api/plot.png", "/api/rules/spells"):
        where += "?sensor=porch/temperature"
    if "rename" in route.path or (route.method, route.path) == ("DELETE", "/api/sensors/{device}/{name}"):
        assert node.post("/api/readings", {"sensor": "attic/temp", "value": 1}).status == 200
        where = where.replace("porch/temperature", "attic/temp")
    if route.path == "/api/keys/{id}":
        where = f"/api/keys/{node.post('/api/keys', BODIES['/api/keys']).json['id']}"
    key = KEY
    if "/api/nodes/{name}" in route.path or route.path == "/api/ingest":
        made = node.post("/api/nodes", {"name": "nobody"}).json
        key = made.get("key", KEY) if route.path == "/api/ingest" else KEY
    if "/api/devices/{name}" in route.path:
        node.post("/api/devices", {"name": "nobodys", "fields": ["a"]})
    if route.path == "/api/way/{ticket}":
        where = f"/api/way/{node.post('/api/way', None).json['ticket']}"
    if route.path in ("/api/stream", "/api/way/{ticket}"):
        with Wire(node.port) as wire:
            return wire.ask(request("GET", where))
    return node.request(route.method, where, body, key=key)


@every_native_route
def test_every_documented_route_answers(node: Running, document: dict[str, Any], route: Route) -> None:
    answer = call(node, document, route)
    responses = operation(document, route)["responses"]
    assert answer.status in ({422} if (route.method, route.path) in ELSEWHERE else {200, 201})
    assert str(answer.status) in responses
    if answer.status == 422:
        return
    assert answer.headers["content-type"].partition(";")[0] in responses[str(answer.status)]["content"]


def test_it_stays_the_same_while_the_node_runs(node: Running, document: dict[str, Any]) -> None:
    assert node.get("/openapi.json").json == document


@pytest.mark.skipif(not (ASSETS / "swagger-ui-bundle.js").exists(), reason="built without npm: no Swagger UI")
def test_the_page_comes_whole_from_this_node(node: Running) -> None:
    page = node.get("/docs")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    found = re.findall(r'(?:src|href)="([^"]+)"', page.body.decode())
    assert len(found) == 4
    assert all(address.startswith("/") and not address.startswith("//") for address in found)
    for address in found:
        answer = node.get(address)
        assert answer.status == 200
        assert answer.headers.get("x-content-type-options") == "nosniff" or address == "/openapi.json"
        suffix = address.partition("?")[0].rpartition(".")[2]
        kind = {"css": "text/css", "js": "text/javascript", "json": "application/json"}[suffix]
        assert answer.headers["content-type"].partition(";")[0] == kind
    assert b'url: "/openapi.json"' in node.get("/docs/start.js").body


def test_a_browser_fetches_the_files_of_the_page_once(node: Running) -> None:
    page = node.get("/docs")
    assert page.headers["cache-control"] == "no-cache", "it names the files of this version"
    found = re.findall(r'(?:src|href)="(/docs/[^"]+)"', page.body.decode())
    assert len(found) == 3
    for address in found:
        first = node.get(address)
        assert "immutable" in first.headers["cache-control"]
        tag = first.headers["etag"]
        assert address.endswith(f"?v={tag.strip(chr(34))}")
        again = node.get(address, {"If-None-Match": f'"other", W/{tag}'})
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
        assert "content-length" not in again.headers
        assert node.get(address, {"If-None-Match": '"other"'}).body == first.body
        assert node.get(address.partition("?")[0]).headers["cache-control"] == "no-cache"
        assert node.get(f"{address}0").headers["cache-control"] == "no-cache"


def test_the_page_may_load_nothing_else(node: Running) -> None:
    policy = node.get("/docs").headers["content-security-policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["connect-src"] == "'self'"
    assert rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert "http" not in policy


@pytest.mark.parametrize(
    "name", ["docs.py", "..%2fdocs.py", "%2e%2e%2fdocs.py", "assets.versions", "..", "%00", "start.js%00", "a/b"]
)
def test_other_files_are_404(node: Running, name: str) -> None:
    assert node.get(f"/docs/{name}").status == 404


def test_names_in_the_table_stand_for_one_segment_each() -> None:
    paths = {route.path for route in ROUTES}
    for first, second in itertools.combinations(sorted(paths), 2):
        assert re.sub(r"{\w+}", "{}", first) != re.sub(r"{\w+}", "{}", second)
