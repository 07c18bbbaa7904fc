"""Own readings that wait for a commit are in every answer: none is missing and none doubled, whenever it is asked."""

from __future__ import annotations

import asyncio
from pathlib import Path

from outstation.clock import Trust
from outstation.core.readings import Quality, Reading
from outstation.store.answers import Question, answer
from outstation.store.chunks import CHUNK_READINGS
from outstation.store.clerk_child import Asked, Clerk
from outstation.store.database import Boot, Store
from outstation.store.history import History
from tests.store.given import BOOT, MORNING, in_store, own, sent


def test_what_waits_is_in_every_answer(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await store.record([own("a", 1, "on disk"), own("a", 5, "on disk")])
        store.record_soon([own("a", 3, "waits", Quality.SPIKE), own("new", 7, True), own("a", 5, "too")])
        history = History(store)
        rows = history.of_sensor("a").rows
        assert [(row.now, row.value) for row in rows] == [(1, "on disk"), (3, "waits"), (5, "on disk"), (5, "too")]
        assert rows[1].quality is Quality.SPIKE
        assert [row.value for row in history.of_sensor("new").rows] == [True]
        assert history.instants(start=MORNING + 2).rows == [
            (MORNING + 3, {"a": "waits"}),
            (MORNING + 5, {"a": "too"}),
            (MORNING + 7, {"new": True}),
        ]
        assert {name: row.value for name, row in history.latest().items()} == {"a": "too", "new": True}
        assert history.count() == 2  # of those that are on disk

    in_store(tmp_path, story)


def test_a_page_begun_in_memory_goes_on_on_disk(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        store.record_soon([own("a", 5, number) for number in range(6)])
        history = History(store)
        page = history.of_sensor("a", limit=2)
        assert [row.value for row in page.rows] == [4, 5]
        await store.flush()
        page = history.of_sensor("a", limit=2, cursor=page.next)
        assert [row.value for row in page.rows] == [2, 3]
        store.record_soon([own("a", 6)])
        assert [row.value for row in history.of_sensor("a", cursor=page.next).rows] == [0, 1]

    in_store(tmp_path, story)


def test_asked_at_any_moment_of_many_commits_each_is_there_once(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        history, given = History(store), 0

        async def ask() -> None:
            while given < 150:
                least = given
                found = [row.value for row in (await asyncio.to_thread(history.of_sensor, "a", limit=1_000)).rows]
                assert found == list(range(len(found)))
                assert least <= len(found)

        async def give() -> None:
            nonlocal given
            while given < 150:
                store.record_soon([own("a", 10 * given, given)])
                given += 1
                if given % 3:
                    await store.record([sent("b/x", given)])

        await asyncio.gather(ask(), ask(), give())

    in_store(tmp_path, story)


def test_a_clerk_that_is_slow_to_look_doubles_nothing(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        clerk, question = Clerk(store.path), Question("a", limit=700)
        store.record_soon([own("a", number, number) for number in range(4)])
        asked = Asked(store.opened, question, store.unsaved())
        expected = answer(History(store), question)
        assert clerk.answer(asked)[1] == expected
        await store.flush()
        assert clerk.answer(asked)[1] == expected

    in_store(tmp_path, story)


def test_what_is_sealed_before_a_slow_clerk_looks_is_not_doubled(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        clerk, question = Clerk(store.path), Question("a", limit=700)
        await store.record([own("a", 1, "on disk")])
        store.record_soon([own("a", number, number) for number in range(2, 6)])
        asked = Asked(store.opened, question, store.unsaved())
        expected = answer(History(store), question)
        for number in range(3):
            await store.record([sent("b", 5_000 * number + each) for each in range(CHUNK_READINGS)])
        assert await store.seal(everything=True)
        assert clerk.answer(asked)[1] == expected

    in_store(tmp_path, story)


def remove(folder: Path) -> None:
    for path in folder.glob("*.db*"):
        path.unlink()


def test_what_is_in_a_file_begun_anew_before_a_slow_clerk_looks_is_not_doubled(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        for number in range(3):
            await store.record([own("a", number, "lost")])
        store.record_soon([own("a", 10, "waits")])
        asked = Asked(store.opened, Question("a", limit=700), store.unsaved())
        await asyncio.to_thread(remove, tmp_path)
        await store.flush()
        assert store.opened > asked.opened
        assert [row.value for row in History(store).of_sensor("a").rows] == ["waits"]
        assert Clerk(store.path).answer(asked)[1] == answer(History(store), asked.question)
        await store.record([own("a", 11, "more")])
        store.close()
        with Store(tmp_path, boot=BOOT) as again:
            assert [row.value for row in History(again).of_sensor("a").rows] == ["waits", "more"]

    in_store(tmp_path, story)


def test_a_clock_that_is_set_a_little_before_a_slow_clerk_looks_doubles_nothing(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        store.record_soon([own("a", number, 1.5) for number in range(4)])
        asked = Asked(store.opened, Question("a", limit=700), store.unsaved())
        await store.flush()
        await store.set_boot(Boot("boot-1", MORNING + 700, Trust.SYNCHRONISED))
        assert Clerk(store.path).answer(asked)[1] == answer(History(store), asked.question)

    in_store(tmp_path, story, Boot("boot-1", MORNING, Trust.UNSET))


def test_a_commit_is_over_in_one_step(tmp_path: Path) -> None:
    """Else one who looks between two steps has readings that wait no more, and does not look for them in its row."""

    async def story(store: Store) -> None:
        lists = store._writer.own
        store.record_soon([own("a", 1)])
        before = lists.saved
        await store.write(lambda _: lists._moving.acquire())
        await asyncio.sleep(0.05)
        moved = lists.saved
        lists._moving.release()
        assert moved == before
        await store.flush()
        assert lists.saved == before + 1
        assert not store.unsaved().readings

    in_store(tmp_path, story)


def test_what_waits_while_the_clock_is_set_moves_with_it(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        store.record_soon([Reading("a", 1.5, 1_000, 1_000, 1_000)])
        history = History(store)
        assert [row.at for row in history.of_sensor("a").rows] == [1_000]
        await store.set_boot(Boot("boot-1", MORNING, Trust.SYNCHRONISED))
        assert [row.at for row in history.of_sensor("a").rows] == [MORNING + 1_000]

    in_store(tmp_path, story, Boot("boot-1", 0, Trust.UNSET))


def test_what_cannot_be_stored_spoils_no_answer(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        store.record_soon([own("a", 1), own("a", 2, 1 << 70)])
        assert [row.now for row in History(store).of_sensor("a").rows] == [1]

    in_store(tmp_path, story)
