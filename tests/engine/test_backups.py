"""Backups by the clock: made when due, the oldest deleted, and nothing written where the disk is not."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path

import pytest

from outstation import clock
from outstation.config.models import BackupTable
from outstation.engine.backups import Backups
from outstation.errors import RefusedError, StoreError
from outstation.store.database import Store
from tests.store.given import in_store, sent


def named(hours_ago: float, *, node: str = "shed") -> str:
    when = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=hours_ago)
    return f"{node}-{when:%Y%m%dT%H%M%SZ}.db"


@pytest.fixture
def usb(tmp_path: Path) -> Path:
    folder = tmp_path / "usb"
    folder.mkdir()
    (tmp_path / "data").mkdir()
    return folder


def looked(usb: Path, keep: int = 3, times: int = 1, setting: clock.Setting = "trust") -> str:
    """Look so many times; return the trouble."""

    async def story(store: Store) -> str:
        await store.record([sent("b/x", 1)])
        backups = Backups(store, BackupTable(folder=str(usb), keep=keep), "shed", setting)
        for _ in range(times):
            try:
                await backups.look()
            except StoreError:
                assert backups.troubles() == [backups.trouble]
        return backups.trouble

    return in_store(usb.parent / "data", story)


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def test_one_is_made_when_the_newest_is_too_old(usb: Path) -> None:
    assert looked(usb, times=3) == ""
    (made,) = names(usb)
    assert made.startswith("shed-20")
    (usb / made).rename(usb / named(23))
    looked(usb)
    assert len(names(usb)) == 1
    (usb / names(usb)[0]).rename(usb / named(25))
    looked(usb)
    assert len(names(usb)) == 2


def test_the_oldest_of_its_own_are_deleted_and_nothing_else(usb: Path) -> None:
    own = [named(24.1 * days) for days in range(1, 5)]
    others = ["letter.txt", named(900, node="shed-2"), "shed-20250101T000000Z.db.gz", "xshed-20250101T000000Z.db"]
    left = f".{named(24.1)}.partial"
    for name in (*own, *others, left):
        (usb / name).write_text("")
    looked(usb, keep=3)
    (made,) = set(names(usb)) - {*own, *others}
    assert set(names(usb)) == {made, *own[:2], *others}


def test_none_is_deleted_while_the_data_are_damaged(usb: Path) -> None:
    (usb.parent / "data" / "outstation.db.damaged-20260301T120000.000000Z").write_text("")
    own = [named(24.1 * days) for days in range(1, 5)]
    for name in own:
        (usb / name).write_text("")
    looked(usb, keep=1)
    assert set(names(usb)) > set(own)


def test_of_one_the_newest_is_kept_also_when_the_clock_went_back(usb: Path) -> None:
    (usb / named(-48)).write_text("")
    looked(usb, keep=1)
    (made,) = names(usb)
    assert (usb / made).stat().st_size


def test_nothing_is_written_where_the_disk_is_not_and_nothing_deleted(usb: Path) -> None:
    usb.rmdir()
    trouble = looked(usb)
    assert trouble == (
        f"No backup: The folder {usb} cannot be used: No such file or directory."
        " Is its disk there, and mounted? Nothing is written to another one."
    )
    assert not usb.exists()


def test_one_that_failed_leaves_the_older_ones_and_is_not_tried_again_at_once(usb: Path) -> None:
    for days in (2, 3, 4):
        (usb / named(24 * days)).write_text("")
    for seconds in range(5):
        (usb / f".{named(-seconds / 3600)}.partial").mkdir()
    before = names(usb)
    trouble = looked(usb, keep=1, times=2)
    assert trouble.startswith("No backup: ")
    assert names(usb) == before


def test_without_a_clock_none_is_made(usb: Path) -> None:
    if clock.trust() is not clock.Trust.UNSET:
        pytest.skip("this machine's clock is set")
    assert "clock was never set" in looked(usb, setting="auto")
    assert names(usb) == []


def test_without_a_folder_none_is_made(usb: Path) -> None:
    async def story(store: Store) -> None:
        await Backups(store, BackupTable(), "shed", "trust").look()

    in_store(usb.parent / "data", story)


def test_there_is_one_at_a_time(usb: Path) -> None:
    async def story(store: Store) -> None:
        backups = Backups(store, BackupTable(folder=str(usb)), "shed", "trust")
        making = asyncio.ensure_future(backups.make(usb / "one.db"))
        await asyncio.sleep(0)
        with pytest.raises(RefusedError, match="just now"):
            await backups.make(usb / "two.db")
        await making
        assert names(usb) == ["one.db"]

    in_store(usb.parent / "data", story)
