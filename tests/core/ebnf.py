"""Reads an EBNF (ISO/IEC 14977, as far as a page here uses it): says which texts it allows, and makes some up.

Written for grammars that are published: the words of a text are found by the regular expressions of
the page, not by the parser that the page describes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from hypothesis import strategies as st


class Node(NamedTuple):
    """kind "text", "rule" or "regex": what `text` says; "all", "any", "maybe" or "many": what the parts say."""

    kind: str
    text: str = ""
    parts: tuple[Node, ...] = ()


_PIECE = re.compile(r'\s*(?:"([^"]+)"|\? /(.+?)/ \?|(\w+)|([=,;|{}()\[\]]))')
_BRACKETS = {"(": (")", "all"), "[": ("]", "maybe"), "{": ("}", "many")}


class Grammar:
    """The rules of a grammar by their names."""

    def __init__(self, text: str, *, words: Iterable[str]) -> None:
        """Take the text of the grammar. words: what is no name, though its regular expression says so."""
        self._pieces = [match.groups() for match in _PIECE.finditer(text)]
        self._words = frozenset(words)
        self.rules: dict[str, Node] = {}
        while self._pieces:
            name = self._pieces.pop(0)[2]
            self._take("=")
            self.rules[name] = self._choice()
            self._take(";")
        texts = {text for node in self.rules.values() for text in self._texts(node)}
        signs = sorted((text for text in texts if not text[0].isalpha()), key=len, reverse=True)
        self._token = re.compile("|".join([*self._lexical(), *map(re.escape, signs)]))

    def allows(self, text: str, rule: str = "condition") -> bool:
        """Tell whether a rule allows a text."""
        tokens = self._tokens(text)
        return tokens is not None and len(tokens) in _Match(self, tokens).ends(Node("rule", rule), 0)

    def texts(self, examples: dict[str, st.SearchStrategy[str]]) -> st.SearchStrategy[str]:
        """Make up texts that are allowed. examples: for the rules that are regular expressions."""
        made: dict[str, st.SearchStrategy[str]] = {}

        def make(node: Node) -> st.SearchStrategy[str]:
            if node.kind == "text":
                return st.just(node.text)
            if node.kind == "rule":
                return examples[node.text] if node.text in examples else st.deferred(lambda: made[node.text])
            parts = [make(part) for part in node.parts]
            if node.kind == "any":
                return st.one_of(parts)
            row = st.tuples(*parts).map(" ".join)
            if node.kind == "many":
                return st.lists(row, max_size=2).map(" ".join)
            return st.just("") | row if node.kind == "maybe" else row

        made.update({name: make(node) for name, node in self.rules.items() if name not in examples})
        return made["condition"]

    def matches(self, name: str, token: str) -> bool:
        """Tell whether a token is what a rule of regular expressions describes."""
        return token not in self._words and any(re.fullmatch(pattern, token) for pattern in _regexes(self.rules[name]))

    def is_lexical(self, name: str) -> bool:
        return bool(_regexes(self.rules[name]))

    def _lexical(self) -> list[str]:
        ends = r"(?![\w.:`])"
        others = [
            f"(?:{pattern}){ends}" for name in ("time", "duration", "number") for pattern in _regexes(self.rules[name])
        ]
        return [*others, *_regexes(self.rules["name"])]

    def _tokens(self, text: str) -> list[str] | None:
        found: list[str] = []
        at = 0
        while (at := at + len(text[at:]) - len(text[at:].lstrip(" \t\r\n"))) < len(text):
            token = self._token.match(text, at)
            if token is None:
                return None
            found.append(token[0])
            at = token.end()
        return found

    def _texts(self, node: Node) -> set[str]:
        below = {text for part in node.parts for text in self._texts(part)}
        return below | {node.text} if node.kind == "text" else below

    # Reading the grammar itself.

    def _take(self, sign: str) -> None:
        assert self._pieces.pop(0)[3] == sign

    def _is(self, *signs: str) -> bool:
        return self._pieces[0][3] in signs

    def _choice(self) -> Node:
        parts = [self._row()]
        while self._is("|"):
            self._take("|")
            parts.append(self._row())
        return Node("any", parts=tuple(parts))

    def _row(self) -> Node:
        parts = [self._part()]
        while self._is(","):
            self._take(",")
            parts.append(self._part())
        return Node("all", parts=tuple(parts))

    def _part(self) -> Node:
        text, regex, name, sign = self._pieces.pop(0)
        if sign:
            closing, kind = _BRACKETS[sign]
            inner = self._choice()
            self._take(closing)
            return Node(kind, parts=(inner,))
        if regex:
            return Node("regex", regex.replace(r"\/", "/"))
        return Node("text", text) if text else Node("rule", name)


class _Match:
    """Finds where a rule can end, for every beginning in a row of tokens, once."""

    def __init__(self, grammar: Grammar, tokens: list[str]) -> None:
        self._grammar, self._tokens = grammar, tokens
        self._known: dict[tuple[str, int], frozenset[int]] = {}

    def ends(self, node: Node, at: int) -> frozenset[int]:
        if node.kind == "text":
            return frozenset([at + 1] if self._tokens[at : at + 1] == [node.text] else [])
        if node.kind == "rule":
            return self._rule(node.text, at)
        if node.kind == "any":
            return frozenset().union(*(self.ends(part, at) for part in node.parts))
        if node.kind == "many":
            return self._closure(lambda one: self._row(node.parts, one), at)
        return self._row(node.parts, at) | (frozenset([at]) if node.kind == "maybe" else frozenset())

    def _rule(self, name: str, at: int) -> frozenset[int]:
        if self._grammar.is_lexical(name):
            there = at < len(self._tokens) and self._grammar.matches(name, self._tokens[at])
            return frozenset([at + 1] if there else [])
        if (name, at) not in self._known:
            self._known[name, at] = self.ends(self._grammar.rules[name], at)
        return self._known[name, at]

    def _row(self, parts: Iterable[Node], at: int) -> frozenset[int]:
        ends = frozenset([at])
        for part in parts:
            ends = frozenset().union(*(self.ends(part, end) for end in ends))
        return ends

    def _closure(self, step: Callable[[int], frozenset[int]], at: int) -> frozenset[int]:
        found, left = {at}, [at]
        while left:
            new = step(left.pop()) - found
            found |= new
            left += new
        return frozenset(found)


def _regexes(node: Node) -> list[str]:
    """Return the regular expressions that a rule is made of; none if it is made of anything else."""
    if node.kind == "regex":
        return [node.text]
    parts = [_regexes(part) for part in node.parts]
    return [pattern for part in parts for pattern in part] if all(parts) else []
