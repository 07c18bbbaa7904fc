"""GET /wall: a few numbers one below the other, huge, for a screen on the wall or an old phone.

The law of this file: the page is complete without JavaScript, and every browser of the last twenty years can read it. A
sensor that is not there, or is there no longer, takes no other one from the wall.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode

from outstation import clock
from outstation.core.sensors import SensorState
from outstation.engine.site import Site
from outstation.errors import RefusedError
from outstation.http import HTML, Answer, Request, Response
from outstation.web.dashboard import wording
from outstation.web.dashboard.cards import wall_card
from outstation.web.dashboard.files import PROTECTED, Files
from outstation.web.dashboard.view import View, chosen, text
from outstation.web.packing import packed

REFRESH = 5
"""Seconds from one look to the next."""

AT_MOST = 24
UNASKED = 3
"""Sensors that are shown, and those of the node's own where none is asked for."""

_SIZES = 6
"""How many numbers share the height of the screen; with more one scrolls."""

_HEADERS = (*PROTECTED, (b"Cache-Control", b"no-store"))


class Wall:
    """The wall page of one node."""

    def __init__(self, site: Site, files: Files) -> None:
        self._site, self._files = site, files
        zone = site.config.node.timezone
        self._zone = zoneinfo.ZoneInfo(zone) if zone else None

    def get(self, request: Request) -> Answer:
        """Handle GET /wall: `sensor=NAME` (repeated) and units as on the page. Raises RefusedError."""
        asked = parse_qs(request.query.decode("utf-8", "replace")).get("sensor", [])
        names = list(dict.fromkeys(asked))
        if len(names) > AT_MOST:
            raise RefusedError(f"A wall has room for {AT_MOST} sensors.", cure="Ask for fewer.")
        self._site.feed.look()
        body = "".join(self._parts(names, self._view(request.query))).encode("utf-8", "replace")
        return packed(Response(body, content_type=HTML, headers=_HEADERS), request)

    def _view(self, query: bytes) -> View:
        units, _ = chosen(query, self._site.config.display)
        moment = clock.moment()
        today = wording.local(moment.at, self._zone).date()
        return View(units, paused=False, moment=moment, zone=self._zone, today=today, simulated=self._site.simulated())

    def _parts(self, names: list[str], view: View) -> Iterator[str]:
        yield self._head()
        shown = list(self._shown(names))
        now = view.local_now
        yield (
            f'<body class="wall of-{min(len(shown), _SIZES)}">\n<p class=top><b class=clock>{now:%H:%M:%S}</b> '
            f"{now:%A} {now.day} {now:%B %Y} <span class=node>{text(self._site.name)}</span></p>\n<ul>\n"
        )
        for name, state in shown:
            yield _missing(name) if state is None else wall_card(state, view)
        yield "</ul>\n"
        yield _other_units(names, shown, view)
        if not names:
            yield _HINT
        yield "</body>\n</html>\n"

    def _shown(self, names: list[str]) -> Iterator[tuple[str, SensorState | None]]:
        sensors = self._site.node.sensors
        for name in names or self._unasked():
            yield name, sensors.get(name)

    def _unasked(self) -> list[str]:
        """Return the first sensors of the config, those of the computer itself last."""
        sensors = self._site.node.sensors.values()
        computers = {one.name for one in self._site.config.sensors if one.driver == "system"}
        ordered = sorted(sensors, key=lambda state: (state.spec.name in computers, bool(state.spec.device)))
        return [state.spec.name for state in ordered[:UNASKED]]

    def _head(self) -> str:
        address = self._files.address
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            f'<noscript><meta http-equiv="refresh" content="{REFRESH}"></noscript>\n'
            f"<title>{text(self._site.name)} · wall</title>\n"
            f'<link rel="stylesheet" href="{address("wall.css")}">\n'
            f'<script src="{address("wall.js")}" defer></script>\n</head>\n'
        )


_HINT = "<p class=hint>The address says which numbers stand here: <code>/wall?sensor=NAME&amp;sensor=NAME</code></p>\n"


def _missing(name: str) -> str:
    words = "There is no sensor of this name."
    return f"<li class=bad><h2>{text(name[:129])}</h2><p class=value>\u2013</p><p class=said>{words}</p></li>\n"


def _other_units(names: list[str], shown: list[tuple[str, SensorState | None]], view: View) -> str:
    """Return the way to the other scale, where there is a temperature at all."""
    if not {state.spec.unit for _, state in shown if state} & {"°C", "°F"}:
        return ""
    other, word = ("c", "°C") if view.units.temperature == "f" else ("f", "°F")
    query = urlencode([*(("sensor", name) for name in names), ("units", other), ("pressure", view.units.pressure)])
    return f'<p class=units><a href="/wall?{text(query)}">in {word}</a></p>\n'
