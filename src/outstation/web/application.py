"""The application: the table of routes of one node, its gate, and the framework behind it when first needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from outstation.core.node import Node
from outstation.engine.site import Site
from outstation.http import Request
from outstation.routes import BATCH, SMALL, Route, Table
from outstation.web.access import Access
from outstation.web.api.actuators import Actuators
from outstation.web.api.alerts import Alerts
from outstation.web.api.backup import Backups
from outstation.web.api.devices import DevicesApi
from outstation.web.api.incoming import Incoming
from outstation.web.api.metrics import Metrics
from outstation.web.api.nodes import NodesApi
from outstation.web.api.retention import Retention
from outstation.web.api.rules import Rules
from outstation.web.api.sensors import Sensors
from outstation.web.api.session import SessionApi
from outstation.web.api.settings import Settings
from outstation.web.api.status import Status
from outstation.web.api.stream import Stream
from outstation.web.api.traffic import Uplinks
from outstation.web.api.way import Way
from outstation.web.dashboard.door import Door
from outstation.web.dashboard.files import Files
from outstation.web.dashboard.page import Page
from outstation.web.dashboard.wall import Wall
from outstation.web.docs import Docs
from outstation.web.hosts import Hosts
from outstation.web.peers import Peers
from outstation.web.security import LOOKING, NOT_KEPT, Gate, leaves_open

_OF_THE_PAGE = (
    *("/api/stream", "/api/status", "/api/health", "/api/session", "/api/readings", "/api/export", "/api/plot.svg"),
    *("/api/sensors", "/api/sensors/{name}", "/api/sensors/{device}/{name}", "/api/actuators", "/api/actuators/{name}"),
    *("/api/rules", "/api/rules/spells", "/api/rules/{name}/explain", "/api/settings", "/api/alerts"),
)
"""What the page asks for and links to: a public page that stood still would be none."""


class Application:
    """What the server serves. An ASGI application for what the gate hands to the framework.

    boards_gate: of the port for boards alone, where only what answers under every host is served.
    """

    def __init__(self, site: Site, dialects: Iterable[Route] = ()) -> None:
        self._site = site
        dialects = list(dialects)
        metrics = Metrics(site, lambda: self.access.answered)
        self.way = Way()
        self.table = Table([*_own_routes(site, metrics, self.way), *_framework_routes(), *dialects])
        self.access = Access(self.table, site.config.web.access_lines)
        self.gate = _gate(site, self.table, self.access)
        self.stream = Stream(site.feed, self.gate.admits)
        self.boards_gate = _gate(site, Table(route for route in dialects if route.any_host), self.access)
        self._framework: Callable[..., Any] | None = None
        self._loading = asyncio.Lock()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer what no handler of our own does."""
        request: Request = scope["outstation"]

        async def tell(message: dict[str, Any]) -> None:
            if "status" in message:
                self.access.note(request, message["status"])
                if request.method in LOOKING and leaves_open(message["headers"]):
                    message = {**message, "headers": [*message["headers"], NOT_KEPT]}
            await send(message)

        if scope["path"] == "/api/stream":
            await self.stream(scope, receive, tell)
            return
        if scope["path"].startswith("/api/way/"):
            await self.way(scope, receive, tell)
            return
        framework = self._framework or await self._load()
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # The server keeps the body back, whoever made it.
        await framework(scope, receive, tell)

    async def _load(self) -> Callable[..., Any]:
        """Load the framework, in a thread: rules and boards do not wait for it."""
        async with self._loading:
            if self._framework is None:
                self._framework = await asyncio.to_thread(self._build)
        return self._framework

    def _build(self) -> Callable[..., Any]:
        from outstation.web.api import document, questions  # noqa: PLC0415  14 MB that a mere hub for boards never needs

        api = questions.build(self._site)
        document.add(api, self.table)
        return api


def _gate(site: Site, table: Table, access: Access) -> Gate:
    web = site.config.web
    peers = Peers(web.reads, web.trusted_proxies, is_said="reads" in web.model_fields_set)
    return Gate(
        table,
        site.keys,
        Hosts(web.hosts),
        peers,
        access,
        origins=web.cors_origins,
        public=(*web.public, *(_OF_THE_PAGE if "/" in web.public else ())),
        sessions=site.sessions,
        node=site.name,
    )


