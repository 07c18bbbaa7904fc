"""What outlives a restart: the latest of each, on disk with the readings, and the moment at which it was right."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from outstation.clock import Trust
from outstation.core.readings import Keep
from outstation.core.restarts import Stamp
from outstation.errors import StoreError
from outstation.store.database import Boot, Store
from tests.store.given import BOOT, MORNING, in_store, own

RULE, PUMP = ("rule", "ventilate"), ("output", "pump")


def keep(folder: Path, *batches: list[Keep], boot: Boot = BOOT) -> None:
    async def story(store: Store) -> None:
        for number, keeps in enumerate(batches):
            store.keep(keeps)
            await store.record([own("t", number)])

    in_store(folder, story, boot)


def kept(folder: Path, boot: Boot = BOOT) -> tuple[dict[tuple[str, str], bytes], Stamp | None]:
    async def story(store: Store) -> tuple[dict[tuple[str, str], bytes], Stamp | None]:
        rows, stamp = store.kept()
        return dict(rows), stamp

    return in_store(folder, story, boot)


def test_nothing_was_ever_kept(tmp_path: Path) -> None:
    assert kept(tmp_path) == ({}, None)


def test_the_latest_of_each_is_kept(tmp_path: Path) -> None:
    keep(
        tmp_path,
        [Keep(*RULE, b'{"since":1}'), Keep(*PUMP, b'{"on_since":1}'), Keep(*RULE, b'{"since":2}')],
        [Keep(*PUMP, b'{"on_since":3}')],
    )
    rows, stamp = kept(tmp_path)
    assert rows == {RULE: b'{"since":2}', PUMP: b'{"on_since":3}'}
    assert stamp is not None


def test_what_is_no_longer_kept_is_gone(tmp_path: Path) -> None:
    keep(
        tmp_path,
        [Keep(*RULE, b"{}"), Keep(*PUMP, b"{}")],
        [Keep(*RULE, None)],
        [Keep(*PUMP, None), Keep(*PUMP, b'{"lock":null}')],
    )
    assert kept(tmp_path)[0] == {PUMP: b'{"lock":null}'}


def test_the_same_name_of_another_kind_is_something_else(tmp_path: Path) -> None:
    keep(tmp_path, [Keep("rule", "pump", b"1"), Keep("output", "pump", b"2")], [Keep("rule", "pump", None)])
    assert kept(tmp_path)[0] == {PUMP: b"2"}


@pytest.mark.parametrize("trust", [Trust.SYNCHRONISED, Trust.UNSET])
def test_the_stamp_says_of_which_boot_the_times_are_and_whether_utc_was_right(tmp_path: Path, trust: Trust) -> None:
    boot = Boot("boot-7", MORNING, trust)
    keep(tmp_path, [Keep(*RULE, b"{}")], boot=boot)
    stamp = kept(tmp_path, boot)[1]
    assert stamp is not None
    assert (stamp.boot, stamp.trusted) == ("boot-7", trust is Trust.SYNCHRONISED)
    assert stamp.at - stamp.now == MORNING


def test_reading_what_was_kept_changes_neither_rows_nor_stamp(tmp_path: Path) -> None:
    keep(tmp_path, [Keep(*RULE, b"{}")])
    first = kept(tmp_path)
    assert kept(tmp_path, Boot("another", MORNING + 10**9, Trust.UNSET)) == first


def test_names_and_bodies_are_kept_to_the_byte(tmp_path: Path) -> None:
    name, body = 'Gießkanne "a\'b" ☂', '{"who":"änna ☂"}'.encode()
    keep(tmp_path, [Keep("rule", name, body)])
    assert kept(tmp_path)[0] == {("rule", name): body}


def test_without_a_reading_it_is_on_disk_when_the_store_closes(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        store.keep([Keep(*RULE, b"{}")])

    in_store(tmp_path, story)
    assert RULE in kept(tmp_path)[0]


def test_it_is_on_disk_with_the_readings_that_are_recorded_next(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        store.keep([Keep(*RULE, b"{}")])
        await store.record([own("t", 0)])
        rows, _ = store.kept()
        assert RULE in rows

    in_store(tmp_path, story)


def test_a_closed_store_keeps_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        store = Store(tmp_path, boot=BOOT)
        store.close()
        with pytest.raises(StoreError):
            store.keep([Keep(*RULE, b"{}")])

    asyncio.run(main())
