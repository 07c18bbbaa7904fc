"""What is wrong with a condition: what was expected, what was found, and the place in its text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from outstation.errors import OutstationError

_SHOWN_BEFORE, _SHOWN_AFTER = 60, 40
"""Characters shown on either side of a mistake: with four of indent a line of a terminal and a bit."""


class Mistake(msgspec.Struct, frozen=True):
    """One mistake in `text`, from character `start` to before `end`; both at its length: at its end."""

    sentence: str
    text: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.sentence}\n{self.shown}"

    @property
    def shown(self) -> str:
        """The line where it is, and carets below it."""
        first = self.text.rfind("\n", 0, self.start) + 1
        last = self.text.find("\n", self.start)
        last = len(self.text) if last < 0 else last
        left = max(first, self.start - _SHOWN_BEFORE)
        right = min(last, self.start + _SHOWN_AFTER)
        before = "…" if left > first else ""
        after = "…" if right < last else ""
        carets = "^" * max(1, min(self.end, right) - self.start)
        indent = " " * (4 + len(before) + self.start - left)
        return f"    {before}{printable(self.text[left:right])}{after}\n{indent}{carets}"


class ConditionError(OutstationError):
    """A condition cannot be used as it is written: `mistakes` says where and why."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = tuple(mistakes)


def printable(text: str) -> str:
    """Return a text as long as it was, without what moves a terminal's cursor."""
    return "".join(character if character.isprintable() else " " if character.isspace() else "?" for character in text)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "x"?` for the known word that is closest, if one is close; else nothing.

    Close is also one of several sensors that a chip was made into: `air_temperature` to `air`.
    """
    allowed = max(1, len(word) // 3)
    words = list(known)
    near = [one for one in words if abs(len(one) - len(word)) <= allowed]
    measured = sorted((_distance(word.lower(), one.lower()), one) for one in near)
    if measured and measured[0][0] <= allowed:
        return f'; did you mean "{measured[0][1]}"?'
    longer = min((one for one in words if one.startswith(f"{word}_")), default="")
    return longer and f'; did you mean "{longer}"?'


def _distance(one: str, other: str) -> int:
    """Return how many letters must be put in, left out, replaced or swapped with the next to turn one into the other.

    The optimal string alignment distance, row by row.
    """
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, row, above = row, [i], before
        for j, wanted in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, above[j - 2] + 1)
            row.append(cost)
    return row[-1]
