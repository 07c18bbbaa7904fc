"""Reads a condition: text -> tree, by recursive descent. The grammar is docs/reference/rules.md.

What can be read in two ways is refused with both readings: `a and b or c`, `not a and b`,
`a < b < c`, `a / b * c`. And nothing is raised but ConditionError, whatever the text.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, cast

from outstation.core.conditions.quantities import STATES, Operand, Quantities
from outstation.core.conditions.tree import (
    DAYS,
    QUALITIES,
    SIGNS,
    Actuator,
    And,
    Between,
    Clock,
    Compare,
    Condition,
    Daily,
    Days,
    Decision,
    Expression,
    Moment,
    Not,
    Or,
    QualityIs,
    Quantity,
    Setting,
    Sign,
    State,
    Sun,
)
from outstation.core.readings import Millis

_LARGEST_OFFSET: Millis = 12 * 3_600_000


def parse(text: str, *, actuators: Collection[str] = (), settings: Collection[str] = ()) -> Condition:
    """Return the tree of a condition. Names that are no actuator's and no setting's are sensors'.

    Raises ConditionError.
    """
    return Condition(text, _Parser(text, actuators, settings).whole())


def parse_value(text: str, *, actuators: Collection[str] = (), settings: Collection[str] = ()) -> Expression:
    """Return the tree of a quantity that stands by itself. Raises ConditionError."""
    return Expression(text, _Parser(text, actuators, settings).value())


class _Parser(Quantities):
    """Each method reads what it is named after, and stands behind it then."""

    def whole(self) -> Decision:
        if self.is_end():
            raise self.unexpected('a condition such as "air_temperature > 30"')
        node = self._decision(self._joined())
        if not self.is_end():
            raise self.unexpected('"and", "or" or the end')
        return node

    def value(self) -> Quantity:
        if self.is_end():
            raise self.unexpected('a value such as "indoors - outdoors"')
        node = self._quantity(self._sum())
        if not self.is_end():
            raise self.unexpected('"+", "-", "*", "/" or the end')
        return node

    def _joined(self) -> Operand:
        """Read conditions joined by one word; or a single one; or, inside parentheses, a quantity."""
        start, at = self.token.start, self._at
        part = self._one()
        if not self.is_word("and", "or"):
            return part
        word = self.token.text
        parts = [self._decision(part)]
        while self.is_word("and", "or"):
            self._refuse_two_readings(parts[-1], at, word)
            self.next()
            at = self._at
            parts.append(self._decision(self._one()))
        kind = And if word == "and" else Or
        return kind(tuple(parts), start=start, end=self.end)

    def _refuse_two_readings(self, part: Decision, at: int, word: str) -> None:
        """Refuse the joining word that it stands at, or the part before it, which began at token number `at`."""
        here = self.token.text
        if here != word:
            ways = '"(a and b) or c" or "a and (b or c)"'
            raise self.refusal(f"expected parentheses where and meets or: it is either {ways}.", self.token)
        # The inner node of `not (a)` starts behind its parenthesis; that of `not a` where the next token does.
        first, second = self._tokens[at], self._tokens[at + 1]
        if isinstance(part, Not) and part.start == first.start and part.part.start == second.start:
            ways = f'"not (a) {here} b" or "not (a {here} b)"'
            raise self.refusal(f"expected parentheses after not: it is either {ways}.", first)

    def _one(self) -> Operand:
        start = self.token.start
        if self.is_word("not"):
            self.next()
            part = self._decision(self._nested(self._one))
            return Not(part, start=start, end=self.end)
        if self.is_word("between"):
            return self._daily()
        if self.is_word("weekday"):
            return self._weekday()
        if self.token.kind == "name" and self.token.text == "quality" and self.is_before("("):
            return self._quality()
        if self.token.kind in ("name", "quoted") and self.is_before("is"):
            return self._state()
        return self._comparison()

    def _comparison(self) -> Operand:
        start = self.token.start
        left = self._sum()
        node: Decision
        if self.is_sign(*SIGNS):
            left, sign = self._quantity(left), cast("Sign", self.token.text)
            self.next()
            node = Compare(sign, left, self._quantity(self._sum()), start=start, end=self.end)
        elif self.is_word("between"):
            node = self._range(self._quantity(left), start)
        else:
            return left
        if self.is_sign(*SIGNS) or self.is_word("between"):
            cure = 'write "a < b and b < c", or "b between a and c"'
            raise self.refusal(f'expected one comparison: "a < b < c" can be read in two ways; {cure}.', self.token)
        return node

    def _range(self, value: Quantity, start: int) -> Between:
        self.next()
        low = self._quantity(self._sum())
        self.expect("and", "x between 20 and 25")
        high = self._quantity(self._sum())
        return Between(value, low, high, start=start, end=self.end)

    def _state(self) -> State:
        first = self.token
        of = self._named()
        if isinstance(of, Setting):
            raise self.refusal(f'expected a sensor or an output before "is", found the setting "{of.name}".', first)
        negated = self._is_or_is_not()
        if not self.is_word(*STATES):
            cure = 'a number is compared with "=="' if self.token.kind == "number" else ""
            raise self.unexpected('"on" or "off" after "is"', cure)
        on = STATES[self.token.text]
        self.next()
        return State(of, on != negated, start=first.start, end=self.end)

    def _quality(self) -> QualityIs:
        start = self.token.start
        self.next()
        sensor = self._argument("quality")
        self.expect(")", f"quality({sensor.name})")
        if not self.is_word("is"):
            raise self.unexpected('"is" after the quality', "write quality(x) is stale")
        negated = self._is_or_is_not()
        return QualityIs(sensor, self.choice("a quality", QUALITIES), negated, start=start, end=self.end)

    def _weekday(self) -> Days:
        start = self.token.start
        self.next()
        if self.is_word("between"):
            self.next()
            first = self._day()
            self.expect("and", "weekday between monday and friday")
            return Days(first, self._day(), start=start, end=self.end)
        if self.is_end() or self.is_sign(")") or self.is_word("and", "or"):
            return Days(0, 4, start=start, end=self.end)
        if not self.is_word("is"):
            raise self.unexpected('"is" or "between" after "weekday"', "days have names: weekday is monday")
        negated, day = self._is_or_is_not(), self._day()
        first, last = ((day + 1) % 7, (day + 6) % 7) if negated else (day, day)
        return Days(first, last, start=start, end=self.end)

    def _day(self) -> int:
        return DAYS.index(self.choice("a day", DAYS))

    def _is_or_is_not(self) -> bool:
        """Read `is` or `is not`; return whether the `not` was there."""
        self.next()
        negated = self.is_word("not")
        if negated:
            self.next()
        return negated

    def _daily(self) -> Daily:
        start = self.token.start
        self.next()
        begin = self._moment()
        self.expect("and", "between 18:00 and 08:00")
        finish = self._moment()
        if _is_same(begin, finish):
            raise self.refusal("expected two different times: from one to itself is either never or always.", finish)
        return Daily(begin, finish, start=start, end=self.end)

    def _moment(self) -> Moment:
        token = self.token
        if token.kind == "time":
            self.next()
            hours, _, minutes = token.text.partition(":")
            return Clock(int(hours) * 60 + int(minutes), start=token.start, end=token.end)
        if not self.is_word("sunrise", "sunset"):
            cure = "a value stands before its between: x between 20 and 25" if token.kind == "number" else ""
            raise self.unexpected("a local time such as 18:00, sunrise or sunset", cure)
        self.next()
        event: Literal["sunrise", "sunset"] = "sunrise" if token.text == "sunrise" else "sunset"
        return Sun(event, self._offset(), start=token.start, end=self.end)

    def _offset(self) -> int:
        if not self.is_sign("+", "-"):
            return 0
        sign = -1 if self._sign_between() == "-" else 1
        token = self.token
        millis = self._millis("a duration such as 30m")
        if millis % 60_000 or millis > _LARGEST_OFFSET:
            raise self.refusal(f"expected whole minutes, up to 12h, found {token.text}.", token)
        return sign * millis // 60_000

    # What a part must be.

    def _decision(self, node: Operand) -> Decision:
        """Return a condition; of a quantity, which it stands right behind, say what is missing."""
        if isinstance(node, Decision):
            return node
        if isinstance(node, Actuator):
            raise self.unexpected(f'"is on" or "is off" after "{node.name}"')
        if self.is_word("is"):
            raise self.refusal('expected an output or a contact before "is": a number is compared with "==".', node)
        raise self.unexpected(f'a comparison such as "> 30" after "{self._text[node.start : node.end]}"')


def _is_same(one: Moment, other: Moment) -> bool:
    if isinstance(one, Clock):
        return isinstance(other, Clock) and one.minute == other.minute
    return isinstance(other, Sun) and (one.event, one.offset) == (other.event, other.offset)
