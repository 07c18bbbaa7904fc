"""GET /: the node at a glance, rendered here, without JavaScript, anew every five seconds."""

from __future__ import annotations

import hashlib
import zoneinfo
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from outstation import __version__, clock
from outstation.core.readings import Alert
from outstation.core.sensors import SensorState
from outstation.engine.site import Site
from outstation.http import HTML, Answer, Request, Response
from outstation.web.api.status import Status
from outstation.web.dashboard import wording
from outstation.web.dashboard.cards import output_card, sensor_card
from outstation.web.dashboard.decided import alerts_section, rules_section, settings_section
from outstation.web.dashboard.view import View, address, chosen, text

REFRESH = 5
"""Seconds from one look to the next."""

SHOWN = 500
"""Sensors on the page at most: more are a list to search, not a page to read, and cost the node time every refresh."""

PROBLEMS_SHOWN = 12

_HERE = Path(__file__).parent
_POLICY = (
    b"default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PROTECTED = (
    (b"Content-Security-Policy", _POLICY),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
)
_PAGE_HEADERS = (*_PROTECTED, (b"Cache-Control", b"no-store"))
_STYLE_HEADERS = (*_PROTECTED, (b"Cache-Control", b"max-age=31536000, immutable"))
_ICON_HEADERS = (*_PROTECTED, (b"Cache-Control", b"max-age=86400"))


class Page:
    """The first page of one node."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._status = Status(site)
        zone = site.config.node.timezone
        self._zone = zoneinfo.ZoneInfo(zone) if zone else None
        self._style = (_HERE / "page.css").read_bytes()
        self._icon = (_HERE / "icon.svg").read_bytes()
        self._edition = hashlib.sha256(self._style).hexdigest()[:8]

    def get(self, request: Request) -> Answer:
        """Handle GET /: `units=c|f` chooses, `refresh=off` stands still."""
        self._site.feed.look()
        document = "".join(self._parts(self._view(request.query)))
        return Response(document.encode("utf-8", "replace"), content_type=HTML, headers=_PAGE_HEADERS)

    def style(self, _: Request) -> Answer:
        """Handle GET /page.css: its address changes with its content, so that it is asked for once."""
        return Response(self._style, content_type=b"text/css; charset=utf-8", headers=_STYLE_HEADERS)

    def icon(self, _: Request) -> Answer:
        """Handle GET /favicon.ico."""
        return Response(self._icon, content_type=b"image/svg+xml", headers=_ICON_HEADERS)

    def _view(self, query: bytes) -> View:
        units, paused = chosen(query, self._site.config.display.units)
        moment = clock.moment()
        today = wording.local(moment.at, self._zone).date()
        return View(units, paused, moment, self._zone, today, self._site.simulated())

    def _parts(self, view: View) -> Iterator[str]:
        yield self._head(view)
        yield self._top(view)
        yield "<main>\n"
        yield from self._health(view)
        yield self._kept()
        yield from alerts_section(self._standing(), view)
        yield from self._groups(view)
        yield from rules_section(self._site.node.decisions, view)
        yield from settings_section(self._site.node.decisions)
        yield "</main>\n"
        yield _foot(view)

    def _head(self, view: View) -> str:
        refresh = "" if view.paused else f'<meta http-equiv="refresh" content="{REFRESH}">\n'
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<meta name="color-scheme" content="light dark">\n{refresh}'
            f"<title>{text(self._site.name)} · Outstation</title>\n"
            f'<link rel="stylesheet" href="/page.css?{self._edition}">\n'
            '<link rel="icon" href="/favicon.ico" type="image/svg+xml">\n</head>\n<body>\n'
        )

    def _top(self, view: View) -> str:
        now = view.local_now
        zone = getattr(view.zone, "key", "") or now.tzname() or ""
        remark = f"<p class=remark>{text(self._site.remark)}</p>\n" if self._site.remark else ""
        return (
            f"<header>\n<h1>{text(self._site.name)}</h1>\n{self._units(view)}"
            f'<p class=now><time datetime="{clock.iso(view.moment.at)}">{now:%A} {now.day} {now:%B %Y, %H:%M:%S}</time>'
            f" {text(zone)}</p>\n{remark}</header>\n"
        )

    def _units(self, view: View) -> str:
        """Return the links between °C and °F, where there is a temperature at all."""
        if not any(state.spec.unit in ("°C", "°F") for state in self._site.node.sensors.values()):
            return ""
        return f'<nav aria-label="Units">{_choice("c", "°C", view)}{_choice("f", "°F", view)}</nav>\n'

    def _health(self, view: View) -> Iterator[str]:
        problems = self._status.problems(view.moment.now)
        if not problems and self._standing():
            return
        if not problems:
            yield '<p class="health well">All is well</p>\n'
            return
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        yield f'<section class="health ill">\n<h2>{count}</h2>\n<ul>\n'
        for problem in problems[:PROBLEMS_SHOWN]:
            yield f"<li>{text(problem.partition(chr(10))[0])}</li>\n"
        yield "</ul>\n"
        if len(problems) > PROBLEMS_SHOWN:
            yield f'<p>and {len(problems) - PROBLEMS_SHOWN} more: <a href="/api/health">/api/health</a></p>\n'
        yield "</section>\n"

    def _standing(self) -> list[Alert]:
        """Return the alerts that stand here and at the nodes that report here."""
        return [*self._site.node.decisions.alerts.standing, *self._site.runner.elsewhere.values()]

    def _kept(self) -> str:
        """Return how much is kept, how fast it grows and when it is full."""
        return f"<p class=kept>{text(' '.join(self._site.retaining.document()['in_words']))}</p>\n"

    def _groups(self, view: View) -> Iterator[str]:
        node = self._site.node
        if not node.sensors and not node.actuators:
            yield _nothing_yet(self._site.config.web.port)
        for device, states in _by_device(node.sensors.values()):
            if states:
                yield from _group(device or "Sensors", (sensor_card(state, view) for state in states))
            if not device and node.actuators:
                yield from _group("Outputs", (output_card(state, view) for state in node.actuators.values()))
        more = len(node.sensors) - SHOWN
        if more > 0:
            yield f'<p class=more>and {more} more sensors: <a href="/api/sensors">/api/sensors</a></p>\n'


def _by_device(sensors: Iterable[SensorState]) -> list[tuple[str, list[SensorState]]]:
    """Return the sensors that are shown by device; the node's own come first, there or not."""
    groups: dict[str, list[SensorState]] = {"": []}
    for state in islice(sensors, SHOWN):
        groups.setdefault(state.spec.device, []).append(state)
    return list(groups.items())


