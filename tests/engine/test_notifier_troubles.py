"""When somebody should look, what a test says, and that nothing keeps the notifier from its work or from its end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from outstation.core import delivery
from outstation.core.readings import Alerted, Note
from outstation.engine import failing
from outstation.engine import line as engine
from outstation.engine.notifier import Notifier, Trial
from outstation.errors import UnknownNameError
from outstation.store import file
from outstation.store.database import Store
from outstation.store.deliveries import Deliveries
from tests.engine.receiving import OK, Server, answer, until
from tests.engine.telling import hot, tell, telling, webhook
from tests.store.given import in_store

NOWHERE = "http://127.0.0.1:9/"
"""The discard port: nobody listens there."""


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST", 10)
    monkeypatch.setattr(delivery, "LONGEST", 40)
    monkeypatch.setattr(engine, "STORE_AGAIN", 0.05)


def test_a_receiver_that_fails_for_a_minute_is_named_once_and_so_is_the_end_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[Note] = []

    async def story(store: Store) -> None:
        server = Server()
        async with server.up():
            pass
        async with telling(store, [webhook(server.url)], notes) as notifier:
            await tell(store, notifier, hot(1))
            await until(lambda: notifier.queue()["hub"].last_error)
            assert notifier.troubles() == []
            assert notes == []
            monkeypatch.setattr(failing, "FAILING_AFTER", 100)
            await until(lambda: notes)
            assert "Connect" in notifier.troubles()[0] or "refused" in notifier.troubles()[0]
            assert notifier.troubles()[0].endswith("; 1 wait.")
            async with server.up():
                await until(lambda: not notifier.troubles())
        assert [note.kind for note in notes] == ["receiver failed", "receiver well"]

    in_store(tmp_path, story)


def test_a_test_says_who_has_it(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        async with Server().up() as well, Server().up() as ill:
            ill.otherwise = answer(404)
            receivers = [webhook(well.url, "well", "critical"), webhook(ill.url, "ill"), webhook(NOWHERE, "gone")]
            notifier = Notifier(store, receivers, "greenhouse", print)
            outcomes = {one.receiver: one.error for one in await notifier.test()}
            assert (outcomes["well"], outcomes["ill"]) == ("", "it answered 404")
            assert "could not be reached" in outcomes["gone"]
            assert await notifier.test("well") == [Trial("well", "")]
            assert well.alerts == [(0, "test"), (0, "test")]
            with pytest.raises(UnknownNameError, match=r'no receiver "phone".*gone, ill, well'):
                await notifier.test("phone")
            with pytest.raises(UnknownNameError, match=r"In the config: none\."):
                await Notifier(store, [], "greenhouse", print).test("phone")

    in_store(tmp_path, story)


def test_the_end_comes_within_a_second_whatever_hangs(tmp_path: Path) -> None:
    """A receiver without an answer, and a resolver that blocks: a thread that nobody can stop."""
    hang = threading.Event()

    def look_up(*_: object) -> list[tuple[object, ...]]:
        hang.wait()
        return []

    async def story(store: Store) -> None:
        async with Server().up() as silent:
            silent.otherwise, silent.stays_open = b"", True
            one = Notifier(store, [webhook(silent.url)], "greenhouse", print)
            other = Notifier(store, [webhook(silent.url)], "greenhouse", print, look_up)
            one.start()
            other.start()
            await tell(store, one, hot(1))
            other.wake()
            await until(lambda: silent.seen)
            began = time.monotonic()
            await asyncio.gather(one.close(), other.close())
            await one.close()
            assert time.monotonic() - began < 1
        assert Deliveries(store).count("hub") == 1

    in_store(tmp_path, story)
    hang.set()


def test_what_cannot_be_stored_is_delivered_all_the_same(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        async with Server().up() as server, telling(store, [webhook(server.url)]) as notifier:
            made = [one for number in (1, 2) for one in notifier.deliveries(Alerted(hot(number), "raised", tell=True))]
            notifier.carry(made)
            await until(lambda: not notifier.queue()["hub"].waiting)
            await tell(store, notifier, hot(3))
            await until(lambda: len(server.seen) == 3)
            assert server.alerts == [(1, "raised"), (2, "raised"), (3, "raised")]

    in_store(tmp_path, story)


def test_a_node_without_its_data_file_tells_all_the_same(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        assert store.stats().error
        async with Server().up() as server, telling(store, [webhook(server.url)]) as notifier:
            notifier.carry(notifier.deliveries(Alerted(hot(1), "raised", tell=True)))
            await until(lambda: server.seen and not notifier.queue()["hub"].waiting)
            notifier.carry(notifier.deliveries(Alerted(hot(2), "raised", tell=True)))
            await until(lambda: len(server.seen) == 2)
            assert server.alerts == [(1, "raised"), (2, "raised")]

    in_store(tmp_path / "no" / "such" / "folder", story)


def test_a_mistake_of_ours_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is to write the note fails; what was to be told is told all the same."""
    monkeypatch.setattr(delivery, "SELDOM", 50)
    noted: list[Note] = []

    def note(one: Note) -> None:
        noted.append(one)
        raise RuntimeError("a mistake")

    async def story(store: Store) -> None:
        async with Server().up() as server:
            server.answers += [answer(401)] * 2
            notifier = Notifier(store, [webhook(server.url)], "greenhouse", note)
            notifier.start()
            await tell(store, notifier, hot(1))
            await until(lambda: not notifier.queue()["hub"].waiting)
            await notifier.close()
            assert len(server.seen) == 3  # twice refused, once taken
        assert [one.kind for one in noted] == ["receiver failed", "receiver well"]

    in_store(tmp_path, story)


def test_too_many_that_cannot_be_stored_and_the_oldest_go_with_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "CARRIED_AT_MOST", 2)
    notes: list[Note] = []

    async def story(store: Store) -> None:
        notifier = Notifier(store, [webhook(NOWHERE)], "greenhouse", notes.append)
        for number in (1, 2, 3):
            notifier.carry(notifier.deliveries(Alerted(hot(number), "raised", tell=True)))
        assert notifier.queue()["hub"].waiting == 2
        assert [note.kind for note in notes] == ["delivery dropped"]

    in_store(tmp_path, story)


def test_a_store_that_cannot_forget_for_a_while_makes_no_doubles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receipt counts from when it came; the store is told when it can be."""
    monkeypatch.setattr(file, "_BUSY_TIMEOUT", 50)

    async def story(store: Store) -> None:
        async with Server().up() as server, telling(store, [webhook(server.url)]) as notifier:
            server.otherwise = answer(503)
            await tell(store, notifier, hot(1))
            await tell(store, notifier, hot(2))
            with held(tmp_path / file.NAME):
                server.otherwise = OK
                await until(lambda: not notifier.queue()["hub"].waiting)
                delivered = len(server.seen)
                await asyncio.sleep(0.3)
                assert len(server.seen) == delivered
                assert Deliveries(store).count("hub") == 2
            await until(lambda: not Deliveries(store).count("hub"))
            assert len(server.seen) == delivered
            assert server.alerts == [(1, "raised"), (2, "raised")]

    in_store(tmp_path, story)


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Somebody else writes to the data file, and takes his time: every commit of ours fails."""
    connection = apsw.Connection(str(path))
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()
