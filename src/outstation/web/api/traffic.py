"""GET /api/traffic and POST /api/uplinks/{name}/resend: what is sent elsewhere, what waits, what it costs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from outstation import clock
from outstation.engine.site import Site
from outstation.errors import UnknownNameError
from outstation.http import Answer, Later, Request, json
from outstation.web.api.alerts import Nothing

if TYPE_CHECKING:
    from outstation.engine.forwarding import Report  # a node that sends nothing does not load it


_nothing = msgspec.json.Decoder(Nothing)


class Uplinks:
    """Speaks for what one node sends elsewhere."""

    def __init__(self, site: Site) -> None:
        self._forwarder = site.forwarder
        self._kinds = {table.name: table.kind for table in site.config.uplinks}

    def traffic(self, _: Request) -> Answer:
        """Handle GET /api/traffic."""
        return Later(asyncio.ensure_future(self._document()), json)

    def resend(self, request: Request) -> Answer:
        """Handle POST /api/uplinks/{name}/resend: 200 with how many are sent again, 404 no such uplink."""
        _nothing.decode(request.body or b"{}")
        if self._forwarder is None:
            raise UnknownNameError("Nothing is sent elsewhere here.", cure="Add a [[uplinks]] table to the config.")
        name = request.params["name"]
        doing = asyncio.ensure_future(self._forwarder.resend(name))
        return Later(doing, lambda number: json({"uplink": name, "again": number}))

    async def _document(self) -> dict[str, object]:
        reports = await self._forwarder.reports() if self._forwarder else {}
        return {"uplinks": {name: _document(self._kinds[name], one) for name, one in reports.items()}}


def _document(kind: str, report: Report) -> dict[str, object]:
    traffic = report.traffic
    cost = traffic.sent + traffic.received
    return {
        "kind": kind,
        "waiting": report.waiting,
        "alerts_waiting": report.alerts,
        "refused": report.parked,
        "lost": report.lost,
        "last_ok": None if report.last_ok is None else clock.iso(report.last_ok),
        "last_error": report.last_error or None,
        "requests": traffic.requests,
        "bytes_sent": traffic.sent,
        "bytes_received": traffic.received,
        "bytes_live": traffic.live,
        "readings": traffic.readings,
        "bytes_one_by_one": traffic.naive,
        "share": round(cost / traffic.naive, 6) if traffic.naive else None,
    }
