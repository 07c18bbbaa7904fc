"""What a condition comes to: true, false or unknown, by Kleene's and, or, not.

A tree is turned once into functions that call one another, for a condition is read once, and
decided with every reading.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from outstation.core.conditions.formulas import FORMULAS
from outstation.core.conditions.tree import (
    Age,
    And,
    Arithmetic,
    Between,
    Call,
    Clock,
    Compare,
    Condition,
    Daily,
    Days,
    Decision,
    Duration,
    Function,
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
    walk,
)
from outstation.core.readings import Level, Millis, Value
from outstation.core.spans import Statistics


class Local(msgspec.Struct, frozen=True):
    """The local time: minutes since midnight, and the weekday from 0, Monday.

    sunrise, sunset: of this day, in minutes since its midnight; None where there is none, or the node knows no place.
    """

    minute_of_day: int
    weekday: int
    sunrise: int | None = None
    sunset: int | None = None


class View(Protocol):
    """What a condition may look at. The names are those of its tree; who answers knows what time it is."""

    def value(self, name: str) -> Value | None:
        """Return what a sensor says; None unless its quality is ok."""

    def level(self, actuator: str) -> Level | None:
        """Return the level of an output; None while it is unknown."""

    def setting(self, name: str) -> float:
        """Return a setting."""

    def age(self, name: str) -> Millis | None:
        """Return how long ago a sensor was measured; None if it never was."""

    def quality(self, name: str) -> str:
        """Return one of QUALITIES."""

    def count(self, name: str, span: Millis) -> int:
        """Return how many readings a sensor had in a span."""

    def span(self, name: str, span: Millis) -> Statistics | None:
        """Return the statistics of a sensor over a span; None while too little of it was heard."""

    def local(self) -> Local | None:
        """Return the local time; None while the clock is not to be believed."""


Decide = Callable[[View], bool | None]
Measure = Callable[[View], float | None]

_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}

_STATISTICS: dict[Function, Callable[[Statistics], float | None]] = {
    "mean": operator.attrgetter("mean"),
    "min": operator.attrgetter("lowest"),
    "max": operator.attrgetter("highest"),
    "stdev": operator.attrgetter("stdev"),
    "rate": operator.attrgetter("rate"),
    "change": operator.attrgetter("change"),
}


def evaluate(condition: Condition, view: View) -> bool | None:
    """Return whether a condition holds; None: unknown. To ask often, keep its `decider`."""
    return decider(condition.root)(view)


def decider(node: Decision) -> Decide:
    """Return the function that decides a condition."""
    match node:
        case And():
            return _all([decider(part) for part in node.parts])
        case Or():
            return _any([decider(part) for part in node.parts])
        case Not():
            return _not(decider(node.part))
        case Compare():
            return _compare(_SIGNS[node.sign], node.left, node.right)
        case Between():
            return _between(measurer(node.value), measurer(node.low), measurer(node.high))
        case State():
            return _state(node)
        case QualityIs():
            return _quality(node)
        case Days():
            return _days(node)
    return _daily(node)


def measurer(node: Quantity) -> Measure:
    """Return the function that measures a quantity: a number, or of a duration its milliseconds."""
    match node:
        case Number():
            return _always(node.value)
        case Duration():
            return _always(node.millis)
        case Sensor():
            return _sensor(node.name)
        case Setting():
            return _setting(node.name)
        case Span():
            return _span(node)
        case Age():
            return _age(node.sensor.name)
        case Call():
            return _call(FORMULAS[node.formula].work_out, [measurer(part) for part in node.arguments])
        case Minus():
            return _minus(measurer(node.part))
    return _arithmetic(_SIGNS[node.sign], measurer(node.left), measurer(node.right))


def constant(node: Quantity) -> float | None:
    """Return a quantity that is the same whatever happens; None for any other, and for one that has no answer."""
    if not all(isinstance(part, Number | Duration | Call | Minus | Arithmetic) for part in walk(node)):
        return None
    nobody: Any = None  # Nothing in it looks at anything.
    return measurer(node)(nobody)


def minute_of(moment: Moment, local: Local) -> int | None:
    """Return the minute of the day on which something happens; None if it does not on this one."""
    if isinstance(moment, Clock):
        return moment.minute
    event = local.sunrise if moment.event == "sunrise" else local.sunset
    return None if event is None else (event + moment.offset) % 1440


def _all(parts: Sequence[Decide]) -> Decide:
    def decide(view: View) -> bool | None:
        result: bool | None = True
        for part in parts:
            one = part(view)
            if one is False:
                return False
            if one is None:
                result = None
        return result

    return decide


def _any(parts: Sequence[Decide]) -> Decide:
    def decide(view: View) -> bool | None:
        result: bool | None = False
        for part in parts:
            one = part(view)
            if one:
                return True
            if one is None:
                result = None
        return result

    return decide


def _not(part: Decide) -> Decide:
    def decide(view: View) -> bool | None:
        one = part(view)
        return None if one is None else not one

    return decide


def _compare(sign: Callable[[Any, Any], Any], left: Quantity, right: Quantity) -> Decide:
    measure, other, limit = measurer(left), measurer(right), constant(right)

    def decide(view: View) -> bool | None:
        one = measure(view)
        if one is None:
            return None
        two = other(view)
        return None if two is None else sign(one, two)

    def decide_by_limit(view: View) -> bool | None:
        one = measure(view)
        return None if one is None else sign(one, limit)

    return decide if limit is None else decide_by_limit


def _between(value: Measure, low: Measure, high: Measure) -> Decide:
    def decide(view: View) -> bool | None:
        one, least, most = value(view), low(view), high(view)
        if one is None:
            return None
        if (least is not None and one < least) or (most is not None and one > most):
            return False
        return None if least is None or most is None else True

    return decide


def _state(node: State) -> Decide:
    name, wanted = node.of.name, node.on

    def decide_of_sensor(view: View) -> bool | None:
        # Boards have no bools, they send 1 and 0; what is neither is no contact.
        value = view.value(name)
        return (value == 1) is wanted if value in (0, 1) else None

    def decide_of_actuator(view: View) -> bool | None:
        level = view.level(name)
        return None if level is None else (level > 0) is wanted

    return decide_of_sensor if isinstance(node.of, Sensor) else decide_of_actuator


def _quality(node: QualityIs) -> Decide:
    name, word, negated = node.sensor.name, node.word, node.negated
    return lambda view: (view.quality(name) == word) is not negated


def _days(node: Days) -> Decide:
    days = frozenset((node.first + step) % 7 for step in range((node.last - node.first) % 7 + 1))

    def decide(view: View) -> bool | None:
        local = view.local()
        return None if local is None else local.weekday in days

    return decide


def _daily(node: Daily) -> Decide:
    def decide(view: View) -> bool | None:
        local = view.local()
        if local is None:
            return None
        begin, finish = minute_of(node.begin, local), minute_of(node.finish, local)
        if begin is None or finish is None:
            return None
        # Minutes since the beginning, through midnight if need be.
        return (local.minute_of_day - begin) % 1440 < (finish - begin) % 1440

    return decide


def _always(value: float) -> Measure:
    return lambda _: value


def _sensor(name: str) -> Measure:
    def measure(view: View) -> float | None:
        value = view.value(name)
        return None if isinstance(value, str) else value

    return measure


def _setting(name: str) -> Measure:
    return lambda view: view.setting(name)


def _age(name: str) -> Measure:
    def measure(view: View) -> float | None:
        age = view.age(name)
        return math.inf if age is None else age

    return measure


def _span(node: Span) -> Measure:
    name, millis = node.sensor.name, node.millis
    if node.function == "count":
        return lambda view: view.count(name, millis)
    statistic = _STATISTICS[node.function]

    def measure(view: View) -> float | None:
        found = view.span(name, millis)
        value = None if found is None else statistic(found)
        # The squares of what is beyond 1e154 are beyond all numbers.
        return value if value is not None and math.isfinite(value) else None

    return measure


def _call(formula: Callable[..., float], arguments: Sequence[Measure]) -> Measure:
    def measure(view: View) -> float | None:
        found = [argument(view) for argument in arguments]
        return None if None in found else _worked_out(formula, *found)

    return measure


def _minus(part: Measure) -> Measure:
    def measure(view: View) -> float | None:
        value = part(view)
        return None if value is None else -value

    return measure


def _arithmetic(sign: Callable[[Any, Any], Any], left: Measure, right: Measure) -> Measure:
    def measure(view: View) -> float | None:
        one, two = left(view), right(view)
        return None if one is None or two is None else _worked_out(sign, one, two)

    return measure


def _worked_out(formula: Callable[..., Any], *numbers: Any) -> float | None:
    try:
        result: float = formula(*numbers)
        # Infinity less itself is no number; infinity alone is an age without end.
        return None if math.isnan(result) else result
    except (ArithmeticError, ValueError):
        return None
