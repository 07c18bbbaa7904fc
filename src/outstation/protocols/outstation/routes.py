"""What a hub needs of the table of routes: one door for nodes."""

from __future__ import annotations

import msgspec

from outstation.engine.site import Site
from outstation.protocols.outstation.hub import Hub
from outstation.protocols.outstation.watch import Watch
from outstation.protocols.outstation.wire import Batch
from outstation.routes import BATCH, Route

_SUMMARY = "A node reports; its batch may be gzip, and is on disk when it is answered"


def routes(site: Site, watch: Watch) -> list[Route]:
    """Return the rows."""
    door = Route("POST", "/api/ingest", "write", Hub(site, watch).post, body=BATCH, json=True, gzip=True)
    return [msgspec.structs.replace(door, summary=_SUMMARY, takes=Batch)]
