"""Serves boards that speak ThingSpeak: entries go in, and come back to the letter."""

from __future__ import annotations

from outstation.engine.site import Site
from outstation.protocols.thingspeak import importing
from outstation.protocols.thingspeak.reading import Reading
from outstation.protocols.thingspeak.writing import Writing
from outstation.routes import Route
from outstation.store.entries import Entries


def routes(site: Site, entries: Entries) -> list[Route]:
    """Return what the dialect needs of the table of routes."""
    return [*Writing(site, entries).routes(), *Reading(site, entries).routes(), importing.route(site, entries)]
