from __future__ import annotations

import datetime
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outstation.core.readings import Value
from outstation.web.dashboard import wording

METRIC, AMERICAN = wording.Units(), wording.Units("f", "inhg")

NOON = 1_767_268_800_000
"""2026-01-01T12:00:00Z."""


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (21.537, "°C", "21.5"),
        (21, "°C", "21.0"),
        (-5.25, "°C", "-5.2"),
        (-0.04, "°C", "0.0"),
        (1013.25, "hPa", "1013.2"),
        (72, "ppm", "72"),
        (0.0042, "A", "0.0042"),
        (0.0, "A", "0.0"),
        (2**62, "", "4.612e+18"),
        (-1e300, "", "-1.000e+300"),
    ],
)
def test_a_number_has_one_decimal_unless_that_would_hide_it(value: float, unit: str, shown: str) -> None:
    assert wording.number(value, unit) == shown


@given(st.floats(-1e300, 1e300) | st.integers(-(2**63), 2**63 - 1), st.sampled_from(["°C", "W", ""]))
def test_any_number_fits_a_card_and_is_a_number(value: float, unit: str) -> None:
    shown = wording.number(value, unit)
    assert len(shown) <= 12
    assert float(shown) == pytest.approx(value, abs=0.0501, rel=0.051)


@pytest.mark.parametrize(
    ("value", "unit", "units", "expected"),
    [
        (100.0, "°C", AMERICAN, ("212.0", "°F")),
        (-40, "°C", AMERICAN, ("-40.0", "°F")),
        (212.0, "°F", METRIC, ("100.0", "°C")),
        (20.0, "°C", METRIC, ("20.0", "°C")),
        (1013.25, "hPa", AMERICAN, ("29.92", "inHg")),
        (1013.25, "mbar", AMERICAN, ("29.92", "inHg")),
        (29.92, "inHg", METRIC, ("1013.2", "hPa")),
        (20.0, "%", AMERICAN, ("20.0", "%")),
        (20.0, "", AMERICAN, ("20.0", "")),
    ],
)
def test_temperatures_and_pressures_follow_the_units(
    value: float, unit: str, units: wording.Units, expected: tuple[str, str]
) -> None:
    assert wording.value_and_unit("t", value, unit, units) == expected


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("button", True, "pressed"),
        ("button", False, "not pressed"),
        ("front_door", True, "open"),
        ("porch/window_2", False, "closed"),
        ("motion", True, "motion"),
        ("pump_running", True, "on"),
        ("doorbell", False, "off"),
        ("status", "all well", "all well"),
        ("status", None, ""),
    ],
)
def test_states_and_texts_are_words(name: str, value: Value | None, shown: str) -> None:
    assert wording.value_and_unit(name, value, "", METRIC) == (shown, "")


@pytest.mark.parametrize(("level", "shown"), [(True, "on"), (False, "off"), (None, "unknown"), (0.4, "40 %")])
def test_levels_are_words(level: float | bool | None, shown: str) -> None:
    assert wording.level(level) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.4, "just now"),
        (3, "3 s ago"),
        (59.9, "59 s ago"),
        (60, "1 min ago"),
        (7_200, "2 h ago"),
        (86_400, "24 h ago"),
        (172_800, "2 d ago"),
    ],
)
def test_an_age_is_told_in_the_largest_unit_that_says_enough(seconds: float, shown: str) -> None:
    assert wording.age(round(seconds * 1000)) == shown


def test_a_time_is_local_and_has_a_date_only_on_another_day() -> None:
    when = wording.local(NOON, zoneinfo.ZoneInfo("Pacific/Auckland"))
    assert wording.clock_time(when, datetime.date(2026, 1, 2)) == "01:00:00"
    assert wording.clock_time(when, datetime.date(2026, 1, 3)) == "2026-01-02 01:00:00"


def test_a_name_makes_a_label() -> None:
    assert wording.human("porch/air_temperature") == "Air temperature"
    assert wording.human("_") == "_"


@pytest.mark.parametrize(
    ("count", "shown"), [(999, "999 B"), (1_000, "1.0 kB"), (2_500_000, "2.5 MB"), (3 * 10**9, "3.0 GB")]
)
def test_bytes_are_told_in_the_largest_unit_that_says_enough(count: int, shown: str) -> None:
    assert wording.size(count) == shown
