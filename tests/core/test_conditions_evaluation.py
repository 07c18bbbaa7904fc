"""What a condition comes to: true, false or unknown."""

from __future__ import annotations

import itertools

import pytest

from outstation.core.conditions import Local, decider, evaluate, parse
from outstation.core.readings import Level, Value
from tests.core.seen import MONDAY_NOON, Seen

SAID = {True: "p is on", False: "p is off", None: "q is on"}
"""What is true, false and unknown where p is on and nobody ever heard of q."""


def comes_to(text: str, view: Seen | None = None) -> bool | None:
    condition = parse(text, actuators=["vent", "lamp"], settings=["vent_at"])
    return evaluate(condition, view or Seen({"p": True}))


def at(hour: int, minute: int = 0, *, weekday: int = 0, sunrise: int | None = 360, sunset: int | None = 1200) -> Seen:
    return Seen(local=Local(hour * 60 + minute, weekday, sunrise, sunset))


# Kleene.

TRUTHS = [True, False, None]


@pytest.mark.parametrize(("one", "other"), [*itertools.product(TRUTHS, TRUTHS)])
def test_and_is_false_if_one_is_and_unknown_if_that_may_be(one: bool | None, other: bool | None) -> None:
    wanted = False if False in (one, other) else None if None in (one, other) else True
    assert comes_to(f"{SAID[one]} and {SAID[other]}") is wanted


@pytest.mark.parametrize(("one", "other"), [*itertools.product(TRUTHS, TRUTHS)])
def test_or_is_true_if_one_is_and_unknown_if_that_may_be(one: bool | None, other: bool | None) -> None:
    wanted = True if True in (one, other) else None if None in (one, other) else False
    assert comes_to(f"{SAID[one]} or {SAID[other]}") is wanted


@pytest.mark.parametrize(("one", "wanted"), [(True, False), (False, True), (None, None)])
def test_not_unknown_is_unknown(one: bool | None, wanted: bool | None) -> None:
    assert comes_to(f"not {SAID[one]}") is wanted


def test_of_three_the_last_decides_as_well() -> None:
    assert comes_to("p is on and q is on and p is off") is False
    assert comes_to("p is off or q is on or p is on") is True


# Comparisons.


@pytest.mark.parametrize(
    ("sign", "below", "same", "above"),
    [
        ("<", True, False, False),
        ("<=", True, True, False),
        (">", False, False, True),
        (">=", False, True, True),
        ("==", False, True, False),
        ("!=", True, False, True),
    ],
)
def test_signs(sign: str, below: bool, same: bool, above: bool) -> None:
    assert [comes_to(f"air {sign} 30", Seen({"air": air})) for air in (29.9, 30, 30.1)] == [below, same, above]
    assert [comes_to(f"air {sign} soil", Seen({"air": air, "soil": 30})) for air in (29, 30, 31)] == [
        below,
        same,
        above,
    ]


def test_what_is_not_known_is_neither_above_nor_below() -> None:
    for text in ("air > 30", "30 > air", "air > soil", "soil > air", "soil > 1 + air", "-air > 1", "1 - air > 1"):
        assert comes_to(text, Seen({"soil": 20})) is None


def test_a_text_is_unknown() -> None:
    assert comes_to("air > 30", Seen({"air": "open"})) is None
    assert comes_to("air is on", Seen({"air": "on"})) is None


def test_whole_numbers_are_exact() -> None:
    assert comes_to("counter == 9007199254740993", Seen({"counter": 9007199254740993})) is True
    assert comes_to("counter == 9007199254740992", Seen({"counter": 9007199254740993})) is False