def _own_routes(site: Site, metrics: Metrics, way: Way) -> list[Route]:
    status, actuators, files, docs = Status(site), Actuators(site), Files(), Docs()
    settings, alerts, sensors = Settings(site), Alerts(site), Sensors(site)
    uplinks, session = Uplinks(site), SessionApi(site)
    nodes = NodesApi(site.store, site.keys, site.urls, site.boards)
    devices = DevicesApi(site.boards, site.store, site.urls, site.node.admit_all, partial(_forget_unheard, site.node))
    short = [
        Route("POST", f"/api/{name}", "control", partial(actuators.order, name), body=SMALL, json=True)
        for name in site.node.actuators
    ]
    return [
        Route("GET", "/", "read", Page(site, files).get, refuse=Door(files).refuse),
        Route("GET", "/wall", "read", Wall(site, files).get, refuse=Door(files).refuse),
        Route("GET", "/ui/{edition}/{file}", None, files.get),
        Route("GET", "/favicon.ico", None, files.icon),
        Route("GET", "/docs", "read", docs.page),
        Route("GET", "/docs/{file}", "read", docs.file),
        Route("GET", "/api/status", "read", status.get),
        Route("GET", "/api/health", "read", status.health),
        Route("GET", "/metrics", "read", metrics.get),
        Route("POST", "/api/readings", "write", Incoming(site).post, body=BATCH, json=True),
        Route("POST", "/api/actuators/{name}", "control", actuators.post, body=SMALL, json=True),
        *short,
        Route("GET", "/api/session", "read", session.get),
        Route("POST", "/api/session", "any", session.start, body=SMALL, json=True),
        Route("DELETE", "/api/session", "any", session.end),
        Route("GET", "/api/rules", "read", Rules(site).get),
        Route("GET", "/api/settings", "read", settings.get),
        Route("PUT", "/api/settings/{name}", "control", settings.put, body=SMALL, json=True),
        Route("POST", "/api/alerts/{id}/acknowledge", "control", alerts.acknowledge, body=SMALL, json=True),
        Route("POST", "/api/alerts/test", "control", alerts.test, body=SMALL, json=True),
        Route("GET", "/api/retention", "read", Retention(site).get),
        Route("POST", "/api/retention", "admin", Retention(site).post, body=SMALL, json=True),
        Route("POST", "/api/sensors/rename", "admin", sensors.rename, body=SMALL, json=True),
        Route("DELETE", "/api/sensors/{name}", "admin", sensors.delete),
        Route("DELETE", "/api/sensors/{device}/{name}", "admin", sensors.delete),
        Route("GET", "/api/nodes", "read", nodes.get),
        Route("POST", "/api/nodes", "admin", nodes.add, body=SMALL, json=True),
        Route("POST", "/api/nodes/{name}/renew", "admin", nodes.renew, body=SMALL, json=True),
        Route("DELETE", "/api/nodes/{name}", "admin", nodes.remove),
        Route("GET", "/api/devices", "admin", devices.get),
        Route("POST", "/api/devices", "admin", devices.add, body=BATCH, json=True),
        Route("GET", "/api/devices/{name}", "admin", devices.one),
        Route("DELETE", "/api/devices/{name}", "admin", devices.remove),
        Route("GET", "/api/traffic", "read", uplinks.traffic),
        Route("POST", "/api/uplinks/{name}/resend", "control", uplinks.resend, body=SMALL, json=True),
        Route("POST", "/api/way", "admin", way.start),
        Route("POST", "/api/backup", "admin", Backups(site).post, body=SMALL, json=True),
    ]


def _forget_unheard(node: Node, names: Sequence[str]) -> None:
    """Forget the sensors of a board that never said anything: nobody could delete them."""
    for name in names:
        if (state := node.sensors.get(name)) and state.newest is None and not node.looks_at(name):
            node.forget(name)


def _framework_routes() -> list[Route]:
    return [
        Route("GET", "/api/readings", "read"),
        Route("GET", "/api/export", "read"),
        Route("GET", "/api/plot.svg", "read"),
        Route("GET", "/api/plot.png", "read"),
        Route("GET", "/api/sensors", "read"),
        Route("GET", "/api/sensors/{name}", "read"),
        Route("GET", "/api/sensors/{device}/{name}", "read"),
        Route("GET", "/api/actuators", "read"),
        Route("GET", "/api/actuators/{name}", "read"),
        Route("GET", "/api/rules/spells", "read"),
        Route("GET", "/api/rules/{name}/explain", "read"),
        Route("GET", "/api/alerts", "read"),
        Route("GET", "/api/stream", "read", stream=True),
        Route("GET", "/api/way/{ticket}", None),
        Route("GET", "/api/keys", "admin"),
        Route("POST", "/api/keys", "admin", body=SMALL, json=True),
        Route("DELETE", "/api/keys/{id}", "admin"),
        Route("POST", "/api/simulate", "control", body=SMALL, json=True),
        Route("GET", "/openapi.json", "read"),
    ]
