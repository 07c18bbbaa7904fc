"""A Pi has no clock battery: what was measured before the clock was set gets its right time by one row."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from outstation.clock import Trust
from outstation.core.readings import Millis, Reading
from outstation.store.database import Boot, Store
from outstation.store.history import History
from tests.store.given import MORNING, in_store

UNSET = Boot("boot-1", 0, Trust.UNSET)
SET = Boot("boot-1", MORNING, Trust.SYNCHRONISED)


def own(boot: Boot, now: Millis) -> Reading:
    return Reading("a", now, boot.offset + now, now, boot.offset + now)


def rows(store: Store) -> list[tuple[Millis, int]]:
    return [(reading.at, reading.now) for reading in History(store).of_sensor("a").rows]


def boots(store: Store) -> list[tuple[str, Millis, int]]:
    with store.read() as connection:
        return list(connection.execute("SELECT kernel, offset, trust FROM boots ORDER BY id"))


def test_setting_the_clock_moves_all_that_was_measured_since_the_boot(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await store.record([own(UNSET, 10), own(UNSET, 20)])
        assert rows(store) == [(10, 10), (20, 20)]
        await store.set_boot(SET)
        await store.record([own(SET, 30)])
        assert rows(store) == [(MORNING + now, now) for now in (10, 20, 30)]
        assert boots(store) == [("boot-1", MORNING, Trust.SYNCHRONISED)]

    in_store(tmp_path, story, UNSET)


def test_a_senders_time_does_not_move(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await store.record([msgspec.structs.replace(own(UNSET, 10), at=777, sender_stamped=True)])
        await store.set_boot(SET)
        assert [at for at, _ in rows(store)] == [777]

    in_store(tmp_path, story, UNSET)


def test_readings_that_waited_while_the_clock_was_set_keep_their_moment(tmp_path: Path) -> None:
    """They carry the old time; and some were taken after the step, before anybody noticed it."""

    async def story(store: Store) -> None:
        store.record_soon([own(UNSET, 10)])
        await store.record([own(SET, 20)])
        store.record_soon([own(UNSET, 30)])
        await store.set_boot(SET)
        assert rows(store) == [(MORNING + now, now) for now in (10, 20, 30)]

    in_store(tmp_path, story, UNSET)


def test_a_step_of_a_trusted_clock_begins_a_row_and_moves_nothing(tmp_path: Path) -> None:
    stepped = Boot("boot-1", MORNING + 3_600_000, Trust.SYNCHRONISED)

    async def story(store: Store) -> None:
        await store.record([own(SET, 10)])
        await store.set_boot(stepped)
        await store.record([own(stepped, 20)])
        assert [at for at, _ in rows(store)] == [MORNING + 10, MORNING + 3_600_020]
        assert len(boots(store)) == 2

    in_store(tmp_path, story, SET)


@pytest.mark.parametrize("offset", [MORNING, MORNING + 1, MORNING - 900])
@pytest.mark.parametrize("trust", Trust)
def test_jitter_and_lost_trust_change_nothing(tmp_path: Path, offset: Millis, trust: Trust) -> None:
    async def story(store: Store) -> None:
        await store.record([own(SET, 10)])
        await store.set_boot(Boot("boot-1", offset, trust))
        assert rows(store) == [(MORNING + 10, 10)]
        assert boots(store) == [("boot-1", MORNING, Trust.SYNCHRONISED)]

    in_store(tmp_path, story, SET)


@pytest.mark.parametrize("jitter", [-1, 1])
def test_jitter_moves_nothing_on_a_clock_that_was_never_set_either(tmp_path: Path, jitter: Millis) -> None:
    """Both clocks are read one after the other at each start: the history must not move by a millisecond each time."""

    async def story(store: Store) -> None:
        await store.record([own(UNSET, 10)])
        await store.set_boot(Boot("boot-1", jitter, Trust.UNSET))
        assert rows(store) == [(10, 10)]

    in_store(tmp_path, story, UNSET)


def test_another_boot_is_another_row_and_a_restart_in_the_same_is_not(tmp_path: Path) -> None:
    later = Boot("boot-2", MORNING + 500_000, Trust.SYNCHRONISED)
    in_store(tmp_path, lambda store: store.record([own(SET, 10)]), SET)
    in_store(tmp_path, lambda store: store.record([own(SET, 20)]), SET)

    async def story(store: Store) -> None:
        await store.record([own(later, 5)])
        assert [at for at, _ in rows(store)] == [MORNING + 10, MORNING + 20, MORNING + 500_005]
        assert [kernel for kernel, _, _ in boots(store)] == ["boot-1", "boot-2"]

    in_store(tmp_path, story, later)


def test_the_newest_is_the_last_measured_even_where_its_clock_was_unset(tmp_path: Path) -> None:
    async def before(store: Store) -> None:
        await store.record([own(SET, 10)])

    async def after(store: Store) -> None:
        await store.record([own(Boot("boot-2", 0, Trust.UNSET), 3)])
        assert History(store).latest()["a"].value == 3

    in_store(tmp_path, before, SET)
    in_store(tmp_path, after, Boot("boot-2", 0, Trust.UNSET))


def test_the_journal_moves_with_the_clock(tmp_path: Path) -> None:
    """Its lines stand in boot time like readings."""
    from outstation.core.readings import Note
    from outstation.store.journal import Journal

    async def story(store: Store) -> None:
        journal = Journal(store)
        await journal.add([Note("store", "a", "early", 10)])
        await store.set_boot(SET)
        assert [note.at for note in journal.newest(9)] == [MORNING + 10]

    in_store(tmp_path, story, UNSET)
