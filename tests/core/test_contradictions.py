"""What a rule cannot mean is refused, and only that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outstation.core.conditions import Condition, parse, written
from outstation.core.contradictions import never, overlap


def condition(text: str) -> Condition:
    return parse(text, actuators=["vent"], settings=["vent_at"])


@pytest.mark.parametrize(
    ("when", "until"),
    [
        ("air > 30", "air > 28"),
        ("air > 30", "air < 31"),
        ("air > 30", "air > 30"),
        ("air >= 30", "air <= 30"),
        ("air > 30", "30 < air"),
        ("air > 30", "air != 20"),
        ("air == 30", "air < 31"),
        ("air between 20 and 30", "air > 30 or air < 21"),
        ("air > 30 or air < 10", "air between 5 and 20"),
        ("-air < -30", "air < 31"),
        ("air * 2 > 60", "31 > air"),
        ("air / 2 > 15", "2 * air < 62"),
        ("air > vent_at", "air < vent_at + 1"),
        ("air > vent_at + 1", "vent_at - air > -2"),
        ("air - 2 > 28", "air < 31"),
        ("porch/air < bedroom/air - 1", "porch/air > bedroom/air - 2"),
        ("mean(air, 1h) > 30", "mean(air, 60m) < 31"),
        ("age(air) > 15m", "age(air) < 16m"),
        ("count(air, 1h) > 3", "count(air, 1h) < 5"),
        ("count(air, 1h) < 1", "count(air, 1h) == 0"),
        ("vent is on", "vent is not off"),
        ("door is off", "not (door is on)"),
        ("not (door is on)", "door is off"),
        ("air > 30 and door is on", "(air > 30) and door is on"),
        ("weekday is monday", "weekday is monday"),
    ],
)
def test_an_until_that_is_true_with_its_when_is_refused(when: str, until: str) -> None:
    mistake = overlap(condition(when), condition(until))
    assert mistake is not None
    assert mistake.text == until


@pytest.mark.parametrize(
    ("when", "until"),
    [
        ("air > 30", "air < 28"),
        ("air > 30", "air <= 30"),
        ("air * 3 > 0.3", "air < 0.1"),
        ("air between 20 and 30", "air < 20 or air > 30"),
        ("air > vent_at", "air < vent_at - 2"),
        ("age(air) > 15m", "age(air) < 10m"),
        ("count(air, 1h) > 3", "count(air, 1h) < 4"),
        ("count(air, 1h) == 0", "count(air, 1h) > 0"),
        ("vent is on", "vent is off"),
        ("not (door is on)", "not (door is off)"),
        # Nobody can be certain.
        ("air > 30", "humidity > 30"),
        ("air > 30", "air < 31 and door is on"),
        ("air > 30 and door is on", "door is on and air > 30"),
        ("air > 30", "mean(air, 1h) < 31"),
        ("air * air > 30", "air * air < 31"),
        ("10 / air > 30", "10 / air < 31"),
        ("air / 0 > 30", "air / 0 < 31"),
        ("air between 20 and humidity", "air > 21"),
        ("air > 30", "between 08:00 and 18:00"),
        ("air * humidity + 1 > 30", "air * humidity + 1 > 28"),
        ("-(air * humidity) > 30", "-(air * humidity) > 28"),
        ("air - air > 30", "air - air > 28"),
    ],
)
def test_an_until_that_leaves_a_gap_or_cannot_be_known_passes(when: str, until: str) -> None:
    assert overlap(condition(when), condition(until)) is None


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("air > 30 and air < 20", "air > 30 and air < 20"),
        ("door is on and air > 30 and air < 20", "air > 30 and air < 20"),
        ("door is on and door is off", "door is on and door is off"),
        ("air > vent_at and air < vent_at - 1", "air > vent_at and air < vent_at - 1"),
        ("count(air, 1h) < 0", "count(air, 1h) < 0"),
        ("count(air, 1h) > 2 and count(air, 1h) < 3", "count(air, 1h) > 2 and count(air, 1h) < 3"),
        ("not (air > 30 or air <= 30)", "not (air > 30 or air <= 30)"),
    ],
)
def test_what_is_never_true_is_refused_where_it_stands(text: str, where: str) -> None:
    mistake = never(condition(text))
    assert mistake is not None
    assert text[mistake.start : mistake.end] == where


@pytest.mark.parametrize(
    "text",
    [
        "air > 30",
        "air > 20 and air < 30",
        "air > 30 and humidity < 20",
        "air > 30 and weekday is monday",
        "air > 30 or air < 20",
        "air != 30 and air != 31",
        "air >= 30 and air <= 30",
        "between 08:00 and 18:00",
    ],
)
def test_what_can_be_true_passes(text: str) -> None:
    assert never(condition(text)) is None


NUMBERS = st.integers(-3, 3)
ATOMS = st.builds(
    lambda sign, number: f"air {sign} {number}", st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), NUMBERS
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: (
        st.builds(lambda a, b: f"(({a}) and ({b}))", inner, inner)
        | st.builds(lambda a, b: f"(({a}) or ({b}))", inner, inner)
        | st.builds(lambda a: f"(not ({a}))", inner)
    ),
    max_leaves=5,
)


def holds(text: str, air: float) -> bool:
    """Let Python say it: it reads these texts as we do."""
    return bool(eval(text, {"air": air}))


@given(CONDITIONS, CONDITIONS)
def test_it_is_right_about_every_pair_over_one_quantity(when: str, until: str) -> None:
    everywhere = [step / 2 for step in range(-10, 11)]
    both = any(holds(when, air) and holds(until, air) for air in everywhere)
    same = written(condition(when).root) == written(condition(until).root)
    assert (overlap(condition(when), condition(until)) is not None) == (both or same)
    assert (never(condition(when)) is None) == any(holds(when, air) for air in everywhere)
