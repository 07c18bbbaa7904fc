"""The boards' dialects together: what the one port serves beside the native API, and a port for boards alone."""

from __future__ import annotations

from outstation.engine.site import Site
from outstation.protocols.influxdb import routes as influxdb
from outstation.protocols.thingspeak import routes as thingspeak
from outstation.protocols.weather import routes as weather
from outstation.routes import Route
from outstation.store.entries import Entries


def routes(site: Site) -> list[Route]:
    """Return what the dialects need of the table of routes."""
    entries = Entries(site.store)
    return [*thingspeak.routes(site, entries), *weather.routes(site, entries), *influxdb.routes(site)]
