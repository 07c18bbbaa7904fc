"""Keeps what flaps from filling the log and the journal: of one subject so many lines a minute, and then a count."""

from __future__ import annotations

from outstation.core.readings import Millis, Note

AT_ONCE = 20
"""Lines of one kind and subject in a minute: more than any rule has that is not flapping."""

MINUTE: Millis = 60_000

_KINDS = frozenset({"rule fires", "rule clears", "decided", "alert raised", "alert cleared"})


class Chatter:
    """Which lines are written. Times are on `now`."""

    def __init__(self) -> None:
        self._minute: Millis = 0
        self._lines: dict[tuple[str, str], int] = {}

    def written(self, note: Note, now: Millis) -> list[Note]:
        """Return what is written in place of a note: itself, or nothing; and what was left out in the minute before."""
        before = self._minute_over(note.at) if now // MINUTE != self._minute else []
        self._minute = now // MINUTE
        if note.kind not in _KINDS:
            return [*before, note]
        count = self._lines[note.kind, note.subject] = self._lines.get((note.kind, note.subject), 0) + 1
        return [*before, note] if count <= AT_ONCE else before

    def _minute_over(self, at: Millis) -> list[Note]:
        lines, self._lines = self._lines, {}
        return [
            Note(kind, subject, f"and {count - AT_ONCE} times more within a minute: it flaps", at)
            for (kind, subject), count in lines.items()
            if count > AT_ONCE
        ]
