"""No room: whoever asks is told so, the node's own readings wait, and all is well again by itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from outstation.core.readings import Keep
from outstation.errors import DiskFullError
from outstation.store import own as own_readings
from outstation.store.database import Recorded, Store
from outstation.store.history import History
from outstation.store.journal import Journal
from outstation.store.keys import Keys
from outstation.store.sessions import Sessions
from tests.store.child import until_full
from tests.store.given import BOOT, in_store, own, sent

ROOT = Path(__file__).parents[2]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 3 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=3m", "outstation-test", str(folder)]
    try:
        mounted = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("mount is not installed")
    if mounted.returncode:
        pytest.skip(f"only root can mount a small disk: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_up(folder: Path) -> None:
    """Take all the room that is left."""
    with (folder / "ballast").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 1024)


def test_a_full_disk_and_room_again(small_disk: Path) -> None:
    async def main() -> None:
        with Store(small_disk, boot=BOOT, lose_at_most=200) as store:
            await store.record([sent("board/x", -1)])
            answered = await until_full(store, lambda: fill_up(small_disk))
            store.record_soon([own("own", number) for number in range(50)])
            assert isinstance(store.stats().error, DiskFullError)
            assert History(store).count() == answered + 1

            (small_disk / "ballast").unlink()
            began = time.monotonic()
            while store.stats().error:  # noqa: ASYNC110  nobody asks: it must mend by itself
                await asyncio.sleep(0.05)
            assert time.monotonic() - began < 10
            assert await store.record([sent("board/x", answered)]) == Recorded(1)
            assert len(History(store).of_sensor("own").rows) == 50
            assert History(store).count() == answered + 1 + 51
            assert "no space left" in Journal(store).newest(1)[0].text

    asyncio.run(main())

    async def count(store: Store) -> int:
        return History(store).count()

    assert in_store(small_disk, count) > 50


def test_every_kind_of_write_is_told_that_there_is_no_room(small_disk: Path) -> None:
    async def story(store: Store) -> None:
        await until_full(store, lambda: fill_up(small_disk))
        for waiting in (store.record([own("a", 1)]), store.write(lambda _: 1), store.set_boot(BOOT), store.flush()):
            with pytest.raises(DiskFullError, match="Make room"):
                await waiting

    in_store(small_disk, story)


def test_no_more_own_readings_wait_than_memory_has_room_for(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_readings, "AT_MOST", 100)

    async def main() -> None:
        with Store(small_disk, boot=BOOT, lose_at_most=100) as store:
            await until_full(store, lambda: fill_up(small_disk))
            for number in range(250):
                store.record_soon([own("own", number, number)])
            assert store.stats().waiting <= 100
            assert store.stats().dropped >= 150
            (small_disk / "ballast").unlink()
            while store.stats().error:  # noqa: ASYNC110  nobody asks: it must mend by itself
                await asyncio.sleep(0.05)
            await store.flush()
            rows = History(store).of_sensor("own", limit=1_000).rows
            assert [row.value for row in rows] == list(range(250 - len(rows), 250))
            assert "150 own readings were lost" in Journal(store).newest(1)[0].text

    asyncio.run(main())


def test_a_start_on_a_full_disk_says_so_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    fill_up(small_disk)

    async def story(store: Store) -> None:
        assert isinstance(store.stats().error, DiskFullError)
        with pytest.raises(DiskFullError, match="Make room"):
            await store.record([own("a", 1)])
        (small_disk / "ballast").unlink()
        while store.stats().error:  # noqa: ASYNC110  nobody asks: it must mend by itself
            await asyncio.sleep(0.05)
        assert await store.record([own("a", 1)]) == Recorded(1)

    in_store(small_disk, story)


def test_what_was_kept_is_known_at_a_start_on_a_full_disk(small_disk: Path) -> None:
    """A full disk is no reason to forget that an output is locked out."""
    locked = Keep("output", "pump", b'{"lock":1}')

    async def before(store: Store) -> None:
        store.keep([locked])
        await store.flush()

    async def story(store: Store) -> None:
        assert isinstance(store.stats().error, DiskFullError)
        assert store.kept()[0] == {("output", "pump"): locked.body}
        (small_disk / "ballast").unlink()
        while store.stats().error:  # noqa: ASYNC110  nobody asks: it must mend by itself
            await asyncio.sleep(0.05)
        assert await store.record([own("a", 1)]) == Recorded(1)
        assert len(History(store).of_sensor("a").rows) == 1

    in_store(small_disk, before)
    fill_up(small_disk)
    in_store(small_disk, story)


def test_one_signs_out_on_a_full_disk_which_takes_it_when_it_has_room(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outstation.store.sessions._AGAIN_S", 0.05)

    async def story(store: Store) -> None:
        keys = Keys(store)
        key, _ = await keys.create("phone", ["control"])
        sessions = Sessions(store, keys)
        said = await sessions.start(key)
        fill_up(small_disk)
        await sessions.end(said)
        assert sessions.check(said) is None
        assert isinstance(store.stats().error, DiskFullError)
        assert Sessions(store, keys).check(said) == key
        (small_disk / "ballast").unlink()
        async with asyncio.timeout(10):
            while Sessions(store, keys).check(said):  # noqa: ASYNC110  nobody asks: it must mend by itself
                await asyncio.sleep(0.05)

    in_store(small_disk, story)


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """The same by a limit on the process, where nobody may mount."""
    words = [sys.executable, "-m", "tests.store.child", "held_down", str(tmp_path)]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, check=True, env=os.environ)
    seen = msgspec.json.decode(ended.stdout)
    assert seen["error"] == "DiskFullError"
    assert seen["waiting"] == 2
    assert seen["still_read"] == seen["answered"]
    assert seen["mended"] < 10
    assert seen["own"] == 2
    assert seen["count"] == seen["answered"] + 3
