"""How one reader sees the page, and the way of a text and a time into it.

The law of this file: `text` is the only door for what came from a sensor, a board or the config.
"""

from __future__ import annotations

import datetime
import html
from urllib.parse import parse_qs

import msgspec

from outstation import clock
from outstation.core.readings import Millis
from outstation.web.dashboard import wording


class View(msgspec.Struct, frozen=True):
    """What the reader chose, and the moment that the page shows. zone: None is the system's."""

    units: wording.Units
    paused: bool
    moment: clock.Moment
    zone: datetime.tzinfo | None
    today: datetime.date
    simulated: frozenset[str]

    @property
    def local_now(self) -> datetime.datetime:
        """The moment in the reader's zone."""
        return wording.local(self.moment.at, self.zone)


def chosen(query: bytes, default: wording.Units) -> tuple[wording.Units, bool]:
    """Return the units that an address asks for (`units=c|f`), and whether it asks to stand still (`refresh=off`)."""
    asked = parse_qs(query.decode("ascii", "replace"))
    units = asked.get("units", [default])[0].lower()
    return "f" if units == "f" else "c" if units == "c" else default, asked.get("refresh") == ["off"]


def address(units: wording.Units, *, paused: bool) -> str:
    """Return the page's address with these choices, ready for an attribute."""
    return f"/?units={units}&amp;refresh=off" if paused else f"/?units={units}"


def text(anything: str) -> str:
    """Return a text as it may stand in the page, in an element or in an attribute."""
    return html.escape(anything, quote=True)


def time_element(at: Millis, view: View) -> str:
    """Return a time for people in the node's zone, and for programs in UTC."""
    return f'<time datetime="{clock.iso(at)}">{wording.clock_time(wording.local(at, view.zone), view.today)}</time>'
