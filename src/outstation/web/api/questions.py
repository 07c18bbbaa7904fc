"""The API's questions and its housekeeping, in FastAPI: imported when one of these is first asked.

The gate has admitted every request that comes here; the handlers only answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Awaitable, Callable
from typing import Annotated, TypedDict

import msgspec
from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.types import Receive, Send
from starlette.types import Scope as Scopes

from outstation import __version__, clock, http
from outstation.config import parse_duration
from outstation.core.readings import MAX_TEXT, AlertState
from outstation.core.windows import DAY
from outstation.engine import explaining
from outstation.engine.site import Site
from outstation.errors import OutstationError, RefusedError, StoreError, UnknownNameError
from outstation.routes import Scope
from outstation.store.alerts import Alerts, document
from outstation.store.answers import Question, answer
from outstation.web.api import export, pictures, plots, spells
from outstation.web.api.incoming import check_in_time, parse_time
from outstation.web.api.keys import key_document
from outstation.web.api.rules import explanation_document, moment_of
from outstation.web.api.status import actuator_document, claims_document, sensor_document

DEFAULT_ROWS, MOST_ROWS, MOST_ALERTS = 50, 10_000, 1_000

AT_ONCE, MOST_WAITING = 2, 32
"""Questions to the history: a page of 10,000 rows is tens of megabytes while it is put together, and its thread
takes its turns from the loop. Past these that wait, whoever asks is told to come back."""

FEW = 200
"""Rows: a page of so many takes the loop a few milliseconds, and whoever asks for these again and again no process."""

PIECE = 1 << 16
"""Bytes that are sent before others have their turn."""


class Span(TypedDict):
    """The part of the history that is asked for: times in UTC milliseconds."""

    start: int | None
    end: int | None
    limit: int
    cursor: str | None


class NewKey(BaseModel):
    """A key to be made. `device`: the one device that it may send readings for."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\p{L}\p{M}\p{N}_ .@-]+$")]
    scopes: Annotated[list[Scope], Field(min_length=1)]
    device: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")] | None = None


Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Short = Annotated[str, Field(max_length=MAX_TEXT)]


class Simulation(BaseModel):
    """A value for a simulated input, `for` a time or until the next one; `before`: later than that it is not moved."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    sensor: str
    value: bool | Whole | Finite | Short
    duration: Annotated[str | None, Field(alias="for")] = None
    before: Finite | Short | None = None


_encode = msgspec.json.Encoder().encode


def build(site: Site) -> FastAPI:
    """Return the application that answers for this node."""
    api = FastAPI(title="Outstation", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    desk = Desk()
    api.add_exception_handler(OutstationError, _on_error)
    api.add_exception_handler(HTTPException, _on_http_error)
    api.add_exception_handler(RequestValidationError, _on_invalid)
    api.add_exception_handler(Exception, _on_unforeseen)
    _add_readings(api, site, desk)
    _add_names(api, site)
    _add_decisions(api, site, desk)
    _add_keys(api, site)
    _add_simulation(api, site)
    export.add(api, site, _time)
    pictures.add(api, site, _time, lambda: Desk(pictures.AT_ONCE, pictures.MOST_WAITING).in_turn)
    gc.freeze()  # as at the start (app.py): the framework came only now
    return api


class Desk:
    """Where questions to the history wait for their turn: each is answered in a thread, or by a clerk."""

    def __init__(self, at_once: int = AT_ONCE, waiting: int = MOST_WAITING) -> None:
        self._limiter, self._most = CapacityLimiter(at_once), at_once + waiting
        self._here = 0

    async def ask(self, question: Callable[[], bytes]) -> Response:
        """Return the answer to a question, made in a thread; or 503 when too many wait."""
        return await self.in_turn(lambda: to_thread.run_sync(question))

    async def fetch(self, site: Site, question: Question) -> Response:
        """The same for a page of readings: a big one is a clerk's work, where there is one who can do it."""

        async def page() -> bytes | memoryview:
            found = await site.clerks.answer(question) if site.clerks and question.limit > FEW else None
            return await to_thread.run_sync(answer, site.history, question) if found is None else found

        return await self.in_turn(page)

    async def in_turn(self, work: Callable[[], Awaitable[bytes | memoryview]]) -> Response:
        """Return the answer that `work` makes; or 503 when too many wait."""
        if self._here >= self._most:
            text = "Too many questions about the history wait for their answers; try again."
            return _sent(http.problem(503, text, headers=((b"Retry-After", b"5"),)))
        self._here += 1
        try:
            async with self._limiter:
                return InPieces(await work(), media_type=http.JSON.decode())
        finally:
            self._here -= 1


