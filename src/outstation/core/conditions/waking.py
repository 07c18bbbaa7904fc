"""When a condition could change by itself: because a minute begins, an age grows, a sensor goes stale.

May be early, and never late, but for a second where nobody can work it out: who is woken looks
again, and asks again. Nothing here says what the change would be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from outstation.core.conditions.evaluation import Local, Measure, View, measurer, minute_of
from outstation.core.conditions.tree import (
    Age,
    Arithmetic,
    Between,
    Call,
    Clock,
    Compare,
    Condition,
    Daily,
    Days,
    Minus,
    Moment,
    Node,
    Operator,
    QualityIs,
    Quantity,
    Sensor,
    Span,
    State,
    leaves,
    walk,
)
from outstation.core.readings import Millis

_LOOK_AGAIN: Millis = 1_000
"""Where ages are multiplied with one another, nobody works out when: one looks every second."""

_FAR: Millis = 3_660 * 86_400_000
"""Ten years: further ahead is never."""


class Outlook(View, Protocol):
    """A View that also knows how long what it shows will last."""

    def fresh_for(self, name: str) -> Millis | None:
        """Return how long until a sensor that says nothing more is stale; None if its value counts no more now."""

    def steady_for(self, name: str, span: Millis) -> Millis | None:
        """Return how long a span's statistics last if no reading comes; None: for ever."""


Look = Callable[[Outlook], Millis | None]
Minutes = Callable[[Local], int]


def next_change(condition: Condition, local: Local) -> int | None:
    """Return in how many minutes of local time a time of day or a weekday could change; None: it has none.

    Counted to the beginning of the minute. Never past the next full hour: that is where clocks are put
    forward and back, and where the next day with its sun begins. To ask often, keep its `minuter`.
    """
    minutes = minuter(condition)
    return None if minutes is None else minutes(local)


def minuter(condition: Condition) -> Minutes | None:
    """Return the function that answers next_change for a condition; None: it has no time of day and no weekday."""
    moments = [moment for node in walk(condition.root) for moment in _moments(node)]

    def minutes(local: Local) -> int:
        now = local.minute_of_day
        soonest = 60 - now % 60
        for moment in moments:
            minute = minute_of(moment, local)
            if minute is not None:
                soonest = min(soonest, (minute - now) % 1440 or 1440)
        return soonest

    return minutes if moments else None


def next_aging(condition: Condition, outlook: Outlook) -> Millis | None:
    """Return in how many milliseconds a condition could change if nothing is heard; None: not so.

    By ages that grow, sensors that go stale, readings that leave a span. To ask often, keep its `ager`.
    """
    return ager(condition)(outlook)


def ager(condition: Condition) -> Look:
    """Return the function that answers next_aging for a condition."""
    looks = [look for node in walk(condition.root) for look in _looks(node)]

    def look(outlook: Outlook) -> Millis | None:
        soonest: Millis | None = None
        for one in looks:
            due = one(outlook)
            if due is not None and (soonest is None or due < soonest):
                soonest = due
        return soonest

    return look


def _moments(node: Node) -> tuple[Moment, ...]:
    match node:
        case Daily():
            return node.begin, node.finish
        case Days():
            return (Clock(0),)
    return ()


def _looks(node: Node) -> Iterator[Look]:
    """Return what to look at for one comparison."""
    match node:
        case QualityIs(sensor=sensor) | State(of=Sensor() as sensor):
            yield _fresh(sensor.name)
        case Compare():
            yield from _looks_at(node.left, node.right)
        case Between():
            yield from _looks_at(node.value, node.low)
            yield from _looks_at(node.value, node.high)


def _looks_at(left: Quantity, right: Quantity) -> Iterator[Look]:
    parts = [*leaves(left), *leaves(right)]
    for part in parts:
        if isinstance(part, Sensor):
            yield _fresh(part.name)
        elif isinstance(part, Span):
            yield _steady(part)
    if any(isinstance(part, Age) for part in parts):
        yield _meeting(_course(left), _course(right))


def _fresh(name: str) -> Look:
    return lambda outlook: outlook.fresh_for(name)


def _steady(node: Span) -> Look:
    name, millis = node.sensor.name, node.millis
    return lambda outlook: outlook.steady_for(name, millis)


class _Line(NamedTuple):
    """A value now, and by how much it grows in a millisecond; NaN where that is no straight line."""

    value: float
    slope: float


Course = Callable[[Outlook], _Line | None]


def _meeting(left: Course, right: Course) -> Look:
    """Return when two lines meet: there, or a millisecond later, is where a comparison of both changes."""

    def look(outlook: Outlook) -> Millis | None:
        one, two = left(outlook), right(outlook)
        if one is None or two is None:
            return None
        slope = one.slope - two.slope
        if math.isnan(slope):
            return _LOOK_AGAIN
        ahead = (two.value - one.value) / slope if slope else math.inf
        # Rounded down, for the division may have rounded up.
        return max(1, math.floor(ahead)) if 0 <= ahead < _FAR else None

    return look


def _course(node: Quantity) -> Course:
    match node:
        case Age():
            return _course_of_age(node.sensor.name)
        case Minus():
            return _course_of_minus(_course(node.part))
        case Arithmetic():
            return _course_of_arithmetic(node.sign, _course(node.left), _course(node.right))
        case Call() if any(isinstance(part, Age) for part in leaves(node)):
            return _course_of_formula(measurer(node))
    return _level_course(measurer(node))


def _course_of_age(name: str) -> Course:
    def course(outlook: Outlook) -> _Line:
        age = outlook.age(name)
        return _Line(math.inf, 0.0) if age is None else _Line(float(age), 1.0)

    return course


def _level_course(measure: Measure) -> Course:
    def course(outlook: Outlook) -> _Line | None:
        value = measure(outlook)
        return None if value is None else _Line(float(value), 0.0)

    return course


def _course_of_formula(measure: Measure) -> Course:
    return lambda outlook: None if measure(outlook) is None else _Line(math.nan, math.nan)


def _course_of_minus(part: Course) -> Course:
    def course(outlook: Outlook) -> _Line | None:
        line = part(outlook)
        return None if line is None else _Line(-line.value, -line.slope)

    return course


def _course_of_arithmetic(sign: Operator, left: Course, right: Course) -> Course:
    combined = {"+": _sum, "-": _difference, "*": _product, "/": _quotient}[sign]

    def course(outlook: Outlook) -> _Line | None:
        one, two = left(outlook), right(outlook)
        return None if one is None or two is None else combined(one, two)

    return course


def _sum(one: _Line, two: _Line) -> _Line:
    return _Line(one.value + two.value, one.slope + two.slope)


def _difference(one: _Line, two: _Line) -> _Line:
    return _Line(one.value - two.value, one.slope - two.slope)


def _product(one: _Line, two: _Line) -> _Line:
    if one.slope and two.slope:
        return _Line(math.nan, math.nan)
    # An age without end does not grow: infinity times 0 would be no number.
    slope = one.slope * two.value if one.slope else two.slope * one.value if two.slope else 0.0
    return _Line(one.value * two.value, slope)


def _quotient(one: _Line, two: _Line) -> _Line | None:
    if two.slope:
        return _Line(math.nan, math.nan)
    return _Line(one.value / two.value, one.slope / two.value) if two.value else None
