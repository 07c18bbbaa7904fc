"""Summaries as they happen: whatever comes, in whatever order, the rows say what the stored readings say."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import apsw
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outstation.clock import Trust
from outstation.core.closing import GRACE
from outstation.core.readings import Millis, Quality, Reading, Value
from outstation.core.summaries import Summary
from outstation.core.summing import summarised
from outstation.core.windows import DAY, FIVE_MINUTES, HOUR, Tier, Window, window
from outstation.store import raw, renaming, tiers
from outstation.store.chunks import HIGHEST, LOWEST
from outstation.store.columns import Column
from outstation.store.database import Boot, Store
from tests.core.rolled import rolled
from tests.store.given import BOOT, MORNING, own, sent

REACH: Millis = 700_000
IST: Millis = 19_800_000
"""The offset of India, whose days begin at half past the hour."""


class Wall:
    """The clock on the wall."""

    def __init__(self, at: Millis = MORNING) -> None:
        self.at = at


def opened(folder: Path, wall: Wall, boot: Boot = BOOT) -> Store:
    return Store(folder, boot=boot, reach=lambda _: REACH, offset=lambda _: IST, at=lambda: wall.at)


async def made(store: Store, wall: Wall) -> None:
    """Let all be over, closed and made."""
    wall.at += 3 * DAY
    await store.flush()
    while store._writer.log.summarising.due_in() is not None:
        wall.at += GRACE
        await store.flush()


def id_of(connection: apsw.Connection, name: str) -> int:
    found: int = connection.execute("SELECT id FROM sensors WHERE name = ?", (name,)).get
    return found


def stored(store: Store, name: str) -> dict[Window, Summary]:
    """Return what the rows say, but for tombstones."""
    with store.read() as connection:
        found = id_of(connection, name)
        all_ = [each for tier in (1, 2, 3) for each in tiers.rows(connection, found, Tier(tier), LOWEST, HIGHEST)]
    return {each.window: each for each in all_ if not each.is_empty}


def unmade(store: Store) -> list[Window]:
    with store.read() as connection:
        return [Window(*found) for found in connection.execute("SELECT start, width FROM unmade")]


def by_hand(store: Store, name: str) -> dict[Window, Summary]:
    """Return what they should say: all windows there are, from all readings at once."""
    with store.read() as connection:
        said = raw.said(connection, id_of(connection, name), LOWEST, HIGHEST)
    found: dict[Window, Summary] = {}
    stretch: list[tuple[Millis, Value | None, int]] = []
    for each in [*said, None]:
        if stretch and (each is None or each[0] > stretch[-1][0] + REACH + FIVE_MINUTES):
            first = stretch[0][0] - stretch[0][0] % FIVE_MINUTES
            windows = [Window(start, FIVE_MINUTES) for start in range(first, stretch[-1][0] + REACH, FIVE_MINUTES)]
            found |= {one.window: one for one in summarised(windows, stretch, REACH)}
            stretch = []
        if each is not None:
            stretch.append(each)
    for tier in (Tier.HOUR, Tier.DAY):
        edges = [at for one in found for at in (one.start, one.end - 1)]
        for whole in {window(tier, at, lambda _: IST) for at in edges}:
            found[whole] = rolled(whole, found, lambda _: IST)
    return {key: each for key, each in found.items() if not each.is_empty}


class Step(msgspec.Struct, frozen=True):
    """Something that happens. time: how long after the last reading, or how long before it."""

    kind: str
    time: Millis
    value: Value | None
    quality: Quality


steps = st.builds(
    Step,
    st.sampled_from(["own"] * 5 + ["sent"] * 3 + ["late"] * 3 + ["again", "wait", "reopened", "killed", "set"]),
    st.integers(0, 90_000) | st.integers(0, 2 * HOUR) | st.sampled_from([0, 1, 60_000, FIVE_MINUTES]),
    st.floats(-50, 50) | st.booleans() | st.none() | st.just("wet"),
    st.just(Quality.OK) | st.sampled_from(Quality),
)


class Life:
    """A node that lives through a story, and dies now and then."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.deaths = folder, 0
        self.now: Millis = 1_000
        self.boot = Boot("boot-1", MORNING - DAY, Trust.UNSET)
        self.sent: list[Reading] = []
        self.wall = Wall()
        self.store = opened(folder, self.wall, self.boot)

    async def happen(self, step: Step) -> None:
        if step.kind in ("own", "sent", "wait"):
            self.now += step.time
        self.wall.at = self.boot.offset + self.now
        match step.kind:
            case "own" | "sent":
                await self.say(step, self.boot.offset + self.now)
            case "late":
                await self.say(step, self.boot.offset + self.now - step.time)
            case "again" if self.sent:
                await self.store.record([self.sent[step.time % len(self.sent)]])
            case "set":
                step_ = step.time if step.value else -step.time
                trust = Trust.SYNCHRONISED if step.quality else self.boot.trust
                self.boot = Boot("boot-1", self.boot.offset + step_, trust)
                await self.store.set_boot(self.boot)
            case "wait":
                await self.store.flush()
            case "reopened":
                self.store.close()
                self.store = opened(self.folder, self.wall, self.boot)
            case "killed":
                self.die()

    async def say(self, step: Step, at: Millis) -> None:
        is_sent = step.kind != "own"
        reading = Reading("a", step.value, at, self.now, self.boot.offset + self.now, step.quality, is_sent)
        if is_sent:
            self.sent.append(reading)
        await self.store.record([reading])

    def die(self) -> None:
        """Go on with a copy of the files as they are: no farewell is in it."""
        self.deaths += 1
        after = copied(self.store, self.folder.with_name(f"after-{self.deaths}"))
        self.store.close()
        self.folder, self.store = after, opened(after, self.wall, self.boot)