def _group(title: str, cards: Iterable[str]) -> Iterator[str]:
    yield f"<section>\n<h2>{text(title)}</h2>\n<ul class=cards>\n"
    yield from cards
    yield "</ul>\n</section>\n"


def _choice(units: wording.Units, shown: str, view: View) -> str:
    if units == view.units:
        return f"<b aria-current=true>{shown}</b>"
    return f'<a href="{address(units, paused=view.paused)}">{shown}</a>'


def _foot(view: View) -> str:
    every = f'Stands still · <a href="{address(view.units, paused=False)}">refresh every {REFRESH} s</a>'
    if not view.paused:
        every = f'Refreshed every {REFRESH} s · <a href="{address(view.units, paused=True)}">stand still</a>'
    return (
        f'<footer>\n<p>{every}</p>\n<p><a href="/docs">API</a> · <a href="/api/status">status</a> · '
        f'<a href="/api/health">health</a> · Outstation {__version__}</p>\n</footer>\n</body>\n</html>\n'
    )


def _nothing_yet(port: int) -> str:
    return _NOTHING_YET.replace("PORT", str(port))


_NOTHING_YET = """<section class="start">
<h2>Nothing here yet</h2>
<p>This node has no sensors and no outputs. Give it some in its <code>outstation.toml</code>, and start it again:</p>
<pre>[[sensors]]
name = "cpu_temp"
driver = "system"
quantity = "cpu_temp"

[[actuators]]
name = "led"
driver = "gpio"
pin = 17</pre>
<p>Or let another program send readings. On this machine, first a key, then a reading:</p>
<pre>outstation keys create porch --scope write

curl -X POST http://localhost:PORT/api/readings \\
  -H "Content-Type: application/json" -H "X-API-Key: KEY" \\
  -d '{"sensor": "porch/temperature", "value": 21.5}'</pre>
<p>All that it understands stands in <a href="/docs">the API's own pages</a>.</p>
</section>
"""
