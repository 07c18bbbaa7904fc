"""The tree that a condition is read into: what it says, and where in its text each part stands.

Two kinds of node and no third: a Decision is true, false or unknown, a Quantity is a number, a
duration or unknown. So that nobody asks what `1 + (vent is on)` may be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from outstation.core.conditions.formulas import FORMULAS
from outstation.core.readings import Millis

Sign = Literal["<", "<=", ">", ">=", "==", "!="]
Operator = Literal["+", "-", "*", "/"]
Function = Literal["mean", "min", "max", "stdev", "rate", "change", "count"]

SIGNS: tuple[Sign, ...] = ("<", "<=", ">", ">=", "==", "!=")
SPAN_FUNCTIONS: tuple[Function, ...] = ("mean", "min", "max", "stdev", "rate", "change", "count")
FUNCTIONS = (*dict.fromkeys((*SPAN_FUNCTIONS, "age", "quality", *FORMULAS)),)
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
"""In the order of their numbers, from 0."""

QUALITIES = ("ok", "out_of_range", "spike", "stuck", "fault", "stale", "unseen")
"""What `quality(x)` may be: a reading's own, or that it is too old, or that there never was one."""

WORDS = frozenset(["and", "or", "not", "between", "is", "on", "off", "true", "false", "weekday", "sunrise", "sunset"])
"""Names that mean something: a sensor that is called so stands in backquotes."""

DURATIONS: dict[str, Millis] = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """Any part of a condition: the text from `start` to before `end`, without parentheses around it."""

    start: int = 0
    end: int = 0


class Number(Node, frozen=True):
    """A number as written; never below zero, that is Minus."""

    value: float


class Duration(Node, frozen=True):
    """Such as `2m`."""

    millis: Millis


class Sensor(Node, frozen=True):
    """What a sensor says now."""

    name: str


class Actuator(Node, frozen=True):
    """The level of an output now."""

    name: str


class Setting(Node, frozen=True):
    """A number that people change."""

    name: str


class Span(Node, frozen=True):
    """A statistic of a sensor over the latest `millis`."""

    function: Function
    sensor: Sensor
    millis: Millis


class Age(Node, frozen=True):
    """How long ago a sensor was measured: a duration, without end if it never was."""

    sensor: Sensor


class Call(Node, frozen=True):
    """A formula over quantities: `max(x - 10, 0)`."""

    formula: str
    arguments: tuple[Quantity, ...]


class Minus(Node, frozen=True):
    """`-x`."""

    part: Quantity


class Arithmetic(Node, frozen=True):
    """`left + right`, and so on."""

    sign: Operator
    left: Quantity
    right: Quantity


class Clock(Node, frozen=True):
    """A local time, in minutes since midnight."""

    minute: int


class Sun(Node, frozen=True):
    """Sunrise or sunset, `offset` minutes later."""

    event: Literal["sunrise", "sunset"]
    offset: int = 0


class And(Node, frozen=True):
    """All of two or more."""

    parts: tuple[Decision, ...]


class Or(Node, frozen=True):
    """Any of two or more."""

    parts: tuple[Decision, ...]


class Not(Node, frozen=True):
    """The opposite; of unknown, unknown."""

    part: Decision


class Compare(Node, frozen=True):
    """`left < right`, and so on."""

    sign: Sign
    left: Quantity
    right: Quantity


class Between(Node, frozen=True):
    """`value between low and high`, both included."""

    value: Quantity
    low: Quantity
    high: Quantity


class State(Node, frozen=True):
    """`vent is on`: whether an output or a contact is on (or off, where `on` is False)."""

    of: Sensor | Actuator
    on: bool


class QualityIs(Node, frozen=True):
    """`quality(x) is stale`, or `is not`."""

    sensor: Sensor
    word: str
    negated: bool = False


class Days(Node, frozen=True):
    """`weekday between first and last`, both included; through Sunday if the last comes earlier in the week."""

    first: int
    last: int


class Daily(Node, frozen=True):
    """`between begin and finish`: from the minute of `begin` to before that of `finish`, also through midnight."""

    begin: Moment
    finish: Moment


Moment = Clock | Sun
Quantity = Number | Duration | Sensor | Setting | Span | Age | Call | Minus | Arithmetic
Leaf = Sensor | Setting | Span | Age
Decision = And | Or | Not | Compare | Between | State | QualityIs | Days | Daily


class Condition(msgspec.Struct, frozen=True):
    """A whole condition: its text, and the tree that points into it."""

    text: str
    root: Decision


class Expression(msgspec.Struct, frozen=True):
    """A quantity that stands by itself: its text, and the tree that points into it."""

    text: str
    root: Quantity


Whole = Condition | Expression


def walk(node: Node) -> Iterator[Node]:
    """Return a node and all below it, in the order of the text."""
    yield node
    for field in node.__struct_fields__:
        value = getattr(node, field)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, Node):
                yield from walk(part)


def leaves(node: Quantity) -> list[Leaf]:
    """Return the parts of a quantity that have a value of their own, in the order of the text."""
    match node:
        case Sensor() | Setting() | Span() | Age():
            return [node]
        case Minus():
            return leaves(node.part)
        case Call():
            return [leaf for argument in node.arguments for leaf in leaves(argument)]
        case Arithmetic():
            return [*leaves(node.left), *leaves(node.right)]
    return []


def sensors(condition: Whole) -> frozenset[str]:
    """Return the sensors that a condition looks at."""
    return frozenset(node.name for node in walk(condition.root) if isinstance(node, Sensor))


def actuators(condition: Whole) -> frozenset[str]:
    """Return the outputs that a condition looks at."""
    return frozenset(node.name for node in walk(condition.root) if isinstance(node, Actuator))


def settings(condition: Whole) -> frozenset[str]:
    """Return the settings that a condition looks at."""
    return frozenset(node.name for node in walk(condition.root) if isinstance(node, Setting))


def asks_for_the_sun(condition: Whole) -> bool:
    """Tell whether a condition looks at sunrise or sunset."""
    return any(isinstance(node, Sun) for node in walk(condition.root))


def spans(condition: Whole) -> dict[str, tuple[Millis, ...]]:
    """Return the spans over which a condition looks at each sensor, the longest last."""
    found: dict[str, set[Millis]] = {}
    for node in walk(condition.root):
        if isinstance(node, Span):
            found.setdefault(node.sensor.name, set()).add(node.millis)
    return {sensor: tuple(sorted(lengths)) for sensor, lengths in found.items()}