@pytest.mark.parametrize(("air", "wanted"), [(19.9, False), (20, True), (25, True), (25.1, False)])
def test_both_ends_lie_between(air: float, wanted: bool) -> None:
    assert comes_to("air between 20 and 25", Seen({"air": air})) is wanted


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        ({"low": 1, "high": 3}, None),
        ({"x": 2, "high": 3}, None),
        ({"x": 4, "high": 3}, False),
        ({"x": 2, "low": 1}, None),
        ({"x": 0, "low": 1}, False),
        ({"x": 2}, None),
    ],
)
def test_one_bound_is_enough_to_lie_outside(seen: dict[str, Value], wanted: bool | None) -> None:
    assert comes_to("x between low and high", Seen(seen)) is wanted


# Arithmetic.


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("x + 1", 9),
        ("x - 1", 7),
        ("x * 2", 16),
        ("x / 16", 0.5),
        ("-x", -8),
        ("1 - -x", 9),
        ("x * 2 + 1 - 4 / x", 16.5),
    ],
)
def test_arithmetic(text: str, wanted: float) -> None:
    assert comes_to(f"{text} == y", Seen({"x": 8, "y": wanted})) is True


def test_a_division_by_zero_is_unknown() -> None:
    assert comes_to("1 / x > 1", Seen({"x": 0})) is None
    assert comes_to("1 / x > 1", Seen({"x": 0.0})) is None


def test_what_no_computer_can_hold_is_unknown() -> None:
    huge = Seen({"x": 10**18})
    assert comes_to(f"x * {'1' + '0' * 300} + 0.5 > 1", huge) is None
    assert comes_to("age(x) - age(y) > 1m", Seen()) is None


# Outputs, contacts, settings.


@pytest.mark.parametrize(("level", "wanted"), [(True, True), (False, False), (0.5, True), (0.0, False), (None, None)])
def test_an_output_is_on_above_zero(level: Level | None, wanted: bool | None) -> None:
    seen = Seen(levels={} if level is None else {"lamp": level})
    assert comes_to("lamp is on", seen) is wanted
    assert comes_to("lamp is off", seen) is (None if wanted is None else not wanted)


@pytest.mark.parametrize(
    ("value", "wanted"), [(True, True), (False, False), (1, True), (0, False), (1.0, True), (0.5, None), (2, None)]
)
def test_a_contact_is_on_or_off_or_one_or_zero(value: Value, wanted: bool | None) -> None:
    assert comes_to("door is on", Seen({"door": value})) is wanted
    assert comes_to("door is not on", Seen({"door": value})) is (None if wanted is None else not wanted)


def test_a_contact_counts_as_one_or_zero() -> None:
    assert comes_to("door + door == 2", Seen({"door": True})) is True


def test_a_setting_is_a_number() -> None:
    seen = Seen({"air": 31}, settings={"vent_at": 30})
    assert comes_to("air > vent_at", seen) is True
    assert comes_to("air > vent_at + 1", seen) is False


# What is always known.


def test_an_age_is_known_and_without_end_for_what_was_never_seen() -> None:
    seen = Seen(ages={"air": 120_001})
    assert comes_to("age(air) > 2m", seen) is True
    assert comes_to("age(air) > 3m", seen) is False
    assert comes_to("age(soil) > 7d", seen) is True
    assert comes_to("age(air) / 1m > 2", seen) is True


def test_a_quality_is_known() -> None:
    seen = Seen({"air": 20}, qualities={"soil": "stale"})
    assert comes_to("quality(air) is ok", seen) is True
    assert comes_to("quality(soil) is not ok", seen) is True
    assert comes_to("quality(soil) is fault", seen) is False
    assert comes_to("quality(wind) is unseen", seen) is True


def test_a_count_is_known() -> None:
    assert comes_to("count(air, 1h) == 0", Seen()) is True
    assert comes_to("count(air, 1h) == 2", Seen(told={"air": [(0, 20), (1, 21)]})) is True


# Spans.


@pytest.mark.parametrize(
    ("function", "wanted"), [("mean", 21), ("min", 20), ("max", 22), ("stdev", 1), ("rate", 6), ("change", 2)]
)
def test_statistics(function: str, wanted: float) -> None:
    seen = Seen(told={"air": [(0, 20), (600_000, 21), (1_200_000, 22)]})
    assert comes_to(f"{function}(air, 1h) == {wanted}", seen) is True


