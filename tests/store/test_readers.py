"""Readers never wait for the writer, nor it for them; and none stays for long."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from outstation.errors import StoreError
from outstation.store import readers
from outstation.store.database import Store
from outstation.store.history import History
from tests.store.given import in_store, own


def test_an_answer_is_one_moment_of_the_file(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await store.record([own("a", 1)])
        with store.read() as connection:
            before = connection.execute("SELECT count(*) FROM log").get
            await store.record([own("a", 2)])  # does not wait for the reader
            assert connection.execute("SELECT count(*) FROM log").get == before
        assert History(store).count() == 2

    in_store(tmp_path, story)


def test_many_threads_ask_while_the_writer_writes(tmp_path: Path) -> None:
    def ask(store: Store) -> int:
        history, seen = History(store), 0
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            rows = history.of_sensor("a", limit=1_000_000).rows
            assert [row.now for row in rows] == list(range(len(rows)))
            assert len(rows) >= seen
            seen = len(rows)
        return seen

    async def story(store: Store) -> None:
        with ThreadPoolExecutor(8) as threads:
            loop = asyncio.get_running_loop()
            asking = [loop.run_in_executor(threads, ask, store) for _ in range(8)]
            for now in range(300):
                await store.record([own("a", now)])
            assert all(await asyncio.gather(*asking))

    in_store(tmp_path, story)


def test_a_question_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "LONGEST", 50)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

    async def story(store: Store) -> None:
        began = time.monotonic()
        with pytest.raises(StoreError, match="took more than"), store.read() as connection:
            connection.execute(endless).fetchall()
        assert time.monotonic() - began < 5
        assert History(store).count() == 0

    in_store(tmp_path, story)


def test_closing_does_not_wait_for_a_reader(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await store.record([own("a", 1)])
        with store.read() as connection:
            assert connection.execute("SELECT count(*) FROM log").get == 1
            began = time.monotonic()
            store.close()
            assert time.monotonic() - began < 2

    in_store(tmp_path, story)
