"""Each alert once and in order at every receiver, whatever happens to it, to us, or in between."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from outstation.core import delivery
from outstation.core.readings import Note
from outstation.store.database import Store
from outstation.store.journal import Journal
from tests.engine.receiving import Server, answer, until
from tests.engine.telling import hot, tell, telling, webhook
from tests.store.given import in_store

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries after at most 10, 20, 40 ms, so that tests need not wait for a minute."""
    monkeypatch.setattr(delivery, "FIRST", 10)
    monkeypatch.setattr(delivery, "LONGEST", 40)


def test_an_alert_reaches_whom_it_concerns(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        async with Server().up() as all_of_it, Server().up() as urgent:
            receivers = [webhook(all_of_it.url, "log"), webhook(urgent.url, "pager", "critical")]
            async with telling(store, receivers) as notifier:
                await tell(store, notifier, hot(1, "info"))
                await tell(store, notifier, hot(2, "critical"))
                await until(lambda: len(all_of_it.seen) == 2 and urgent.seen)
                await until(lambda: not any(queue.waiting for queue in notifier.queue().values()))
                assert all(queue.last_ok for queue in notifier.queue().values())
            assert all_of_it.alerts == [(1, "raised"), (2, "raised")]
            assert urgent.alerts == [(2, "raised")]

    in_store(tmp_path, story)


def test_a_receiver_that_was_down_has_each_alert_once_and_in_order(tmp_path: Path) -> None:
    """One that came and went meanwhile, too: as its two messages."""

    async def story(store: Store) -> None:
        server = Server()
        async with server.up():
            pass  # the port is known now, and closed
        async with telling(store, [webhook(server.url)]) as notifier:
            for number in range(1, 150):
                await tell(store, notifier, hot(number))
            await tell(store, notifier, hot(7), "cleared")
            await until(lambda: "could not be reached" in notifier.queue()["hub"].last_error)
            assert notifier.queue()["hub"].waiting == 150
            async with server.up():
                await until(lambda: not notifier.queue()["hub"].waiting)
        assert [seen.alert for seen in server.seen] == [
            *((number, "raised") for number in range(1, 150)),
            (7, "cleared"),
        ]

    in_store(tmp_path, story)


def test_what_waits_is_delivered_after_a_restart_and_a_receiver_without_answer_sees_one_key(tmp_path: Path) -> None:
    server = Server()

    async def story(store: Store) -> None:
        async with server.up(), telling(store, [webhook(server.url)]) as notifier:
            server.otherwise = b""  # it took the message, and the answer was lost
            await tell(store, notifier, hot(1))
            await until(lambda: len(server.seen) >= 3)

    async def later(store: Store) -> None:
        server.otherwise = answer(200)
        async with server.up(), telling(store, [webhook(server.url)]) as notifier:
            await tell(store, notifier, hot(2))
            await until(lambda: not notifier.queue()["hub"].waiting)

    in_store(tmp_path, story)
    in_store(tmp_path, later)
    assert server.alerts == [(1, "raised"), (2, "raised")]
    assert len({seen.key for seen in server.seen}) == 2
    assert len({seen.body for seen in server.seen}) == 2


def test_killed_between_the_receipt_and_its_record_the_same_key_comes_again(tmp_path: Path) -> None:
    async def child(url: str, number: int) -> asyncio.subprocess.Process:
        words = (sys.executable, "-m", "tests.engine.telling", str(tmp_path), url, str(number))
        return await asyncio.create_subprocess_exec(*words, cwd=ROOT)

    async def story() -> None:
        async with Server().up() as server:
            first = await child(server.url, 3)
            server.on_seen = lambda: os.kill(first.pid, signal.SIGSTOP) if len(server.seen) == 2 else None
            server.on_answered = lambda: first.kill() if len(server.seen) == 2 else None
            assert await first.wait() == -signal.SIGKILL
            assert [seen.alert for seen in server.seen] == [(1, "raised"), (2, "raised")]
            second = await child(server.url, 0)
            assert await second.wait() == 0
            numbers = [seen.alert[0] for seen in server.seen]
            assert numbers[:3] == [1, 2, 2]
            assert server.seen[1].key == server.seen[2].key
            assert server.seen[1].body == server.seen[2].body
            assert numbers[3:] == [3][: len(numbers) - 3]  # the third was stored, or the kill came before

    asyncio.run(story())


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 302, 307])
def test_what_may_pass_is_tried_until_it_has(tmp_path: Path, status: int) -> None:
    async def story(store: Store) -> None:
        async with Server().up() as server, telling(store, [webhook(server.url)]) as notifier:
            server.answers += [answer(status, "Location: http://127.0.0.1:9/")] * 3
            await tell(store, notifier, hot(1))
            await tell(store, notifier, hot(2))
            await until(lambda: len(server.seen) == 5)
            assert [seen.alert[0] for seen in server.seen] == [1, 1, 1, 1, 2]

    in_store(tmp_path, story)


def test_what_is_not_wanted_makes_room_and_is_in_the_journal(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        async with Server().up() as server, telling(store, [webhook(server.url)]) as notifier:
            server.answers.append(answer(422))
            await tell(store, notifier, hot(1))
            await tell(store, notifier, hot(2))
            await until(lambda: not notifier.queue()["hub"].waiting)
            assert server.alerts == [(1, "raised"), (2, "raised")]
        found = Journal(store).newest(9)
        text = "it does not want the message about alert 1: it answered 422; it is not sent again"
        assert [(note.kind, note.subject, note.text) for note in found] == [("delivery refused", "hub", text)]

    in_store(tmp_path, story)


@pytest.mark.parametrize("status", [401, 403])
def test_a_receiver_that_lets_us_in_no_more_keeps_its_alerts_and_is_named_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(delivery, "SELDOM", 100)
    notes: list[Note] = []

    async def story(store: Store) -> None:
        async with Server().up() as server, telling(store, [webhook(server.url)], notes) as notifier:
            server.answers += [answer(status), answer(status)]
            await tell(store, notifier, hot(1))
            await until(notifier.troubles)
            assert notifier.troubles() == [f'Alerts do not reach "hub": it answered {status}; 1 wait.']
            await until(lambda: not notifier.queue()["hub"].waiting)
            assert notifier.troubles() == []
            assert len(server.seen) == 3
        assert [(note.kind, note.subject) for note in notes] == [("receiver failed", "hub"), ("receiver well", "hub")]

    in_store(tmp_path, story)


def test_retry_after_is_obeyed(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        async with Server().up() as server, telling(store, [webhook(server.url)]) as notifier:
            server.answers.append(answer(503, "Retry-After: 1"))
            await tell(store, notifier, hot(1))
            await until(lambda: server.seen)
            began = asyncio.get_running_loop().time()
            await until(lambda: len(server.seen) == 2)
            assert asyncio.get_running_loop().time() - began > 0.9

    in_store(tmp_path, story)


def test_one_that_never_answers_holds_up_nobody_else(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        async with Server().up() as silent, Server().up() as other:
            silent.otherwise, silent.stays_open = b"", True
            async with telling(store, [webhook(silent.url, "silent"), webhook(other.url, "other")]) as notifier:
                for number in range(20):
                    await tell(store, notifier, hot(number))
                await until(lambda: len(other.seen) == 20)
                assert len(silent.seen) == 1
                assert notifier.queue()["silent"].waiting == 20

    in_store(tmp_path, story)
