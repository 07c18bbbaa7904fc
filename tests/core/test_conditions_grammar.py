"""What a condition may say, and the tree that it becomes."""

from __future__ import annotations

import pytest

from outstation.core.conditions import actuators, parse, sensors, settings, spans, written
from outstation.core.conditions.tree import (
    Actuator,
    Age,
    And,
    Arithmetic,
    Between,
    Clock,
    Compare,
    Daily,
    Days,
    Decision,
    Duration,
    Minus,
    Not,
    Number,
    Or,
    QualityIs,
    Quantity,
    Sensor,
    Setting,
    Span,
    State,
    Sun,
    walk,
)
from tests.core.conditions_drawn import ACTUATORS, SETTINGS, bare

AIR, SOIL = Sensor("air"), Sensor("soil")


def read(text: str) -> Decision:
    """Return a condition without its places."""
    return bare(parse(text, actuators=ACTUATORS, settings=SETTINGS).root)


def measured(text: str) -> Quantity:
    """Return what stands before `> 0`."""
    node = read(f"{text} > 0")
    assert isinstance(node, Compare)
    return node.left


# What it may say.


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">=", "==", "!="])
def test_a_sensor_is_compared_with_a_number(sign: str) -> None:
    assert read(f"air {sign} 30") == read(f"air{sign}30")
    assert written(read(f"air{sign}30")) == f"air {sign} 30"


def test_numbers() -> None:
    assert measured("30") == Number(30)
    assert measured("0.5") == Number(0.5)
    assert measured("1.5e-3") == Number(0.0015)
    assert measured("9007199254740993") == Number(9007199254740993)


@pytest.mark.parametrize(
    ("text", "millis"), [("500ms", 500), ("30s", 30_000), ("2m", 120_000), ("1.5h", 5_400_000), ("7d", 604_800_000)]
)
def test_durations(text: str, millis: int) -> None:
    assert measured(text) == Duration(millis)


def test_names_are_as_long_as_they_can_be() -> None:
    assert measured("porch/temperature") == Sensor("porch/temperature")
    assert measured("greenhouse-1/air.temperature-2") == Sensor("greenhouse-1/air.temperature-2")
    assert measured("air-1") == Sensor("air-1")
    assert measured("air - 1") == Arithmetic("-", AIR, Number(1))
    assert measured("air/soil") == Sensor("air/soil")
    assert measured("air / soil") == Arithmetic("/", AIR, SOIL)


def test_any_name_may_stand_in_backquotes() -> None:
    assert measured("`2nd board/soil`") == Sensor("2nd board/soil")
    assert measured("`on`") == Sensor("on")
    assert measured("`vent_at`") == Setting("vent_at")
    assert read("`vent` is on") == read("vent is on")
    assert measured("mean(`a/b/c`, 1h)") == Span("mean", Sensor("a/b/c"), 3_600_000)


def test_functions_are_no_reserved_names() -> None:
    assert measured("mean(mean, 10m)") == Span("mean", Sensor("mean"), 600_000)
    assert measured("quality") == Sensor("quality")
    assert measured("monday + age") == Arithmetic("+", Sensor("monday"), Sensor("age"))


@pytest.mark.parametrize("function", ["mean", "min", "max", "stdev", "rate", "change", "count"])
def test_a_statistic_over_a_span(function: str) -> None:
    node = measured(f"{function}(air, 10m)")
    assert isinstance(node, Span)
    assert (node.function, node.sensor, node.millis) == (function, AIR, 600_000)


def test_an_age_is_a_quantity_and_a_quality_a_condition() -> None:
    assert measured("age(air)") == Age(AIR)
    assert read("quality(air) is stale") == QualityIs(AIR, "stale")
    assert read("quality(air) is not ok") == QualityIs(AIR, "ok", negated=True)


