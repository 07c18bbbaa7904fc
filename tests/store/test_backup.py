"""Backups: made beside the writer, whole or not at all; and put back without losing what was there."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import shutil
from pathlib import Path

import apsw
import pytest

from outstation.errors import DiskFullError, NewerFileError, OutstationError, RefusedError, StoreError
from outstation.store import backup, copying, file
from outstation.store.copying import Copy
from outstation.store.database import Store
from outstation.store.entries import Entries, Entry
from outstation.store.history import History
from tests.store.given import BOOT, MORNING, in_store, noise, own, sent
from tests.store.test_file import filled, names


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with 3,000 readings; beside it `usb`, an empty folder."""
    (tmp_path / "usb").mkdir()
    (tmp_path / "data").mkdir()
    filled(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def usb(data: Path) -> Path:
    return data.parent / "usb"


def readings(folder: Path) -> int:
    async def count(store: Store) -> int:
        assert not store.damaged
        return History(store).count()

    return in_store(folder, count)


def restored(target: Path, folder: Path) -> int:
    folder.mkdir()
    backup.restore(target, folder)
    return readings(folder)


def test_a_running_node_is_backed_up_while_it_stores(data: Path, usb: Path) -> None:
    """What is stored meanwhile is in it or not; what was stored before is, and it is a file for its owner alone."""
    target = usb / "copy.db"

    async def story(store: Store) -> int:
        await store.record([own("fill", at, noise(at)) for at in range(20_000)])
        making = asyncio.ensure_future(backup.back_up(store, target))
        meanwhile = 0
        while not making.done():
            await store.record([sent("meanwhile", meanwhile)])
            meanwhile += 1
        made = await making
        assert (made.file, made.bytes) == (str(target), target.stat().st_size)
        assert made.readings is not None
        assert 23_000 <= made.readings <= 23_000 + meanwhile
        assert meanwhile > 3, "nobody was let in between two steps"
        return made.readings

    count = in_store(data, story)
    assert target.stat().st_mode & 0o777 == 0o600
    assert names(usb) == {"copy.db"}
    assert restored(target, data.parent / "other") == count


def test_a_step_is_short(data: Path, usb: Path) -> None:
    in_store(data, lambda store: store.record([own("fill", at, noise(at)) for at in range(10_000)]))
    with contextlib.closing(file.open_for_reading(data / file.NAME)) as source, copying.Copy(usb / "copy.db") as copy:
        copy.begin()
        steps = 1
        while not copy.step(source):
            steps += 1
        assert steps == -(-source.pragma("page_count") // copying.STEP_PAGES) > 3


def test_a_node_that_does_not_run_is_backed_up_with_what_its_write_ahead_log_has(data: Path, usb: Path) -> None:
    killed = data.parent / "killed"
    killed.mkdir()

    async def story(store: Store) -> None:
        await store.record([sent("late", 1)])
        for name in names(data):
            shutil.copy(data / name, killed / name)

    in_store(data, story)
    assert (killed / "outstation.db-wal").stat().st_size
    assert backup.back_up_stopped(killed, usb / "copy.db").readings == 3_001
    assert restored(usb / "copy.db", data.parent / "other") == 3_001


def refused(data: Path, target: Path, *, replace: bool = False) -> str:
    """Return why a backup is not made, of a running node as of one that does not run; and see that nothing is left."""
    before = {path: path.read_bytes() for path in target.parent.glob("*")}

    async def story(store: Store) -> str:
        with pytest.raises(OutstationError) as error:
            await backup.back_up(store, target, replace=replace)
        return str(error.value)

    words = in_store(data, story)
    with pytest.raises(OutstationError) as error:
        backup.back_up_stopped(data, target, replace=replace)
    assert str(error.value) == words
    if target.parent != data:
        assert {path: path.read_bytes() for path in target.parent.glob("*")} == before
    return words


def test_where_no_backup_can_be_it_says_why_and_leaves_nothing(data: Path, usb: Path) -> None:
    there = usb / "there.db"
    there.write_text("a letter")
    assert "is there already" in refused(data, there)
    assert "is no backup" in refused(data, there, replace=True)
    assert "would be lost with it" in refused(data, data / "copy.db")
    assert "would be lost with it" in refused(data, data / "outstation.db", replace=True)
    assert f"There is no folder {usb / 'pulled'}. Mount its disk" in refused(data, usb / "pulled" / "copy.db")
    assert not (usb / "pulled").exists()


def test_a_pipe_is_no_backup_and_nobody_waits_for_its_other_end(data: Path, usb: Path) -> None:
    os.mkfifo(usb / "pipe")
    with pytest.raises(RefusedError, match="is no backup"):
        backup.back_up_stopped(data, usb / "pipe", replace=True)


def test_the_data_of_another_node_that_runs_are_not_replaced(data: Path, usb: Path) -> None:
    other = usb / "other"
    other.mkdir()

    async def story(store: Store) -> None:
        await store.record([sent("a", 1)])
        with pytest.raises(RefusedError, match="is the data of a node"):
            backup.back_up_stopped(data, other / file.NAME, replace=True)

    backup.back_up_stopped(data, other / file.NAME)
    in_store(other, story)


def test_a_backup_is_replaced_by_another_when_asked(data: Path, usb: Path) -> None:
    backup.back_up_stopped(data, usb / "copy.db")
    in_store(data, lambda store: store.record([sent("late", 1)]))
    assert backup.back_up_stopped(data, usb / "copy.db", replace=True).readings == 3_001


def test_a_full_disk_leaves_nothing_behind_and_holds_nobody_up(data: Path, usb: Path) -> None:
    async def story(store: Store) -> None:
        await store.record([own("fill", at, noise(at)) for at in range(2_000)])
        limit = (data / file.NAME).stat().st_size // 2
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            with pytest.raises(DiskFullError, match=rf"no space left for {usb}.*Nothing was left there"):
                await backup.back_up(store, usb / "copy.db")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert names(usb) == set()
        assert store.stats().error is None
        await store.record([own("fill", 3_000)])

    in_store(data, story)


def test_a_node_that_stops_meanwhile_leaves_nothing(data: Path, usb: Path) -> None:
    async def main() -> None:
        with Store(data, boot=BOOT) as store:
            await store.record([own("fill", at, noise(at)) for at in range(10_000)])
            making = asyncio.ensure_future(backup.back_up(store, usb / "copy.db"))
            while not names(usb):  # noqa: ASYNC110  it waits for the first step
                await asyncio.sleep(0)
        with pytest.raises(StoreError, match="closed"):
            await making

    asyncio.run(main())
    assert names(usb) == set()
    assert names(data) == {file.NAME}
    assert readings(data) == 13_000


def test_a_file_that_is_set_aside_meanwhile_is_not_copied_any_further(
    data: Path, usb: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[bool] = []
    step = Copy.step

    def counting(self: Copy, source: apsw.Connection) -> bool:
        steps.append(step(self, source))
        return steps[-1]

    monkeypatch.setattr(Copy, "step", counting)

    async def story(store: Store) -> None:
        await store.record([own("fill", at, noise(at)) for at in range(20_000)])
        making = asyncio.ensure_future(backup.back_up(store, usb / "copy.db"))
        while not steps:  # noqa: ASYNC110  it waits for the first step
            await asyncio.sleep(0)
        store.doubt(store.opened)
        with pytest.raises(StoreError, match=r"copy\.db could not be written"):
            await making
        assert names(usb) == set()
        await store.record([own("fill", 1)])

    in_store(data, story)


def test_who_gives_up_waiting_leaves_nothing_and_holds_nobody_up(data: Path, usb: Path) -> None:
    async def story(store: Store) -> None:
        await store.record([own("fill", at, noise(at)) for at in range(20_000)])
        for rounds in (0, 1, 3, 30):
            making = asyncio.ensure_future(backup.back_up(store, usb / "copy.db", replace=True))
            for _ in range(rounds):
                await store.flush()
            making.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await making
            assert making.cancelled() or names(usb) == {"copy.db"}
        assert not [name for name in names(usb) if name.startswith(".")]
        await backup.back_up(store, usb / "last.db")

    in_store(data, story)


def test_restore_keeps_what_was_there_and_it_can_be_had_back(data: Path, usb: Path) -> None:
    backup.back_up_stopped(data, usb / "copy.db")
    in_store(data, lambda store: store.record([sent("b/x", 9_000_000, 1), sent("b/y", 9_000_000, 1)]))
    done = backup.restore(usb / "copy.db", data)
    assert (done.file, done.readings, done.until) == (str(usb / "copy.db"), 3_000, MORNING + 2_999)
    assert done.aside.startswith(str(data / "outstation.db.before-restore-"))
    assert (data / file.NAME).stat().st_mode & 0o777 == 0o640
    assert names(data) == {file.NAME, Path(done.aside).name}
    assert readings(data) == 3_000
    assert backup.restore(Path(done.aside), data).readings == 3_002
    assert readings(data) == 3_002
    assert len(names(data)) == 3


def test_what_a_restore_that_was_killed_left_is_gone_with_the_next_start(data: Path) -> None:
    left = data / ".outstation.db.partial"
    left.write_bytes(bytes(4_096))
    with Store(data, boot=BOOT):
        assert not left.exists()


def test_restore_puts_a_damaged_file_aside_with_its_write_ahead_log(data: Path, usb: Path) -> None:
    backup.back_up_stopped(data, usb / "copy.db")
    for name in ("outstation.db", "outstation.db-wal"):
        (data / name).write_bytes(os.urandom(9_000))
    aside = Path(backup.restore(usb / "copy.db", data).aside).name
    assert names(data) == {file.NAME, aside, f"{aside}-wal"}
    assert readings(data) == 3_000


def newer(copy: Path) -> None:
    with apsw.Connection(str(copy)) as connection:
        connection.pragma("user_version", 99)


def damaged(copy: Path) -> None:
    content = bytearray(copy.read_bytes())
    for page in range(4, len(content) // file.PAGE_SIZE, 3):
        content[page * file.PAGE_SIZE : page * file.PAGE_SIZE + 8] = b"\xff" * 8
    copy.write_bytes(content)


def one_bad_page(copy: Path) -> None:
    """In an index, where nobody looks who only copies."""
    with contextlib.closing(apsw.Connection(str(copy))) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'deliveries_of'").get
    with copy.open("r+b") as content:
        content.seek((page - 1) * file.PAGE_SIZE)
        content.write(b"\xff" * 8)


def cut_short(copy: Path) -> None:
    os.truncate(copy, copy.stat().st_size // 2)


def of_somebody_else(copy: Path) -> None:
    copy.unlink()
    with apsw.Connection(str(copy)) as connection:
        connection.execute("CREATE TABLE t (x)")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (newer, "written by a newer Outstation: its version is 99"),
        (damaged, "is damaged"),
        (one_bad_page, "The copy is damaged"),
        (cut_short, "is damaged"),
        (of_somebody_else, "is no data file of Outstation"),
        (Path.unlink, "There is no file"),
    ],
)
def test_what_is_no_sound_backup_is_refused_before_anything_is_touched(
    data: Path, usb: Path, spoil: object, words: str
) -> None:
    backup.back_up_stopped(data, usb / "copy.db")
    assert callable(spoil)
    spoil(usb / "copy.db")
    before = (data / file.NAME).read_bytes()
    with pytest.raises((StoreError, NewerFileError), match=words):
        backup.restore(usb / "copy.db", data)
    assert (data / file.NAME).read_bytes() == before
    assert names(data) == {file.NAME}


def test_a_newer_file_is_not_backed_up_by_an_older_program(data: Path, usb: Path) -> None:
    newer(data / file.NAME)
    with pytest.raises(NewerFileError, match="Install the newer program"):
        backup.back_up_stopped(data, usb / "copy.db")
    assert names(usb) == set()


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EROFS, "/mnt/x cannot be written to by the node: read-only file system. Name another folder."),
        (errno.EIO, r"/mnt/x/copy.db could not be written: .*Input/output error. Nothing was left there."),
        (errno.EFBIG, "There is no space left for /mnt/x/copy.db. Make room"),
    ],
)
def test_what_a_disk_answers_is_told_in_words(number: int, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        raise backup._in_words(Path("/mnt/x/copy.db"), OSError(number, os.strerror(number)))


def test_what_is_put_back_gives_no_number_twice(data: Path, usb: Path) -> None:
    """Boards have had the numbers that were given after the backup."""

    def said(text: str, channel: int = 901) -> Entry:
        return Entry(channel, MORNING + int(text), (text, *[None] * 7))

    async def first(store: Store) -> None:
        assert await Entries(store).enter([said("1"), said("2")], []) == [1, 2]
        await backup.back_up(store, usb / "copy.db")
        entries = Entries(store)
        assert await entries.enter([said("3")], []) == [3]
        await entries.seal()
        assert await entries.enter([said("4"), said("4", 902)], []) == [4, 1]

    async def later(store: Store) -> None:
        entries = Entries(store)
        assert [one.number for one in entries.of_channel(901)] == [1, 2]
        assert await entries.enter([said("5"), said("5", 902)], []) == [5, 2]

    in_store(data, first)
    backup.restore(usb / "copy.db", data)
    in_store(data, later)
