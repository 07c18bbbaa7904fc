"""Files of older programs: opened, with all that was in them, and kept as they were.

The fixtures were made by the programs of that time, each with the readings of `EXPECTED`, and a key.
`python -m tests.store.test_migrating` makes that of today: once, before its form is released.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path

import apsw
import pytest

from outstation.core.readings import Reading, Value
from outstation.errors import NewerFileError, StoreError
from outstation.store import backup, copying, file
from outstation.store.database import Store
from outstation.store.history import History
from outstation.store.keys import Keys
from tests.store.given import MORNING, in_store, own, sent

FOLDER = Path(__file__).parent / "fixtures"
TODAY = FOLDER / f"version-{len(file._migrations())}.db"
FIXTURES = sorted(each for each in FOLDER.glob("version-*.db") if each != TODAY)

KINDS: list[Value | None] = [1, 2**62, True, False, "text", None, 1.5]
COUNT = 4_201 + 30 + len(KINDS)
"""Of a board 4,200 and a late one, of which one was corrected; 30 of our own; and one of each kind of value."""


def everything(store: Store) -> dict[str, list[tuple[int, object]]]:
    history = History(store)
    return {
        name: [(row.at - MORNING, row.value) for row in history.of_sensor(name, limit=10_000).rows]
        for name in sorted(store.names())
    }


async def seen(store: Store) -> tuple[int, dict[str, list[tuple[int, object]]], list[str]]:
    assert not store.damaged
    return History(store).count(), everything(store), [key.name for key in Keys(store).list()]


EXPECTED = {
    "cpu_temp": [(60_000 * number, 40 + number / 10) for number in range(30)],
    "kinds": list(enumerate(KINDS)),
    "porch/temperature": sorted(
        [(500, 3), *((1000 * number, -1.5 if number == 7 else number / 10) for number in range(4_200))]
    ),
}


@pytest.fixture(params=FIXTURES, ids=lambda path: path.stem)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A data folder with a file of an older program."""
    shutil.copy(request.param, tmp_path / file.NAME)
    return tmp_path


def version(path: Path) -> int:
    return int.from_bytes(path.read_bytes()[60:64], "big")


def test_the_form_of_today_has_a_file_as_well_that_is_opened_as_it_is(tmp_path: Path) -> None:
    """With the next migration it is an old one."""
    shutil.copy(TODAY, tmp_path / file.NAME)
    assert in_store(tmp_path, seen) == (COUNT, EXPECTED, ["phone"])
    assert {one.name for one in tmp_path.iterdir()} == {file.NAME}


async def fill(store: Store) -> None:
    """Record what `EXPECTED` says; one reading is corrected, and one is late."""
    for first in range(0, 4_200, 100):
        numbers = range(first, first + 100)
        await store.record([sent("porch/temperature", 1000 * number, number / 10) for number in numbers])
    await store.record([sent("porch/temperature", 500, 3), sent("porch/temperature", 7_000, -1.5)])
    store.record_soon([own("cpu_temp", 60_000 * number, 40 + number / 10) for number in range(30)])
    await store.record([sent("kinds", number, value) for number, value in enumerate(KINDS)])
    await Keys(store).create("phone", ["read"])


def test_an_old_file_is_opened_twice_and_says_what_it_said(old: Path) -> None:
    before = (old / file.NAME).read_bytes()
    for _ in range(2):
        assert in_store(old, seen) == (COUNT, EXPECTED, ["phone"])

    async def goes_on(store: Store) -> tuple[int, list[Reading]]:
        again = await store.record(
            [sent("porch/temperature", 1000 * 8, 0.8), sent("porch/temperature", 1000 * 5_000, 1)]
        )
        assert (again.stored, again.duplicates) == (1, 1)
        return History(store).count(), History(store).of_sensor("porch/temperature", limit=1).rows

    count, (newest,) = in_store(old, goes_on)
    assert (count, newest.value) == (COUNT + 1, 1)
    copy = old / f"{file.NAME}.before-version-{len(file._migrations())}"
    assert {one.name for one in old.iterdir()} == {file.NAME, copy.name}
    assert version(copy) == version_of(before)
    assert copy.stat().st_mode & 0o777 == 0o600


def version_of(content: bytes) -> int:
    return int.from_bytes(content[60:64], "big")


def test_what_only_the_write_ahead_log_has_is_in_the_copy(old: Path) -> None:
    """The old program was killed, and had not moved its last commits into the file."""
    path = old / file.NAME
    connection = apsw.Connection(str(path))
    connection.execute("INSERT INTO sensors (id, name) VALUES (99, 'late')")
    for part in old.iterdir():
        shutil.copy(part, old / part.name.replace(file.NAME, "killed.db"))
    connection.close()
    for suffix in ("", "-wal"):
        (old / f"killed.db{suffix}").replace(old / f"{file.NAME}{suffix}")
    file.bring_up_to_date(path)
    (copy,) = old.glob("*before-version*")
    with copying.frozen(copy) as kept:
        assert kept.execute("SELECT count(*) FROM sensors WHERE name = 'late'").get == 1


def test_it_tells_all_the_time_that_it_goes_on(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) SELECT max(i) FROM n"
    scripts = (*file._migrations(), f"CREATE TABLE long AS {long}")
    monkeypatch.setattr(file, "_migrations", lambda: scripts)
    told: list[None] = []
    file.bring_up_to_date(old / file.NAME, lambda: told.append(None))
    assert len(told) > 20, "also inside of a statement"


def test_the_two_newest_copies_are_kept(old: Path) -> None:
    for number in (1, 2):
        (old / f"{file.NAME}.before-version-{number}").write_bytes(b"older")
    file.bring_up_to_date(old / file.NAME)
    newest = len(file._migrations())
    kept = {one.name.rpartition("-")[2] for one in old.glob("*before-version*")}
    assert kept == {str(newest), "2"}


def test_without_room_for_a_copy_it_is_migrated_all_the_same(
    old: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As it is with an earlier start that was ended over it: it may have taken too long."""
    target = old / f"{file.NAME}.before-version-{len(file._migrations())}"
    copying.partial(target).write_bytes(b"begun")
    with caplog.at_level(logging.WARNING):
        assert in_store(old, seen)[0] == COUNT
    assert "not kept as it was: the start before this one" in caplog.text
    assert {one.name for one in old.iterdir()} == {file.NAME}


def test_whoever_only_reads_is_told_that_a_file_is_older_or_newer(old: Path) -> None:
    with pytest.raises(StoreError, match=r"of an older Outstation\. Start the node"):
        file.open_for_reading(old / file.NAME)
    assert backup.back_up_stopped(old, old.parent / f"{old.name}.db").readings == COUNT
    backup.restore(old.parent / f"{old.name}.db", old)
    assert in_store(old, seen)[0] == COUNT
    with apsw.Connection(str(old / file.NAME)) as connection:
        connection.pragma("user_version", 99)
    with pytest.raises(NewerFileError, match="Install the newer program"):
        file.open_for_reading(old / file.NAME)


def test_a_new_file_and_one_of_today_need_no_copy(tmp_path: Path) -> None:
    for _ in range(2):
        in_store(tmp_path, lambda store: store.record([sent("b/x", 1)]))
        file.bring_up_to_date(tmp_path / file.NAME)
    assert {one.name for one in tmp_path.iterdir()} == {file.NAME}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        in_store(Path(folder), fill)
        shutil.copy(Path(folder) / file.NAME, TODAY)
