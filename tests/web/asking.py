"""Asking as a stranger: every route of the table, each time from an address that nobody came from before."""

from __future__ import annotations

import itertools

import pytest

from outstation.routes import Route
from tests.running import Answer, Running
from tests.web.table import CONFIG, ROUTES, path, title
from tests.web.wire import JSON, Wire, request

OURS, EVIL = "https://garden.example.org", "https://evil.example"

LISTED = f'''{CONFIG}
[web]
hosts = ["garden.example.org"]
cors_origins = ["{OURS}"]
access_lines = 1000
'''
"""A node with every route that lists a host and an origin of its owner's, and writes down whatever it refuses."""

every_route = pytest.mark.parametrize("route", ROUTES, ids=title)
kept = [route for route in ROUTES if route.scope is not None]
every_kept_route = pytest.mark.parametrize("route", kept, ids=title)
every_json_route = pytest.mark.parametrize("route", [route for route in ROUTES if route.json], ids=title)
every_path = pytest.mark.parametrize("found", sorted({path(route) for route in ROUTES}))

_sources = itertools.count(1)


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
