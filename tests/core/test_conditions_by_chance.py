"""Whatever is written: a tree comes back from its text, nothing breaks the parser, and two evaluators agree."""

from __future__ import annotations

import math
import operator
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import assume, given
from hypothesis import strategies as st

from outstation.core.conditions import (
    Condition,
    ConditionError,
    Known,
    Local,
    Mistake,
    check,
    evaluate,
    explain,
    lines,
    next_aging,
    next_change,
    parse,
    written,
)
from outstation.core.conditions.formulas import dew_point, vapour_pressure_deficit
from outstation.core.conditions.tokens import LONGEST
from outstation.core.conditions.tree import (
    Actuator,
    Age,
    And,
    Arithmetic,
    Between,
    Call,
    Clock,
    Compare,
    Daily,
    Days,
    Decision,
    Duration,
    Minus,
    Moment,
    Not,
    Number,
    Or,
    QualityIs,
    Quantity,
    Sensor,
    Setting,
    Span,
    State,
)
from outstation.core.readings import Level, Millis, Value
from tests.core.conditions_drawn import ACTUATORS, SENSORS, SETTINGS, bare, decisions, quantities
from tests.core.seen import Seen, Told

KNOWN = Known({"air": "°C", "soil": "%", "door": ""}, ACTUATORS, {"vent_at": "°C"}, ["porch"])

# Text and tree.


def read(text: str) -> Condition:
    return parse(text, actuators=ACTUATORS, settings=SETTINGS)


@given(decisions)
def test_a_tree_comes_back_from_its_text(root: Decision) -> None:
    text = written(root)
    assume(len(text) <= LONGEST)
    assert bare(read(text).root) == root


@given(quantities)
def test_so_does_a_quantity(quantity: Quantity) -> None:
    root = Compare("<", quantity, Number(1))
    assume(len(written(root)) <= LONGEST)
    assert bare(read(written(root)).root) == root


pieces = st.sampled_from(
    [
        *"( ) , < <= > >= == != + - * / -1 .5 1e9 1e999 30 2m 0s 99999d 08:00 24:00 ` `x y`".split(),
        *"and or not between is on".split(),
        *"off true false weekday sunrise sunset monday friday ok stale mean age quality count air vent vent_at".split(),
        *[
            "porch/air",
            "air-1",
            "\n",
            "\t",
            "\x00",
            "ä",
            "°",
            "'",
            "=",
            "&&",
            "\ud800",
            "٣",
            "1" * 300,
            "((((",
            "not not ",
        ],
    ]
)
babble = st.lists(pieces, max_size=30).map(" ".join) | st.lists(pieces, max_size=30).map("".join) | st.text(max_size=60)
cuts = st.tuples(st.floats(0, 1), st.floats(0, 1), pieces | st.just(""))


def mutated(text: str, changes: list[tuple[float, float, str]]) -> str:
    """Replace pieces of a text, each of some of its characters, by others."""
    for start, length, piece in changes:
        at = int(start * len(text))
        text = text[:at] + piece + text[at + int(length * length * 8) :]
    return text


def only_refuses(text: str) -> None:
    """See that a text is either read and can be used, or refused with a place in it."""
    try:
        condition = read(text)
    except ConditionError as error:
        for mistake in error.mistakes:
            check_place(mistake, text)
        return
    for mistake in check(condition, KNOWN):
        check_place(mistake, text)
    assert evaluate(condition, Seen(settings=dict.fromkeys(SETTINGS, 1.0))) in (True, False, None)


def check_place(mistake: Mistake, text: str) -> None:
    assert 0 <= mistake.start <= mistake.end <= len(text)
    assert mistake.sentence.startswith("expected ")
    assert mistake.sentence.endswith((".", "?"))
    line, carets = mistake.shown.split("\n")
    assert line.isprintable()
    assert set(carets) <= {" ", "^"}
    assert mistake.text == text


