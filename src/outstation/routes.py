"""The one table of routes: what each needs before anybody sees the request, and who answers it.

The law of this file: a request that matches no row reaches nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, Literal

import msgspec

from outstation.http import Handler, Response, problem

Scope = Literal["read", "write", "control", "admin", "any"]
SCOPES: tuple[Scope, ...] = ("read", "write", "control", "admin")

SMALL, BATCH, NO_BODY = 256 * 1024, 1024 * 1024, 0
"""Caps for bodies in bytes: one thing, a batch of readings, none at all."""

Refuse = Callable[[int, str], Response]
"""How a dialect words a refusal: status and reason to an answer."""


class Route(msgspec.Struct, frozen=True):
    """One row.

    path: with `{name}` for one segment. scope: "any": whatever key; None leaves keys to the handler.
    body: the cap in bytes. any_host: answered under every Host. any_origin: for pages of every origin.
    handler: None hands the request to the API's framework. stream: its answer never ends.
    gzip: its body may be packed; the handler unpacks it, and knows where to stop.
    acts: a GET that changes state, as boards' dialects do: refused to browsers of other sites and to prefetch.
    summary, takes: one line, and the type of its body, for the API's document, where the route is a protocol's.
    """

    method: str
    path: str
    scope: Scope | None
    handler: Handler | None = None
    body: int = NO_BODY
    json: bool = False
    any_host: bool = False
    any_origin: bool = False
    acts: bool = False
    stream: bool = False
    gzip: bool = False
    summary: str = ""
    takes: Any = None
    refuse: Refuse = problem

    @property
    def changes(self) -> bool:
        """Whether it is an order that moves or changes something here; readings are none."""
        return self.method != "GET" and self.scope in ("control", "admin", "any")


class Match(msgspec.Struct, frozen=True):
    """What a path leads to: its rows by method, and the names found in it."""

    rows: dict[str, Route]
    params: dict[str, str]


class Table:
    """All rows, found by path in one look for fixed paths and segment by segment for others."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._fixed: dict[str, Match] = {}
        self._open: dict[int, list[tuple[list[str], dict[str, Route]]]] = {}
        for route in self.routes:
            self._add(route)

    @property
    def fixed(self) -> Collection[str]:
        """The paths without names in them: those that need no parsing when they come just so."""
        return self._fixed.keys()

    def find(self, path: str) -> Match | None:
        """Return what a path leads to, or None."""
        fixed = self._fixed.get(path)
        if fixed is not None:
            return fixed
        segments = path.split("/")
        for pattern, rows in self._open.get(len(segments), ()):
            params = _fit(pattern, segments)
            if params is not None:
                return Match(rows, params)
        return None

    def _add(self, route: Route) -> None:
        if "{" not in route.path:
            rows = self._fixed.setdefault(route.path, Match({}, {})).rows
        else:
            rows = self._open_rows(route.path.split("/"))
        if route.method in rows:
            raise ValueError(f"{route.method} {route.path} stands twice in the table of routes")
        rows[route.method] = route

    def _open_rows(self, pattern: list[str]) -> dict[str, Route]:
        patterns = self._open.setdefault(len(pattern), [])
        for known, rows in patterns:
            if known == pattern:
                return rows
        patterns.append((pattern, {}))
        return patterns[-1][1]


def _fit(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    params = {}
    for wanted, found in zip(pattern, segments, strict=True):
        if wanted.startswith("{"):
            if not found:
                return None
            params[wanted[1:-1]] = found
        elif wanted != found:
            return None
    return params
