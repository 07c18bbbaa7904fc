"""Sessions: as many as a household needs, each worth what its key is worth, whatever the clock did."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from outstation import clock
from outstation.store import backup
from outstation.store.database import Store
from outstation.store.keys import Key, Keys
from outstation.store.sessions import LASTS, MOST, Sessions
from tests.store.given import in_store


def test_a_key_that_signs_in_again_and_again_ends_its_own_sessions_and_no_others(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        keys = Keys(store)
        owner, board = (await keys.create("owner", ["control"]))[0], (await keys.create("board", ["write"]))[0]
        sessions = Sessions(store, keys)
        mine = await sessions.start(owner)
        first, *_, last = [await sessions.start(board) for _ in range(MOST)]
        for known in (sessions, Sessions(store, keys)):
            assert known.check(mine) == owner
            assert known.check(first) is None
            assert known.check(last) == board

    in_store(tmp_path, story)


def test_one_that_began_while_the_clock_was_years_ahead_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = clock.at()

    async def story(store: Store) -> None:
        keys = Keys(store)
        key, _ = await keys.create("phone", ["control"])
        sessions, found = Sessions(store, keys, "trust"), []
        said = await sessions.start(key)
        for step in (LASTS + 1, LASTS, 0, -LASTS, -LASTS - 1):
            monkeypatch.setattr(clock, "at", lambda moved=at + step: moved)
            found.append(sessions.check(said) == key)
        assert found == [False, True, True, True, False]

    monkeypatch.setattr(clock, "at", lambda: at)
    in_store(tmp_path, story)


def test_a_restore_signs_nobody_in_again(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy.db"
    data.mkdir()

    async def sign_in(store: Store) -> tuple[str, str]:
        keys = Keys(store)
        key, text = await keys.create("phone", ["control"])
        return text, await Sessions(store, keys).start(key)

    async def look(store: Store) -> None:
        keys = Keys(store)
        assert keys.check(text)
        assert Sessions(store, keys).check(said) is None

    text, said = in_store(data, sign_in)
    backup.back_up_stopped(data, copy)
    backup.restore(copy, data)
    in_store(data, look)


def test_where_nothing_can_be_written_one_signs_in_all_the_same(tmp_path: Path) -> None:
    async def open_both(store: Store) -> tuple[Sessions, Key]:
        keys = Keys(store)
        key, _ = await keys.create("phone", ["control"])
        return Sessions(store, keys), key

    sessions, key = in_store(tmp_path, open_both)  # the store is closed by now
    assert sessions.check(asyncio.run(sessions.start(key))) == key
