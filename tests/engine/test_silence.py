"""Boards that are expected and say nothing: told once, together where they are of one group, and only when expected."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from outstation.clock import Moment
from outstation.config import Config
from outstation.core.readings import Tick, Zone
from outstation.engine.boards import Board
from outstation.engine.silence import Silence
from outstation.store.database import Store
from tests.store.given import BOOT
from tests.web.table import site_of

MONDAY = 1_772_409_600_000
"""2026-03-02T00:00:00Z."""

MINUTE = 60_000
CLASS = [Board(f"b{number}", number, f"KEY{number}", expected=True, group="class") for number in range(1, 5)]


class Day:
    """A Monday, by minutes since midnight: boards speak, and somebody looks."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.site = site_of(folder, store, Config())
        self.silence = Silence(self.site)

    def speak(self, minute: float, *names: str) -> None:
        for name in names:
            board = self.site.boards.by_name(name)
            assert board is not None
            self.site.boards.heard(board, "10.0.0.7", _moment(minute))

    def look(self, minute: float, zone: Zone | None = Zone(0)) -> list[str]:  # noqa: B008  it is frozen
        at, now = _moment(minute)
        self.site.node.handle(Tick(at, now, zone))
        self.silence.look_at(Moment(at, now))
        return [one.subject for one in self.site.node.decisions.alerts.standing]

    def messages(self) -> list[str]:
        return [one.message for one in self.site.node.decisions.alerts.standing]


def _moment(minute: float) -> Moment:
    return Moment(MONDAY + int(minute * MINUTE), int(minute * MINUTE))


def story(folder: Path, boards: Sequence[Board], work: Callable[[Day], None]) -> None:
    async def main() -> None:
        with Store(folder, boot=BOOT) as store:
            day = Day(folder, store)
            await day.site.boards.add(boards)
            work(day)
            day.site.runner.close()

    asyncio.run(main())


def test_one_that_is_expected_is_told_once_and_over_when_it_speaks(tmp_path: Path) -> None:
    def work(day: Day) -> None:
        day.look(0)
        for minute in range(4):
            day.speak(minute, "shed", "porch")
        assert day.look(5.9) == []
        assert day.look(6.1) == day.look(7) == ["silent board shed"]
        assert day.messages() == ["The board shed said nothing for 3 min. Is it on, and has it a network?"]
        day.speak(8, "shed")
        assert day.look(8.1) == []

    story(tmp_path, [Board("shed", 1, "A", expected=True), Board("porch", 2, "B")], work)


def test_one_that_never_spoke_is_missed_after_a_while_and_not_after_it_is_removed(tmp_path: Path) -> None:
    def work(day: Day) -> None:
        assert [day.look(minute) for minute in (100, 114)] == [[], []]
        day.site.boards.refused("WRONGKEY", "10.0.0.9", _moment(115))
        assert day.look(116) == ["silent board shed"]
        assert "devices list" in day.messages()[0]
        day.site.boards._drop(CLASS_OF_ONE)
        assert day.look(117) == []

    story(tmp_path, [CLASS_OF_ONE], work)


CLASS_OF_ONE = Board("shed", 1, "A", expected=True)


def test_a_group_that_falls_silent_within_a_minute_is_one_alert(tmp_path: Path) -> None:
    def work(day: Day) -> None:
        day.look(0)
        for minute in range(4):
            for number in (1, 2, 3, 4):
                day.speak(minute + number / 10, f"b{number}")
        day.speak(6, "b4")
        assert day.look(6.2) == day.look(6.9) == []  # b1 is silent, the others of its class may follow
        assert day.look(7.3) == ["silent board b1 b2 b3"]
        assert "3 boards of class (b1, b2, b3)" in day.messages()[0]
        day.speak(8, "b1", "b2")
        assert day.look(8.1) == ["silent board b1 b2 b3"]  # one of the three is still missing
        assert day.look(9.5) == ["silent board b1 b2 b3"]
        assert day.look(10.6) == ["silent board b1 b2 b3", "silent board b4"]  # much later: an alert of its own
        day.speak(10.8, "b1", "b2", "b3")
        assert day.look(10.9) == ["silent board b4"]

    story(tmp_path, CLASS, work)


def test_it_is_missed_only_at_the_times_at_which_it_is_expected(tmp_path: Path) -> None:
    def work(day: Day) -> None:
        for minute in range(60, 64):
            day.speak(minute, "shed")
        assert [day.look(hour * 60) for hour in range(2, 8)] == [[]] * 6
        assert day.look(8 * 60) == day.look(8 * 60 + 2) == []  # it may need a moment to come up
        assert day.look(8 * 60 + 4) == ["silent board shed"]
        assert day.look(8 * 60 + 5, zone=None) == ["silent board shed"]  # nobody knows what time it is
        assert day.look(16 * 60) == []
        saturday = 5 * 1440 + 9 * 60
        assert day.look(saturday) == day.look(saturday + 60) == []

    story(tmp_path, [Board("shed", 1, "A", expected_when="weekday and between 08:00 and 16:00")], work)


def test_a_restart_is_no_word_of_the_board(tmp_path: Path) -> None:
    def work(day: Day) -> None:
        day.look(0)
        assert day.look(16) == ["silent board shed"]
        day.silence = Silence(day.site)
        assert day.look(17) == ["silent board shed"]
        day.speak(18, "shed")
        assert day.look(18.1) == []

    story(tmp_path, [CLASS_OF_ONE], work)
