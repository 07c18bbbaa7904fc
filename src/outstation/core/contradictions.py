"""What a rule cannot mean: a condition that is never true, an `until` that is true together with its `when`.

The law of this file: what it says is certain. It looks at comparisons of one quantity with constants
(and outputs and contacts, on or off), joined by and, or, not; whatever else there is passes. It counts in
fractions, since a rounded bound would overlap where none does.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

from outstation.core.conditions.mistakes import Mistake
from outstation.core.conditions.tree import (
    And,
    Arithmetic,
    Between,
    Compare,
    Condition,
    Decision,
    Duration,
    Minus,
    Not,
    Number,
    Or,
    Quantity,
    Sign,
    State,
)
from outstation.core.conditions.writing import written

Terms = Mapping[str, Fraction]
"""A sum: what is multiplied by how much, by its text; the constant is under the empty text."""

_CONSTANT = ""
_ZERO = Fraction(0)
_COMPARED: dict[Sign, Callable[[Fraction, Fraction], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_MIRRORED: dict[Sign, Sign] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


class _Values(NamedTuple):
    """The values of one quantity for which something is true. Between two marks next to each other, all or none are.

    of: the quantity; nothing for what is the same everywhere. counted: it is a whole number, not below zero.
    """

    of: frozenset[tuple[str, Fraction]]
    counted: bool
    marks: frozenset[Fraction]
    has: Callable[[Fraction], bool]


def never(condition: Condition) -> Mistake | None:
    """Return the mistake of a condition that no value could make true."""
    for part in _required(condition.root):
        values = _values(part)
        if values and not _any_of(values):
            sentence = "expected a condition that can be true: no value makes this one so."
            return Mistake(sentence, condition.text, part.start, part.end)
    return None


def overlap(when: Condition, until: Condition) -> Mistake | None:
    """Return the mistake of an `until` that is true where `when` is: the rule would fire and clear at once."""
    if written(when.root) != written(until.root):
        together = _joined((when.root, until.root), all)
        if together is None or not _any_of(together):
            return None
    sentence = (
        'expected a condition that is false wherever "when" is true: the rule would clear as soon as it fires. '
        'Leave a gap: when = "x > 30", until = "x < 28".'
    )
    return Mistake(sentence, until.text, until.root.start, until.root.end)


def _required(root: Decision) -> Iterator[Decision]:
    """Return conditions that all have to be true: the whole, and by quantity what its `and` joins."""
    yield root
    if not isinstance(root, And):
        return
    alike: dict[object, list[Decision]] = {}
    for part in root.parts:
        if values := _values(part):
            alike.setdefault(values.of, []).append(part)
    for parts in alike.values():
        yield And(tuple(parts), start=parts[0].start, end=parts[-1].end)


def _any_of(values: _Values) -> bool:
    return any(values.has(value) for value in _samples(values))


def _samples(values: _Values) -> Iterator[Fraction]:
    """Return each mark, and a value between each two, before the first and after the last."""
    marks = sorted(values.marks)
    if values.counted:
        whole = {math.floor(mark) + step for mark in marks for step in (-1, 0, 1)}
        yield from (Fraction(value) for value in sorted(whole) if value >= 0)
        return
    yield marks[0] - 1
    for one, following in zip(marks, [*marks[1:], marks[-1] + 2], strict=True):
        yield one
        yield (one + following) / 2


def _values(node: Decision) -> _Values | None:
    """Return where a condition over one quantity is true; None for any other."""
    match node:
        case Compare():
            return _of_comparison(node.sign, node.left, node.right)
        case Between():
            low = _of_comparison(">=", node.value, node.low)
            return _together([low, _of_comparison("<=", node.value, node.high)], all)
        case State():
            return _of_state(node)
        case Not():
            inner = _values(node.part)
            return inner and inner._replace(has=lambda value: not inner.has(value))
        case And():
            return _joined(node.parts, all)
        case Or():
            return _joined(node.parts, any)
    return None


def _joined(parts: Iterable[Decision], which: Callable[[Iterable[bool]], bool]) -> _Values | None:
    return _together([_values(part) for part in parts], which)


def _together(parts: list[_Values | None], which: Callable[[Iterable[bool]], bool]) -> _Values | None:
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or len({part.of for part in known}) > 1:
        return None
    marks = frozenset(mark for part in known for mark in part.marks)
    return known[0]._replace(marks=marks, has=lambda value: which(part.has(value) for part in known))


def _of_state(node: State) -> _Values:
    """What is on is on from 1 upwards, so that off is the rest."""
    compared = operator.ge if node.on else operator.lt
    one = Fraction(1)
    return _Values(
        frozenset([(f"{node.of.name} is", one)]), False, frozenset([one]), lambda level: compared(level, one)
    )


def _of_comparison(sign: Sign, left: Quantity, right: Quantity) -> _Values | None:
    """Return where left - right, divided by its first factor, is on that side of its constant."""
    terms = _difference(left, right)
    names = sorted(name for name in terms or () if name != _CONSTANT)
    if terms is None or not names:
        return None
    first = terms[names[0]]
    compared = _COMPARED[_MIRRORED[sign] if first < 0 else sign]
    mark = -terms.get(_CONSTANT, _ZERO) / first
    counted = len(names) == 1 and names[0].startswith("count(")
    of = frozenset((name, terms[name] / first) for name in names)
    return _Values(of, counted, frozenset([mark]), lambda value: compared(value, mark))


def _terms(node: Quantity) -> Terms | None:
    """Return a quantity as a sum of what it looks at, each times a number; None for what is no such sum."""
    match node:
        case Number():
            return {_CONSTANT: Fraction(repr(node.value))}
        case Duration():
            return {_CONSTANT: Fraction(node.millis)}
        case Minus():
            return _times(_terms(node.part), Fraction(-1))
        case Arithmetic(sign="+"):
            return _sum(_terms(node.left), _terms(node.right))
        case Arithmetic(sign="-"):
            return _difference(node.left, node.right)
        case Arithmetic(sign="*"):
            left, right = _terms(node.left), _terms(node.right)
            return _times(right, _constant(left)) if _constant(left) is not None else _times(left, _constant(right))
        case Arithmetic():
            divisor = _constant(_terms(node.right))
            return _times(_terms(node.left), 1 / divisor if divisor else None)
    return {written(node): Fraction(1)}


def _difference(left: Quantity, right: Quantity) -> Terms | None:
    return _sum(_terms(left), _times(_terms(right), Fraction(-1)))


def _sum(one: Terms | None, other: Terms | None) -> Terms | None:
    if one is None or other is None:
        return None
    added = {name: one.get(name, _ZERO) + other.get(name, _ZERO) for name in (*one, *other)}
    return {name: factor for name, factor in added.items() if factor}


def _times(terms: Terms | None, factor: Fraction | None) -> Terms | None:
    if terms is None or factor is None:
        return None
    return {name: factor * one for name, one in terms.items() if factor}


def _constant(terms: Terms | None) -> Fraction | None:
    """Return the number that a sum is if it looks at nothing."""
    if terms is None or terms.keys() - {_CONSTANT}:
        return None
    return terms.get(_CONSTANT, _ZERO)
