"""A page for everybody: who has no key sees all that the page shows, and moves nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import outstation
from outstation.routes import Route
from tests.running import Running
from tests.web.table import CONFIG, ROUTES, path, title

DASHBOARD = Path(outstation.__file__).parent / "web" / "dashboard"
NAMED = set(
    re.findall(r"/api/[a-z.]+(?:/[a-z.]+)?", "".join(file.read_text() for file in DASHBOARD.rglob("*.[jp][sy]")))
)
"""Addresses that the page's own files have."""

SHOWN = [
    route
    for route in ROUTES
    if route.scope == "read" and any(route.path == name or route.path.startswith(f"{name}/") for name in NAMED)
]
CLOSED = [route for route in ROUTES if route.scope is not None and not route.any_host and route not in SHOWN]


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Running]:
    with Running(folder / "data", f'{CONFIG}\n[web]\nreads = "key"\npublic = ["/"]\n') as running:
        yield running


@pytest.mark.parametrize("route", [route for route in SHOWN if not route.stream], ids=title)
def test_the_page_finds_what_it_asks_for(node: Running, route: Route) -> None:
    assert node.request(route.method, path(route)).status not in (401, 403)


def test_everybody_sees_the_page_and_nobody_without_a_key_moves_anything(node: Running) -> None:
    assert node.get("/").status == 200
    assert node.get("/", {"X-Forwarded-For": "203.0.113.7"}).status == 200
    assert node.get("/api/session").json == {"name": "anonymous", "scopes": ["read"], "signed_in": False}
    assert {route.path for route in SHOWN} >= {"/api/stream", "/api/readings", "/api/alerts"}


@pytest.mark.parametrize("route", [route for route in CLOSED if route.path != "/"], ids=title)
def test_all_else_needs_a_key(node: Running, route: Route) -> None:
    body: object = {} if route.json else None
    assert node.request(route.method, path(route), body).status == 401