class InPieces(Response):
    """A body that is sent piece by piece: a page of 10,000 rows at once took the loop 2 ms to copy."""

    async def __call__(self, scope: Scopes, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        rest = memoryview(self.body)
        while len(rest) > PIECE:
            await send({"type": "http.response.body", "body": rest[:PIECE], "more_body": True})
            await asyncio.sleep(0)
            rest = rest[PIECE:]
        await send({"type": "http.response.body", "body": rest})


def _add_readings(api: FastAPI, site: Site, desk: Desk) -> None:
    @api.get("/api/readings", summary="The newest readings, oldest first", tags=["readings"])
    async def readings(
        limit: Annotated[
            int, BeforeValidator(_plain), Query(ge=1, description="rows; above 10,000 means 10,000")
        ] = DEFAULT_ROWS,
        sensor: Annotated[
            list[Annotated[str, Field(max_length=129)]] | None,
            Query(description="without: one row an instant; several, with every="),
        ] = None,
        start: Annotated[str | None, Query(max_length=40, description="from this time on")] = None,
        end: Annotated[str | None, Query(max_length=40, description="before this time")] = None,
        cursor: Annotated[str | None, Query(max_length=200, description="`next` of the page before")] = None,
        every: plots.Every = None,
        points: plots.Points = None,
    ) -> Response:
        """With `sensor`: `{sensor, timestamp, value, unit, quality}` each. Without: one flat row an instant.

        With `every` or `points`: `{sensor, timestamp, count, mean, min, max, stdev, first, last, coverage}` each.
        """
        span = Span(start=_time(start), end=_time(end), limit=min(limit, MOST_ROWS), cursor=cursor)
        names = list(dict.fromkeys(sensor or ()))
        if unknown := [each for each in names if each not in site.node.sensors and each not in site.node.actuators]:
            raise _no_sensor(unknown[0])
        if every is not None or points is not None:
            return await desk.ask(plots.question(site, plots.Wish(names, span["start"], span["end"], every, points)))
        if len(names) > 1:
            raise RefusedError("Readings are asked for of one sensor, or of all.", cure="Add every=auto for a plot.")
        return await desk.fetch(site, _question(site, names[0] if names else None, span))


def _add_names(api: FastAPI, site: Site) -> None:
    @api.get("/api/sensors", summary="All sensors", tags=["sensors"])
    async def sensors() -> Response:
        simulated, now = site.simulated(), clock.now()
        found = [{"name": name} | sensor_document(state, now, simulated) for name, state in site.node.sensors.items()]
        return _json({"count": len(found), "sensors": found})

    @api.get("/api/sensors/{name}", summary="One sensor", tags=["sensors"])
    async def sensor(name: str) -> Response:
        return _one_sensor(site, name)

    @api.get("/api/sensors/{device}/{name}", summary="One sensor of a device", tags=["sensors"])
    async def sensor_of_device(device: str, name: str) -> Response:
        return _one_sensor(site, f"{device}/{name}")

    @api.get("/api/actuators", summary="All outputs", tags=["actuators"])
    async def actuators() -> Response:
        return _json({"actuators": [_actuator(site, name) for name in site.node.actuators]})

    @api.get("/api/actuators/{name}", summary="One output", tags=["actuators"])
    async def actuator(name: str) -> Response:
        return _json(_actuator(site, name))


def _add_decisions(api: FastAPI, site: Site, desk: Desk) -> None:
    @api.get("/api/rules/{name}/explain", summary="Why a rule fires, or does not: now or then", tags=["rules"])
    async def explain(
        name: str,
        at: Annotated[str | None, Query(max_length=40, description="a moment of the past; without: now")] = None,
    ) -> Response:
        """The parts of its condition with their values, what holds it back, who decides; `text`: the same in lines."""
        if at is None:
            return _json(explanation_document(site, explaining.now(site, name)))
        then = moment_of(site, at)
        if clock.at() - then < site.config.store.lose_at_most:
            with contextlib.suppress(StoreError):  # then it is answered from what is on disk
                await site.store.flush()
        return await desk.ask(lambda: _encode(explanation_document(site, explaining.then(site, name, then))))

    @api.get("/api/rules/spells", summary="From when to when rules fired", tags=["rules"])
    async def rule_spells(
        sensor: Annotated[list[str], Query(max_length=plots.MOST_SENSORS, description="or output; may be repeated")],
        start: Annotated[str | None, Query(max_length=40, description="from this time on; without: a day")] = None,
        end: Annotated[str | None, Query(max_length=40, description="before this time")] = None,
    ) -> Response:
        """Of the rules that look at one of these, or move it. `end`: null while it fires; `start`: where unknown."""
        until = _time(end) or clock.at()
        since = _time(start) or until - DAY
        return await desk.ask(lambda: spells.document(site, sensor, since, until))

    @api.get("/api/alerts", summary="Alerts, the newest first", tags=["alerts"])
    async def alerts(
        state: Annotated[AlertState | None, Query(description="those in this state alone")] = None,
        limit: Annotated[
            int, BeforeValidator(_plain), Query(ge=1, description="above 1,000 means 1,000")
        ] = DEFAULT_ROWS,
        before: Annotated[int | None, Query(ge=1, le=2**53, description="`next` of the page before")] = None,
    ) -> Response:
        """`next` is for `before=`, null at the end."""
        return await desk.ask(lambda: _alerts(site, min(limit, MOST_ALERTS), state, before))


def _alerts(site: Site, limit: int, state: AlertState | None, before: int | None) -> bytes:
    found = Alerts(site.store).page(limit, state, before)
    following = found[-1].id if len(found) == limit else None
    return _encode({"count": len(found), "alerts": [document(alert) for alert in found], "next": following})


def _add_keys(api: FastAPI, site: Site) -> None:
    @api.get("/api/keys", summary="All keys, without their secrets", tags=["keys"])
    async def keys() -> Response:
        return _json({"keys": [key_document(key) for key in site.keys.list()]})

    @api.post("/api/keys", summary="Make a key; it is shown this once", tags=["keys"], status_code=201)
    async def create(new: NewKey) -> Response:
        key, text = await site.keys.create(new.name, new.scopes, device=new.device)
        return _json(key_document(key) | {"key": text}, 201)

    @api.delete("/api/keys/{id}", summary="Revoke a key: refused from the next request on", tags=["keys"])
    async def revoke(id: str) -> Response:  # noqa: A002  the name in the path
        await site.keys.revoke(id)
        return _json({"revoked": id})


def _add_simulation(api: FastAPI, site: Site) -> None:
    @api.post("/api/simulate", summary="Move a simulated input", tags=["sensors"])
    async def simulate(order: Simulation) -> Response:
        check_in_time(order.before)
        try:
            duration = parse_duration(order.duration) if order.duration is not None else None
        except ValueError as error:
            raise RefusedError(f'"for": {error}.') from error
        await asyncio.to_thread(site.simulate, order.sensor, order.value, duration)
        return _json({"sensor": order.sensor, "value": order.value, "for": order.duration})


def _plain(limit: object) -> object:
    """Return a limit such as 1e9 as the whole number that it is; anything else as it stands, for pydantic to judge."""
    try:
        return int(float(limit)) if isinstance(limit, str) and "e" in limit.lower() else limit
    except (ValueError, OverflowError):
        return limit


def _time(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_time(float(text))
    except ValueError:
        # A plus sign in a query is a space to every parser of forms: 12:00+02:00 arrives as "12:00 02:00".
        return parse_time(text.replace(" ", "+") if "T" in text else text)


def _question(site: Site, sensor: str | None, span: Span) -> Question:
    """Return the question with what the node says about the names in its answer."""
    sensors, outputs = site.node.sensors, site.node.actuators
    if sensor is not None:
        return Question(sensor, **span, unit=sensors[sensor].spec.unit if sensor in sensors else "")
    limits = {name: sensors[name].stale_limit() if name in sensors else None for name in site.flat}
    limits |= dict.fromkeys(outputs)
    return Question(None, **span, flat=site.flat, limits=limits, outputs=frozenset(outputs))


def _one_sensor(site: Site, name: str) -> Response:
    state = site.node.sensors.get(name)
    if state is None:
        raise _no_sensor(name)
    return _json({"name": name} | sensor_document(state, clock.now(), site.simulated()))


def _actuator(site: Site, name: str) -> dict[str, object]:
    state, moment = site.node.actuator(name), clock.moment()
    return {"name": name} | actuator_document(state, moment, site.simulated()) | claims_document(state, moment)


def _no_sensor(name: str) -> UnknownNameError:
    return UnknownNameError(f'There is no sensor "{name[:80]}".', cure="GET /api/sensors lists them.")


def _json(document: object, status: int = 200) -> Response:
    return _sent(http.json(document, status))


def _sent(answer: http.Response) -> Response:
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(answer.body, answer.status, headers, media_type=answer.content_type.decode())


async def _on_error(_: Request, error: Exception) -> Response:
    return _sent(http.from_error(error))


async def _on_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _sent(http.problem(error.status_code, str(error.detail)))


async def _on_invalid(_: Request, error: Exception) -> Response:
    """Say what is wrong and where, without sending back what came in."""
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(item["type"] == "json_invalid" for item in found):
        return _sent(http.problem(400, "The body is not JSON."))
    wrong = "; ".join(f"{'.'.join(str(part)[:40] for part in item['loc'][1:])}: {item['msg']}" for item in found[:5])
    return _sent(http.problem(422, http.harmless(f"Not as expected: {wrong}.")))


async def _on_unforeseen(_: Request, __: Exception) -> Response:
    """Answer as everywhere; the server logs the error, which is raised again after this."""
    return _sent(http.problem(500, "This server made a mistake; its log says more."))
