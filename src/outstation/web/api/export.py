"""GET /api/export: stored readings as CSV, however many, made beside the loop and sent as fast as they are read.

The law of this file: who reads slowly keeps a process waiting, and nothing else: no snapshot of the data file, and
of the text no more than a few pieces. Who leaves ends it, and so does who stops reading.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Literal

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from outstation import http
from outstation.core.readings import Millis
from outstation.engine import exports
from outstation.engine.clerk import Clerks
from outstation.engine.site import Site
from outstation.errors import OutstationError, StoreError
from outstation.store.database import Store
from outstation.store.exporting import Wanted, check

log = logging.getLogger(__name__)

PATIENCE_S = 20.0
"""Seconds in which a client takes a piece of 64 KiB: any radio link has 3 KiB a second. Else another has its place."""

CSV = "text/csv; charset=utf-8"


def add(api: FastAPI, site: Site, moment: Callable[[str | None], Millis | None]) -> None:
    """Give the application its export. moment: reads a time in a query."""
    counter = _Counter(site.store, site.name, site.clerks)

    @api.get(
        "/api/export",
        summary="Stored readings as CSV",
        tags=["readings"],
        response_class=Response,
        responses={200: {"content": {"text/csv": {}}}},
    )
    async def export(
        request: Request,
        sensor: Annotated[list[str] | None, Query(max_length=1_000, description="may be repeated; all without")] = None,
        start: Annotated[str | None, Query(max_length=40, description="from this time on")] = None,
        end: Annotated[str | None, Query(max_length=40, description="before this time")] = None,
        shape: Annotated[
            Literal["wide", "long"], Query(alias="format", description="a column a sensor, or a row a reading")
        ] = "wide",
    ) -> Response:
        """Wide: `timestamp`, then a column a sensor. Long: `timestamp,sensor,value,unit,quality`."""
        is_long = shape == "long"
        units = {name: state.spec.unit for name, state in site.node.sensors.items()} if is_long else {}
        wanted = Wanted(tuple(sensor or ()), moment(start), moment(end), is_long, units)
        if request.scope["outstation"].method == "HEAD":
            await counter.check(wanted)
            return Response(b"", headers=counter.headers, media_type=CSV)
        return _Table(counter, wanted)


class _Counter:
    """Where exports are handed out: so many at once, and no more."""

    def __init__(self, store: Store, name: str, clerks: Clerks | None) -> None:
        self.store, self.here = store, 0
        self._clerks = clerks
        name = re.sub(r"[^\w-]", "_", name, flags=re.ASCII)
        self.headers = {"Content-Disposition": f'attachment; filename="{name}.csv"', "Cache-Control": "no-store"}

    async def check(self, wanted: Wanted) -> None:
        """Raise UnknownNameError, RefusedError and StoreError as the export itself would."""
        await self._write_down()
        await asyncio.to_thread(self._check, wanted)

    def _check(self, wanted: Wanted) -> None:
        with self.store.read() as connection:
            check(connection, wanted)

    async def _write_down(self) -> None:
        with contextlib.suppress(StoreError):  # then it is made of what is on disk
            await self.store.flush()

    @contextlib.asynccontextmanager
    async def served(self, wanted: Wanted) -> AsyncIterator[AsyncIterator[bytes]]:
        """Lend the pieces of an export. Raises StoreError: too many are made already."""
        if self.here >= exports.MOST:
            raise StoreError(f"{exports.MOST} exports are being made already.", cure="Try again when one is done.")
        self.here += 1
        try:
            await self._write_down()
            with self._clerks.make_way() if self._clerks else contextlib.nullcontext():
                async with exports.exported(self.store, wanted) as pieces:
                    yield pieces
        finally:
            self.here -= 1


class _Table(Response):
    """A table that is sent while it is made."""

    media_type = CSV

    def __init__(self, counter: _Counter, wanted: Wanted) -> None:
        super().__init__(headers=counter.headers)
        self._counter, self._wanted = counter, wanted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, or say why not. One that breaks off has no end: the server closes its connection then."""
        sending = asyncio.create_task(self._send(scope, receive, send))
        leaving = asyncio.create_task(_left(receive))
        with contextlib.suppress(asyncio.CancelledError):  # the node stops
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        sending.cancel()
        leaving.cancel()
        with contextlib.suppress(asyncio.CancelledError):  # and its loop ends
            await asyncio.gather(sending, leaving, return_exceptions=True)
        if sending.done() and not sending.cancelled() and (error := sending.exception()) is not None:
            log.error("an export broke off: %s", error, exc_info=None if isinstance(error, StoreError) else error)

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False
        try:
            async with self._counter.served(self._wanted) as pieces:
                has_begun = True
                headers = [header for header in self.raw_headers if header[0] != b"content-length"]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                async for piece in pieces:
                    await _taken(send({"type": "http.response.body", "body": piece, "more_body": True}))
                await send({"type": "http.response.body", "body": b""})
        except OutstationError as error:
            if has_begun:
                raise
            answer = http.from_error(error)
            said = {name.decode(): value.decode() for name, value in answer.headers}
            refusal = Response(answer.body, answer.status, said, media_type=answer.content_type.decode())
            await refusal(scope, receive, send)


async def _taken(sending: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await sending
    except TimeoutError as error:
        raise StoreError(f"its client took nothing for {PATIENCE_S:g} s.") from error


async def _left(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
