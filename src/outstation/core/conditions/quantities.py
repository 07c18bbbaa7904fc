"""Reads what is a number or a duration: sums, products, functions, names. `grammar` reads conditions of them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar, cast

from outstation.core.conditions.cursor import Cursor
from outstation.core.conditions.formulas import FORMULAS
from outstation.core.conditions.tokens import Token
from outstation.core.conditions.tree import (
    DURATIONS,
    FUNCTIONS,
    SPAN_FUNCTIONS,
    Actuator,
    Age,
    Arithmetic,
    Call,
    Decision,
    Duration,
    Function,
    Minus,
    Number,
    Operator,
    Quantity,
    Sensor,
    Setting,
    Span,
)
from outstation.core.readings import Millis

DEEPEST = 50
"""Levels of parentheses, `not` and minus within one another: nobody reads more, and the stack has an end."""

SHORTEST_SPAN: Millis = 1_000
LONGEST_SPAN: Millis = 7 * 86_400_000
"""Of the spans of functions: a week of one sensor still fits into memory, and no rule should wait for longer."""

STATES = {"on": True, "true": True, "off": False, "false": False}

Operand = Decision | Quantity | Actuator
"""What stands between two signs, before it is known which of them may be there."""

_T = TypeVar("_T")


class Quantities(Cursor):
    """Each method reads what it is named after, and stands behind it then.

    _joined: reads what stands in parentheses, which may be conditions.
    """

    _joined: Callable[[], Operand]

    def __init__(self, text: str, actuators: Collection[str], settings: Collection[str]) -> None:
        super().__init__(text)
        self._actuators, self._settings = actuators, settings
        self._depth = 0

    def _sum(self) -> Operand:
        return self._row(("+", "-"), self._product)

    def _product(self) -> Operand:
        return self._row(("*", "/"), self._factor)

    def _row(self, signs: tuple[str, str], operand: Callable[[], Operand]) -> Operand:
        start = self.token.start
        left = operand()
        divided = False
        while self.is_sign(*signs):
            if divided:
                ways = '"(a / b) * c" or "a / (b * c)"'
                raise self.refusal(f"expected parentheses after a division: it is either {ways}.", self.token)
            left = self._quantity(left)
            sign = self._sign_between()
            divided = sign == "/"
            left = Arithmetic(sign, left, self._quantity(operand()), start=start, end=self.end)
        return left

    def _sign_between(self) -> Operator:
        token = self.token
        if token.text in "-/" and not token.spaced:
            cure = f'write " {token.text} "; without spaces it may be part of a name'
            raise self.refusal(f'expected a space on both sides of "{token.text}" between two values; {cure}.', token)
        self.next()
        return cast("Operator", token.text)

    def _factor(self) -> Operand:
        start = self.token.start
        if self.is_sign("-"):
            self.next()
            return Minus(self._quantity(self._nested(self._factor)), start=start, end=self.end)
        if self.is_sign("("):
            self.next()
            inner = self._nested(self._joined)
            if not self.is_sign(")"):
                raise self.unexpected('")"')
            self.next()
            return inner
        return self._value()

    def _nested(self, read: Callable[[], _T]) -> _T:
        """Read something that may hold something like itself."""
        if self._depth == DEEPEST:
            raise self.refusal(f"expected at most {DEEPEST} levels of parentheses, not and minus.", self.token)
        self._depth += 1
        node = read()
        self._depth -= 1
        return node

    def _value(self) -> Quantity | Actuator:
        token = self.token
        if token.kind == "number":
            self.next()
            value = int(token.text) if token.text.isdigit() else float(token.text)
            return Number(value, start=token.start, end=token.end)
        if token.kind == "duration":
            return Duration(self._millis("a duration"), start=token.start, end=token.end)
        if token.kind == "name" and self.is_before("("):
            return self._function()
        if token.kind not in ("name", "quoted"):
            raise self.unexpected("a sensor, a setting or a number", self._cure_for_a_word())
        return self._named()

    def _cure_for_a_word(self) -> str:
        word = self.token.text
        if self.token.kind == "time" or word in ("sunrise", "sunset"):
            return "times of day stand in a condition of their own: between 18:00 and 08:00"
        if word in STATES:
            return f"outputs and contacts are compared by is: vent is {word}"
        if word == "weekday":
            return "days stand in a condition of their own: weekday is monday"
        return f"a sensor of this name stands in backquotes: `{word}`" if self.token.kind == "word" else ""

    def _function(self) -> Span | Age | Call:
        first = self.token
        if first.text == "quality":
            raise self.refusal("expected a number, found a quality, which is no number; write quality(x) is ok.", first)
        name = self.choice("a function", FUNCTIONS)
        if name in FORMULAS and not (name in SPAN_FUNCTIONS and self._is_span()):
            return self._call(name, first)
        sensor = self._argument(name)
        if name == "age":
            self.expect(")", f"age({sensor.name})")
            return Age(sensor, start=first.start, end=self.end)
        self.expect(",", f"{name}({sensor.name}, 10m)")
        millis = self._span()
        self.expect(")", f"{name}({sensor.name}, 10m)")
        return Span(cast("Function", name), sensor, millis, start=first.start, end=self.end)

    def _is_span(self) -> bool:
        """Tell whether `(x, 10m` follows: of a sensor over a span, not of two values."""
        kinds = [token.kind for token in self._tokens[self._at + 1 : self._at + 4]]
        is_like_one = kinds in (["name", "sign", "duration"], ["quoted", "sign", "duration"])
        return is_like_one and self._tokens[self._at + 2].text == ","

    def _call(self, name: str, first: Token) -> Call:
        count = len(FORMULAS[name].takes)
        usual = f"{name}({', '.join('xy'[:count])})"
        self.next()
        arguments = [self._quantity(self._nested(self._sum))]
        for _ in range(count - 1):
            self.expect(",", usual)
            arguments.append(self._quantity(self._nested(self._sum)))
        self.expect(")", usual)
        return Call(name, tuple(arguments), start=first.start, end=self.end)

    def _argument(self, function: str) -> Sensor:
        """Read what follows the name of a function: its parenthesis, and a sensor."""
        self.next()
        token = self.token
        if token.kind not in ("name", "quoted"):
            raise self.unexpected(f"the name of a sensor in {function}(...)")
        sensor = self._named()
        if not isinstance(sensor, Sensor):
            kind = "output" if isinstance(sensor, Actuator) else "setting"
            raise self.refusal(f'expected a sensor in {function}(...), found the {kind} "{sensor.name}".', token)
        return sensor

    def _span(self) -> Millis:
        token = self.token
        millis = self._millis("a span such as 10m")
        if not SHORTEST_SPAN <= millis <= LONGEST_SPAN:
            raise self.refusal(f"expected a span from 1s to 7d, found {token.text}.", token)
        return millis

    def _millis(self, expected: str) -> Millis:
        token = self.token
        if token.kind != "duration":
            raise self.unexpected(expected)
        self.next()
        number = token.text.rstrip("dhms")
        return round(float(number) * DURATIONS[token.text[len(number) :]])

    def _named(self) -> Sensor | Actuator | Setting:
        token = self.token
        self.next()
        kind = Actuator if token.text in self._actuators else Setting if token.text in self._settings else Sensor
        return kind(token.text, start=token.start, end=token.end)

    def _quantity(self, node: Operand) -> Quantity:
        if isinstance(node, Decision):
            raise self.refusal("expected a number, found a condition.", node)
        if isinstance(node, Actuator):
            told = f'the output "{node.name}", which is on or off: write "{node.name} is on"'
            raise self.refusal(f"expected a number, found {told}.", node)
        return node
