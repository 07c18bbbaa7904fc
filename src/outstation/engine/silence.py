"""Tells people of boards that are expected and have fallen silent.

The law of this file: it looks at what is, not at what happened; the subject of an alert names its boards, so nothing
else need be remembered. Silence is counted on this machine's own clock, from its start and from when the board was
expected; and it is over when the board is heard or not expected any more, not when this node was off.
"""

from __future__ import annotations

from functools import lru_cache

from outstation import clock
from outstation.core import conditions
from outstation.core.readings import Millis, Trouble
from outstation.engine.boards import Board
from outstation.engine.site import Site

LOOK_EVERY_S = 5.0

TOGETHER: Millis = 60_000
"""Boards of one group that fall silent within this time are one alert."""

_SILENT = "silent board "
_NAMED_AT_MOST = 5


class Silence:
    """Watches over the boards of one node."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._expected: dict[str, Millis] = {}
        self._first: dict[str, Millis] = {}

    async def look(self) -> None:
        """Raise the alerts that are due, and clear those that are over."""
        self.look_at(clock.moment())

    def look_at(self, moment: clock.Moment) -> None:
        """Do the same at a moment."""
        silent = [board for board in self.site.boards if self._is_missed(board, moment.now)]
        standing = self._standing()
        for subject, names in standing.items():
            if all(self._is_well(name, moment.now) for name in names):
                self._tell(subject, "", moment)
        told = {name for names in standing.values() for name in names}
        groups: dict[str, list[Board]] = {}
        for board in silent:
            if board.name not in told:
                groups.setdefault(board.group or f"/{board.name}", []).append(board)
        self._first = {group: self._first.get(group, moment.now) for group in groups}
        for group, boards in groups.items():
            if not boards[0].group or moment.now - self._first[group] >= TOGETHER:
                self._tell(_SILENT + " ".join(board.name for board in boards), self._text(boards, moment.now), moment)

    def _is_missed(self, board: Board, now: Millis) -> bool:
        """Tell whether a board is expected, and has said nothing for too long while it was."""
        if not self._is_expected(board):
            self._expected.pop(board.name, None)
            return False
        self._expected.setdefault(board.name, now)
        return self._silence(board, now) > self.site.boards.seen(board).silent_after

    def _is_expected(self, board: Board) -> bool | None:
        """Tell whether a board should speak just now; None: nobody knows what time it is."""
        if board.expected or not board.expected_when:
            return board.expected
        return _decider(board.expected_when)(self.site.node.decisions.sight)

    def _silence(self, board: Board, now: Millis) -> Millis:
        heard = self.site.boards.seen(board).heard
        since = self._expected.get(board.name, now)
        return now - (since if heard is None else max(heard, since))

    def _is_well(self, name: str, now: Millis) -> bool:
        board = self.site.boards.by_name(name)
        if board is None or self._is_expected(board) is False:
            return True
        seen = self.site.boards.seen(board)
        return seen.heard is not None and now - seen.heard <= seen.silent_after

    def _text(self, boards: list[Board], now: Millis) -> str:
        silence = max(self._silence(board, now) for board in boards) // 60_000
        cure = "Is it on, and has it a network?" if len(boards) == 1 else "Have they power, and a network?"
        refused = any(one.count(now) for one in self.site.boards.refusals.values())
        hint = " Some boards are refused: outstation devices list" if refused else ""
        return f"{_named(boards)} said nothing for {max(silence, 1)} min. {cure}{hint}"

    def _standing(self) -> dict[str, list[str]]:
        """Return the boards of each alert that stands, by its subject."""
        all_ = self.site.node.decisions.alerts.standing
        subjects = (one.subject for one in all_ if one.kind == "node" and one.subject.startswith(_SILENT))
        return {subject: subject.removeprefix(_SILENT).split() for subject in subjects}

    def _tell(self, subject: str, text: str, moment: clock.Moment) -> None:
        self.site.runner.report(Trouble(subject, "warning", text, *moment))


def _named(boards: list[Board]) -> str:
    names = [board.name for board in boards]
    if len(names) == 1:
        return f"The board {names[0]}"
    more = len(names) - _NAMED_AT_MOST
    words = ", ".join(names[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
    return f"{len(names)} boards of {boards[0].group} ({words})"


@lru_cache(maxsize=1_000)
def _decider(text: str) -> conditions.Decide:
    return conditions.decider(conditions.parse(text).root)
