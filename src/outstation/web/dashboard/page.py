"""GET /: the node at a glance, rendered here, complete without JavaScript; with it the page moves by itself.

There is one rendering, and it is this one. The scripts patch what stands here (ui/now.js):

* `<body data-now data-offset data-zone data-temperature data-pressure>`: the server's time in UTC milliseconds, the
  minutes of local time ahead of UTC and the zone's name where it is known, the units as chosen; `data-control` where
  the reader may move outputs.
* `[data-sensor=NAME]`, a card: `data-at` (when its reading was measured, in the server's time) and `data-limit` (the
  age in milliseconds past which it is old), `data-unit`, `data-words` ("open,closed"). A reading in the event stream
  changes `.value` and `.when` at once. `a[data-plot=NAME]` in it opens the plot.
* `[data-output=NAME]`, `[data-rule=NAME]`, `[data-setting=NAME]`, `[data-alert=ID]`: changed by `refresh()`, which asks
  for the page anew, and patches element by element: what did not change keeps its focus and what is typed in it.
  So buttons are rendered here, and listened to on `document` (`event.target.closest("[data-…]")`), never on themselves.
* `[data-keep]`: what a script has put there is its own; a patch does not touch it, nor an `open` of its own accord.
* `a[data-choice]`: a link to the page with other choices; followed without leaving the page.
* On `document`: `outstation:reading` ({sensor, timestamp, value, quality}), `outstation:output`, `outstation:alert`
  with the event's document as `detail`; `outstation:refreshed` after a patch; `outstation:live` with true or false.
* ui/main.js imports what the first view needs; what is opened later (plots) it imports then.

The law of these files: a text of a sensor, a board or the config is text: by `text()` here, by `textContent` there.
"""

from __future__ import annotations

import asyncio
import contextlib
import zoneinfo
from collections.abc import Iterator

from outstation import __version__, clock
from outstation.core.readings import Alert, Millis
from outstation.core.windows import HOUR
from outstation.engine.site import Site
from outstation.http import HTML, NOBODY, Answer, Later, Principal, Request, Response
from outstation.web.api.status import Status
from outstation.web.dashboard import wording
from outstation.web.dashboard.acts import session_bar, sign_in, simulated_section
from outstation.web.dashboard.decided import alerts_section, rules_section, settings_section
from outstation.web.dashboard.files import PROTECTED, Files
from outstation.web.dashboard.groups import by_device, choice_of_group, group, left_out, outputs_section, shown
from outstation.web.dashboard.health import Health
from outstation.web.dashboard.start import nothing_yet
from outstation.web.dashboard.view import HERE, View, address, chosen, chosen_group, text
from outstation.web.packing import packed
from outstation.web.picture.sparks import Sparklines
from outstation.web.security import READER

REFRESH = 5
"""Seconds from one look to the next, where there are no scripts."""

PROBLEMS_SHOWN = 12

_PATIENCE = 0.2
"""Seconds that the page waits for its sparklines: the first ones, or old ones, are better than a white page."""

_AT_ONCE = 32
"""Cards between which others have their turn: 500 in one go keep readings waiting for a fifth of a second on a Pi."""

_HEADERS = (*PROTECTED, (b"Cache-Control", b"no-store"))
_SCRIPTS = (
    "main.js",
    "now.js",
    "later.js",
    "units.js",
    "stream.js",
    "patch.js",
    "elements.js",
    "session.js",
    "act.js",
    "why.js",
)