def test_signs_have_the_ranks_of_school() -> None:
    one, two, three = Number(1), Number(2), Number(3)
    assert measured("1 + 2 * 3") == Arithmetic("+", one, Arithmetic("*", two, three))
    assert measured("(1 + 2) * 3") == Arithmetic("*", Arithmetic("+", one, two), three)
    assert measured("1 - 2 - 3") == Arithmetic("-", Arithmetic("-", one, two), three)
    assert measured("1 * 2 / 3") == Arithmetic("/", Arithmetic("*", one, two), three)
    assert measured("-1 * 2") == Arithmetic("*", Minus(one), two)
    assert measured("1 - -2") == Arithmetic("-", one, Minus(two))
    assert measured("-(1 + 2)") == Minus(Arithmetic("+", one, two))


def test_a_value_between_two() -> None:
    assert read("air between 20 and 25") == Between(AIR, Number(20), Number(25))
    node = read("air between soil - 1 and soil + 1 and vent is on")
    assert isinstance(node, And)
    assert written(node.parts[0]) == "air between soil - 1 and soil + 1"


def test_outputs_and_contacts_are_on_or_off() -> None:
    assert read("vent is on") == State(Actuator("vent"), on=True)
    assert read("door is off") == State(Sensor("door"), on=False)
    assert [written(read(text)) for text in ("vent is not on", "door is true", "door is not false")] == [
        "vent is off",
        "door is on",
        "door is on",
    ]


def test_times_of_day() -> None:
    assert read("between 18:00 and 8:30") == Daily(Clock(1080), Clock(510))
    assert read("between sunset - 30m and sunrise + 1h") == Daily(Sun("sunset", -30), Sun("sunrise", 60))


def test_weekdays() -> None:
    assert read("weekday is monday") == Days(0, 0)
    assert read("weekday") == read("(weekday)") == read("weekday between monday and friday")
    assert read("weekday is not monday") == read("weekday between tuesday and sunday") == Days(1, 6)
    assert read("weekday is not sunday") == Days(0, 5)
    assert read("weekday between friday and monday") == Days(4, 0)


def test_conditions_are_joined_by_one_word() -> None:
    a, b, c = (Compare(">", Sensor(name), Number(1)) for name in "abc")
    assert read("a > 1 and b > 1 and c > 1") == And((a, b, c))
    assert read("a > 1 or b > 1 or c > 1") == Or((a, b, c))
    assert read("a > 1 and (b > 1 or c > 1)") == And((a, Or((b, c))))
    assert read("(a > 1 and b > 1) and c > 1") == And((And((a, b)), c))


def test_not_needs_parentheses_where_it_could_be_read_in_two_ways() -> None:
    a, b = (Compare(">", Sensor(name), Number(1)) for name in "ab")
    assert read("not a > 1") == read("not (a > 1)") == Not(a)
    assert read("not (a > 1) and b > 1") == And((Not(a), b))
    assert read("(not a > 1) and b > 1") == And((Not(a), b))
    assert read("not (a > 1 and b > 1)") == Not(And((a, b)))
    assert read("b > 1 or not a > 1") == Or((b, Not(a)))
    assert read("not not a > 1") == Not(Not(a))


def test_spaces_and_lines_are_as_people_like() -> None:
    assert read("  air>30\r\n\tand\n soil<5 ") == read("air > 30 and soil < 5")


def test_what_a_condition_looks_at() -> None:
    text = "mean(air, 10m) > vent_at and min(air, 1h) < soil and vent is on"
    more = "age(porch/air) > 2m and quality(door) is ok and count(soil, 10m) > 2"
    condition = parse(f"{text} and {more}", actuators=ACTUATORS, settings=SETTINGS)
    assert sensors(condition) == {"air", "soil", "porch/air", "door"}
    assert actuators(condition) == {"vent"}
    assert settings(condition) == {"vent_at"}
    assert spans(condition) == {"air": (600_000, 3_600_000), "soil": (600_000,)}


def test_each_part_knows_its_place() -> None:
    text = "(air + 1) * 2 > 30 and not ( vent is on )"
    condition = parse(text, actuators=ACTUATORS)
    assert [text[node.start : node.end] for node in walk(condition.root)] == [
        text,
        "(air + 1) * 2 > 30",
        "(air + 1) * 2",
        "air + 1",
        "air",
        "1",
        "2",
        "30",
        "not ( vent is on )",
        "vent is on",
        "vent",
    ]
