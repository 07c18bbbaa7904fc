"""What is worked out from numbers, in conditions and for derived sensors."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outstation.core.conditions import (
    ConditionError,
    Known,
    check,
    evaluate,
    explain,
    lines,
    measurer,
    parse,
    parse_value,
    sensors,
    spans,
    unit_of,
)
from outstation.core.conditions.formulas import dew_point, vapour_pressure_deficit
from tests.core.seen import Seen

KNOWN = Known({"air": "°C", "porch": "°C", "humidity": "%", "door": ""}, ["vent"], {"base": "°C"})


def comes_to(text: str, seen: Seen) -> float | None:
    return measurer(parse_value(text, settings=["base"]).root)(seen)


def mistakes(text: str) -> list[str]:
    try:
        value = parse_value(text, actuators=KNOWN.actuators, settings=KNOWN.settings)
    except ConditionError as error:
        return [str(mistake) for mistake in error.mistakes]
    return [str(mistake) for mistake in check(value, KNOWN)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("min(x, 3)", 3),
        ("max(x, 3)", 8),
        ("abs(2 - x)", 6),
        ("sqrt(x * 2)", 4),
        ("exp(x - 8)", 1),
        ("log(exp(1))", 1),
        ("max(x - base, 0) + min(`x`, 1m)", 2),
        ("max(max(x, 9), max(1, 2))", 9),
    ],
)
def test_formulas(text: str, wanted: float) -> None:
    seen = Seen({"x": 8}, settings={"base": 7}, told={"x": [(0, 1.0), (1, 5.0)]})
    assert comes_to(text, seen) == pytest.approx(wanted)


@pytest.mark.parametrize("text", ["sqrt(-x)", "log(0 * x)", "exp(x * 999)", "log(y)", "max(x, y)", "dew_point(x, 0)"])
def test_where_there_is_no_answer_it_is_unknown(text: str) -> None:
    assert comes_to(text, Seen({"x": 8})) is None
    assert evaluate(parse(f"{text} > 1"), Seen({"x": 8})) is None


@pytest.mark.parametrize(
    ("temperature", "humidity", "dew", "deficit"),
    [
        (20, 50, 9.255, 1.1666),  # By hand: 23.33 hPa at 20 °C, of which one half is missing.
        (25, 60, 16.69, 1.265),
        (0, 100, 0, 0),
        (-10, 80, -12.797, 0.0574),
    ],
)
def test_dew_points_and_deficits(temperature: float, humidity: float, dew: float, deficit: float) -> None:
    assert dew_point(temperature, humidity) == pytest.approx(dew, abs=0.01)
    assert vapour_pressure_deficit(temperature, humidity) == pytest.approx(deficit, abs=0.001)


@given(st.floats(-45, 60), st.floats(0.1, 100))
def test_air_at_its_dew_point_could_take_up_nothing_more(temperature: float, humidity: float) -> None:
    dew = dew_point(temperature, humidity)
    assert dew <= temperature + 1e-9
    missing = vapour_pressure_deficit(temperature, 0) - vapour_pressure_deficit(dew, 0)
    assert missing == pytest.approx(vapour_pressure_deficit(temperature, humidity), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("temperature", "humidity"), [(-243.12, 50), (-300, 50), (20, 0), (20, -1), (20, 1e12)])
def test_what_is_no_air_has_no_dew_point(temperature: float, humidity: float) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        dew_point(temperature, humidity)


@given(st.floats(), st.floats())
def test_whatever_the_numbers_a_value_is_a_number_or_unknown(one: float, other: float) -> None:
    for text in ("dew_point(x, y)", "vapour_pressure_deficit(x, y)", "min(x, y)", "exp(x)", "sqrt(x)", "log(y)"):
        value = comes_to(text, Seen({"x": one, "y": other}))
        assert value is None or not math.isnan(value)


@pytest.mark.parametrize(
    "text",
    [
        "dew_point(air, humidity)",
        "dew_point(min(air, porch), humidity) - air",
        "max(air - base, 0)",
        "abs(age(air)) / 1s",
        "mean(air, 1d) * log(humidity) * sqrt(door)",
        "max(vapour_pressure_deficit(air, humidity), 0.1)",
    ],
)
def test_values_that_are_right(text: str) -> None:
    assert mistakes(text) == []


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("dew_point(humidity, air)", "expected a number in °C in dew_point(...), found a number in %."),
        ("dew_point(air)", 'expected "," as in "dew_point(x, y)", found ")"'),
        ("dew_point(air, humidity, 3)", 'expected ")" as in "dew_point(x, y)", found ","'),
        ("max(air, humidity)", "expected a number in °C, as on the left, found a number in %."),
        ("max(air, dew_point(air, humidity)) + humidity", "expected a number in °C, as on the left, found"),
        ("abs(air) + humidity", "expected a number in °C, as on the left, found a number in %."),
        ("dew_point(air, humidity) + vapour_pressure_deficit(air, humidity)", "found a number in kPa."),
        ("exp(age(air))", "expected a number in exp(...), found a duration such as 2m."),
        ("max(base, 10m)", 'expected a sensor in max(...), found the setting "base".'),
        ("max(air > 3, 1)", 'expected "," as in "max(x, y)", found ">"'),
        ("roof", 'found "roof", which nobody knows'),
        ("base * 2", "expected a sensor in it: this one never changes."),
        ("age(air) - 1m", "expected a number, found a duration; divide it by one, such as age(x) / 1s."),
        ("", 'expected a value such as "indoors - outdoors", found the end.'),
        ("air > 3", 'expected "+", "-", "*", "/" or the end, found ">"'),
        ("vent", "expected a number, found the output"),
        ("not air", 'expected a sensor, a setting or a number, found "not"'),
    ],
)
def test_values_that_are_wrong(text: str, mistake: str) -> None:
    found = mistakes(text)
    assert found, text
    assert mistake in found[0]


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("air - porch", "°C"),
        ("door + air", "°C"),
        ("air * 2", ""),
        ("vapour_pressure_deficit(air, humidity)", "kPa"),
        ("max(door, humidity)", "%"),
        ("rate(air, 1h)", "°C/h"),
        ("count(air, 1h)", ""),
        ("age(air)", ""),
    ],
)
def test_a_value_is_in_the_unit_of_what_it_is_made_of(text: str, unit: str) -> None:
    assert unit_of(parse_value(text), KNOWN) == unit


def test_a_value_knows_what_it_looks_at() -> None:
    value = parse_value("max(mean(air, 10m) - base, abs(porch)) + dew_point(air, humidity)", settings=["base"])
    assert sensors(value) == {"air", "porch", "humidity"}
    assert spans(value) == {"air": (600_000,)}


def test_a_condition_with_a_formula_is_explained_with_its_values() -> None:
    condition = parse("dew_point(air, humidity) > porch - 1")
    seen = Seen({"air": 20, "humidity": 50, "porch": 9})
    assert lines(explain(condition, seen)) == [
        "dew_point(air, humidity) > porch - 1  (dew_point(20, 50) > 9 - 1: true)"
    ]
