"""What is wrong with a condition on a node: names that nobody knows, units that do not match."""

from __future__ import annotations

import pytest

from outstation.core.conditions import Known, check, parse

GREENHOUSE = Known(
    sensors={
        "air": "°C",
        "soil": "%",
        "porch/air": "°C",
        "fahrenheit": "°F",
        "door": "",
        "daylight": "h",
        "counter": "",
    },
    actuators=["vent", "heater"],
    settings={"vent_at": "°C", "times": ""},
    devices=["shed", "hub/cellar"],
    place=True,
)


def mistakes(text: str, known: Known = GREENHOUSE) -> list[tuple[str, str]]:
    """Return the sentence of each mistake, and the piece of the text that it points at."""
    condition = parse(text, actuators=known.actuators, settings=known.settings)
    return [(found.sentence, text[found.start : found.end]) for found in check(condition, known)]


@pytest.mark.parametrize(
    "text",
    [
        "air > 30",
        "air > porch/air - 1",
        "air > vent_at + 2",
        "air between vent_at - 1 and 40",
        "vent is on and door is not on",
        "mean(air, 10m) < max(porch/air, 1h)",
        "rate(air, 10m) > rate(porch/air, 10m)",
        "rate(counter, 10m) > rate(air, 10m)",
        "change(air, 1h) > 3 and stdev(air, 1h) > 0.5",
        "count(air, 1h) > count(soil, 1h)",
        "count(air, 1h) / count(soil, 1h) < 0.5",
        "age(air) > 2m and age(air) - age(soil) > 1h",
        "age(air) > times * 1m and age(air) / 1m > times",
        "age(air) > count(air, 1h) * 2m",
        "age(air) * 2 / 3 between 1m and 5m",
        "age(air) / age(soil) > 2",
        "-air < -30",
        "air * 1.8 + 32 > fahrenheit",
        "air / soil > soil",
        "counter > air",
        "quality(air) is not ok",
        "between sunset - 30m and sunrise",
        "weekday is monday",
        "shed/anything > 3 and hub/cellar/anything > 3".replace("hub/cellar/anything", "`hub/cellar/anything`"),
    ],
)
def test_what_is_right(text: str) -> None:
    assert mistakes(text) == []


@pytest.mark.parametrize(
    ("text", "where", "hint"),
    [
        ("aire > 30", "aire", ', which nobody knows; did you mean "air"?'),
        ("iar > 30", "iar", '; did you mean "air"?'),
        ("30 > max(porch/iar, 1h)", "porch/iar", '; did you mean "porch/air"?'),
        ("Vent is on", "Vent", '; did you mean "vent"?'),
        ("age(vent_att) > 2m", "vent_att", '; did you mean "vent_at"?'),
        ("air-1 > 30", "air-1", "; with spaces it is air - 1."),
        ("air/soil > 30", "air/soil", "; with spaces it is air / soil."),
        ("vent_at-air > 30", "vent_at-air", "; with spaces it is vent_at - air."),
        ("pressure > 3", "pressure", 'found "pressure", which nobody knows.'),
        ("barn/air > 3", "barn/air", "which nobody knows"),
        ("quality(`2nd board/x`) is ok", "`2nd board/x`", 'found "2nd board/x", which nobody knows.'),
    ],
)
def test_a_name_that_nobody_knows(text: str, where: str, hint: str) -> None:
    ((sentence, piece),) = mistakes(text)
    assert sentence.startswith("expected the name of a sensor, an output or a setting, found ")
    assert sentence.endswith(hint) or hint in sentence
    assert piece == where


def test_a_name_is_told_once() -> None:
    assert [piece for _, piece in mistakes("pressure > 3 and pressure < 5 and wind > 3")] == ["pressure", "wind"]


def test_where_nothing_is_known_nothing_is_offered() -> None:
    ((sentence, _),) = mistakes("air > 3", Known())
    assert sentence.endswith('found "air", which nobody knows.')


@pytest.mark.parametrize(
    ("text", "where", "expected"),
    [
        ("air > soil", "soil", "expected a number in °C, as on the left, found a number in %."),
        ("air > fahrenheit", "fahrenheit", "expected a number in °C, as on the left, found a number in °F."),
        ("soil > vent_at", "vent_at", "expected a number in %, as on the left, found a number in °C."),
        ("air + soil > 3", "soil", "expected a number in °C, as on the left, found a number in %."),
        ("3 + air > soil", "soil", "expected a number in °C, as on the left, found a number in %."),
        ("-air > soil", "soil", "expected a number in °C, as on the left, found a number in %."),
        ("air between 3 and soil", "soil", "expected a number in °C, as on the left, found a number in %."),
        ("rate(air, 1h) > air", "air", "expected a number in °C/h, as on the left, found a number in °C."),
        ("count(air, 1h) > air", "air", "expected a number of readings, as on the left, found a number in °C."),
        ("age(air) > 120", "120", "expected a duration such as 2m, as on the left, found a number."),
        ("age(air) - 5 > 2m", "5", "expected a duration such as 2m, as on the left, found a number."),
        ("daylight > 10h", "10h", "found a duration such as 2m; 10h is a time, and numbers have no unit."),
        ("age(air) * 2m > 1h", "age(air) * 2m", "to multiply a duration by, found a duration such as 2m."),
        ("2m * rate(air, 1h) > age(air)", "2m * rate(air, 1h)", "by, found a number in °C/h."),
        ("age(air) / air > 1h", "air", "expected a plain number to divide a duration by, found a number in °C."),
        ("air / 2m > 3", "2m", "expected a number to divide a number in °C by, found a duration."),
        ("air > 1 / 0", "0", "expected a divisor other than zero."),
        ("air > 1 / (2 - 2)", "2 - 2", "expected a divisor other than zero."),
        ("1 < 2", "1 < 2", "this one never changes."),
        ("1m < 2m + 1s", "1m < 2m + 1s", "this one never changes."),
        ("1 between 0 and 2", "1 between 0 and 2", "this one never changes."),
        ("air between 25 and 20", "25", "expected the lower bound first: nothing lies between these two."),
        ("air is on", "air is on", "expected a comparison such as air > 30: it is a number in °C."),
    ],
)
def test_what_cannot_be_compared(text: str, where: str, expected: str) -> None:
    ((sentence, piece),) = mistakes(text)
    assert sentence.endswith(expected)
    assert piece == where


def test_a_node_without_a_place_has_no_sunrise() -> None:
    nowhere = Known(sensors={"air": ""})
    assert mistakes("between sunset and 08:00 and air > 3", nowhere) == [
        ("expected a node that knows its place: without one there is no sunset.", "sunset")
    ]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_text() -> None:
    text = "wind > 3 and air > soil and (age(door) > 5 or soil between 9 and 3)"
    assert [piece for _, piece in mistakes(text)] == ["wind", "soil", "5", "9"]
