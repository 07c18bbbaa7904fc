"""Whatever happens to a store, in whatever order: it answers as a dict and a list would."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from outstation.clock import Trust
from outstation.core.readings import Millis, Quality, Reading, Value
from outstation.store.database import Boot, Store
from outstation.store.history import History
from tests.faults.ledger import Clock, Forget, Gone, Ledger, MakeRoom, Record, Restart, Seal, Soon, Step
from tests.faults.life import FIRST, MEMORY, Wall, answer_before_the_commit, boot_at, do, make_small
from tests.faults.verdict import Told, compare, found_in, judge, less
from tests.store.given import MORNING

GRID: Millis = 40_000
"""Times are multiples of it, so that many readings fall together, and some gaps are worth remembering."""

TIMES = st.integers(0, 40).map(lambda step: MORNING + step * GRID)
VALUES = st.sampled_from([1, 1.0, True, "1", None, 2, 20.5])
SENT = st.builds(
    lambda sensor, at, value: Reading(sensor, value, at, 0, at, sender_stamped=True),
    st.sampled_from("ab"),
    TIMES,
    VALUES,
)
MINE = st.tuples(st.sampled_from("bc"), st.integers(0, 40), VALUES, st.sampled_from(Quality))
BOOTS = st.builds(
    Boot,
    st.sampled_from(["k1", "k2"]),
    st.sampled_from([0, MORNING, MORNING + 400, MORNING + 90_000]),
    st.sampled_from(Trust),
)


class AnyOrder(RuleBasedStateMachine):
    """A store, and the steps that it has been through. sure: so many of them are on disk for certain."""

    def __init__(self) -> None:
        super().__init__()
        self._home = Path(tempfile.mkdtemp(dir=MEMORY))
        self._loop = asyncio.new_event_loop()
        self._steps: list[Step] = []
        self._sure = self._lives = 0
        self._folder = self._home / "0"
        self._folder.mkdir()
        self._wall = Wall(MORNING + 50 * GRID)
        self._store = Store(self._folder, boot=FIRST, at=self._wall)

    def teardown(self) -> None:
        """Clean up."""
        self._store.close()
        self._loop.close()
        shutil.rmtree(self._home)

    @rule(sent=st.lists(SENT, min_size=1, max_size=9), mine=st.lists(MINE, max_size=4))
    def record(self, sent: list[Reading], mine: list[tuple[str, int, Value | None, Quality]]) -> None:
        """New ones and late ones, again and corrected: so few times are drawn that all of it happens."""
        self._do(Record([*sent, *self._own(mine)]))

    @rule(mine=st.lists(MINE, min_size=1, max_size=3))
    def record_soon(self, mine: list[tuple[str, int, Value | None, Quality]]) -> None:
        self._do(Soon(list(self._own(mine))))

    @rule(boot=BOOTS)
    def set_clock(self, boot: Boot) -> None:
        self._do(Clock(boot))

    @rule()
    def seal(self) -> None:
        self._do(Seal())

    @rule(before=TIMES)
    def forget(self, before: Millis) -> None:
        self._do(Forget(before))
        self._see_what_is_gone()

    @rule(cap=st.integers(40_000, 90_000))
    def make_room(self, cap: int) -> None:
        self._do(MakeRoom(cap))
        self._see_what_is_gone()

    @rule(by=st.sampled_from([1_000, 20_000, 400_000, 4_000_000]))
    def time_goes_by(self, by: Millis) -> None:
        self._wall.at += by

    @rule(boot=BOOTS)
    def restart(self, boot: Boot) -> None:
        self._store.close()
        self._store = Store(self._folder, boot=boot, at=self._wall)
        self._done(Restart(boot))
        self.look()

    @rule()
    def crash(self) -> None:
        """Take the files as they are, and go on with those."""
        self._lives += 1
        after = self._home / str(self._lives)
        after.mkdir()
        for part in ("outstation.db-wal", "outstation.db"):
            shutil.copy(self._folder / part, after)
        self._store.close()
        self._folder = after
        judge(shutil.copytree(after, after.with_name(f"{after.name}-read")), self._steps, self._told)
        self._store = Store(after, boot=boot_at(self._steps), at=self._wall)
        self.look()

    @rule()
    def look(self) -> None:
        number = compare(found_in(self._store), self._steps, self._told)
        # What waits in memory may be on disk by now, and after a crash it may not: then it never was.
        del self._steps[number:]

    @rule(sensor=st.sampled_from("abc"), start=TIMES, end=TIMES, limit=st.integers(1, 7))
    def read_in_pages(self, sensor: str, start: Millis, end: Millis, limit: int) -> None:
        """The pages of a span are its rows, whatever the size of a page."""
        history = History(self._store)
        whole = history.of_sensor(sensor, start=start, end=end, limit=10_000).rows
        assert [row for page in reversed(list(pages(history, sensor, start, end, limit))) for row in page] == whole
        assert all(start <= row.at < end for row in whole)

    @property
    def _told(self) -> Told:
        return Told(self._sure, len(self._steps))

    def _see_what_is_gone(self) -> None:
        self.look()
        found, ledger = found_in(self._store), Ledger(FIRST)
        for step in self._steps:
            ledger.take(step)
        self._done(Gone({name: less(ledger.rows(name), rows) for name, rows in found.rows.items()}))

    def _own(self, mine: list[tuple[str, int, Value | None, Quality]]) -> Iterator[Reading]:
        offset = boot_at(self._steps).offset
        for sensor, step, value, quality in mine:
            now = step * GRID
            yield Reading(sensor, value, now + offset, now, now + offset, quality)

    def _do(self, step: Step) -> None:
        self._loop.run_until_complete(do(self._store, step))
        self._done(step)

    def _done(self, step: Step) -> None:
        self._steps.append(step)
        if not isinstance(step, Soon):  # all before it is on disk with it
            self._sure = len(self._steps)


def pages(history: History, sensor: str, start: Millis, end: Millis, limit: int) -> Iterator[list[Reading]]:
    """Walk the pages of a span, the newest first."""
    page = history.of_sensor(sensor, start=start, end=end, limit=limit)
    yield page.rows
    while page.next:
        page = history.of_sensor(sensor, start=start, end=end, limit=limit, cursor=page.next)
        assert page.rows
        yield page.rows


def try_in_any_order(examples: int, steps: int, *, phases: tuple[Phase, ...] = (Phase.generate,)) -> None:
    run_state_machine_as_test(
        AnyOrder,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            phases=phases,
            derandomize=examples < 100,  # the short run is the same each time
            suppress_health_check=list(HealthCheck),  # it opens files: that is slow, and meant
        ),
    )


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every border come up in some dozen readings."""
    make_small(monkeypatch.setattr)


def test_in_any_order_it_answers_as_a_list_would() -> None:
    try_in_any_order(8, 20)


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_in_a_great_many_orders_it_answers_as_a_list_would() -> None:
    try_in_any_order(2_000, 50, phases=tuple(Phase))  # makes what fails as short as it can


def test_the_rig_notices_an_answer_before_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_before_the_commit(monkeypatch.setattr)
    with pytest.raises(AssertionError, match="there"):
        try_in_any_order(50, 25)
