"""Refusals in InfluxDB's words: clients drop what a wrong status came back for, and keep what may pass.

The law of this file: what passes by itself is 503, on a full disk too; nothing else is, and 429 never.
Source: influxd 1.6.7 for version 1, the reference of InfluxDB 2.7 (/api/v2/write) for version 2.
"""

from __future__ import annotations

import msgspec

from outstation.http import JSON, Response, harmless

VERSION_1, VERSION_2 = "1.8.10", "v2.7.12"
"""Clients look for a number that they know; these are the last of their kind but for patches."""

_RETRY = (b"Retry-After", b"5")
_BASIC = (b"WWW-Authenticate", b'Basic realm="InfluxDB"')

_CODES = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not found",
    405: "method not allowed",
    411: "length required",
    413: "request too large",
    415: "unsupported media type",
    422: "unprocessable entity",
    503: "unavailable",
}


def one(status: int, reason: str) -> Response:
    """Refuse as version 1 does, which knows no 422."""
    status = {422: 400, 429: 503, 507: 503}.get(status, status)
    return Response(msgspec.json.encode({"error": harmless(reason)}) + b"\n", status, JSON, _headers(status, VERSION_1))


def two(status: int, reason: str) -> Response:
    """Refuse as version 2 does."""
    status = {429: 503, 507: 503}.get(status, status)
    document = {"code": _CODES.get(status, "internal error"), "message": harmless(reason)}
    return Response(msgspec.json.encode(document), status, JSON, _headers(status, VERSION_2))


def _headers(status: int, version: str) -> tuple[tuple[bytes, bytes], ...]:
    more = {401: (_BASIC,), 503: (_RETRY,)}.get(status, ())
    return ((b"X-Influxdb-Build", b"OSS"), (b"X-Influxdb-Version", version.encode()), *more)


def _done(version: str) -> Response:
    return Response(b"", 204, JSON, ((b"Content-Type", JSON), *_headers(204, version)))


DONE_1, DONE_2 = _done(VERSION_1), _done(VERSION_2)
"""All is on disk, or somebody is here."""

HERE_1 = Response(b'{"version":"%b"}' % VERSION_1.encode(), 200, JSON, _headers(200, VERSION_1))
"""Somebody is here, in words: InfluxDB-Client-for-Arduino, validateConnection, takes for version 1 nothing but 200."""