def copied(store: Store, folder: Path) -> Path:
    """Copy the files of an open store, as a kill would leave them."""
    folder.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(store.path.with_name(store.path.name + suffix), folder)
    return folder


def in_life(story: Callable[[Life], Awaitable[None]]) -> None:
    async def main(folder: Path) -> None:
        life = Life(folder)
        try:
            await story(life)
        finally:
            life.store.close()

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        asyncio.run(main(data))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, max_size=25))
def test_whatever_happens_the_rows_say_what_the_stored_readings_say(story: list[Step]) -> None:
    async def live(life: Life) -> None:
        await life.store.record([Reading("a", 1.5, life.boot.offset, 0, life.boot.offset)])
        for step in story:
            await life.happen(step)
        await made(life.store, life.wall)
        assert not unmade(life.store)
        assert stored(life.store, "a") == by_hand(life.store, "a")

    in_life(live)


def test_a_commit_that_closes_nothing_writes_no_row_more(tmp_path: Path) -> None:
    wall = Wall()

    async def story() -> None:
        with opened(tmp_path, wall) as store:
            await store.record([own("a", 0)])
            before = changes(store)
            for now in range(1_000, 60_000, 1_000):
                wall.at = MORNING + now
                await store.record([own("a", now)])
            assert changes(store) - before == 59  # one row of the log each

    asyncio.run(story())


def changes(store: Store) -> int:
    """Return how many rows were ever written."""
    connection = store._writer._connection
    assert connection is not None
    return connection.total_changes()


def test_a_window_is_a_row_as_soon_as_a_reading_comes_after_it(tmp_path: Path) -> None:
    wall = Wall()

    async def story() -> None:
        with opened(tmp_path, wall) as store:
            await store.record([own("a", 0, 1.0)])
            await store.record([own("a", FIVE_MINUTES, 2.0)])
            await store.record([own("a", 2 * FIVE_MINUTES, 3.0)])
            first, second = sorted(key for key in stored(store, "a") if key.tier is Tier.FIVE_MINUTES)
            assert (first.start, second.start) == (MORNING - 100_000, MORNING + 200_000)
            assert numbers(store) == sorted(set(numbers(store)))

    asyncio.run(story())


def numbers(store: Store) -> list[int]:
    """Return the numbers of all revisions, by window."""
    with store.read() as connection:
        found = [number for (number,) in connection.execute("SELECT number FROM summaries ORDER BY tier, start")]
        assert connection.execute("SELECT number FROM sequence").get == max(found, default=0)
    return found


def test_a_correction_revises_its_window_and_nothing_else(tmp_path: Path) -> None:
    wall = Wall()

    async def story() -> None:
        with opened(tmp_path, wall) as store:
            await store.record([sent("a", at, 20.0) for at in range(0, 2 * HOUR, 60_000)])
            await made(store, wall)
            before = numbers(store)
            await store.record([sent("a", HOUR, 20.0)])
            await made(store, wall)
            assert numbers(store) == before
            await store.record([sent("a", HOUR, 21.0)])
            await made(store, wall)
            changed = [number for number in numbers(store) if number > max(before)]
            assert len(changed) == 3  # five minutes, the hour and the day
            assert stored(store, "a") == by_hand(store, "a")

    asyncio.run(story())


