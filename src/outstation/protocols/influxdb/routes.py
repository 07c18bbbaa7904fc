"""Serves whoever writes to InfluxDB, of version 1 or 2: lines go in, and are answered when they are on disk.

The law of this file: a native key with the scope `write` lets lines in, and nothing else does. Every database and
every bucket is there: which sensor a line is for, its measurement and tags say.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import re
import zlib
from collections.abc import Mapping
from functools import lru_cache, partial
from urllib.parse import parse_qsl

import msgspec

from outstation import clock
from outstation.engine.site import Site
from outstation.errors import RefusedError
from outstation.http import JSON, Answer, Later, Request, Response, json
from outstation.protocols.influxdb import naming, refusals
from outstation.protocols.influxdb.gathering import PRECISIONS, Gathered, gather
from outstation.protocols.influxdb.refusals import VERSION_1, VERSION_2
from outstation.protocols.influxdb.taking import Refused, take
from outstation.routes import BATCH, SMALL, Refuse, Route
from outstation.store.keys import Key

_VALUES_AT_MOST = 50_000
"""In one body: rules and outputs wait while it is read, a tenth of a second at the most."""

_TOLD_AT_MOST, _SHOWN = 5, 120
"""Lines that are told to be wrong, and so much of each."""

_CREATE = re.compile(r"\s*CREATE\s+DATABASE\s.*", re.IGNORECASE | re.DOTALL)

_WRITE = "Lines as for InfluxDB {} (key in p, Authorization); on disk when it is answered"
_HERE = "Tells a client of InfluxDB that somebody is here"


def routes(site: Site) -> list[Route]:
    """Return what the dialect needs of the table of routes."""
    lines = Lines(site)
    # The client of version 1 for Python that packs its bodies says so of every request, with a body or without.
    one = partial(Route, scope=None, any_host=True, gzip=True, refuse=refusals.one)
    two = partial(Route, scope=None, any_host=True, refuse=refusals.two)
    make = "Takes CREATE DATABASE, and does nothing: every database is there"
    return [
        one("POST", "/write", handler=lines.one, body=BATCH, summary=_WRITE.format(1)),
        one("GET", "/query", handler=lines.query, summary=make),
        one("POST", "/query", handler=lines.query, body=SMALL, summary=make),
        one("GET", "/ping", handler=_ping, summary=_HERE),
        one("POST", "/ping", handler=_ping, body=SMALL, summary=_HERE),
        two("POST", "/api/v2/write", handler=lines.two, body=BATCH, gzip=True, summary=_WRITE.format(2)),
        two("GET", "/health", handler=_health, summary=_HERE),
    ]


class Lines:
    """The doors for lines of one node."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._names = naming.Names(site.node.sensors)

    def one(self, request: Request) -> Answer:
        """Handle POST /write. Raises RefusedError, StoreError."""
        params = _of_address(request.query)
        key = self._writer(request, params, refusals.one)
        if isinstance(key, Response):
            return key
        if not params.get("db"):
            return refusals.one(400, "database is required")
        gathered = self._gathered(request, params.get("precision", ""), key, refusals.one)
        if isinstance(gathered, Response):
            return gathered
        if gathered.bad and not (gathered.columns or gathered.now):
            return refusals.one(400, _unread(gathered))
        taken, refused = take(self._site, gathered)
        return Later(taken, lambda _: _answer_one(gathered, refused))

    def two(self, request: Request) -> Answer:
        """Handle POST /api/v2/write: one line that cannot be read, and none is taken. Raises as `one`."""
        params = _of_address(request.query)
        key = self._writer(request, params, refusals.two)
        if isinstance(key, Response):
            return key
        if not params.get("bucket"):
            return refusals.two(400, "bucket is required")
        precision = params.get("precision", "")
        if precision not in ("", "ns", "us", "ms", "s"):
            return refusals.two(400, "invalid precision; valid precision units are ns, us, ms, and s")
        gathered = self._gathered(request, precision, key, refusals.two)
        if isinstance(gathered, Response):
            return gathered
        if gathered.bad:
            return refusals.two(400, _unread(gathered))
        taken, refused = take(self._site, gathered)
        return Later(taken, lambda _: _answer_two(refused))

    def query(self, request: Request) -> Answer:
        """Handle GET and POST /query: Telegraf creates its database at every start."""
        params = {**_of_address(request.query), **_parameters(bytes(_unpacked(request)))}
        key = self._writer(request, params, refusals.one)
        if isinstance(key, Response):
            return key
        if "q" not in params:
            return refusals.one(400, 'missing required parameter "q"')
        if not _CREATE.fullmatch(params["q"]):
            return refusals.one(400, "Only CREATE DATABASE is answered here; readings are at /api/readings.")
        return json({"results": [{"statement_id": 0}]}, headers=((b"X-Influxdb-Version", VERSION_1.encode()),))

    def _writer(self, request: Request, params: Mapping[str, str], refuse: Refuse) -> Key | Response:
        """Return the key that came along, or the refusal."""
        text = _credentials(request, params)
        if text is None:
            return refuse(401, _WRONG[refuse])
        # Some clients put a user before the key also where there is none.
        bare, boards, address = text.rpartition(":")[2], self._site.boards, request.peer.address
        key = self._site.keys.check(text) or self._site.keys.check(bare)
        if key is None:
            boards.refused(bare, address, clock.moment())
            return refuse(401, _WRONG[refuse])
        if "write" not in key.scopes:
            return refuse(403, "The key is without the scope write: outstation keys create NAME --scope write")
        if key.device is not None and (board := boards.by_name(key.device)) is not None:
            boards.heard(board, address, clock.moment())
        return key

    def _gathered(self, request: Request, precision: str, key: Key, refuse: Refuse) -> Gathered | Response:
        if request.header(b"content-length") is request.header(b"transfer-encoding") is None:
            return refuse(411, "The header Content-Length is missing, so no line was read.")
        body = _unpacked(request)
        if len(body) > BATCH or max(body.count(b"="), body.count(b"\n")) > _VALUES_AT_MOST:
            return refuse(413, f"Request Entity Too Large: {BATCH} bytes, {_VALUES_AT_MOST} lines and values at most")
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return refuse(400, "The body is not UTF-8.")
        return gather(text, precision if precision in PRECISIONS else "ns", self._names.of_body(key.device))


