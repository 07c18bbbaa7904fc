"""GET /openapi.json: one document over all of the API, the plain routes as well.

The plain routes' bodies are described from the very types that decode them.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import Response

from outstation.routes import Route, Table
from outstation.web.api.actuators import Order
from outstation.web.api.alerts import Nothing, Seen, TestMessage
from outstation.web.api.backup import Target
from outstation.web.api.devices import NewBoard
from outstation.web.api.incoming import Post
from outstation.web.api.nodes import Empty, NewNode
from outstation.web.api.retention import Word
from outstation.web.api.sensors import Renaming
from outstation.web.api.settings import NewValue

_PLAIN: dict[tuple[str, str], tuple[str, str, Any]] = {
    ("GET", "/api/status"): ("status", "The node now", None),
    ("GET", "/api/health"): ("status", "healthy, degraded (both 200) or unhealthy (503)", None),
    ("POST", "/api/readings"): ("readings", "Send readings; answered when they are on disk", Post | list[Post]),
    ("POST", "/api/actuators/{name}"): ("actuators", "Move an output", Order),
    ("GET", "/api/rules"): ("rules", "All rules, and how each is", None),
    ("GET", "/api/settings"): ("settings", "All settings", None),
    ("PUT", "/api/settings/{name}"): ("settings", "Change a setting; null: back to its default", NewValue),
    ("POST", "/api/alerts/{id}/acknowledge"): ("alerts", "Say that you have seen it: it is not repeated", Seen),
    ("POST", "/api/alerts/test"): ("alerts", "Send a test message to one receiver, or to all", TestMessage),
    ("POST", "/api/sensors/rename"): ("sensors", "Rename a sensor with its history", Renaming),
    ("DELETE", "/api/sensors/{name}"): ("sensors", "Delete a sensor with its history", None),
    ("DELETE", "/api/sensors/{device}/{name}"): ("sensors", "The same of a device", None),
    ("GET", "/api/session"): ("keys", "Who asks, and what they may do", None),
    ("POST", "/api/session"): ("keys", "Sign a browser in by the key in the header: a cookie, for 90 days", Nothing),
    ("DELETE", "/api/session"): ("keys", "Sign out", None),
    ("GET", "/api/nodes"): ("nodes", "The nodes that report here, and how each does", None),
    ("POST", "/api/nodes"): ("nodes", "Let a node report here; its key is shown this once", NewNode),
    ("POST", "/api/nodes/{name}/renew"): ("nodes", "A new key for a node: the old one is refused", Empty),
    ("DELETE", "/api/nodes/{name}"): ("nodes", "Let a node report here no more; its history stays", None),
    ("GET", "/api/devices"): ("boards", "The boards that report here, how each does, and who was refused", None),
    ("POST", "/api/devices"): ("boards", "Let boards in, all or none", NewBoard | list[NewBoard]),
    ("GET", "/api/devices/{name}"): ("boards", "A board with its keys", None),
    ("DELETE", "/api/devices/{name}"): ("boards", "Let a board report here no more; its history stays", None),
    ("GET", "/api/traffic"): ("uplinks", "What is sent elsewhere, what waits, and what it costs", None),
    ("POST", "/api/uplinks/{name}/resend"): ("uplinks", "Send again what an uplink refused", Nothing),
    ("POST", "/api/backup"): ("keys", "Make a backup: through the control socket alone", Target),
    ("GET", "/api/retention"): ("status", "How much is kept, and what is deleted next", None),
    ("POST", "/api/retention"): ("status", "Delete now what is over the limits; dry_run: say what that is", Word),
    ("GET", "/api/stream"): ("status", "Readings, outputs, alerts as they happen: server-sent events", None),
}
"""What is not FastAPI's own: tag, summary, and the type of its body."""

