"""GET /api/plot.svg and plot.png: a plot as a picture, for chats, mails, e-paper and other people's pages.

The law of this file: pictures wait for one another and for nothing else, so that a page of strangers full of them costs
the owner's own questions nothing but time. An answer says no name and no value but those of the sensors asked for.
"""

from __future__ import annotations

import http
import zoneinfo
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
from anyio import to_thread
from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from outstation import clock
from outstation.config import parse_duration
from outstation.core.readings import Millis
from outstation.core.windows import DAY
from outstation.engine.site import Site
from outstation.errors import RefusedError, UnknownNameError, to_install
from outstation.store.plots import Asked, Drawn, draw
from outstation.web.api.plots import Wish, to_ask
from outstation.web.dashboard import wording
from outstation.web.picture import png, scales
from outstation.web.picture.drawing import MOST_SERIES, POLICY, is_too_low, svg
from outstation.web.picture.series import (
    LABEL_AT_MOST,
    Picture,
    Series,
    is_switch,
    panels,
    said_last,
    shares,
    stretches,
)

AT_ONCE, MOST_WAITING = 1, 8

KEPT_S = 60
"""Seconds that a picture may be shown again: a hundred readers of a page cost what one does."""

SVG, PNG = "image/svg+xml", "image/png"

SHORTEST, LONGEST = 10_000, 36_500 * DAY

Drawing = Callable[[Callable[[], Picture]], Awaitable[bytes]]

Ask = Callable[[Callable[[], Awaitable[bytes]]], Awaitable[Response]]


class Wanted(BaseModel):
    """A picture as it is asked for. A word that is unknown here is refused: a misspelt span would be another one."""

    model_config = ConfigDict(extra="forbid")

    sensor: Annotated[
        list[Annotated[str, Field(max_length=129)]],
        Field(min_length=1, max_length=MOST_SERIES, description="may be repeated; other units stand below"),
    ]
    last: Annotated[str | None, Field(max_length=20, description="so long up to `end`, such as 7d; 24h without")] = None
    start: Annotated[str | None, Field(max_length=40, description="from this time on, in place of `last`")] = None
    end: Annotated[str | None, Field(max_length=40, description="up to this time; now without")] = None
    width: Annotated[int, Field(ge=200, le=2000, description="pixels")] = 800
    height: Annotated[int, Field(ge=100, le=2000, description="pixels")] = 300
    units: Annotated[wording.Temperature | None, Field(description="as [display] says without")] = None
    pressure: Annotated[wording.Pressure | None, Field(description="as [display] says without")] = None


def add(api: FastAPI, site: Site, moment: Callable[[str | None], Millis | None], desk: Callable[[], Ask]) -> None:
    """Give the application its pictures. moment: reads a time in a query. desk: has answers made, each in its turn."""

    async def picture(request: Request, wanted: Wanted, kind: str, ask: Ask, draw: Drawing) -> Response:
        display = site.config.display
        units = wording.Units(wanted.units or display.units, wanted.pressure or display.pressure)
        asked = _asked(site, wanted, moment(wanted.start), moment(wanted.end))
        answer = await ask(lambda: draw(lambda: _picture(asked, _Look(site, wanted, units))))
        if answer.status_code == http.HTTPStatus.OK:
            answer.headers.update(_headers(kind, is_public=request.url.path in site.config.web.public))
        return answer

    for_svg, for_png = desk(), desk()

    @api.get("/api/plot.svg", summary="A plot as a picture", tags=["readings"], **_document(SVG))
    async def plot_svg(request: Request, wanted: Annotated[Wanted, Query()]) -> Response:
        """The mean with its band from the lowest to the highest, in local time; light or dark as its reader has it."""
        return await picture(request, wanted, SVG, for_svg, _as_svg)

    @api.get("/api/plot.png", summary="The same for what shows no SVG", tags=["readings"], **_document(PNG))
    async def plot_png(request: Request, wanted: Annotated[Wanted, Query()]) -> Response:
        """Drawn by matplotlib, an extra: 501 where that is missing, with what to type. Always light."""
        if png.is_missing():
            raise HTTPException(
                http.HTTPStatus.NOT_IMPLEMENTED, _cure(is_public=request.url.path in site.config.web.public)
            )
        return await picture(request, wanted, PNG, for_png, partial(_as_png, site.store.path.parent))