@pytest.mark.parametrize("function", ["mean", "min", "max", "stdev", "rate", "change"])
def test_statistics_of_a_span_that_was_not_heard_are_unknown(function: str) -> None:
    assert comes_to(f"{function}(air, 1h) < 1000", Seen()) is None


@pytest.mark.parametrize("function", ["stdev", "rate", "change"])
def test_one_reading_alone_has_neither_spread_nor_direction(function: str) -> None:
    assert comes_to(f"{function}(air, 1h) < 1000", Seen(told={"air": [(0, 20)]})) is None


def test_a_spread_that_no_computer_can_hold_is_unknown() -> None:
    assert comes_to("stdev(air, 1h) > 1", Seen(told={"air": [(0, 1e308), (1, -1e308)]})) is None


# Time.


@pytest.mark.parametrize(
    ("hour", "minute", "wanted"),
    [(17, 59, False), (18, 0, True), (23, 59, True), (0, 0, True), (7, 59, True), (8, 0, False)],
)
def test_an_evening_goes_on_after_midnight(hour: int, minute: int, wanted: bool) -> None:
    assert comes_to("between 18:00 and 08:00", at(hour, minute)) is wanted
    assert comes_to("between 08:00 and 18:00", at(hour, minute)) is not wanted


def test_sunrise_and_sunset_are_those_of_the_day() -> None:
    assert [
        comes_to("between sunset - 30m and sunrise", at(*time)) for time in [(19, 29), (19, 30), (5, 59), (6, 0)]
    ] == [
        False,
        True,
        True,
        False,
    ]


def test_where_the_sun_does_not_set_it_is_unknown() -> None:
    assert comes_to("between sunset and 08:00", at(23, sunset=None)) is None
    assert comes_to("between 08:00 and sunrise", at(23, sunrise=None)) is None


def test_a_sunrise_before_midnight_wraps() -> None:
    assert comes_to("between sunrise - 1h and 08:00", at(23, 30, sunrise=20)) is True


def test_on_a_day_when_both_ends_meet_it_is_never() -> None:
    assert comes_to("between sunrise and 06:00", at(6)) is False


def test_weekdays() -> None:
    week = [at(12, weekday=day) for day in range(7)]
    assert [comes_to("weekday is monday", day) for day in week] == [True, *[False] * 6]
    assert [comes_to("weekday and between 08:00 and 16:00", day) for day in week] == [*[True] * 5, False, False]
    assert [comes_to("weekday is not sunday", day) for day in week] == [*[True] * 6, False]
    assert [comes_to("weekday between monday and friday", day) for day in week] == [*[True] * 5, False, False]
    assert [comes_to("weekday between saturday and monday", day) for day in week] == [True, *[False] * 4, True, True]


def test_without_a_clock_the_time_is_unknown() -> None:
    assert comes_to("between 18:00 and 08:00", Seen()) is None
    assert comes_to("weekday is monday", Seen()) is None


def test_a_rule_of_the_evening() -> None:
    text = "porch/air < bedroom/air - 1 and between 18:00 and 08:00"
    seen = Seen({"porch/air": 18, "bedroom/air": 21}, local=Local(19 * 60, 4))
    assert comes_to(text, seen) is True
    seen.now_local = MONDAY_NOON
    assert comes_to(text, seen) is False
    del seen.values["porch/air"]
    assert comes_to(text, seen) is False
    seen.now_local = Local(19 * 60, 4)
    assert comes_to(text, seen) is None


def test_one_decider_answers_for_any_view() -> None:
    decide = decider(parse("air > 30").root)
    assert [decide(Seen({"air": 31})), decide(Seen({"air": 29})), decide(Seen())] == [True, False, None]
