"""Conditions by chance: trees as the grammar can make them, and texts that it cannot."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from hypothesis import strategies as st

from outstation.core.conditions.formulas import FORMULAS
from outstation.core.conditions.tree import (
    QUALITIES,
    SIGNS,
    SPAN_FUNCTIONS,
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
    Node,
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
)

SENSORS = ("air", "soil", "porch/air", "door", "on", "2nd board/soil", "mean")
ACTUATORS = ("vent", "heater")
SETTINGS = ("vent_at", "margin")

_N = TypeVar("_N", bound=Node)


def bare(node: _N) -> _N:
    """Return a tree without its places."""
    changes: dict[str, Any] = {"start": 0, "end": 0}
    for field in node.__struct_fields__:
        value = getattr(node, field)
        if isinstance(value, Node):
            changes[field] = bare(value)
        elif isinstance(value, tuple):
            changes[field] = tuple(bare(part) for part in value)
    return msgspec.structs.replace(node, **changes)


sensors = st.builds(Sensor, st.sampled_from(SENSORS))
actuators = st.builds(Actuator, st.sampled_from(ACTUATORS))
settings = st.builds(Setting, st.sampled_from(SETTINGS))
numbers = st.builds(Number, st.integers(0, 100) | st.integers(0, 2**63) | st.just(10**300) | st.floats(0, 1e308))
durations = st.builds(Duration, st.integers(0, 10_000_000) | st.sampled_from([0, 1_000, 60_000, 3_600_000, 86_400_000]))
spans = st.builds(
    Span, st.sampled_from(SPAN_FUNCTIONS), sensors, st.sampled_from([1_000, 90_000, 600_000, 604_800_000])
)
ages = st.builds(Age, sensors)


def calls(parts: st.SearchStrategy[Quantity]) -> st.SearchStrategy[Call]:
    def call(name: str) -> st.SearchStrategy[Call]:
        return st.builds(Call, st.just(name), st.tuples(*[parts] * len(FORMULAS[name].takes)))

    # `min(x, 10m)` is of a sensor over a span.
    return st.sampled_from(sorted(FORMULAS)).flatmap(call).filter(lambda node: not _is_read_as_a_span(node))


def _is_read_as_a_span(node: Call) -> bool:
    named = isinstance(node.arguments[0], Sensor | Setting)
    return node.formula in SPAN_FUNCTIONS and named and isinstance(node.arguments[1], Duration)


def sums(leaves: st.SearchStrategy[Quantity], signs: str = "+-*/") -> st.SearchStrategy[Quantity]:
    return st.recursive(
        leaves,
        lambda parts: st.builds(Minus, parts) | st.builds(Arithmetic, st.sampled_from(signs), parts, parts),
        max_leaves=5,
    )


plain = st.one_of(numbers, durations, sensors, settings, spans, ages)
quantities = sums(plain | calls(sums(plain)))
moments = st.builds(Clock, st.integers(0, 1439)) | st.builds(
    Sun, st.sampled_from(["sunrise", "sunset"]), st.integers(-720, 720)
)
dailies = st.builds(Daily, moments, moments).filter(lambda node: node.begin != node.finish)
days = st.builds(Days, st.integers(0, 6), st.integers(0, 6))
single = st.one_of(
    st.builds(Compare, st.sampled_from(SIGNS), quantities, quantities),
    st.builds(Between, quantities, quantities, quantities),
    st.builds(State, sensors | actuators, st.booleans()),
    st.builds(QualityIs, sensors, st.sampled_from(QUALITIES), st.booleans()),
    dailies,
    days,
)


def joined(parts: st.SearchStrategy[Decision]) -> st.SearchStrategy[Decision]:
    several = st.lists(parts, min_size=2, max_size=4).map(tuple)
    return st.builds(And, several) | st.builds(Or, several) | st.builds(Not, parts)


decisions: st.SearchStrategy[Decision] = st.recursive(single, joined, max_leaves=6)
