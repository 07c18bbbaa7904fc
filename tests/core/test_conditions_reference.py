"""docs/reference/rules.md is complete and true: its grammar, tables, examples, and what it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outstation.core.conditions import ConditionError, Known, Local, check, evaluate, explain, lines, parse, written
from outstation.core.conditions.quantities import DEEPEST
from outstation.core.conditions.tokens import LONGEST
from outstation.core.conditions.tree import (
    DAYS,
    DURATIONS,
    FUNCTIONS,
    QUALITIES,
    SIGNS,
    WORDS,
    Decision,
)
from outstation.core.spans import ENOUGH_PERCENT, SLICES
from tests.core.conditions_drawn import decisions
from tests.core.ebnf import Grammar
from tests.core.seen import Seen
from tests.core.test_conditions_by_chance import cuts, mutated

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "rules.md").read_text()
GREENHOUSE = Known(
    {
        "air_temperature": "°C",
        "porch/temperature": "°C",
        "bedroom/temperature": "°C",
        "humidity": "%",
        "co2": "ppm",
        "door": "",
    },
    ["vent"],
    {"vent_at": "°C"},
    place=True,
)


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def examples(kind: str) -> list[str]:
    return [line for block in blocks(kind) for line in block.splitlines()]


def rows(heading: str) -> list[str]:
    """Return what stands in the first column below a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)


def codes(heading: str) -> list[str]:
    return [code for row in rows(heading) for code in re.findall(r"`([^`]+)`", row)]


def mistakes(text: str) -> list[str]:
    try:
        condition = parse(text, actuators=GREENHOUSE.actuators, settings=GREENHOUSE.settings)
    except ConditionError as error:
        return [str(mistake) for mistake in error.mistakes]
    return [str(mistake) for mistake in check(condition, GREENHOUSE)]


@pytest.mark.parametrize("text", examples("condition"))
def test_every_example_is_right(text: str) -> None:
    assert mistakes(text) == []


@pytest.mark.parametrize("text", examples("refused"))
def test_every_example_of_two_readings_is_refused(text: str) -> None:
    assert len(mistakes(text)) == 1


@pytest.mark.parametrize("block", blocks("mistake"))
def test_every_mistake_is_shown_as_it_is_told(block: str) -> None:
    text, _, shown = block.partition("\n\n")
    assert mistakes(text) == [shown.rstrip()]


@pytest.mark.parametrize("block", blocks("explanation"))
def test_an_explanation_is_shown_as_it_is_given(block: str) -> None:
    text, _, shown = block.partition("\n\n")
    view = Seen({"air_temperature": 31.2}, settings={"vent_at": 30}, local=Local(720, 0))
    view.qualities = {"porch/temperature": "stale"}
    condition = parse(text, settings=GREENHOUSE.settings)
    assert lines(explain(condition, view)) == shown.splitlines()
    assert evaluate(condition, view) is None


def test_every_operator_is_described() -> None:
    described = " ".join(codes("Operators"))
    assert set(SIGNS) <= set(described.split())
    assert {"-x", "*", "/", "+", "-", "and", "or", "not", "between", "is"} <= set(described.split())


@pytest.mark.parametrize("code", [code for heading in ("Operators", "Time") for code in codes(heading)])
def test_every_operator_can_be_written_as_described(code: str) -> None:
    names = re.sub(r"\b[ab]\b", "door is on", code)
    whole = code if code.startswith(("weekday", "between")) or " is " in code else names
    text = whole if re.search(r"[<>=]|\b(is|between|not|and|or|weekday)\b", whole) else f"{whole} > 1"
    assert written(parse(text).root)


def test_every_function_is_described_and_can_be_written_so() -> None:
    described = codes("Functions")
    assert {code.partition("(")[0] for code in described} == set(FUNCTIONS)
    for code in described:
        parse(code if code.startswith("quality") else f"{code} > 1m")


def test_every_word_that_means_something_is_listed() -> None:
    listed = set(re.findall(r"`(\w+)`", PAGE.partition("or backquote.")[2].partition("in backquotes only")[0]))
    assert listed == set(WORDS)


def test_every_unit_of_a_duration_and_every_quality_is_listed() -> None:
    assert {code.lstrip("0123456789") for code in codes("Values") if re.fullmatch(r"\d+[a-z]+", code)} == set(DURATIONS)
    line = next(row for row in PAGE.splitlines() if row.startswith("| `quality("))
    assert re.findall(r"`(\w+)`", line) == list(QUALITIES)


def test_the_figures_are_those_of_the_code() -> None:
    assert f"more than {LONGEST:,} characters; more than {DEEPEST}\nlevels" in PAGE
    assert f"at most {SLICES} moments" in PAGE
    assert f"less than {ENOUGH_PERCENT} % of a span" in PAGE


def test_the_table_of_unknown_is_that_of_the_code() -> None:
    said = {"true": "p is on", "false": "p is off", "unknown": "q is on"}
    words = {True: "true", False: "false", None: "unknown"}
    table = re.findall(r"^\| (\w+) \| (\w+) \| (\w+) \| (\w+) \| (\w+) \|$", PAGE, re.MULTILINE)
    assert len(table) == 3
    for a, b, both, either, opposite in table:
        texts = [f"{said[a]} and {said[b]}", f"{said[a]} or {said[b]}", f"not {said[a]}"]
        assert [words[evaluate(parse(text), Seen({"p": True}))] for text in texts] == [both, either, opposite]


# The grammar.

GRAMMAR = Grammar(blocks("ebnf")[0], words=WORDS)
EXAMPLES = {
    "name": st.sampled_from(["air", "porch/air-1", "`2nd board/x`", "`on`", "mean", "monday", "ok"]),
    "number": st.sampled_from(["30", "0.5", "1.5e-3"]),
    "duration": st.sampled_from(["2m", "1h", "90m"]),
    "time": st.sampled_from(["08:00", "8:30", "23:59"]),
}
# What a grammar does not say: sizes, and spaces.
BEYOND = ("space on both sides", "two different times", "whole minutes", "span from", "local time from", "levels of")


def refusal(text: str) -> str:
    try:
        parse(text)
    except ConditionError as error:
        return str(error)
    return ""


def test_the_grammar_has_every_word_of_the_language() -> None:
    block = blocks("ebnf")[0]
    written_out = set(re.findall(r'"([^"]+)"', block))
    assert written_out == {*SIGNS, *"()+-*/,", *WORDS, *DAYS, *QUALITIES, *FUNCTIONS}


@given(GRAMMAR.texts(EXAMPLES))
def test_what_the_grammar_makes_is_read(text: str) -> None:
    reason = refusal(text)
    assert not reason or any(one in reason for one in (*BEYOND, "at most 1,000 characters"))


@given(decisions, st.lists(cuts, max_size=3))
def test_what_is_read_is_what_the_grammar_allows(root: Decision, changes: list[tuple[float, float, str]]) -> None:
    text = mutated(written(root), changes)
    if len(text) > LONGEST:
        return
    reason = refusal(text)
    if not any(one in reason for one in (*BEYOND, "beyond 1e308", "control characters")):
        assert GRAMMAR.allows(text) is not bool(reason)


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("air > 30", True),
        ("not (a + b) > c and d > 1", False),
        ("not (a > c) and d > 1", True),
        ("a / b / c > 1", False),
        ("a * b / c > 1", True),
        ("on > 1", False),
        ("a is", False),
        ("a > 30C", False),
    ],
)
def test_the_grammar_itself_refuses_what_can_be_read_in_two_ways(text: str, allowed: bool) -> None:
    assert GRAMMAR.allows(text) is allowed
