"""Clerks say what the node itself would say, byte for byte; and what they cannot say, the node can."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
import uvloop

from outstation.core.readings import Millis, Value
from outstation.engine import clerk as engine
from outstation.engine.clerk import Clerks
from outstation.errors import OutstationError, RefusedError, StoreError
from outstation.store import clerk_child
from outstation.store.answers import Question, answer
from outstation.store.database import Store
from outstation.store.history import History
from tests.engine.receiving import until
from tests.store.given import BOOT, MORNING, own, sent

T = TypeVar("T")

VALUES: list[Value | None] = [1.5, -0.0, 2**63 - 1, True, "drizzle, \u0001 \N{SNOWMAN}", "", None, 1e300]
LIMITS: dict[str, Millis | None] = {"led": None, "cpu": 30_000, "never": 1_000}
HOLDING = Question(flat={"cpu": "cpu_temp_c", "led": "led_state"}, limits=LIMITS, outputs=frozenset({"led"}))
START, END = MORNING + 1_000, MORNING + 250_000

QUESTIONS = [
    Question(limit=10_000),
    Question("porch/sky", limit=10_000, unit="°C"),
    Question("porch/sky", limit=7, start=START, end=END),
    Question("nobody", limit=600),
    Question(limit=3, start=START, end=END),
    Question(limit=10_000, flat=HOLDING.flat, limits=LIMITS, outputs=HOLDING.outputs),
    Question(limit=1, end=MORNING - 1),
    Question(limit=0),
    Question(limit=700, cursor="made up"),
    Question("porch/sky", limit=700, cursor="AAAA"),
]


def told(folder: Path, story: Callable[[Store, Clerks], Awaitable[T]]) -> T:
    """Tell a story about the clerks of a store in which something stands."""

    async def whole(store: Store) -> T:
        clerks = Clerks(store)
        try:
            await store.record([own("cpu", 1_000 * number, 40.0 + number) for number in range(300)])
            await store.record([own("led", 70_000, True), own("led", 150_000, None), own("led", 200_000, 0.25)])
            await store.record([sent("porch/sky", 1_000 * number, VALUES[number % 8]) for number in range(300)])
            return await story(store, clerks)
        finally:
            await clerks.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, Store(folder, boot=BOOT) as store:
        return runner.run(whole(store))


def by_node(store: Store, question: Question) -> bytes | str:
    try:
        return answer(History(store), question)
    except OutstationError as error:
        return f"{type(error).__name__}: {error}"


async def by_clerk(clerks: Clerks, question: Question) -> bytes | str:
    try:
        page = await clerks.answer(question)
    except OutstationError as error:
        return f"{type(error).__name__}: {error}"
    assert page is not None
    return bytes(page)


def processes(clerks: Clerks) -> list[int]:
    return sorted(each.process.pid for each in clerks._all)


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_a_clerk_answers_what_the_node_would_answer(tmp_path: Path) -> None:
    async def story(store: Store, clerks: Clerks) -> None:
        for question in QUESTIONS:
            assert await by_clerk(clerks, question) == by_node(store, question), question
        assert len(processes(clerks)) == 1, "one is enough for one question after the other"

    told(tmp_path, story)


def test_while_an_export_is_made_no_clerk_rests(tmp_path: Path) -> None:
    async def story(store: Store, clerks: Clerks) -> None:
        await by_clerk(clerks, QUESTIONS[0])
        with clerks.make_way():
            assert not processes(clerks), "an export is a process, too"
            assert await by_clerk(clerks, QUESTIONS[0]) == by_node(store, QUESTIONS[0])
            assert not processes(clerks)
        await by_clerk(clerks, QUESTIONS[0])
        assert len(processes(clerks)) == 1

    told(tmp_path, story)


def test_what_was_stored_a_moment_ago_is_in_the_answer(tmp_path: Path) -> None:
    async def story(store: Store, clerks: Clerks) -> None:
        for number in range(20):
            await store.record([own("door", number, number)])
            page = await clerks.answer(Question("door", limit=600))
            assert page is not None
            assert bytes(page).startswith(b'{"count":%d,' % (number + 1))

    told(tmp_path, story)


def test_two_at_most_are_at_work_and_none_waits_for_another(tmp_path: Path) -> None:
    async def story(store: Store, clerks: Clerks) -> None:
        question = Question(limit=10_000)
        pages = await asyncio.gather(*(clerks.answer(question) for _ in range(5)))
        assert [bytes(page) for page in pages if page] == [by_node(store, question)] * 2
        assert len(processes(clerks)) == 2

    told(tmp_path, story)


def test_one_that_was_killed_costs_no_answer_but_one_line_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(store: Store, clerks: Clerks) -> None:
        question = Question(limit=600)
        await by_clerk(clerks, question)
        os.kill(processes(clerks)[0], signal.SIGKILL)
        for _ in range(3):
            assert await clerks.answer(question) is None, "whoever asks makes the page"
        assert len(caplog.records) == 1
        clerks._not_before = 0
        assert await by_clerk(clerks, question) == by_node(store, question)

    told(tmp_path, story)


def test_one_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PATIENCE_S", 0.2)

    async def story(store: Store, clerks: Clerks) -> None:
        question = Question(limit=600)
        while await clerks.answer(question) is None:  # a start may take longer than that here
            clerks._not_before = 0
        [pid] = processes(clerks)
        os.kill(pid, signal.SIGSTOP)
        assert await clerks.answer(question) is None
        await until(partial(is_gone, pid))

    told(tmp_path, story)


def test_one_that_cannot_be_started_is_missed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))

    async def story(store: Store, clerks: Clerks) -> None:
        for _ in range(3):
            assert await clerks.answer(Question(limit=600)) is None
            clerks._not_before = 0
        assert len(caplog.records) == 1

    told(tmp_path, story)


def test_one_without_a_question_ends_and_another_comes_when_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "IDLE_S", 0.05)

    async def story(store: Store, clerks: Clerks) -> None:
        question = Question(limit=600)
        for _ in range(2):
            assert await by_clerk(clerks, question) == by_node(store, question)
            [pid] = processes(clerks)
            await until(partial(is_gone, pid))

    told(tmp_path, story)


def test_one_that_has_questions_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "IDLE_S", 0.5)

    async def story(store: Store, clerks: Clerks) -> None:
        await by_clerk(clerks, Question(limit=600))
        [pid] = processes(clerks)
        for _ in range(12):
            await asyncio.sleep(0.08)
            await by_clerk(clerks, Question(limit=600))
        assert processes(clerks) == [pid]

    told(tmp_path, story)


def test_the_end_of_the_node_does_not_wait_for_a_page(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story(store: Store, clerks: Clerks) -> None:
        await by_clerk(clerks, Question(limit=600))
        [pid] = processes(clerks)
        os.kill(pid, signal.SIGSTOP)
        asking = asyncio.create_task(clerks.answer(Question(limit=600)))
        await asyncio.sleep(0)
        await clerks.close()
        assert await asking is None
        assert is_gone(pid)
        assert not caplog.records

    told(tmp_path, story)


def test_a_question_that_was_cancelled_leaves_no_answer_for_the_next(tmp_path: Path) -> None:
    async def story(store: Store, clerks: Clerks) -> None:
        first, second = Question("cpu", limit=600), Question("porch/sky", limit=600)
        await by_clerk(clerks, first)
        task = asyncio.create_task(clerks.answer(first))
        await asyncio.sleep(0.0005)
        task.cancel()
        await asyncio.wait({task})
        assert await by_clerk(clerks, second) == by_node(store, second)

    told(tmp_path, story)


def test_all_end_with_the_node(tmp_path: Path) -> None:
    async def story(store: Store, clerks: Clerks) -> None:
        await by_clerk(clerks, Question(limit=600))
        [pid] = processes(clerks)
        await clerks.close()
        await clerks.close()
        await until(partial(is_gone, pid))
        assert await clerks.answer(Question(limit=600)) is None

    told(tmp_path, story)


def test_what_it_does_not_need_is_not_loaded() -> None:
    told = subprocess.run(
        [sys.executable, "-c", "import sys, outstation.store.clerk_child; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert not {"asyncio", "pydantic", "fastapi", "logging", "uvloop", "outstation.store.writer"} & set(told)


def test_a_damaged_file_is_doubted_by_the_node(tmp_path: Path) -> None:
    async def story(store: Store, clerks: Clerks) -> None:
        def break_it(connection: object) -> None:
            connection.execute("UPDATE log SET body = x'01'")  # type: ignore[attr-defined]

        question = Question("cpu", limit=600)
        await store.write(break_it)
        with pytest.raises(StoreError):
            await clerks.answer(question)
        await until(lambda: store.damaged)
        assert await by_clerk(clerks, question) == b'{"count":0,"readings":[],"next":null}', (
            "a new file, the same clerk"
        )

    told(tmp_path, story)


def test_a_damaged_block_is_left_out_and_told_to_the_node(tmp_path: Path) -> None:
    async def story(store: Store, clerks: Clerks) -> None:
        await store.write(
            lambda connection: connection.execute(
                "INSERT INTO blocks (sensor, boot, start, end, count, body) VALUES (1, 0, 0, 9, 10, x'0102')"
            )
        )
        await by_clerk(clerks, Question("cpu", limit=600))
        await until(lambda: "10 readings of" in store.lost)
        assert not store.damaged

    told(tmp_path, story)


def test_an_answer_too_big_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(store: Store, clerks: Clerks) -> None:
        monkeypatch.setattr(clerk_child, "PAGE_AT_MOST", 100)
        asked = clerk_child.Asked(1, Question(limit=600))
        said, page = clerk_child.Clerk(store.path).answer(asked)
        assert said.error is not None
        assert clerk_child.ERRORS[said.error] is RefusedError
        assert (said.message, page) == ("The answer would be too big.", b"")

    told(tmp_path, story)
