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
    ("GET", "/metrics"): ("status", "The node for Prometheus: its text format 0.0.4", None),
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
    ("POST", "/api/session"): ("keys", "Sign a browser in by the key in the header: a cookie, for 90 days", Any),
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
    ("POST", "/api/way"): ("status", "A ticket for one request, valid for a minute", None),
    ("GET", "/api/way/{ticket}"): ("status", "By which way this request came: an event, for three seconds", None),
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


_MAY_BE_EMPTY = {
    *("/api/session", "/api/alerts/test", "/api/alerts/{id}/acknowledge"),
    *("/api/nodes/{name}/renew", "/api/uplinks/{name}/resend"),
}
"""Paths whose body may be left out."""

_PROBLEM = {
    "type": "object",
    "description": "A refusal (RFC 9457); `error` says the same as `detail`, in one line",
    "required": ["type", "title", "status", "detail", "error"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "error": {"type": "string"},
        "valid": {"type": "array", "description": "What is allowed, where there is a list of it"},
    },
}

_MEDIA = {"/metrics": "text/plain", "/api/way/{ticket}": "text/event-stream"}
"""What is answered by a path that speaks no JSON."""

_DIALECT_MEDIA = ("text/plain", "application/json", "text/csv", "text/html")
"""What boards are answered, as they ask for it and as the protocol has it."""

_DIALECT_ANSWERS = {
    "200": "Done",
    "204": "Done",
    "400": "Not readable, not allowed, or no such key",
    "401": "No key, or a wrong one",
    "403": "Not with this key",
    "404": "No such channel",
    "405": "Not from a browser of another site",
    "413": "Too large",
    "414": "A URL that is too long",
    "415": "Not coded so",
    "422": "Not allowed",
    "429": "Later",
    "503": "Later",
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
    schemas.pop("HTTPValidationError", None)  # FastAPI's own words, which nobody here says
    schemas.pop("ValidationError", None)
    schemas["Problem"] = _PROBLEM
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
    media = _MEDIA.get(route.path, "text/event-stream" if route.stream else "application/json")
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
            "409": _refusal("Refused by what ranks higher, with the reason"),
        }
    if route.scope is None and not route.summary:
        said = {
            "400": "Not readable",
            "404": "No such ticket",
            "413": "A body, where there is none",
            "421": "Not our name",
        }
        operation["responses"] |= {status: _refusal(text) for status, text in said.items()}
    if route.summary and not route.takes:
        content: dict[str, Any] = {media: {} for media in _DIALECT_MEDIA}
        answers = {status: {"description": text, "content": content} for status, text in _DIALECT_ANSWERS.items()}
        operation["responses"] = answers | {"204": {"description": _DIALECT_ANSWERS["204"]}}
    return operation


def _refusal(description: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": description, "content": content}


def _body(route: Route, body: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    (schema,), found = msgspec.json.schema_components([body], ref_template="#/components/schemas/{name}")
    schemas.update(found)
    example = _EXAMPLES.get(route.path, _EXAMPLES["order"])
    content = {"application/json": {"schema": schema, "example": example}}
    return {"required": route.path not in _MAY_BE_EMPTY, "content": content}


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
        refusals |= {"404": "No such name", "414": "A URL that is too long"}
        refusals |= {"421": "Not this node's host name", "422": "Not allowed", "431": "Headers that are too long"}
        operation["responses"].pop("422", None)  # FastAPI's, see above
        for status, description in refusals.items():
            operation["responses"].setdefault(status, _refusal(description))
