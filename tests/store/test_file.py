"""The data file: begun, opened again, refused when it is newer, set aside when it is damaged."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from outstation.clock import Trust
from outstation.core.readings import Keep
from outstation.errors import NewerFileError, StoreError
from outstation.store import file, log
from outstation.store.database import Store
from outstation.store.entries import Entries, Entry
from outstation.store.history import History
from outstation.store.journal import Journal
from outstation.store.keys import Keys
from tests.store.given import BOOT, MORNING, in_store, own, sent

LOCKED = Keep("output", "pump", b'{"lock":1}')


def filled(folder: Path, readings: int = 3_000) -> Path:
    """Make a data file with readings, a key, a channel, and an output that is locked out."""

    async def story(store: Store) -> None:
        await store.record([sent("b/x", at, at) for at in range(readings)])
        await Keys(store).create("kept", ["read"])
        store.keep([LOCKED])
        await Entries(store).enter([Entry(1, MORNING, (None,) * 8, number=77)], [])

    in_store(folder, story)
    return folder / file.NAME


def names(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()}


async def until(what: Callable[[], bool]) -> None:
    """Wait for it, 5 s at most."""
    for _ in range(100):
        if what():
            return
        await asyncio.sleep(0.05)
    raise AssertionError


async def count(store: Store) -> int:
    return History(store).count()


def settled(path: Path) -> dict[str, object]:
    connection = apsw.Connection(str(path))
    try:
        pragmas = ("page_size", "auto_vacuum", "journal_mode", "application_id", "user_version")
        return {name: connection.pragma(name) for name in pragmas}
    finally:
        connection.close()


def test_a_new_file_has_all_that_cannot_be_changed_later(tmp_path: Path) -> None:
    assert settled(filled(tmp_path, 1)) == {
        "page_size": file.PAGE_SIZE,
        "auto_vacuum": 2,  # incremental
        "journal_mode": "wal",
        "application_id": file.APPLICATION_ID,
        "user_version": len(file._migrations()),
    }


def test_the_writer_waits_for_the_disk(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        assert await store.write(lambda connection: connection.pragma("synchronous")) == 2  # FULL

    in_store(tmp_path, story)


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        with pytest.raises(StoreError, match="readonly"), store.read() as connection:
            connection.execute("DELETE FROM log")

    in_store(tmp_path, story)


def test_a_file_half_begun_is_finished(tmp_path: Path) -> None:
    """Killed after the first page and before the first migration."""
    connection = apsw.Connection(str(tmp_path / file.NAME))
    connection.pragma("application_id", file.APPLICATION_ID)
    connection.close()
    assert in_store(tmp_path, lambda store: store.record([own("a", 1)])).stored == 1


@pytest.mark.parametrize("content", [b"", None], ids=["empty", "missing"])
def test_an_empty_file_is_a_new_one(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / file.NAME).write_bytes(content)

    async def story(store: Store) -> None:
        assert not store.damaged
        await store.record([own("a", 1)])

    in_store(tmp_path, story)


def test_a_newer_file_is_not_touched(tmp_path: Path) -> None:
    path = filled(tmp_path, 10)
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 99)
    connection.close()
    before = path.read_bytes()
    with pytest.raises(NewerFileError, match=r"its version is 99, this program knows \d.*Install the newer program"):
        Store(tmp_path, boot=BOOT)
    assert path.read_bytes() == before
    assert names(tmp_path) == {file.NAME}


def test_a_folder_that_is_missing_is_waited_for(tmp_path: Path) -> None:
    """The node works on without a file, says so, and begins one as soon as it can."""
    folder = tmp_path / "missing"

    async def story(store: Store) -> None:
        assert str(folder) in str(store.stats().error)
        with pytest.raises(StoreError):
            await store.record([own("a", 1)])
        with pytest.raises(StoreError):
            History(store).latest()
        store.record_soon([own("a", 2)])
        folder.mkdir()
        await until(lambda: store.stats().error is None)
        await store.record([own("a", 3)])
        assert [row.now for row in History(store).of_sensor("a").rows] == [2, 3]

    in_store(folder, story)


def spoil_start(content: bytearray) -> None:
    content[:16] = b"not an SQLite db"


def spoil_owner(content: bytearray) -> None:
    content[68:72] = b"else"


def spoil_schema(content: bytearray) -> None:
    content[100 : file.PAGE_SIZE] = os.urandom(file.PAGE_SIZE - 100)


def spoil_pages(content: bytearray) -> None:
    for page in range(4, len(content) // file.PAGE_SIZE, 3):
        content[page * file.PAGE_SIZE : page * file.PAGE_SIZE + 8] = b"\xff" * 8


def cut_short(content: bytearray) -> None:
    del content[len(content) // 2 :]


def nearly_nothing(content: bytearray) -> None:
    del content[50:]


@pytest.mark.parametrize(
    "damage",
    [spoil_start, spoil_owner, spoil_schema, spoil_pages, cut_short, nearly_nothing],
    ids=lambda it: it.__name__,
)
def test_a_damaged_file_is_set_aside_and_a_fresh_one_begun(tmp_path: Path, damage: object) -> None:
    path = filled(tmp_path)
    content = bytearray(path.read_bytes())
    assert callable(damage)
    damage(content)
    path.write_bytes(content)

    async def story(store: Store) -> None:
        assert store.damaged.startswith("outstation.db.damaged-20")
        assert (tmp_path / store.damaged).read_bytes() == content
        assert (await store.record([own("a", 1)])).stored == 1
        assert [note.subject for note in Journal(store).newest(9)] == ["damaged"]
        assert store.damaged in Journal(store).newest(1)[0].text
        assert History(store).count() == 1

    in_store(tmp_path, story)


def test_one_bad_page_in_the_middle_of_the_log_is_found_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No question needs that page today, and no start reads it."""
    monkeypatch.setattr(log, "NEWEST_EVERY", 1_000)
    path = tmp_path / file.NAME

    async def story(store: Store) -> None:
        for first in range(0, 30_000, 30):
            await store.record([sent("b/x", at, at) for at in range(first, first + 30)])

    in_store(tmp_path, story)
    connection = apsw.Connection(str(path))
    pages = [page for (page,) in connection.execute(_LEAVES)]
    connection.close()
    content = bytearray(path.read_bytes())
    place = (pages[len(pages) // 2] - 1) * file.PAGE_SIZE
    content[place : place + 8] = b"\xff" * 8
    path.write_bytes(content)
    with Store(tmp_path, boot=BOOT) as store:
        assert store.damaged


_LEAVES = "SELECT pageno FROM dbstat WHERE name = 'log' AND pagetype = 'leaf'"


def test_keys_channels_and_locks_are_taken_over_from_a_damaged_file(tmp_path: Path) -> None:
    """Boards and people keep their keys, and an output its lock: what is damaged is mostly the log."""
    path = filled(tmp_path)
    connection = apsw.Connection(str(path))
    page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'log'").get
    connection.close()
    content = bytearray(path.read_bytes())
    content[(page - 1) * file.PAGE_SIZE : page * file.PAGE_SIZE] = os.urandom(file.PAGE_SIZE)
    path.write_bytes(content)

    async def story(store: Store) -> None:
        assert store.damaged
        assert [key.name for key in Keys(store).list()] == ["kept"]
        assert Entries(store).last_number(1) == 77
        rows, stamp = store.kept()
        assert rows == {("output", "pump"): LOCKED.body}
        assert stamp is not None

    in_store(tmp_path, story)


def test_damage_that_shows_while_running_is_found(tmp_path: Path) -> None:
    """A reader stumbles over a page; the writer sets the file aside, and all goes on."""
    path = filled(tmp_path, 30_000)

    async def story(store: Store) -> None:
        content = bytearray(path.read_bytes())
        spoil_pages(content)
        path.write_bytes(content)
        with pytest.raises(StoreError):
            History(store).of_sensor("b/x", limit=30_000)
        await until(lambda: bool(store.damaged))
        assert (await store.record([own("a", 1)])).stored == 1
        assert History(store).count() == 1

    in_store(tmp_path, story)


@pytest.mark.parametrize("spoilt", ["zeroblob(1) || substr(body, 2)", "zeroblob(9)", "'text'"])
@pytest.mark.parametrize("finder", ["reader", "writer"])
def test_a_damaged_row_on_a_sound_page_is_found_while_running(tmp_path: Path, spoilt: str, finder: str) -> None:
    path = filled(tmp_path, 10)

    def ask(store: Store) -> object:
        return History(store).of_sensor("b/x", limit=9_000)

    async def story(store: Store) -> None:
        await store.record([sent("b/x", at, at) for at in range(20, 5_000, 2)])
        other = apsw.Connection(str(path))
        other.execute(f"UPDATE log SET body = CAST({spoilt} AS BLOB) WHERE id = 2")
        other.close()
        late = sent("b/x", 21, 21)  # only the disk can tell whether it is new
        with pytest.raises(StoreError):
            await (asyncio.to_thread(ask, store) if finder == "reader" else store.record([late]))
        await until(lambda: bool(store.damaged) and store.stats().error is None)
        assert (await store.record([late])).stored == 1
        assert History(store).count() == 1
        assert [key.name for key in Keys(store).list()] == ["kept"]

    in_store(tmp_path, story)


@pytest.mark.parametrize("suffixes", [("", "-wal", "-shm"), ("",), ("-wal",)])
def test_a_file_that_is_removed_while_running_is_begun_again(tmp_path: Path, suffixes: tuple[str, ...]) -> None:
    path = filled(tmp_path, 10)

    async def story(store: Store) -> None:
        await store.record([own("a", 1)])
        assert History(store).count() == 11
        for suffix in suffixes:
            path.with_name(path.name + suffix).unlink()
        assert (await store.record([own("a", 2)])).stored == 1
        assert "was removed" in store.stats().gone
        assert History(store).count() == 1
        await until(lambda: "gone" in [note.subject for note in Journal(store).newest(9)])
        assert [key.name for key in Keys(store).list()] == ["kept"]

    in_store(tmp_path, story)
    assert in_store(tmp_path, count) == 1


def test_a_removed_file_is_missed_before_anybody_writes(tmp_path: Path) -> None:
    path = filled(tmp_path, 10)

    async def story(store: Store) -> None:
        path.unlink()
        await until(lambda: bool(store.stats().gone))
        await until(path.exists)

    in_store(tmp_path, story)


def test_the_log_beside_a_damaged_file_goes_with_it(tmp_path: Path) -> None:
    path = filled(tmp_path, 10)
    path.with_name("outstation.db-wal").write_bytes(b"what is left of a log")
    path.write_bytes(b"rubbish" * 100)

    async def story(store: Store) -> None:
        assert {store.damaged, f"{store.damaged}-wal"} <= names(tmp_path)

    in_store(tmp_path, story)


def test_many_opens_leave_nothing_open(tmp_path: Path) -> None:
    filled(tmp_path, 10)
    before = len(names(Path("/proc/self/fd")))
    for _ in range(20):
        in_store(tmp_path, lambda store: store.record([own("a", 1)]))
    assert len(names(Path("/proc/self/fd"))) <= before + 1


def test_no_file_descriptors_left_is_an_error_in_words(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    filled(tmp_path, 10)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))  # one is left: too few for a file and its log
    try:
        with Store(tmp_path, boot=BOOT) as store:
            assert "tried again" in str(store.stats().error)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_trust_is_stored_as_numbers_that_stay() -> None:
    assert [int(trust) for trust in Trust] == [0, 1, 2]
