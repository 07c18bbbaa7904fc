"""Why a condition is true, false or unknown: with the values, so that one who did not write it understands."""

from __future__ import annotations

import msgspec
import pytest

from outstation.core.conditions import Local, explain, lines, parse
from outstation.core.conditions.explanation import spoken
from tests.core.seen import Seen

EVENING = Local(19 * 60 + 20, 4, 360, 1084)


def told(text: str, view: Seen) -> list[str]:
    return lines(explain(parse(text, actuators=["vent"], settings=["vent_at"]), view))


def line(text: str, view: Seen) -> str:
    (one,) = told(text, view)
    return one


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("air > 30", "(31.2 > 30: true)"),
        ("air > vent_at - 1.5", "(31.2 > 30 - 1.5: true)"),
        ("-(air + 1) * 2 < 0", "(-(31.2 + 1) * 2 < 0: true)"),
        ("air between 20 and soil", "(31.2 between 20 and 5: false)"),
        ("wind > 30", "(stale > 30: unknown)"),
        ("rain > 30", "(unseen > 30: unknown)"),
        ("gate > 30", "(a text > 30: unknown)"),
        ("counter > 1e6", "(1234567 > 1e6: true)"),
        ("tiny > 1", "(0.000123 > 1: false)"),
        ("third > 1", "(1333.333 > 1: true)"),
        ("huge > 1", "(1.5e+12 > 1: true)"),
        ("door > 0", "(1 > 0: true)"),
        ("mean(air, 1h) > 1", "(20.5 > 1: true)"),
        ("mean(wind, 1h) > 1", "(too little heard > 1: unknown)"),
        ("age(air) > 2m", "(2m 1ms > 2m: true)"),
        ("age(rain) > 2m", "(never > 2m: true)"),
        ("vent is on", "(off: false)"),
        ("`vent` is off", "(off: true)"),
        ("door is on", "(on: true)"),
        ("soil is on", "(5: unknown)"),
        ("gate is on", "(a text: unknown)"),
        ("wind is on", "(stale: unknown)"),
        ("quality(wind) is stale", "(stale: true)"),
        ("weekday is not monday", "(it is friday: true)"),
        ("between 18:00 and 08:00", "(it is 19:20: true)"),
        ("between sunset + 1h and sunrise", "(it is 19:20, sunset 18:04, sunrise 06:00: true)"),
    ],
)
def test_one_comparison_is_one_line(text: str, wanted: str) -> None:
    view = Seen(
        {
            "air": 31.2,
            "soil": 5,
            "gate": "open",
            "counter": 1_234_567,
            "tiny": 0.000123,
            "third": 4_000 / 3,
            "huge": 1.5e12,
            "door": True,
        },
        levels={"vent": False},
        settings={"vent_at": 30},
        ages={"air": 120_001},
        qualities={"wind": "stale"},
        told={"air": [(0, 20.0), (1, 21.0)]},
        local=EVENING,
    )
    assert line(text, view) == f"{text}  {wanted}"


def test_what_differs_by_less_than_is_shown_is_shown_in_full() -> None:
    assert line("air > 30", Seen({"air": 30.00001})) == "air > 30  (30.00001 > 30: true)"
    assert line("air > 30", Seen({"air": 30.0})) == "air > 30  (30 > 30: false)"


def test_without_a_clock_it_says_so() -> None:
    assert line("between 18:00 and 08:00", Seen()) == "between 18:00 and 08:00  (the clock is not set: unknown)"


def test_where_the_sun_does_not_set_it_says_so() -> None:
    view = Seen(local=Local(0, 0))
    assert line("between sunset and 08:00", view) == "between sunset and 08:00  (it is 00:00, no sunset: unknown)"


def test_an_output_of_which_nobody_knows() -> None:
    assert line("vent is on", Seen()) == "vent is on  (unknown: unknown)"


def test_a_condition_of_several_parts_has_a_line_for_each() -> None:
    text = "air > 30 and not (vent is on\n  or soil < 10)"
    assert told(text, Seen({"air": 31}, levels={"vent": True})) == [
        "air > 30 and not (vent is on or soil < 10): false",
        "    air > 30  (31 > 30: true)",
        "    not (vent is on or soil < 10): false",
        "        vent is on or soil < 10: true",
        "            vent is on  (on: true)",
        "            soil < 10  (unseen < 10: unknown)",
    ]


def test_a_part_is_plain_data() -> None:
    part = explain(parse("air > soil and age(rain) > 2m"), Seen({"air": 31.5}))
    assert msgspec.json.decode(msgspec.json.encode(part)) == {
        "text": "air > soil and age(rain) > 2m",
        "value": None,
        "shown": "",
        "parts": [
            {
                "text": "air > soil",
                "value": None,
                "shown": "31.5 > unseen",
                "parts": [
                    {"text": "air", "value": 31.5, "shown": "31.5", "parts": []},
                    {"text": "soil", "value": None, "shown": "unseen", "parts": []},
                ],
            },
            {
                "text": "age(rain) > 2m",
                "value": True,
                "shown": "never > 2m",
                "parts": [{"text": "age(rain)", "value": None, "shown": "never", "parts": []}],
            },
        ],
    }


@pytest.mark.parametrize(
    ("millis", "wanted"), [(0, "0s"), (5, "5ms"), (125_000, "2m 5s"), (90_061_001, "1d 1h 1m 1s 1ms")]
)
def test_durations_are_spoken_to_the_millisecond(millis: int, wanted: str) -> None:
    assert spoken(millis) == wanted
