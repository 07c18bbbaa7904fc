"""What is wrong with a condition on this node: names that nobody knows, units that do not match."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from outstation.core.conditions.evaluation import constant
from outstation.core.conditions.formulas import ALIKE, FORMULAS
from outstation.core.conditions.mistakes import Mistake, nearest
from outstation.core.conditions.tree import (
    Age,
    Arithmetic,
    Between,
    Call,
    Compare,
    Duration,
    Expression,
    Function,
    Minus,
    Node,
    Quantity,
    Sensor,
    Setting,
    Span,
    State,
    Sun,
    Whole,
    walk,
)
from outstation.core.conditions.writing import written

_DURATION = "a duration"
_READINGS = "readings"
_ANY = ""
_PLAIN = (_ANY, _READINGS)
"""Kinds of quantities: a unit, or one of these. Any: what has no unit, compared with all but durations."""


class Known(msgspec.Struct, frozen=True):
    """What there is on a node. sensors, settings: their units, "" where there is none or nobody knows.

    devices: whose sensors may come later, such as boards that name theirs when they first report.
    place: whether the node knows where it stands, and with that sunrise and sunset.
    """

    sensors: Mapping[str, str] = {}
    actuators: Collection[str] = ()
    settings: Mapping[str, str] = {}
    devices: Collection[str] = ()
    place: bool = False


def check(condition: Whole, known: Known) -> list[Mistake]:
    """Return all that is wrong with a condition, or a value, on a node, in the order of the text."""
    checker = _Checker(condition.text, known)
    for node in walk(condition.root):
        checker.look_at(node)
    if isinstance(condition, Expression):
        checker.look_at_value(condition.root)
    return sorted(checker.mistakes, key=lambda mistake: mistake.start)


def unit_of(value: Expression, known: Known) -> str:
    """Return the unit of a value; empty where it has none, or nobody knows it."""
    kind = _Checker(value.text, known).kind(value.root)
    return _ANY if kind in (_DURATION, _READINGS) else kind


class _Checker:
    """Looks at one part after the other, and gathers what is wrong."""

    def __init__(self, text: str, known: Known) -> None:
        self._text, self._known = text, known
        self._unknown: set[str] = set()
        self.mistakes: list[Mistake] = []

    def look_at(self, node: Node) -> None:
        match node:
            case Sensor():
                self._sensor(node)
            case Sun() if not self._known.place:
                self._wrong(node, f"expected a node that knows its place: without one there is no {node.event}.")
            case State(of=Sensor() as sensor) if unit := self._known.sensors.get(sensor.name):
                self._wrong(node, f"expected a comparison such as {sensor.name} > 30: it is a number in {unit}.")
            case Compare():
                self._alike(node.left, node.right)
                self._changing(node, node.left, node.right)
            case Between():
                self._range(node)
            case Call():
                self._arguments(node)
            case Arithmetic(sign="+" | "-"):
                self._alike(node.left, node.right)
            case Arithmetic(sign="*"):
                self._factors(node)
            case Arithmetic():
                self._divisor(node)

    def look_at_value(self, node: Quantity) -> None:
        """Look at a quantity that stands by itself."""
        if self.kind(node) == _DURATION:
            self._wrong(node, "expected a number, found a duration; divide it by one, such as age(x) / 1s.")
        elif not any(isinstance(part, Sensor) for part in walk(node)):
            self._wrong(node, "expected a sensor in it: this one never changes.")

    def _sensor(self, node: Sensor) -> None:
        name, known = node.name, self._known
        if name in known.sensors or name in self._unknown or name.rpartition("/")[0] in known.devices:
            return
        self._unknown.add(name)
        names = sorted({*known.sensors, *known.actuators, *known.settings})
        hint = _apart(name, names) or nearest(name, names)
        sentence = f'expected the name of a sensor, an output or a setting, found "{name}", which nobody knows{hint}'
        self._wrong(node, sentence if hint.endswith("?") else f"{sentence}.")

    # Kinds.

    def kind(self, node: Quantity) -> str:
        """Return the kind of a quantity, be it right or wrong inside."""
        match node:
            case Duration() | Age():
                return _DURATION
            case Sensor():
                return self._known.sensors.get(node.name, _ANY)
            case Setting():
                return self._known.settings.get(node.name, _ANY)
            case Span():
                return _of_statistic(node.function, self.kind(node.sensor))
            case Minus():
                return self.kind(node.part)
            case Call():
                gives = FORMULAS[node.formula].gives
                kinds = filter(None, map(self.kind, node.arguments))
                return next(kinds, _ANY) if gives == ALIKE else gives
            case Arithmetic():
                return _of_arithmetic(node.sign, self.kind(node.left), self.kind(node.right))
        return _ANY

    def _alike(self, left: Quantity, right: Quantity) -> None:
        """Expect two quantities of which one can be compared with the other, or added to it."""
        one, other = self.kind(left), self.kind(right)
        if one == other or (_DURATION not in (one, other) and _ANY in (one, other)):
            return
        cure = f"; {written(right)} is a time, and numbers have no unit" if isinstance(right, Duration) else ""
        self._wrong(right, f"expected {_told(one)}, as on the left, found {_told(other)}{cure}.")

    def _changing(self, node: Node, *parts: Quantity) -> bool:
        """Expect something in a comparison that can change."""
        if any(constant(part) is None for part in parts) and len({written(part) for part in parts}) > 1:
            return True
        self._wrong(node, "expected a sensor, a setting or an age in a comparison: this one never changes.")
        return False

    def _range(self, node: Between) -> None:
        self._alike(node.value, node.low)
        self._alike(node.value, node.high)
        low, high = constant(node.low), constant(node.high)
        changing = self._changing(node, node.value, node.low, node.high)
        if changing and low is not None and high is not None and low > high:
            self._wrong(node.low, "expected the lower bound first: nothing lies between these two.")

    def _arguments(self, node: Call) -> None:
        """Expect each argument in the unit that the formula is for, or like the first."""
        for unit, argument in zip(FORMULAS[node.formula].takes, node.arguments, strict=True):
            kind = self.kind(argument)
            if unit == ALIKE:
                self._alike(node.arguments[0], argument)
            elif kind == _DURATION or (unit and kind not in (_ANY, unit)):
                self._wrong(argument, f"expected {_told(unit)} in {node.formula}(...), found {_told(kind)}.")

    def _factors(self, node: Arithmetic) -> None:
        left, right = self.kind(node.left), self.kind(node.right)
        other = right if left == _DURATION else left
        if _DURATION in (left, right) and other not in _PLAIN:
            self._wrong(node, f"expected a plain number to multiply a duration by, found {_told(other)}.")

    def _divisor(self, node: Arithmetic) -> None:
        left, right = self.kind(node.left), self.kind(node.right)
        if left == _DURATION and right not in (_DURATION, *_PLAIN):
            self._wrong(node.right, f"expected a plain number to divide a duration by, found {_told(right)}.")
        if constant(node.right) == 0:
            self._wrong(node.right, "expected a divisor other than zero.")
        if left != _DURATION and right == _DURATION:
            self._wrong(node.right, f"expected a number to divide {_told(left)} by, found a duration.")

    def _wrong(self, node: Node, sentence: str) -> None:
        self.mistakes.append(Mistake(sentence, self._text, node.start, node.end))


def _of_statistic(function: Function, unit: str) -> str:
    if function == "count":
        return _READINGS
    return f"{unit}/h" if unit and function == "rate" else unit


def _of_arithmetic(sign: str, left: str, right: str) -> str:
    """Return the kind of a sum or a product: what was multiplied or divided is in a unit that nobody knows."""
    if sign in "+-":
        return left or right
    if sign == "*":
        return _DURATION if _DURATION in (left, right) else _ANY
    return _DURATION if left == _DURATION and right != _DURATION else _ANY


def _told(kind: str) -> str:
    """Return a kind in words."""
    if kind == _DURATION:
        return "a duration such as 2m"
    if kind == _READINGS:
        return "a number of readings"
    return f"a number in {kind}" if kind else "a number"


def _apart(name: str, known: Collection[str]) -> str:
    """Return what to write if a name is two values with a sign between them, and the first of them is known."""
    for sign in "-/":
        left, _, right = name.rpartition(sign)
        if left in known:
            return f"; with spaces it is {left} {sign} {right}"
    return ""