@given(babble)
def test_any_text_is_read_or_refused(text: str) -> None:
    only_refuses(text)


@given(decisions, st.lists(cuts, min_size=1, max_size=4))
def test_a_mutated_condition_is_read_or_refused(root: Decision, changes: list[tuple[float, float, str]]) -> None:
    only_refuses(mutated(written(root), changes))


# What it comes to: by an evaluator that walks over the tree, and in which truth is 0, 1/2 or 1.

FALSE, UNKNOWN, TRUE = 0.0, 0.5, 1.0
TRUTHS: dict[float, bool | None] = {FALSE: False, UNKNOWN: None, TRUE: True}
SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "<": lambda one, two: one < two,
    "<=": lambda one, two: one <= two,
    ">": lambda one, two: one > two,
    ">=": lambda one, two: one >= two,
    "==": lambda one, two: one == two,
    "!=": lambda one, two: one != two,
}


class World(NamedTuple):
    """All that a condition can see."""

    values: dict[str, Value]
    levels: dict[str, Level]
    settings: dict[str, float]
    ages: dict[str, Millis]
    told: dict[str, Told]
    local: Local | None


def truth(node: Decision, world: World) -> float:
    match node:
        case And():
            return min(truth(part, world) for part in node.parts)
        case Or():
            return max(truth(part, world) for part in node.parts)
        case Not():
            return 1 - truth(node.part, world)
        case Compare():
            sides = [number(node.left, world), number(node.right, world)]
            return UNKNOWN if None in sides else float(SIGNS[node.sign](*sides))
        case Between():
            # The same as two comparisons.
            return truth(And((Compare("<=", node.low, node.value), Compare(">=", node.high, node.value))), world)
        case State():
            return is_on(node.of, world) if node.on else 1 - is_on(node.of, world)
        case QualityIs():
            quality = "ok" if node.sensor.name in world.values else "unseen"
            return float((quality == node.word) != node.negated)
    return UNKNOWN if world.local is None else by_the_clock(node, world.local)


def is_on(node: Sensor | Actuator, world: World) -> float:
    if isinstance(node, Actuator):
        level = world.levels.get(node.name)
        return UNKNOWN if level is None else float(level > 0)
    value = world.values.get(node.name)
    return {None: UNKNOWN, 0: FALSE, 1: TRUE}.get(value, UNKNOWN)  # type: ignore[arg-type]


def by_the_clock(node: Daily | Days, local: Local) -> float:
    """Go through the day minute by minute, or through the week day by day, from the beginning to now."""
    if isinstance(node, Days):
        day = node.first
        while day not in (local.weekday, node.last):
            day = (day + 1) % 7
        return float(day == local.weekday)
    begin, finish = minute(node.begin, local), minute(node.finish, local)
    if begin is None or finish is None:
        return UNKNOWN
    while begin not in (local.minute_of_day, finish):
        begin = (begin + 1) % 1440
    return float(begin != finish)


def minute(moment: Moment, local: Local) -> int | None:
    if isinstance(moment, Clock):
        return moment.minute
    sun = {"sunrise": local.sunrise, "sunset": local.sunset}[moment.event]
    return None if sun is None else (sun + moment.offset) % 1440


def number(node: Quantity, world: World) -> float | None:
    match node:
        case Number():
            return node.value
        case Duration():
            return node.millis
        case Sensor():
            value = world.values.get(node.name)
            return None if isinstance(value, str) else value
        case Setting():
            return world.settings[node.name]
        case Span():
            return statistic(node.function, world.told.get(node.sensor.name, []))
        case Age():
            return world.ages.get(node.sensor.name, math.inf)
        case Minus():
            return number(Arithmetic("*", Number(-1), node.part), world)
        case Call():
            return formula(node.formula, [number(part, world) for part in node.arguments])
        case Arithmetic():
            return result(node.sign, number(node.left, world), number(node.right, world))


