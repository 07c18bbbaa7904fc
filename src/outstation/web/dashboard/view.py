"""How one reader sees the page, and the way of a text and a time into it.

The law of this file: `text` is the only door for what came from a sensor, a board or the config.
"""

from __future__ import annotations

import datetime
import html
from urllib.parse import parse_qs, urlencode

import msgspec

from outstation import clock
from outstation.config.models import DisplayTable
from outstation.core.readings import Millis
from outstation.web.dashboard import wording
from outstation.web.dashboard.wording import Units


class View(msgspec.Struct, frozen=True):
    """What the reader chose, and the moment that the page shows. zone: None is the system's.

    group: of which sensors alone: a device's name, or HERE; None: all of them. may_control: by the key or the session.
    who: signed in by its name; "": nobody is. last: how much a plot shows at first: of a young node less than a day.
    """

    units: Units
    paused: bool
    moment: clock.Moment
    zone: datetime.tzinfo | None
    today: datetime.date
    simulated: frozenset[str] = frozenset()
    group: str | None = None
    may_control: bool = False
    who: str = ""
    last: str = "24h"

    @property
    def local_now(self) -> datetime.datetime:
        """The moment in the reader's zone."""
        return wording.local(self.moment.at, self.zone)


HERE = "-"
"""The group of the node's own sensors: no device is named so."""


def chosen(query: bytes, display: DisplayTable) -> tuple[Units, bool]:
    """Return the units that an address asks for (`units=c|f&pressure=hpa|inhg`), and whether it is to stand still."""
    asked = parse_qs(query.decode("ascii", "replace"))
    temperature, pressure = (asked.get(key, [""])[0].lower() for key in ("units", "pressure"))
    units = Units(
        "f" if temperature == "f" else "c" if temperature == "c" else display.units,
        "inhg" if pressure == "inhg" else "hpa" if pressure == "hpa" else display.pressure,
    )
    return units, asked.get("refresh") == ["off"]


def chosen_group(query: bytes) -> str | None:
    """Return which sensors alone an address asks for (`group=porch`)."""
    return parse_qs(query.decode("ascii", "replace")).get("group", [None])[0]


def address(view: View, **other: str | None) -> str:
    """Return the page's address with these choices and others, ready for an attribute."""
    units = view.units
    choices = {
        "units": units.temperature,
        "pressure": units.pressure,
        "group": view.group,
        "refresh": "off" if view.paused else None,
    }
    return text("/?" + urlencode({key: value for key, value in (choices | other).items() if value is not None}))


def text(anything: str) -> str:
    """Return a text as it may stand in the page, in an element or in an attribute."""
    return html.escape(anything, quote=True)


def time_element(at: Millis, view: View) -> str:
    """Return a time for people in the node's zone, and for programs in UTC."""
    return f'<time datetime="{clock.iso(at)}">{wording.clock_time(wording.local(at, view.zone), view.today)}</time>'
