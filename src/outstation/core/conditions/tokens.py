"""The words of a condition: its text cut up, each piece with its place.

A name is as long as it can be, and may hold `-` and `/`; so these two, as signs between values,
need a space on both sides.
"""

from __future__ import annotations

import math
import re
from typing import Literal, cast

import msgspec

from outstation.core.conditions.mistakes import ConditionError, Mistake
from outstation.core.conditions.tree import WORDS

LONGEST = 1_000
"""Characters: a condition that is longer is a program, and belongs into several rules."""

Kind = Literal["name", "quoted", "word", "number", "duration", "time", "sign", "end"]

NAME = r"[A-Za-z_][\w.-]*(?:/[A-Za-z_][\w.-]*)?"
DURATION = r"\d{1,9}(?:\.\d{1,3})?(?:ms|s|m|h|d)"
NUMBER = r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
TIME = r"\d{1,2}:\d{2}"

_ALONE = r"(?![\w.:`])"
_TOKEN = re.compile(
    rf"(?P<time>{TIME}){_ALONE}|(?P<duration>{DURATION}){_ALONE}|(?P<number>{NUMBER}){_ALONE}"
    rf"|`(?P<quoted>[^`]+)`|(?P<name>{NAME})|(?P<sign><=|>=|==|!=|[-<>+*/(),])",
    re.ASCII,
)
_SPACES = " \t\r\n"
_DIGITS = re.compile(r"[\w.:`]+")

_CURES = {
    "=>": 'write ">="',
    "=<": 'write "<="',
    "=": 'write "=="',
    "&&": 'write "and"',
    "||": 'write "or"',
    "&": 'write "and"',
    "|": 'write "or"',
    "!": 'write "not" or "!="',
    "≤": 'write "<="',
    "≥": 'write ">="',
    "≠": 'write "!="',
    "\N{MINUS SIGN}": 'write "-"',
    "\N{EN DASH}": 'write "-"',
    "\N{MULTIPLICATION SIGN}": 'write "*"',
    "·": 'write "*"',
    "÷": 'write " / "',
    "°": "a number stands without its unit",
    "%": "a number stands without its unit",
    '"': "names stand bare or in backquotes, and texts cannot be compared",
    "'": "names stand bare or in backquotes, and texts cannot be compared",
}

_QUOTES = ('"', "'")


class Token(msgspec.Struct, frozen=True):
    """One piece. text: of a quoted name, the name. spaced: whether spaces stand on both its sides."""

    kind: Kind
    text: str
    start: int
    end: int
    spaced: bool = False


def tokens(text: str) -> list[Token]:
    """Cut a text up; the last token is its end. Raises ConditionError."""
    if len(text) > LONGEST:
        raise _refusal(text, LONGEST, len(text), f"expected at most {LONGEST:,} characters, found {len(text):,}.")
    found: list[Token] = []
    at = _after_space(text, 0)
    while at < len(text):
        token = _token(text, at)
        found.append(token)
        at = _after_space(text, token.end)
    return [*found, Token("end", "", len(text.rstrip()), len(text.rstrip()))]


def _after_space(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in _SPACES:
        at += 1
    return at


def _token(text: str, at: int) -> Token:
    found = _TOKEN.match(text, at)
    if found is None:
        raise _unreadable(text, at)
    kind = cast("Kind", found.lastgroup)
    piece = found[kind]
    start, end = found.span()
    spaced = text[start - 1 : start].isspace() and text[end : end + 1].isspace()
    match kind:
        case "number" if not math.isfinite(float(piece)):
            raise _refusal(text, start, end, "expected a number that a computer can hold, found one beyond 1e308.")
        case "time" if not _is_time(piece):
            raise _refusal(text, start, end, f"expected a local time from 00:00 to 23:59, found {piece}.")
        case "quoted" if not piece.isprintable():
            raise _refusal(text, start, end, "expected a printable name in backquotes, found control characters.")
        case "name" if piece in WORDS:
            return Token("word", piece, start, end)
    return Token(kind, piece, start, end, spaced)


def _is_time(piece: str) -> bool:
    hours, _, minutes = piece.partition(":")
    return int(hours) < 24 and int(minutes) < 60


def _unreadable(text: str, at: int) -> ConditionError:
    """Return the error for what is the beginning of no token."""
    character = text[at]
    digits = _DIGITS.match(text, at)
    if digits and character in "0123456789.":
        expected = "expected a number such as 30 or 0.5, a duration such as 90s or 2m, or a local time such as 08:00"
        return _refusal(text, at, digits.end(), f'{expected}, found "{digits[0]}".')
    if character == "`":
        return _refusal(text, at, at + 1, "expected a name and a second backquote after this one.")
    wrong = next((piece for piece in (text[at : at + 2], character) if piece in _CURES), character)
    cure = f"; {_CURES[wrong]}" if wrong in _CURES else ""
    return _refusal(text, at, at + len(wrong), f"expected a name, a number or a sign, found {_told(wrong)}{cure}.")


def _told(piece: str) -> str:
    if piece in _QUOTES:
        return "a quote"
    return f'"{piece}"' if piece.isprintable() else f"the character U+{ord(piece):04X}"


def _refusal(text: str, start: int, end: int, sentence: str) -> ConditionError:
    return ConditionError([Mistake(sentence, text, start, end)])
