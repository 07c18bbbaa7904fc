"""Writes a tree as text again, with no parenthesis that it could do without: parse(written(tree)) is that tree."""

from __future__ import annotations

import re

from outstation.core.conditions.tokens import NAME
from outstation.core.conditions.tree import (
    DAYS,
    DURATIONS,
    WORDS,
    Age,
    And,
    Arithmetic,
    Between,
    Call,
    Clock,
    Compare,
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
from outstation.core.readings import Millis

_PLAIN = re.compile(NAME, re.ASCII)


def written(node: Decision | Quantity) -> str:
    """Return a condition or a quantity as text."""
    return _decision(node) if isinstance(node, Decision) else _quantity(node)


def duration(millis: Millis) -> str:
    """Return a duration in the largest unit that divides it."""
    unit = next((unit for unit, length in DURATIONS.items() if millis and millis % length == 0), "s")
    return f"{millis // DURATIONS[unit]}{unit}"


def clock(minute: int) -> str:
    """Return minutes since midnight as `08:00`."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _decision(node: Decision) -> str:
    match node:
        case And():
            return " and ".join(_parts(node))
        case Or():
            return " or ".join(_parts(node))
        case Not():
            return f"not {_grouped(node.part)}"
        case Compare():
            return f"{_quantity(node.left)} {node.sign} {_quantity(node.right)}"
        case Between():
            return f"{_quantity(node.value)} between {_quantity(node.low)} and {_quantity(node.high)}"
        case State():
            return f"{_name(node.of.name)} is {'on' if node.on else 'off'}"
        case QualityIs():
            return f"quality({_name(node.sensor.name)}) {_is(negated=node.negated)} {node.word}"
        case Days():
            return _days(node)
    return f"between {_moment(node.begin)} and {_moment(node.finish)}"


def _parts(node: And | Or) -> list[str]:
    """Write the parts of a joined condition; behind `not a`, nothing may be joined without parentheses."""
    first = [f"not ({_decision(part.part)})" if isinstance(part, Not) else _grouped(part) for part in node.parts[:-1]]
    return [*first, _grouped(node.parts[-1])]


def _grouped(part: Decision) -> str:
    return f"({_decision(part)})" if isinstance(part, And | Or) else _decision(part)


def _is(*, negated: bool) -> str:
    return "is not" if negated else "is"


def _days(node: Days) -> str:
    match (node.last - node.first) % 7:
        case 0:
            return f"weekday is {DAYS[node.first]}"
        case 5:
            return f"weekday is not {DAYS[node.first - 1]}"
    return f"weekday between {DAYS[node.first]} and {DAYS[node.last]}"


def _moment(node: Moment) -> str:
    if isinstance(node, Clock):
        return clock(node.minute)
    if not node.offset:
        return node.event
    return f"{node.event} {'-' if node.offset < 0 else '+'} {duration(abs(node.offset) * 60_000)}"


def _quantity(node: Quantity) -> str:
    match node:
        case Number():
            return repr(node.value)
        case Duration():
            return duration(node.millis)
        case Sensor() | Setting():
            return _name(node.name)
        case Span():
            return f"{node.function}({_name(node.sensor.name)}, {duration(node.millis)})"
        case Age():
            return f"age({_name(node.sensor.name)})"
        case Call():
            return f"{node.formula}({', '.join(map(_quantity, node.arguments))})"
        case Minus():
            part = _quantity(node.part)
            return f"-({part})" if isinstance(node.part, Arithmetic) else f"-{part}"
    return f"{_left(node)} {node.sign} {_right(node)}"


def _left(node: Arithmetic) -> str:
    """Write the left side: signs of one rank are read from the left, but for what follows a division."""
    left = node.left
    higher = node.sign in "*/"
    apart = isinstance(left, Arithmetic) and higher and left.sign != "*"
    return f"({_quantity(left)})" if apart else _quantity(left)


def _right(node: Arithmetic) -> str:
    right = node.right
    apart = isinstance(right, Arithmetic) and (node.sign in "*/" or right.sign in "+-")
    return f"({_quantity(right)})" if apart else _quantity(right)


def _name(name: str) -> str:
    return name if _PLAIN.fullmatch(name) and name not in WORDS else f"`{name}`"
