"""Wrong keys, counted by the beginning of the key and by the address that they come from.

The law of this file: only wrong keys are counted here, so whoever has a right one never suffers for its neighbours.
"""

from __future__ import annotations

from collections import OrderedDict

from outstation import clock

OF_ONE_BEGINNING, OF_ONE_ADDRESS, SPAN = 10, 60, 60_000
"""Wrong keys in a minute before 429: with one beginning from one address, and from one address at all."""

_BEGINNING = 8

_REMEMBERED = 4_096
"""Guessers remembered at once: past these the oldest are forgotten, so that guessing cannot fill the memory."""

WAIT = ((b"Retry-After", b"%d" % (SPAN // 1000)),)
"""The header that goes with 429."""


class Guesses:
    """The wrong keys of the last minute."""

    def __init__(self) -> None:
        self._guesses: OrderedDict[tuple[str, str], list[int]] = OrderedDict()

    def are_too_many(self, address: str, key: str) -> bool:
        """Count a wrong key; tell whether there were too many of its kind before it."""
        alike = self._count((address, key[:_BEGINNING]), OF_ONE_BEGINNING)
        return self._count((address, ""), OF_ONE_ADDRESS) or alike

    def _count(self, guesser: tuple[str, str], most: int) -> bool:
        now = clock.now()
        guesses = [time for time in self._guesses.pop(guesser, []) if now - time < SPAN]
        self._guesses[guesser] = [*guesses, now][-most - 1 :]
        while len(self._guesses) > _REMEMBERED:
            self._guesses.popitem(last=False)
        return len(guesses) >= most
