"""Local time: the offset of a zone through the year, the system's own, and the sun of the day at a place."""

from __future__ import annotations

import datetime
import time

import pytest

from outstation import clock
from outstation.core.readings import Millis, Zone
from outstation.engine.local_time import LocalTime

HOUR: Millis = 3_600_000
BERLIN = (52.52, 13.405)
TROMSO = (69.65, 18.96)


def utc(text: str) -> Millis:
    return round(datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("timezone", "moment", "hours"),
    [
        ("Europe/Berlin", "2026-01-15T12:00", 1),
        ("Europe/Berlin", "2026-03-29T00:59:59", 1),
        ("Europe/Berlin", "2026-03-29T01:00:00", 2),
        ("Europe/Berlin", "2026-10-25T00:59:59", 2),
        ("Europe/Berlin", "2026-10-25T01:00:00", 1),
        ("Asia/Kolkata", "2026-01-15T12:00", 5.5),
        ("America/St_Johns", "2026-01-15T12:00", -3.5),
        ("UTC", "1970-01-01T00:00", 0),
        ("UTC", "2046-01-01T00:00", 0),
    ],
)
def test_the_offset_is_that_of_the_moment(timezone: str, moment: str, hours: float) -> None:
    assert LocalTime("trust", timezone).zone(utc(moment)) == Zone(round(hours * HOUR))


def test_without_a_zone_it_is_the_system_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XYZ-03:30")
    time.tzset()
    try:
        assert LocalTime("trust").zone(utc("2026-06-01T12:00")) == Zone(3 * HOUR + HOUR // 2)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_what_a_clock_says_that_nobody_believes_is_no_local_time() -> None:
    local = LocalTime("auto", "Europe/Berlin", BERLIN)
    believed = clock.trust("auto") is not clock.Trust.UNSET
    assert (local.zone(utc("2026-06-01T12:00")) is not None) is believed
    # The past of a recording is believed whatever the clock of today says.
    assert local.zone_at(utc("2026-06-01T12:00")).offset == 2 * HOUR


def test_a_clock_that_was_right_once_is_believed_through_an_outage() -> None:
    """Without a network the kernel calls it unsynchronised after nine hours; a vent must not mind."""
    local = LocalTime("trust", "UTC")
    assert local.zone(0) == Zone(0)
    local._setting = "auto"
    assert local.zone(12 * HOUR) == Zone(0)


def test_the_sun_is_that_of_the_local_day() -> None:
    """Berlin, 21 June 2026: 04:43 to 21:33 (timeanddate.com); a minute more or less is another model's."""
    local = LocalTime("trust", "Europe/Berlin", BERLIN)
    zone = local.zone_at(utc("2026-06-21T12:00"))
    assert zone.sunrise == pytest.approx(4 * 60 + 43, abs=2)
    assert zone.sunset == pytest.approx(21 * 60 + 33, abs=2)


def test_the_day_of_the_sun_begins_at_local_midnight() -> None:
    local = LocalTime("trust", "Europe/Berlin", BERLIN)
    evening, after = local.zone_at(utc("2026-03-20T22:59")), local.zone_at(utc("2026-03-20T23:00"))
    assert evening.sunrise is not None
    assert after.sunrise is not None
    assert evening.sunrise - after.sunrise in (2, 3)
    # The same day again, by another way.
    assert local.zone_at(utc("2026-03-21T12:00")) == after


def test_the_sun_follows_clocks_that_are_put_forward() -> None:
    """Berlin, 29 March 2026: sunrise at 06:46, sunset at 19:33, both in summer time (timeanddate.com)."""
    local = LocalTime("trust", "Europe/Berlin", BERLIN)
    local.zone_at(utc("2026-03-28T23:30"))
    morning = local.zone_at(utc("2026-03-29T03:00"))
    assert morning.sunrise == pytest.approx(6 * 60 + 46, abs=3)
    assert morning.sunset == pytest.approx(19 * 60 + 33, abs=3)


@pytest.mark.parametrize("moment", ["2026-06-21T12:00", "2026-12-21T12:00"])
def test_where_the_sun_does_not_rise_or_set_there_is_none(moment: str) -> None:
    zone = LocalTime("trust", "Europe/Oslo", TROMSO).zone_at(utc(moment))
    assert (zone.sunrise, zone.sunset) == (None, None)
