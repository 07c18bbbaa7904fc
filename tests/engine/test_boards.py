"""Which board it is: by key, number and address; who is heard, who is refused; and what a restart remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from outstation.clock import Moment
from outstation.config import DeviceTable
from outstation.engine.boards import Board, Boards
from outstation.errors import RefusedError, StoreError, UnknownNameError
from outstation.store.database import Store
from tests.store.given import BOOT

PORCH = DeviceTable(name="porch", channel=1, write_key="Q7RW2MZ9K4TB6XHD", fields=("temperature", "humidity"))
SHED = Board("shed", 9, "SHEDSHED", "READREAD", "CLASSKEY", fields=("a",), mac="6c:ef:7f:3b:9d:e8")
MINUTE = 60_000


def moment(minutes: float) -> Moment:
    return Moment(1_772_366_400_000 + int(minutes * MINUTE), int(minutes * MINUTE))


def story(folder: Path, work: Callable[[Boards, Store], Awaitable[None]], *tables: DeviceTable) -> None:
    async def main() -> None:
        with Store(folder, boot=BOOT) as store:
            await work(Boards(tables or (PORCH,), store), store)

    asyncio.run(main())


def test_a_board_is_found_by_what_it_sends_and_by_nothing_else(tmp_path: Path) -> None:
    async def work(boards: Boards, _: Store) -> None:
        await boards.add([SHED])
        porch = boards.by_channel(1)
        assert porch is boards.by_name("porch") is boards.by_write_key("Q7RW2MZ9K4TB6XHD")
        assert porch is not None
        assert (porch.sensors, porch.sensor(2), porch.sensor(3), porch.sensor(0)) == (
            ["porch/temperature", "porch/humidity"],
            "porch/humidity",
            None,
            None,
        )
        for mac in ("6c:ef:7f:3b:9d:e8", "6C-EF-7F-3B-9D-E8", "6cef7f3b9de8"):
            assert boards.by_mac(mac) is SHED
        wrong = ("", "READREAD", "CLASSKEY", "shedshed", "Q7RW2MZ9K4TB6XH")
        assert {boards.by_write_key(key) for key in wrong} == {None}
        assert {boards.by_mac(mac) for mac in ("", "shed", "6c:ef:7f:3b:9d:e9")} == {None}
        assert (boards.by_channel(2), len(boards), "shed" in boards) == (None, 2, True)

    story(tmp_path, work)


def test_what_each_key_opens(tmp_path: Path) -> None:
    async def work(boards: Boards, _: Store) -> None:
        porch = boards.by_channel(1)
        assert porch is not None
        assert [boards.may_read(SHED, key) for key in ("READREAD", "SHEDSHED", "CLASSKEY", "")] == [
            True,
            True,
            False,
            False,
        ]
        assert [boards.may_report(SHED, key) for key in ("CLASSKEY", "SHEDSHED", "")] == [True, False, False]
        assert [boards.may_report(porch, key) for key in ("Q7RW2MZ9K4TB6XHD", "")] == [True, False]
        assert not boards.may_read(porch, "")
        assert boards.may_read(Board("open", 5, public=True), "")

    story(tmp_path, work)


def test_many_are_let_in_all_or_none(tmp_path: Path) -> None:
    clashes = {
        "name": Board("shed", 11, "X1"),
        "channel": Board("b", 1, "X1"),
        "write key": Board("b", 11, "Q7RW2MZ9K4TB6XHD"),
        "mac": Board("b", 11, "X1", mac=SHED.mac),
        "read key": Board("b", 11, "X1", "Q7RW2MZ9K4TB6XHD"),
    }

    async def work(boards: Boards, store: Store) -> None:
        await boards.add([SHED])
        for what, board in clashes.items():
            with pytest.raises(RefusedError, match=f"its {what} is that of the board"):
                await boards.add([Board("new", 10, "NEW"), board])
        with pytest.raises(RefusedError, match="its write key is that of the board"):
            await boards.add([Board("a", 10, "NEW", "READ"), Board("b", 11, "READ")])
        with pytest.raises(RefusedError, match="its read key is its write key"):
            await boards.add([Board("a", 10, "NEW", "NEW")])
        assert [board.name for board in boards] == ["porch", "shed"]
        assert boards.by_write_key("NEW") is None
        assert [board.name for board in Boards((), store)] == ["shed"]

    story(tmp_path, work)


def test_what_cannot_be_stored_is_not_let_in(tmp_path: Path) -> None:
    async def main() -> None:
        with Store(tmp_path, boot=BOOT) as store:
            boards = Boards((), store)
            await boards.add([SHED])
        with pytest.raises(StoreError):
            await boards.add([Board("new", 10, "NEW")])
        with pytest.raises(StoreError):
            await boards.remove("shed")
        assert (boards.by_write_key("NEW"), boards.by_write_key("SHEDSHED")) == (None, SHED)

    asyncio.run(main())


def test_a_board_that_cannot_be_read_yet_is_not_refused(tmp_path: Path) -> None:
    async def main() -> None:
        with Store(tmp_path, boot=BOOT) as store:
            await Boards((), store).add([SHED])
        file, away = tmp_path / "outstation.db", tmp_path / "away"
        file.rename(away)
        file.mkdir()
        with Store(tmp_path, boot=BOOT) as store:
            learnt: list[str] = []
            boards = Boards((PORCH,), store, lambda name, _: learnt.append(name))
            assert boards.by_write_key("Q7RW2MZ9K4TB6XHD")
            with pytest.raises(StoreError):
                boards.by_write_key("SHEDSHED")
            with pytest.raises(StoreError):
                boards.by_channel(9)
            file.rmdir()
            away.rename(file)
            assert boards.by_write_key("SHEDSHED") == SHED
            assert learnt == ["porch/temperature", "porch/humidity", "shed/a"]
            assert boards.by_channel(8) is None

    asyncio.run(main())


def test_one_goes_when_it_is_told_but_one_of_the_config_stays(tmp_path: Path) -> None:
    async def work(boards: Boards, store: Store) -> None:
        await boards.add([SHED])
        await boards.remove("shed")
        assert (boards.by_write_key("SHEDSHED"), boards.by_mac(SHED.mac), [*Boards((), store)]) == (None, None, [])
        with pytest.raises(RefusedError, match="stands in the config"):
            await boards.remove("porch")
        with pytest.raises(UnknownNameError):
            await boards.remove("shed")

    story(tmp_path, work)


def test_a_board_of_the_config_goes_before_one_let_in_by_hand(tmp_path: Path) -> None:
    async def work(boards: Boards, store: Store) -> None:
        await boards.add([SHED])
        table = DeviceTable(name="garage", channel=9, write_key="K4TB6XHDQ7RW2MZ9", fields=("a",))
        again = Boards([table], store)
        assert [board.name for board in again] == ["garage"]
        (trouble,) = again.troubles()
        assert "shed" in trouble
        assert "its channel is that of the board garage" in trouble
        await again.remove("shed")
        assert again.troubles() == []
        assert [*Boards((), store)] == []

    story(tmp_path, work)


def test_its_rhythm_is_that_of_its_words_not_of_its_fields_and_outlives_a_restart(tmp_path: Path) -> None:
    async def work(boards: Boards, store: Store) -> None:
        porch = boards.by_channel(1)
        assert porch is not None
        seen = boards.seen(porch)
        assert (seen.every, seen.silent_after) == (None, 15 * MINUTE)
        for minute in range(4):
            boards.heard(porch, "10.0.0.7", moment(minute))
            boards.heard(porch, "10.0.0.7", moment(minute + 0.02))  # the second field, a second later
        assert (seen.every, seen.silent_after, seen.heard) == (MINUTE, 3 * MINUTE, int(3.02 * MINUTE))
        await boards.keep()
        again = Boards((PORCH,), store).seen(porch)
        assert again.kept is not None
        assert (again.kept.address, again.every, again.heard) == ("10.0.0.7", MINUTE, None)

    story(tmp_path, work)


def test_the_refused_are_counted_for_an_hour_and_shown_by_no_more_than_a_part_of_their_key(tmp_path: Path) -> None:
    async def work(boards: Boards, _: Store) -> None:
        for minute in range(90):
            boards.refused("WRONGKEYWRONGKEY", "10.0.0.7", moment(minute))
        boards.refused("ABCDEF", "10.0.0.8", moment(90), boards.by_channel(1))
        boards.refused("6C-EF-7F-3B-9D-E8", "10.0.0.9", moment(90))
        boards.refused("", "10.0.0.9", moment(90))
        now = 90 * MINUTE
        assert [(one.what, one.board, one.count(now)) for one in boards.refusals.values()] == [
            ("key WRON...", "", 59),
            ("key AB...", "porch", 1),
            ("mac 6c:ef:7f:3b:9d:e8", "", 1),
            ("no key", "", 1),
        ]
        for number in range(1_000):
            boards.refused(f"{number:04}" * 4, "10.1.0.1", moment(91))
        assert "key WRON..." in [one.what for one in boards.refusals.values()], "a guesser hides nobody"
        assert boards.refusals["other keys", "10.1.0.1"].count(91 * MINUTE) > 900
        for number in range(1_000):
            boards.refused(f"{number:016}", f"10.1.0.{number}", moment(91))
        assert len(boards.refusals) == 200

    story(tmp_path, work)
