"""Boards that were let in by hand, kept: their secrets apart, and when they were heard."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from outstation.errors import UnknownNameError
from outstation.store.boards import Board, Heard, StoredBoards
from outstation.store.database import Store
from tests.store.given import BOOT

PORCH = Board("porch", 254616, "WRITEPORCH", "READPORCH", "STATION", fields=("temperature",), mac="6c:ef:7f:3b:9d:e8")
SHED = Board("shed", 3, "WRITESHED", public=True, expected_when="weekday", group="class", fields=("a", "b"))


def test_boards_come_back_as_they_were_and_their_secrets_stand_apart(tmp_path: Path) -> None:
    async def main() -> None:
        with Store(tmp_path, boot=BOOT) as store:
            await StoredBoards(store).add([SHED, PORCH])
            await StoredBoards(store).keep_heard({"shed": Heard(5, "10.0.0.7", 60_000), "porch": Heard(6, "::1")})
            with store.read() as connection:
                bodies = str(connection.execute("SELECT * FROM boards").fetchall())
            assert not [word for word in ("WRITE", "READ", "STATION") if word in bodies]

    asyncio.run(main())
    with Store(tmp_path, boot=BOOT) as store:
        again = StoredBoards(store)
        assert again.all() == [PORCH, SHED]
        assert again.heard() == {"shed": Heard(5, "10.0.0.7", 60_000), "porch": Heard(6, "::1")}
        assert again.last_channel() == 254616


def test_what_is_printed_of_a_board_has_no_secret() -> None:
    assert "WRITE" not in f"{PORCH} {PORCH!r} {[PORCH]}"


def test_one_that_is_removed_leaves_nothing_behind(tmp_path: Path) -> None:
    async def main() -> None:
        with Store(tmp_path, boot=BOOT) as store:
            boards = StoredBoards(store)
            await boards.add([PORCH])
            await boards.keep_heard({"porch": Heard(5, "10.0.0.7")})
            await boards.remove("porch")
            assert (boards.all(), boards.heard()) == ([], {})
            with store.read() as connection:
                assert connection.execute("SELECT * FROM board_secrets").fetchall() == []
            with pytest.raises(UnknownNameError, match="devices list"):
                await boards.remove("porch")
            await boards.add([msgspec.structs.replace(PORCH, channel=9)])
            assert boards.last_channel() == 254616, "it would be shown what that board sent"

    asyncio.run(main())