def _answer_one(gathered: Gathered, refused: Refused) -> Response:
    if not (gathered.bad or refused.count):
        return refusals.DONE_1
    reasons = [_unread(gathered)] if gathered.bad else []
    reasons += refused.reasons
    return refusals.one(400, f"partial write: {'; '.join(reasons)} dropped={refused.count}")


def _answer_two(refused: Refused) -> Response:
    if not refused.count:
        return refusals.DONE_2
    reasons = "; ".join(refused.reasons)
    return refusals.two(422, f"partial write has occurred: {reasons} dropped={refused.count}")


def _unread(gathered: Gathered) -> str:
    """Return which lines are none, and why."""
    told = [f"unable to parse '{bad.text[:_SHOWN]}': {bad.error}" for bad in gathered.bad[:_TOLD_AT_MOST]]
    more = len(gathered.bad) - len(told)
    return "; ".join([*told, f"and {more} lines more"] if more else told)


def _ping(request: Request) -> Answer:
    is_brief = _of_address(request.query).get("verbose", "0") in ("0", "false")
    return refusals.DONE_1 if is_brief else refusals.HERE_1


def _health(_: Request) -> Answer:
    document = {"name": "influxdb", "message": "ready for queries and writes", "status": "pass", "checks": []}
    return Response(msgspec.json.encode({**document, "version": VERSION_2}), 200, JSON)


_WRONG: dict[Refuse, str] = {refusals.one: "authorization failed", refusals.two: "unauthorized access"}


def _parameters(form: bytes) -> Mapping[str, str]:
    """Return the parameters of an address or a form. Raises RefusedError."""
    try:
        return dict(parse_qsl(form.decode("utf-8", "replace"), errors="replace", max_num_fields=32))
    except ValueError as error:
        raise RefusedError("At most 32 parameters are taken at once.") from error


_of_address = lru_cache(maxsize=64)(_parameters)
"""A client asks at the same one every time."""


def _credentials(request: Request, params: Mapping[str, str]) -> str | None:
    """Return the key as it was sent, perhaps with a user and a colon before it; None when none was."""
    scheme, _, said = (request.header(b"authorization") or b"").decode("ascii", "replace").partition(" ")
    match scheme.lower():
        case "token" | "bearer":
            return said.strip()
        case "basic":
            try:
                return base64.b64decode(said).decode("utf-8", "replace")
            except (binascii.Error, ValueError):
                return None
    named = request.header(b"x-api-key")
    return params.get("p") if named is None else named.decode("ascii", "replace")


def _unpacked(request: Request) -> bytes | bytearray:
    """Undo gzip, all members of it (RFC 1952, section 2.2), as far as it is worth it. Raises RefusedError."""
    if not request.body or request.header(b"content-encoding") != b"gzip":
        return request.body
    try:
        with gzip.open(io.BytesIO(request.body)) as file:
            return file.read(BATCH + 1)
    except EOFError as error:
        raise RefusedError("unexpected EOF") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise RefusedError("The body is not gzip, though its Content-Encoding says so.") from error
