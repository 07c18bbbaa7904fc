"""Where local time stands: the offset of the node's time zone, and the sun of the day at its place."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from zoneinfo import ZoneInfo

from outstation import clock
from outstation.core.readings import Millis, Zone

Place = tuple[float, float]
"""Latitude and longitude in degrees, north and east positive."""


class LocalTime:
    """The local time of one node. timezone None: the system's. place None: nobody asks for the sun.

    offset: of the zone from UTC, at any moment, in any thread; all else is for one thread. believed: this boot's
    clock was right once, and is believed from then on.
    """

    def __init__(
        self, setting: clock.Setting = "auto", timezone: str | None = None, place: Place | None = None
    ) -> None:
        self._setting = setting
        self.offset = _system_offset if timezone is None else _offset_in(ZoneInfo(timezone))
        self.place = place
        self.believed = False
        self._sun: tuple[tuple[datetime.date, Millis], int | None, int | None] | None = None

    def zone(self, at: Millis) -> Zone | None:
        """Return the zone at a moment; None until this machine's clock is to be believed."""
        # Once set it goes wrong by seconds a day. The kernel takes its word back after nine hours without a network
        # (kernel/time/ntp.c, second_overflow: the maximum error grows by 500 us a second, and may be 16 s).
        self.believed = self.believed or clock.trust(self._setting) is not clock.Trust.UNSET
        return self.zone_at(at) if self.believed else None

    def zone_at(self, at: Millis) -> Zone:
        """Return the zone at any moment of the past, whose clock is believed."""
        offset = self.offset(at)
        if self.place is None:
            return Zone(offset)
        day = datetime.datetime.fromtimestamp((at + offset) / 1000, datetime.UTC).date()
        # By the offset too: clocks that are put forward before sunrise put it forward with them.
        if self._sun is None or self._sun[0] != (day, offset):
            self._sun = ((day, offset), *_sun(self.place, day, offset))
        return Zone(offset, *self._sun[1:])


def _system_offset(at: Millis) -> Millis:
    return time.localtime(at / 1000).tm_gmtoff * 1000


def _offset_in(zone: ZoneInfo) -> Callable[[Millis], Millis]:
    def offset(at: Millis) -> Millis:
        found = datetime.datetime.fromtimestamp(at / 1000, zone).utcoffset()
        return 0 if found is None else found // datetime.timedelta(milliseconds=1)

    return offset


def _sun(place: Place, day: datetime.date, offset: Millis) -> tuple[int | None, int | None]:
    """Return sunrise and sunset of a local day in minutes since its midnight; None where there is none."""
    from astral import Observer, sun  # noqa: PLC0415  few nodes ask for the sun

    here = datetime.timezone(datetime.timedelta(milliseconds=offset))
    found: list[int | None] = []
    for event in (sun.sunrise, sun.sunset):
        try:
            when = event(Observer(*place), day, tzinfo=here)
        except ValueError:  # it does not rise, or does not set, on this day
            found.append(None)
        else:
            found.append(when.hour * 60 + when.minute)
    return found[0], found[1]
