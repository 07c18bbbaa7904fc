"""How the ThingSpeak dialect says no: `0` to who writes, `-1` to who reads, an object to who writes in bulk.

It has no reasons: 400 for most things, 503 for "try again", so that no board drops what it could send later, and 429
for a wrong key that comes too often.
Source of the object: MathWorks, "Error Codes" of the REST API.
"""

from __future__ import annotations

import msgspec

from outstation.engine.guesses import WAIT
from outstation.http import JSON, TEXT, Response

JSON_UTF8 = JSON + b"; charset=utf-8"

_LATER = {429: WAIT, 503: ((b"Retry-After", b"5"),)}

TOO_MANY = "Too many wrong keys from this address; wait a minute."

_WORDS = {
    400: ("error_bad_request", "Bad Request"),
    401: ("error_auth_required", "Authorization Required"),
    404: ("error_resource_not_found", "Not Found"),
    405: ("error_method_invalid", "Method Not Allowed"),
    413: ("error_request_too_large", "Request Entity Too Large"),
    415: ("error_bad_request", "Unsupported Media Type"),
    429: ("error_too_many_requests", "Too Many Requests"),
    500: ("error_internal", "Internal Server Error"),
    503: ("error_service_unavailable", "Service Unavailable"),
}


def not_entered(status: int, _: str) -> Response:
    """Refuse an entry."""
    return _plain(b"0", status, TEXT)


def not_entered_json(status: int, _: str) -> Response:
    """Refuse an entry to who asked for JSON; `0` is that."""
    return _plain(b"0", status, JSON_UTF8)


def not_shown(status: int, _: str) -> Response:
    """Refuse to show."""
    return _plain(b"-1", status, TEXT)


def in_words(status: int, details: str) -> Response:
    """Refuse with the object of the newer paths; its status is a text."""
    status = _plainer(status)
    code, message = _WORDS.get(status, _WORDS[400])
    error = {"error_code": code, "message": message, "details": details}
    body = msgspec.json.encode({"status": str(status), "error": error})
    return Response(body, status, JSON_UTF8, _LATER.get(status, ()))


def _plain(body: bytes, status: int, content_type: bytes) -> Response:
    status = _plainer(status)
    return Response(body, status, content_type, _LATER.get(status, ()))


def _plainer(status: int) -> int:
    return {422: 400, 507: 503}.get(status, status)