_EXAMPLES = {
    "/api/readings": {"sensor": "porch/temperature", "value": 21.5},
    "/api/settings/{name}": {"value": 30},
    "/api/alerts/{id}/acknowledge": {},
    "/api/alerts/test": {"receiver": None},
    "/api/session": {},
    "/api/nodes": {"name": "greenhouse-1"},
    "/api/devices": {"name": "balcony", "fields": ["temperature", "humidity"], "expected": True},
    "/api/devices/{name}/entries": [
        {"entry_id": 17, "created_at": 1_767_226_200_000, "columns": {"field1": "72.30"}},
    ],
    "/api/ingest": {
        "version": 1,
        "sent_at": 1_767_226_200_000,
        "epoch": "Kq3v",
        "upto": 1,
        "summaries": [{"sensor": "door", "start": 1_767_225_600_000, "width": 300_000, "texts": 1}],
    },
    "/api/nodes/{name}/renew": {},
    "/api/uplinks/{name}/resend": {},
    "/api/retention": {"dry_run": True},
    "/api/sensors/rename": {"from": "attic/temp", "to": "attic/temperature"},
    "/api/backup": {"file": "/mnt/usb/outstation/monday.db", "replace": False},
    "order": {"action": "on", "for": "5m"},
}


def add(api: FastAPI, table: Table) -> None:
    """Give the application its document."""
    document = _document(api, table)

    @api.get("/openapi.json", include_in_schema=False)
    async def openapi(_: Request) -> Response:
        return Response(msgspec.json.encode(document), media_type="application/json")


def _document(api: FastAPI, table: Table) -> dict[str, Any]:
    document = get_openapi(
        title=api.title,
        version=api.version,
        description="Reads on the local network need no key. To try the rest: Authorize, with your key.",
        routes=api.routes,
    )
    parts = document.setdefault("components", {})
    schemas = parts.setdefault("schemas", {})
    for route in table.routes:
        plain = _plain(route)
        if plain is not None:
            operation = _operation(route, *plain, schemas)
            document["paths"].setdefault(route.path, {})[route.method.lower()] = operation
    parts["securitySchemes"] = {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}
    _secure(document, table)
    return document


def _plain(route: Route) -> tuple[str, str, Any] | None:
    known = _PLAIN.get((route.method, route.path))
    if known is None and route.method == "POST" and route.scope == "control" and route.handler is not None:
        return ("actuators", f"Move {route.path.removeprefix('/api/')}", Order)
    if known is None and route.summary:
        return ("nodes" if route.path == "/api/ingest" else "boards", route.summary, route.takes)
    return known


def _operation(route: Route, tag: str, summary: str, body: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    is_dialect = route.summary and not route.takes
    media = "text/event-stream" if route.stream else "text/plain" if is_dialect else "application/json"
    operation: dict[str, Any] = {
        "tags": [tag],
        "summary": summary,
        "operationId": f"{route.method}{route.path}".lower().translate(str.maketrans("/{}", "___")),
        "responses": {"200": {"description": "Done", "content": {media: {}}}},
    }
    if names := re.findall(r"{(\w+)}", route.path):
        text = {"in": "path", "required": True, "schema": {"type": "string"}}
        operation["parameters"] = [{"name": name, **text} for name in names]
    if body is not None:
        operation["requestBody"] = _body(route, body, schemas)
    if body is Order:
        operation["responses"] |= {
            "202": {"description": "Taken; `pending` says what keeps it back and until when", "content": {media: {}}},
            "409": {"description": "Refused by what ranks higher, with the reason"},
        }
    return operation


def _body(route: Route, body: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    (schema,), found = msgspec.json.schema_components([body], ref_template="#/components/schemas/{name}")
    schemas.update(found)
    example = _EXAMPLES.get(route.path, _EXAMPLES["order"])
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


def _secure(document: dict[str, Any], table: Table) -> None:
    """Say of each operation which key it needs, and which refusals to expect."""
    for route in table.routes:
        operation = document["paths"].get(route.path, {}).get(route.method.lower())
        if operation is None:
            continue
        if route.scope is None:
            operation["security"] = []
            continue
        operation["security"] = [{"key": []}, {}] if route.scope == "read" else [{"key": []}]
        operation["description"] = f"{operation.get('description', '')}\n\nScope: {route.scope}.".strip()
        refusals = {"401": "No key, or a wrong one", "403": "The key lacks the scope", "429": "Too many wrong keys"}
        if route.body:
            refusals |= {
                "400": "Not readable",
                "413": "Too large",
                "415": "Not JSON",
                "503": "Not now",
                "507": "Disk full",
            }
        refusals |= {"404": "No such name", "421": "Not this node's host name", "422": "Not allowed"}
        for status, description in refusals.items():
            operation["responses"].setdefault(status, {"description": description})
