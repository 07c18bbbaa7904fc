"""Whether the other side can be reached, in words for the journal and for the node's health."""

from __future__ import annotations

from collections.abc import Callable

from outstation import clock
from outstation.core.readings import Millis, Note

FAILING_AFTER: Millis = 60_000
"""Who fails for longer than this is a trouble of the node."""


class Failing:
    """How it goes with one receiver or uplink. kind: how the lines of the journal begin. what: does not reach it."""

    def __init__(self, name: str, kind: str, what: str, note: Callable[[Note], object]) -> None:
        self._name, self._kind, self._what, self._note = name, kind, what, note
        self.error = ""
        self.last_ok: Millis | None = None
        self._is_urgent, self._is_noted = False, False
        self._since: Millis | None = None

    @property
    def is_long(self) -> bool:
        """Whether it fails for a minute, or in a way that a person must see to."""
        since = self._since
        return since is not None and (self._is_urgent or clock.now() - since >= FAILING_AFTER)

    def fail(self, error: str, *, urgent: bool) -> None:
        """Take note of a try that failed."""
        self.error, self._is_urgent = error, urgent
        if self._since is None:
            self._since = clock.now()
        if self.is_long and not self._is_noted:
            self._is_noted = True
            self.say(f"{self._kind} failed", f"{self._what} do not reach it: {error}")

    def recover(self, error: str, *, taken: bool) -> None:
        """Take note of an answer. taken: it has what was sent; not so what it refused, with this error."""
        was_noted = self._is_noted
        self.error, self._is_urgent, self._is_noted, self._since = error, False, False, None
        if taken:
            self.last_ok = clock.at()
        if was_noted:
            self.say(f"{self._kind} well", f"{self._what} reach it again")

    def say(self, kind: str, text: str) -> None:
        """Write a line of the journal about it."""
        self._note(Note(kind, self._name, text, clock.at()))
