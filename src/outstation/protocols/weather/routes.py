"""Serves the WiFi weather stations: one reading a request, all of it in the path.

    GET /update/API_key=ASCIISTR/mac=6c:ef:7f:3b:9d:e8/field=1/data=72.3

Source: P. Kazarinoff, *Building an IoT Server with Flask and Python* (2018). Several stations share a key; the address
tells them apart. The reading is an entry of the board's channel too, so that pages made for ThingSpeak show it.
"""

from __future__ import annotations

from outstation import clock
from outstation.core.readings import Reading
from outstation.engine.boards import Board
from outstation.engine.guesses import WAIT
from outstation.engine.site import Site
from outstation.http import TEXT, Answer, Later, Request, Response
from outstation.protocols.thingspeak import wire
from outstation.routes import Route
from outstation.store.entries import FIELDS, Entries, Entry

_NAMES = ("API_key", "mac", "field", "data")
_PATH = "/update/{API_key}/{mac}/{field}/{data}"
_SUMMARY = "A weather station's reading: API_key=KEY, mac=ADDRESS, field=1, data=72.3, each a part of the path"


def routes(site: Site, entries: Entries) -> list[Route]:
    """Return what the stations need of the table of routes."""
    stations = Stations(site, entries)
    return [Route("GET", _PATH, None, stations.update, any_host=True, acts=True, refuse=_refuse, summary=_SUMMARY)]


class Stations:
    """The door for stations."""

    def __init__(self, site: Site, entries: Entries) -> None:
        self._site, self._entries, self._boards = site, entries, site.boards

    def update(self, request: Request) -> Answer:
        """Handle GET /update/API_key=.../mac=.../field=.../data=... . Raises RefusedError, StoreError."""
        parts = _parts(request.params)
        if parts is None:
            return _refuse(404, "Expected /update/API_key=KEY/mac=ADDRESS/field=1/data=72.3.")
        key, mac, said, text = parts
        moment, board = clock.moment(), self._boards.by_mac(mac)
        if board is None or not self._boards.may_report(board, key):
            if self._boards.refused(key if board else mac, request.peer.address, moment, board):
                return _refuse(429, "This was refused too often; wait a minute.")
            return _refuse(403, "No station with this address writes with this key.")
        field = wire.field(said)
        if field is None or isinstance(wire.value(text), str):
            return _refuse(400, f"Expected field=1 to field={FIELDS}, and a decimal number as data.")
        self._boards.heard(board, request.peer.address, moment)
        readings = self._site.runner.decide(_readings(board, field, text, moment))
        texts = tuple(text if field == number else None for number in range(1, FIELDS + 1))
        entry = Entry(board.channel, moment.at, texts, offset=moment.at - moment.now)
        stored = self._entries.enter([entry], readings)
        return Later(stored, lambda _: Response(b"ok\n", content_type=TEXT))


def _parts(params: dict[str, str]) -> list[str] | None:
    """Return the values of the four parts; None: their names are others."""
    pairs = [params[name].partition("=") for name in _NAMES]
    if [name for name, _, _ in pairs] != list(_NAMES):
        return None
    return [value for _, _, value in pairs]


def _readings(board: Board, field: int, text: str, moment: clock.Moment) -> list[Reading]:
    """Return the reading, if the field has a name here; others belong to the entry alone."""
    sensor = board.sensor(field)
    return [Reading(sensor, wire.value(text), moment.at, moment.now, moment.at)] if sensor else []


def _refuse(status: int, reason: str) -> Response:
    """Refuse in a line of text: a station prints it. Never a redirect."""
    status = {422: 400, 507: 503}.get(status, status)
    later = {429: WAIT, 503: ((b"Retry-After", b"5"),)}
    return Response(f"{reason}\n".encode(), status, TEXT, later.get(status, ()))