async def _as_svg(make: Callable[[], Picture]) -> bytes:
    return await to_thread.run_sync(lambda: svg(make()).encode("utf-8", "replace"))


async def _as_png(folder: Path, make: Callable[[], Picture]) -> bytes:
    packed = await to_thread.run_sync(lambda: msgspec.msgpack.encode(make()))
    try:
        drawn = await png.png(packed, folder)
    except OSError as error:
        raise HTTPException(http.HTTPStatus.SERVICE_UNAVAILABLE, f"No picture can be drawn now: {error}.") from error
    if drawn is None:
        text = f"matplotlib did not draw this within {png.PATIENCE_S:g} s; try again, or ask for /api/plot.svg."
        raise HTTPException(http.HTTPStatus.SERVICE_UNAVAILABLE, text)
    return drawn


def _cure(*, is_public: bool) -> str:
    """Return how to get PNG. Where everybody reads it, nobody learns in which folder the program lives."""
    what = "'outstation[png]'"
    cure = f"Install it with: pip install {what}" if is_public else to_install(what)
    return f"Pictures as PNG are drawn by matplotlib, which is not installed here; /api/plot.svg needs none. {cure}"


class _Look(msgspec.Struct, frozen=True):
    """For whom a picture is drawn."""

    site: Site
    wanted: Wanted
    units: wording.Units


def _asked(site: Site, wanted: Wanted, start: Millis | None, end: Millis | None) -> Asked:
    """Return what to ask the store for. Raises RefusedError."""
    if start is not None and wanted.last is not None:
        raise RefusedError("A plot begins at start=, or is the last=, not both.")
    names = list(dict.fromkeys(wanted.sensor))
    for name in names:
        if name not in site.node.sensors and name not in site.node.actuators:
            raise UnknownNameError(f'There is no sensor "{name[:80]}".')
    last = _last(wanted.last)
    begin = (clock.at() if end is None else end) - last if start is None else start
    return to_ask(site, Wish(names, begin, end, None, max(wanted.width // 2, 100)))


def _last(text: str | None) -> Millis:
    if text is None:
        return DAY
    try:
        span = parse_duration(text)
    except ValueError as error:
        raise RefusedError(f"last: {error}.") from error
    if not SHORTEST <= span <= LONGEST:
        raise RefusedError("last: expected from 10s to 36500d.")
    return span


def _picture(asked: Asked, look: _Look) -> Picture:
    """Return what is drawn. Blocks. Raises StoreError, RefusedError."""
    wanted = look.wanted
    timezone = look.site.config.node.timezone
    zone = zoneinfo.ZoneInfo(timezone) if timezone else None
    found = draw(look.site.store, asked).sensors
    until = wording.local(asked.end, zone)
    picture = Picture(
        asked.start,
        asked.end,
        wanted.width,
        wanted.height,
        scales.times(asked.start, asked.end, wanted.width // 80, zone),
        f"{until.day} {until:%b %Y, %H:%M %Z}",
        panels(_series(name, drawn, look) for name, drawn in found.items()),
    )
    if is_too_low(picture):
        raise RefusedError("Sensors of so many units do not fit.", cure="Ask for a greater height=, or for fewer.")
    return picture


def _series(name: str, drawn: Drawn, look: _Look) -> Series:
    label, unit = _spec(look.site, name)
    columns, units = drawn.columns, look.units
    shown = (label or wording.human(name))[:LABEL_AT_MOST]
    said = said_last(name, columns, unit, units)
    if is_switch(columns):
        on, off = wording.state_words(name)
        return Series(shown, "", said, shares(columns, drawn.until), (off, on))
    return Series(shown, wording.in_units(0.0, unit, units)[1], said, stretches(columns, unit, units))


def _spec(site: Site, name: str) -> tuple[str, str]:
    """Return the label and the unit of a sensor or an output."""
    if state := site.node.sensors.get(name):
        return state.spec.label, state.spec.unit
    return site.node.actuators[name].spec.label, ""


def _headers(kind: str, *, is_public: bool) -> dict[str, str]:
    return {
        "Content-Type": kind,
        "Content-Security-Policy": POLICY.decode(),
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": f"{'public' if is_public else 'private'}, max-age={KEPT_S}",
    }


def _document(kind: str) -> dict[str, Any]:
    return {"response_class": Response, "responses": {200: {"content": {kind: {}}}}}