def test_a_kill_before_a_late_reading_was_summed_up_loses_no_revision(tmp_path: Path) -> None:
    """Nor does one between the summary of five minutes and those of the hour and the day."""
    wall = Wall(MORNING + DAY)

    async def story() -> None:
        with opened(tmp_path, wall) as store:
            await store.record([sent("a", at, 20.0, arrived=DAY) for at in range(0, 8 * HOUR, 60_000)])
            await made(store, wall)
            await store.record([sent("a", HOUR + 1_000, 30.0, arrived=wall.at - MORNING)])
            deaths = [copied(store, tmp_path / "late")]
            while unmade(store):
                wall.at += GRACE
                await store.flush()
                deaths.append(copied(store, tmp_path / f"death-{len(deaths)}"))
            assert len(deaths) > 3
        for folder in deaths:
            with opened(folder, wall) as store:
                await made(store, wall)
                assert stored(store, "a") == by_hand(store, "a")

    asyncio.run(story())


@pytest.mark.parametrize("later", [3 * HOUR, -3 * HOUR], ids=["on-time", "a-clock-that-is-behind"])
def test_what_was_open_at_a_stop_is_made_though_its_sensor_speaks_of_another_time_and_is_killed(
    tmp_path: Path, later: Millis
) -> None:
    wall = Wall()
    rebooted = Boot("boot-2", MORNING + later, Trust.UNSET)

    async def story() -> None:
        with opened(tmp_path, wall) as store:
            await store.record([own("a", 0), own("b", 0)])
        wall.at += later
        with opened(tmp_path, wall, rebooted) as store:
            await store.record([Reading("a", 2.5, wall.at + 1_000, 1_000, wall.at + 1_000)])
            killed = copied(store, tmp_path / "killed")
        with opened(killed, wall, rebooted) as store:
            await made(store, wall)
            for name in "ab":
                assert stored(store, name) == by_hand(store, name)

    asyncio.run(story())


def test_a_clock_that_is_set_leaves_tombstones_where_its_readings_were(tmp_path: Path) -> None:
    unset, wall = Boot("boot-1", MORNING - DAY, Trust.UNSET), Wall(MORNING - DAY)

    async def story() -> None:
        with opened(tmp_path, wall, unset) as store:
            for now in range(0, HOUR, 60_000):
                wall.at = unset.offset + now
                await store.record([Reading("a", 1.5, wall.at, now, wall.at)])
            before = set(stored(store, "a"))
            wall.at += DAY
            await store.set_boot(BOOT)
            await made(store, wall)
            assert not before & set(stored(store, "a"))
            assert stored(store, "a") == by_hand(store, "a")
            with store.read() as connection:
                all_ = {each.window for each in tiers.rows(connection, 1, Tier.FIVE_MINUTES, LOWEST, MORNING - HOUR)}
            assert before & all_ == {key for key in before if key.tier is Tier.FIVE_MINUTES}

    asyncio.run(story())


def test_readings_that_come_by_columns_are_summed_up_too(tmp_path: Path) -> None:
    wall = Wall(MORNING + DAY)

    async def story() -> None:
        with opened(tmp_path, wall) as store:
            await store.record([sent("a", 6 * HOUR, 1.0), sent("a", 6 * HOUR + 10_000, 2.0)])
            times = [MORNING + at for at in range(0, 8 * HOUR, 10_000)]
            await store.record_columns([Column("a", times, [at % 7.0 for at in times])])
            assert unmade(store)
        with opened(tmp_path, wall) as store:
            await made(store, wall)
            assert stored(store, "a") == by_hand(store, "a")
            assert not unmade(store)

    asyncio.run(story())


def test_readings_that_come_by_columns_into_a_window_that_is_open_are_in_it(tmp_path: Path) -> None:
    wall = Wall()

    async def story() -> None:
        with opened(tmp_path, wall) as store:
            await store.record([sent("a", 0, 1.0)])
            await store.record([sent("a", FIVE_MINUTES, 1.0), sent("a", FIVE_MINUTES + 9_000, 1.0)])
            await store.record_columns([Column("a", [MORNING + FIVE_MINUTES + 5_000], [9.0])])
            await store.record([sent("a", 2 * FIVE_MINUTES, 1.0)])
            await made(store, wall)
            assert stored(store, "a") == by_hand(store, "a")

    asyncio.run(story())


def test_a_sensor_that_was_deleted_and_is_heard_again_has_only_what_came_since(tmp_path: Path) -> None:
    wall = Wall()

    async def story() -> None:
        with opened(tmp_path, wall) as store:
            await store.record([sent(name, at, 1.0) for at in (0, HOUR) for name in "ab"])
            await store.record([sent("a", 1_000, 3.0), sent("b", 1_000, 3.0)])  # late: it has yet to be made
            assert await renaming.delete(store, "a") == 3
            await store.record([sent("a", HOUR, 5.0), sent("b", HOUR + 1_000, 5.0)])
            await made(store, wall)
            for name in "ab":
                assert stored(store, name) == by_hand(store, name)
            assert not unmade(store)

    asyncio.run(story())
