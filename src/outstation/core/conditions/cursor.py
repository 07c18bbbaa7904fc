"""A place in the tokens of a condition: looks, moves on, and says what was expected there."""

from __future__ import annotations

from collections.abc import Iterable

from outstation.core.conditions.mistakes import ConditionError, Mistake, nearest
from outstation.core.conditions.tokens import Token, tokens
from outstation.core.conditions.tree import DURATIONS, WORDS, Node

_UNITS_PEOPLE_TRY = ("sec", "second", "seconds", "min", "mins", "minute", "minutes", "hour", "hours", "day", "days")


class Cursor:
    """Stands at one token of a text. Raises ConditionError when the text cannot be cut up."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._at = 0

    @property
    def token(self) -> Token:
        """The token it stands at; behind the last piece, the end."""
        return self._tokens[self._at]

    @property
    def end(self) -> int:
        """Where the piece ends that it stands behind."""
        return self._tokens[self._at - 1].end

    def next(self) -> None:
        """Move on by one piece; nobody moves on from the end."""
        self._at += 1

    def is_end(self) -> bool:
        """Tell whether nothing is left to read."""
        return self.token.kind == "end"

    def is_word(self, *words: str) -> bool:
        """Tell whether it stands at one of these words of the language."""
        return self.token.kind == "word" and self.token.text in words

    def is_sign(self, *signs: str) -> bool:
        """Tell whether it stands at one of these signs."""
        return self.token.kind == "sign" and self.token.text in signs

    def is_before(self, text: str) -> bool:
        """Tell whether a sign or a word follows the piece it stands at, which is not the end."""
        after = self._tokens[self._at + 1]
        return after.kind in ("sign", "word") and after.text == text

    def expect(self, text: str, example: str) -> None:
        """Move on behind a sign or a word; `example` shows where it belongs."""
        if self.token.kind not in ("sign", "word") or self.token.text != text:
            raise self.unexpected(f'"{text}" as in "{example}"')
        self.next()

    def choice(self, expected: str, valid: Iterable[str]) -> str:
        """Move on behind a name that is one of a few."""
        if self.token.kind != "name" or self.token.text not in valid:
            raise self.unexpected(f"{expected} ({', '.join(valid)})", choices=valid)
        self.next()
        return self._tokens[self._at - 1].text

    def unexpected(self, expected: str, cure: str = "", choices: Iterable[str] = ()) -> ConditionError:
        """Return the error that refuses the token it stands at. `choices`: names, of which the nearest is offered."""
        token = self.token
        found = f'"{self._text[token.start : token.end]}"' if token.kind != "end" else "the end"
        near = nearest(token.text, choices) if token.kind == "name" else ""
        hint = near or (f"; {cure}" if cure else self._usual_cure())
        return self.refusal(f"expected {expected}, found {found}{hint}.", token)

    def refusal(self, sentence: str, where: Node | Token) -> ConditionError:
        """Return the error that refuses a part of the text."""
        sentence = sentence.replace("?.", "?")
        return ConditionError([Mistake(sentence, self._text, where.start, where.end)])

    def _usual_cure(self) -> str:
        """Say what people mean who put this token behind that one."""
        token, before = self.token, self._tokens[self._at - 1]
        if before.kind == "number" and token.text in (*DURATIONS, *_UNITS_PEOPLE_TRY):
            return f"; a duration is one word, such as {before.text}{_unit(token.text)}"
        if before.kind == "number" and token.text == ",":
            return "; a number has a decimal point"
        if before.kind == "name" and before.text[-1] in "-/":
            return f'; "{before.text[-1]}" between two values needs a space on both sides'
        return nearest(token.text, WORDS) if token.kind == "name" else ""


def _unit(word: str) -> str:
    return word if word in DURATIONS else word[0]
