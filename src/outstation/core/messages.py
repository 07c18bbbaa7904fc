"""The words of an alert: a text with the names of what it shows, `{air_temperature:.1f} °C in the greenhouse`.

The law of this file: a message never fails. What is unknown is shown as such, and what cannot be
shown in the form asked for is shown plainly. What a board has sent as a text begins no new line.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from outstation.core.conditions.mistakes import ConditionError, Mistake
from outstation.core.readings import Value

MAX_TEXT = 500
"""Characters of a message as written: what fits on a phone's screen."""

_FIELD = re.compile(r"\{\{|\}\}|\{([^{}:]+)(?::([^{}]*))?\}|[{}]")
_FORM = re.compile(r"[+ ]?,?(\.\d{1,2})?[fgde%]?")
"""The part of Python's format specifications that makes a number readable, and nothing that makes it long."""


class Field(msgspec.Struct, frozen=True):
    """A value in a message: the name of a sensor, an output or a setting, and the form of a number."""

    name: str
    form: str
    start: int
    end: int


class Message(msgspec.Struct, frozen=True):
    """A message, taken apart: texts, and values to be put between them."""

    text: str
    parts: tuple[str | Field, ...]

    @property
    def names(self) -> frozenset[str]:
        """What it shows."""
        return frozenset(part.name for part in self.parts if isinstance(part, Field))


def parse(text: str) -> Message:
    """Return a message. Raises ConditionError, whose mistakes name the characters."""
    mistakes: list[Mistake] = []
    if len(text) > MAX_TEXT:
        mistakes.append(
            Mistake(f"expected at most {MAX_TEXT} characters, found {len(text)}.", text, MAX_TEXT, len(text))
        )
    parts: list[str | Field] = []
    end = 0
    for found in _FIELD.finditer(text):
        parts += [text[end : found.start()]] if found.start() > end else []
        end = found.end()
        if found[0] in ("{{", "}}"):
            parts.append(found[0][0])
        elif found[1] is None:
            mistakes.append(Mistake("expected a name in braces such as {air_temperature:.1f}.", text, *found.span()))
        else:
            field = Field(found[1].strip(), found[2] or "", *found.span())
            parts.append(field)
            if not _FORM.fullmatch(field.form):
                mistakes.append(Mistake("expected a form such as .1f after the colon.", text, *found.span()))
    if mistakes:
        raise ConditionError(mistakes)
    return Message(text, (*parts, text[end:]) if text[end:] else tuple(parts))


def written(message: Message, value: Callable[[str], Value | None]) -> str:
    """Return the words, with the values as they are now."""
    return "".join(part if isinstance(part, str) else _shown(value(part.name), part.form) for part in message.parts)


def _shown(value: Value | None, form: str) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return "".join(character if character.isprintable() else "?" for character in value)
    try:
        return format(value, form) if form else f"{value:g}" if isinstance(value, float) else str(value)
    except ValueError:  # `d` of a number with a fraction
        return f"{value:g}"
