"""Why a condition is true, false or unknown: each part of it, with the values that it had."""

from __future__ import annotations

import math

import msgspec

from outstation.core.conditions.evaluation import Local, View, decider, measurer, minute_of
from outstation.core.conditions.tree import (
    DAYS,
    DURATIONS,
    Age,
    And,
    Between,
    Compare,
    Condition,
    Daily,
    Days,
    Decision,
    Leaf,
    Not,
    Or,
    QualityIs,
    Quantity,
    Sensor,
    State,
    Sun,
    leaves,
)
from outstation.core.conditions.writing import clock
from outstation.core.readings import Millis

_STATES: dict[float, str] = {True: "on", False: "off"}
_WORDS = {True: "true", False: "false", None: "unknown"}


class Part(msgspec.Struct, frozen=True):
    """One part of a condition: its text, what it came to, and for people the values that made it so.

    value: of a condition true, false or None for unknown; of a quantity its number, of an age its
    milliseconds, None where it is unknown or without end. parts: those of which it is made.
    """

    text: str
    value: bool | float | None
    shown: str = ""
    parts: tuple[Part, ...] = ()

    def __str__(self) -> str:
        """One line: `air_temperature > 30  (31.2 > 30: true)`."""
        word = _WORDS[None if self.value is None else bool(self.value)]
        return f"{self.text}  ({self.shown}: {word})" if self.shown else f"{self.text}: {word}"


def explain(condition: Condition, view: View) -> Part:
    """Return what each part of a condition comes to."""
    return _Explainer(condition.text, view).decision(condition.root)


def lines(part: Part) -> list[str]:
    """Return a condition in lines, the conditions that it is made of indented below it."""
    below = [] if part.shown else [line for one in part.parts for line in lines(one)]
    return [str(part), *(f"    {line}" for line in below)]


class _Explainer:
    def __init__(self, text: str, view: View) -> None:
        self._text, self._view = text, view

    def decision(self, node: Decision) -> Part:
        value = decider(node)(self._view)
        text = self._slice(node.start, node.end)
        match node:
            case And() | Or():
                return Part(text, value, "", tuple(self.decision(part) for part in node.parts))
            case Not():
                return Part(text, value, "", (self.decision(node.part),))
            case Compare():
                return self._filled(node, [node.left, node.right], value)
            case Between():
                return self._filled(node, [node.value, node.low, node.high], value)
            case State():
                return Part(text, value, self._state(node))
            case QualityIs():
                return Part(text, value, self._view.quality(node.sensor.name))
        return Part(text, value, self._time(node))

    def _slice(self, start: int, end: int) -> str:
        """Return a part of the text, on one line."""
        return " ".join(self._text[start:end].split())

    def _filled(self, node: Compare | Between, sides: list[Quantity], value: bool | None) -> Part:
        """Put the values into the text, where their names stand."""
        found, exact = [leaf for side in sides for leaf in leaves(side)], self._is_close(sides)
        parts = [self._leaf(leaf, exact=exact) for leaf in found]
        shown, at = "", node.start
        for leaf, part in zip(found, parts, strict=True):
            shown += self._text[at : leaf.start] + part.shown
            at = leaf.end
        shown += self._text[at : node.end]
        return Part(self._slice(node.start, node.end), value, " ".join(shown.split()), tuple(parts))

    def _is_close(self, sides: list[Quantity]) -> bool:
        """Tell whether two sides differ, but by less than is shown."""
        known = {value for side in sides if (value := measurer(side)(self._view)) is not None}
        return len({_number(value) for value in known}) < len(known)

    def _leaf(self, leaf: Leaf, *, exact: bool) -> Part:
        text, value = self._slice(leaf.start, leaf.end), measurer(leaf)(self._view)
        if isinstance(leaf, Age) and value is not None:
            return Part(text, None, "never") if math.isinf(value) else Part(text, value, spoken(int(value)))
        if value is None:
            return Part(text, None, self._reason(leaf.name) if isinstance(leaf, Sensor) else "too little heard")
        return Part(text, value, repr(value) if exact else _number(value))

    def _reason(self, sensor: str) -> str:
        """Say why a sensor has no number."""
        quality = self._view.quality(sensor)
        return quality if quality != "ok" else "a text"

    def _state(self, node: State) -> str:
        if isinstance(node.of, Sensor):
            value = self._view.value(node.of.name)
            if value is None or isinstance(value, str):
                return self._reason(node.of.name)
            return _STATES.get(value, _number(value))
        level = self._view.level(node.of.name)
        return "unknown" if level is None else _STATES[level > 0]

    def _time(self, node: Days | Daily) -> str:
        local = self._view.local()
        if local is None:
            return "the clock is not set"
        if isinstance(node, Days):
            return f"it is {DAYS[local.weekday]}"
        suns = [f", {_sun(moment, local)}" for moment in (node.begin, node.finish) if isinstance(moment, Sun)]
        return f"it is {clock(local.minute_of_day)}{''.join(suns)}"


def spoken(millis: Millis) -> str:
    """Return a duration to the millisecond: `2m 5s`."""
    words: list[str] = []
    for unit, length in DURATIONS.items():
        count, millis = divmod(millis, length)
        if count:
            words.append(f"{count}{unit}")
    return " ".join(words) or "0s"


def _number(value: float) -> str:
    """Return a number as people read it: three decimals, of small ones six digits."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int) or not 1 <= abs(value) < 1e9:
        return str(value) if isinstance(value, int) else f"{value:.6g}"
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _sun(moment: Sun, local: Local) -> str:
    minute = minute_of(Sun(moment.event), local)
    return f"no {moment.event}" if minute is None else f"{moment.event} {clock(minute)}"
