"""The journal: the newest lines, and a bound."""

from __future__ import annotations

from pathlib import Path

import pytest

from outstation.core.readings import Note
from outstation.store import journal
from outstation.store.database import Store
from outstation.store.journal import Journal
from tests.store.given import MORNING, in_store


def line(number: int) -> Note:
    return Note("output", "vent", f"line {number}", MORNING + number)


def test_the_newest_lines_come_oldest_first(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        lines = Journal(store)
        await lines.add([line(1), line(2)])
        await lines.add([line(3)])
        assert lines.newest(2) == [line(2), line(3)]
        assert lines.newest(99) == [line(1), line(2), line(3)]

    in_store(tmp_path, story)
    in_store(tmp_path, story_of_reading)


async def story_of_reading(store: Store) -> None:
    assert Journal(store).newest(1) == [line(3)]


def test_the_oldest_lines_go_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "LINES_AT_MOST", 10)

    async def story(store: Store) -> None:
        lines = Journal(store)
        for number in range(25):
            await lines.add([line(number)])
        assert lines.newest(99) == [line(number) for number in range(15, 25)]

    in_store(tmp_path, story)