def statistic(function: str, told: Told) -> float | None:
    numbers = [value for _, value in told]
    if function == "count":
        return len(numbers)
    if not numbers or (len(numbers) == 1 and function in ("stdev", "change", "rate")):
        return None
    if function == "rate":
        return statistics.linear_regression([now for now, _ in told], numbers).slope * 3_600_000
    ways: dict[str, Callable[[list[float]], float]] = {
        "mean": statistics.fmean,
        "min": min,
        "max": max,
        "stdev": statistics.stdev,
        "change": lambda all_: all_[-1] - all_[0],
    }
    return ways[function](numbers)


def result(sign: str, one: float | None, two: float | None) -> float | None:
    if one is None or two is None or (sign == "/" and two == 0):
        return None
    ways = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
    try:
        found = float(ways[sign](one, two))
    except OverflowError:
        return None
    return None if math.isnan(found) else ways[sign](one, two)


def formula(name: str, numbers: list[float | None]) -> float | None:
    known = [one for one in numbers if one is not None]
    if len(known) < len(numbers):
        return None
    ways: dict[str, Callable[..., float]] = {"min": min, "max": max, "abs": abs, "log": math.log, "exp": math.exp}
    ways |= {"sqrt": math.sqrt, "dew_point": dew_point, "vapour_pressure_deficit": vapour_pressure_deficit}
    try:
        found = ways[name](*known)
    except (ValueError, ArithmeticError):
        return None
    return None if math.isnan(found) else found


small = st.integers(-3, 3) | st.sampled_from([0.5, 0, 1])
told_somehow = st.lists(st.sampled_from([-2.0, 0.0, 1.0, 4.0]), max_size=4).map(
    lambda all_: [(index * 1_000, value) for index, value in enumerate(all_)]
)
locals_ = st.builds(
    Local, st.integers(0, 1439), st.integers(0, 6), st.none() | st.integers(0, 1439), st.none() | st.integers(0, 1439)
)
worlds = st.builds(
    World,
    st.dictionaries(st.sampled_from(SENSORS), small | st.booleans() | st.sampled_from(["open", 1e308, 2**63 - 1])),
    st.dictionaries(st.sampled_from(ACTUATORS), st.booleans() | st.sampled_from([0.0, 0.5, 1.0])),
    st.fixed_dictionaries(dict.fromkeys(SETTINGS, small)),
    st.dictionaries(st.sampled_from(SENSORS), st.integers(0, 10_000_000)),
    st.dictionaries(st.sampled_from(SENSORS), told_somehow),
    st.none() | locals_,
)


def seen(world: World) -> Seen:
    return Seen(
        world.values,
        levels=world.levels,
        settings=world.settings,
        ages=world.ages,
        told=world.told,
        local=world.local,
    )


@given(decisions, worlds)
def test_it_comes_to_what_a_walk_over_the_tree_comes_to(root: Decision, world: World) -> None:
    assert evaluate(Condition("", root), seen(world)) is TRUTHS[truth(root, world)]


@given(decisions, worlds)
def test_an_explanation_says_the_same_and_each_part_what_it_is_alone(root: Decision, world: World) -> None:
    assume(len(written(root)) <= LONGEST)
    condition, view = read(written(root)), seen(world)
    part = explain(condition, view)
    assert part.value is evaluate(condition, view)
    assert part.text == written(root)
    for below in part.parts if isinstance(root, And | Or | Not) else ():
        alone = read(below.text)
        assert evaluate(alone, view) is below.value
    assert all(line.isprintable() for line in lines(part))


@given(decisions, worlds)
def test_whenever_it_wants_to_be_woken_that_is_later(root: Decision, world: World) -> None:
    condition = Condition("", root)
    due = next_aging(condition, seen(world))
    assert due is None or due > 0
    if world.local:
        change = next_change(condition, world.local)
        assert change is None or 0 < change <= 60
