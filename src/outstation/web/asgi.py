"""What the API's framework is told of a request: its scope (ASGI 3.0, HTTP connection scope 2.3)."""

from __future__ import annotations

from typing import Any

from outstation.http import Request


def asgi_scope(request: Request, server: tuple[str, int | None] | None, scheme: str | None) -> dict[str, Any]:
    """Return the scope of a request that the gate has admitted; it stands in there itself, as `outstation`."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": server,
        "client": (request.peer.address, 0),
        "scheme": scheme,
        "root_path": "",
        "headers": request.headers,
        "state": {},
        "method": request.method,
        "path": request.path,
        "raw_path": request.path.encode(),
        "query_string": request.query,
        "outstation": request,
    }