class Page:
    """The first page of one node."""

    def __init__(self, site: Site, files: Files) -> None:
        self._site, self._files = site, files
        self._status = Status(site)
        self._sparks, self._health = Sparklines(site), Health(site)
        zone = site.config.node.timezone
        self._zone = zoneinfo.ZoneInfo(zone) if zone else None
        self._turn = asyncio.Lock()
        self._waiting: dict[object, asyncio.Task[bytes]] = {}

    def get(self, request: Request) -> Answer:
        """Handle GET /: `units=c|f`, `pressure=hpa|inhg`, `group=DEVICE` choose, `refresh=off` stands still."""
        return Later(asyncio.ensure_future(self._answer(request)), lambda answer: answer)

    async def _answer(self, request: Request) -> Response:
        body = await asyncio.shield(self._waited_for(request.query, request.principal))
        return await asyncio.to_thread(packed, Response(body, content_type=HTML, headers=_HEADERS), request)

    def _waited_for(self, query: bytes, reader: Principal) -> asyncio.Task[bytes]:
        """Return the page that is still to be begun, for all who see the same: many readers cost what one does."""
        wanted = (chosen(query, self._site.config.display), chosen_group(query), reader)
        if wanted not in self._waiting:
            self._waiting[wanted] = asyncio.create_task(self._in_turn(wanted, query, reader))
        return self._waiting[wanted]

    async def _in_turn(self, wanted: object, query: bytes, reader: Principal) -> bytes:
        """Render one page after the other: at once, a hundred would keep rules and orders waiting for seconds."""
        try:
            await self._look(query)
            await self._turn.acquire()
        finally:
            del self._waiting[wanted]
        try:
            return await self._render(query, reader)
        finally:
            self._turn.release()

    async def _look(self, query: bytes) -> None:
        self._site.feed.look()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._health.look()
                await self._sparks.look(shown(self._site.node, chosen_group(query)))

    async def _render(self, query: bytes, reader: Principal) -> bytes:
        parts = []
        for number, part in enumerate(self._parts(self._view(query, reader))):
            parts.append(part)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return "".join(parts).encode("utf-8", "replace")

    def _view(self, query: bytes, reader: Principal) -> View:
        units, paused = chosen(query, self._site.config.display)
        moment = clock.moment()
        today = wording.local(moment.at, self._zone).date()
        may_control = "control" in reader.scopes
        group = chosen_group(query)
        who = "" if reader in (NOBODY, READER) else reader.name
        last = _fitting(moment.at - (self._site.retaining.since or moment.at))
        return View(units, paused, moment, self._zone, today, self._site.simulated(), group, may_control, who, last)

    def _parts(self, view: View) -> Iterator[str]:
        yield self._head(view)
        yield _body(view)
        yield self._top(view)
        yield "<main>\n"
        yield from self._problems(view)
        yield from alerts_section(self._standing(), view, {*self._site.node.sensors, *self._site.node.actuators})
        yield from self._now(view)
        yield from self._health.section(view)
        yield "</main>\n"
        yield sign_in("To move outputs and change settings you need a key with the scope “control”.", self._site.name)
        yield _foot(view)

    def _head(self, view: View) -> str:
        address = self._files.address
        refresh = "" if view.paused else f'<noscript><meta http-equiv="refresh" content="{REFRESH}"></noscript>\n'
        loaded = "".join(f'<link rel="modulepreload" href="{address(name)}">\n' for name in _SCRIPTS)
        scripts = (
            f'<script type="module" src="{address("main.js")}"></script>\n'
            f'<script async src="{address("alone.js")}"></script>\n'
        )
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<meta name="color-scheme" content="light dark">\n{refresh}'
            f"<title>{text(self._site.name)} · Outstation</title>\n"
            f'<link rel="stylesheet" href="{address("page.css")}">\n'
            '<link rel="icon" href="/favicon.ico" type="image/svg+xml">\n'
            f"{loaded}{'' if view.paused else scripts}</head>\n"
        )

    def _top(self, view: View) -> str:
        now = view.local_now
        zone = getattr(view.zone, "key", "") or now.tzname() or ""
        remark = f"<p class=remark>{text(self._site.remark)}</p>\n" if self._site.remark else ""
        return (
            f"<header>\n<h1>{text(self._site.name)}</h1>\n{self._units(view)}"
            f'<p class=now><time datetime="{clock.iso(view.moment.at)}">{now:%A} {now.day} {now:%B %Y}, '
            f"<span class=clock>{now:%H:%M:%S}</span></time> {text(zone)}</p>\n"
            f"<p class=live role=status data-keep hidden></p>\n{session_bar(view)}{remark}</header>\n"
        )

    def _units(self, view: View) -> str:
        """Return the links between °C and °F and between hPa and inHg, where there is such a value at all."""
        units = {state.spec.unit for state in self._site.node.sensors.values()}
        chosen = view.units
        links = []
        if units & {"°C", "°F"}:
            links.append(_choice("units", {"c": "°C", "f": "°F"}, chosen.temperature, view))
        if units & {"hPa", "mbar", "inHg"}:
            links.append(_choice("pressure", {"hpa": "hPa", "inhg": "inHg"}, chosen.pressure, view))
        return f'<nav class=units aria-label="Units">{"".join(links)}</nav>\n' if links else ""

    def _problems(self, view: View) -> Iterator[str]:
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

    def _now(self, view: View) -> Iterator[str]:
        node, site = self._site.node, self._site
        if not node.sensors and not node.actuators:
            yield nothing_yet(site.config.web.port, site.urls)
            return
        own, others = by_device(node, view)
        yield choice_of_group(node, view)
        yield "<div class=now-and-act>\n"
        yield from group("Sensors", own, view, self._sparks.svg)
        if view.group in (None, HERE):
            yield "<div class=act>\n"
            yield from outputs_section(node, view)
            yield from rules_section(node.decisions, view)
            yield from settings_section(node.decisions, view)
            yield from simulated_section(node, view)
            yield "</div>\n"
        yield "<div class=others>\n"
        for device, states in others.items():
            yield from group(device, states, view, self._sparks.svg)
        yield left_out(node, view)
        yield "</div>\n</div>\n"


def _fitting(known: Millis) -> str:
    """Return how much a plot is to show at first, where so much is known: an empty day says nothing."""
    spans = {"15m": HOUR // 4, "1h": 2 * HOUR, "6h": 12 * HOUR}
    return next((last for last, upto in spans.items() if known < upto), "24h")


def _body(view: View) -> str:
    offset = view.local_now.utcoffset()
    minutes = int(offset.total_seconds() // 60) if offset else 0
    control = " data-control" if view.may_control else ""
    zone = text(getattr(view.zone, "key", ""))
    return (
        f'<body data-now="{view.moment.at}" data-offset="{minutes}" data-zone="{zone}"'
        f' data-temperature="{view.units.temperature}" data-pressure="{view.units.pressure}"{control}>\n'
    )


def _choice(key: str, words: dict[str, str], current: str, view: View) -> str:
    links = [
        f"<b aria-current=true>{word}</b>"
        if value == current
        else f'<a href="{address(view, **{key: value})}" data-choice>{word}</a>'
        for value, word in words.items()
    ]
    return f"<span>{''.join(links)}</span>"


def _foot(view: View) -> str:
    every = f'Stands still · <a href="{address(view, refresh=None)}">refresh every {REFRESH} s</a>'
    if not view.paused:
        every = f'Refreshed every {REFRESH} s · <a href="{address(view, refresh="off")}">stand still</a>'
        every = f"<noscript>{every}</noscript>"
    return (
        f'<footer>\n<p>{every}</p>\n<p><a href="/docs">API</a> · <a href="/api/status">status</a> · '
        f'<a href="/api/health">health</a> · Outstation {__version__}</p>\n</footer>\n'
        "<dialog id=plot data-keep></dialog>\n</body>\n</html>\n"
    )
