"""Packed summaries: whatever is packed when, every question has the answer it would have had, and no kill costs one."""

from __future__ import annotations

import asyncio
import itertools
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outstation.core.readings import Millis, Quality
from outstation.core.retention import READINGS, What
from outstation.core.summaries import encode
from outstation.core.summing import summarised
from outstation.core.windows import DAY, FIVE_MINUTES, HOUR, WIDTHS, Tier, Window
from outstation.store import forgetting, packs, renaming, tiers
from outstation.store.chunks import HIGHEST, LOWEST
from outstation.store.database import Store
from outstation.store.forgetting import OldSummaries
from outstation.store.plots import Asked, Plot, draw
from outstation.store.sealing import summing
from outstation.store.stock import Stock
from outstation.store.tiers import Tiers
from tests.store.given import BOOT, MORNING, in_store
from tests.store.test_killed import ROOT, child
from tests.store.test_tiers import REACH, Life, Step, by_hand, in_life, made, steps, stored

FOREVER: Millis = 400 * DAY
SENSOR = 1

Answers = dict[tuple[Tier, Millis], tuple[int, bytes]]
"""Of each summary that there is its number, and all that it says."""


@pytest.fixture
def short_spans() -> Iterator[None]:
    """Packs of half an hour and of four hours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(packs.SPANS, Tier.FIVE_MINUTES, HOUR // 2)
        patch.setitem(packs.SPANS, Tier.HOUR, 4 * HOUR)
        yield


def answers(connection: apsw.Connection, sensor: int) -> Answers:
    found: Answers = {}
    for tier in (Tier.FIVE_MINUTES, Tier.HOUR, Tier.DAY):
        numbers = dict(
            connection.execute("SELECT start, number FROM summaries WHERE tier = ? AND sensor = ?", (tier, sensor))
        )
        for (body,) in connection.execute("SELECT body FROM packs WHERE tier = ? AND sensor = ?", (tier, sensor)):
            pack = summing.unpack(body, WIDTHS[tier])
            numbers = dict(zip(pack.starts, pack.numbers, strict=True)) | numbers
        rows = list(tiers.rows(connection, sensor, tier, LOWEST, HIGHEST))
        assert [each.start for each in rows] == sorted(numbers)
        found |= {(tier, each.start): (numbers[each.start], encode(each)) for each in rows}
    return found


def packed(store: Store) -> int:
    with store.read() as connection:
        count: int = connection.execute("SELECT count(*) FROM packs").get
    return count


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(steps, st.booleans()), max_size=25))
@pytest.mark.usefixtures("short_spans")
def test_whatever_is_packed_when_the_rows_say_what_the_stored_readings_say(story: list[tuple[Step, bool]]) -> None:
    async def live(life: Life) -> None:
        for value in (1.5, 2.25, None, *[3.0] * 40):
            await life.happen(Step("own", 400_000, value, Quality.OK))
        await made(life.store, life.wall)
        await life.store._packer.pack(life.wall.at + FOREVER)
        for step, packs_now in story:
            await life.happen(step)
            if packs_now:
                await life.store._packer.pack(life.wall.at + FOREVER)
        await made(life.store, life.wall)
        assert stored(life.store, "a") == by_hand(life.store, "a")
        plots = [plot(life, span) for span in (HOUR, DAY, 9 * DAY)]
        await life.store._packer.pack(life.wall.at + FOREVER)
        assert stored(life.store, "a") == by_hand(life.store, "a")
        assert [plot(life, span) for span in (HOUR, DAY, 9 * DAY)] == plots

    in_life(live)


def plot(life: Life, span: Millis) -> Plot:
    end = life.boot.offset + life.now
    return draw(life.store, Asked({"a": REACH}, end - span, end, 24, None, life.wall.at, lambda _: 0))


class Deed(msgspec.Struct, frozen=True):
    """Something that is done to summaries. place: of a window, by its tier, from the first on."""

    kind: str
    tier: Tier
    place: int
    value: float | None


deeds = st.builds(
    Deed,
    st.sampled_from(["put"] * 6 + ["forget", "pack", "pack"]),
    st.sampled_from([Tier.FIVE_MINUTES] * 3 + [Tier.HOUR, Tier.HOUR, Tier.DAY]),
    st.integers(0, 11),
    st.none() | st.sampled_from([1.5, 20.25]) | st.floats(-1e9, 1e9),
)


class Twins:
    """Two stores to which the same is done, but that one is packed now and then."""

    def __init__(self, folder: Path) -> None:
        self.both = [Store(folder / name, boot=BOOT) for name in ("packed", "rows")]

    async def begin(self) -> None:
        """Have a row of each window, and the first spans packed."""
        for store in self.both:
            await store.write(lambda connection: connection.execute("INSERT INTO sensors (id, name) VALUES (1, 'a')"))
            await store.write(put_all)
        await self.do(Deed("pack", Tier.DAY, 9, None))

    async def do(self, deed: Deed) -> None:
        start = window_at(deed.tier, deed.place).start
        if deed.kind == "pack":
            await self.both[0]._packer.pack(start + 2 * DAY)
            return
        for store in self.both:
            await store.write(
                lambda connection: put(connection, deed) if deed.kind == "put" else forget(connection, deed)
            )

    def ask(self) -> list[object]:
        return [[answers(connection, SENSOR), *figures(connection)] for connection in self.lent()]

    def lent(self) -> Iterator[apsw.Connection]:
        for store in self.both:
            with store.read() as connection:
                yield connection


def window_at(tier: Tier, place: int) -> Window:
    width = WIDTHS.get(tier, DAY)
    return Window(MORNING - MORNING % DAY + place * width, width)


def put(connection: apsw.Connection, deed: Deed) -> None:
    window, rows = window_at(deed.tier, deed.place), Tiers(connection, lambda _: 0)
    said = (
        [] if deed.value is None else [(window.start + deed.place, deed.value, 0), (window.end - 1, deed.value / 3, 0)]
    )
    rows.put(SENSOR, next(summarised([window], said, REACH)))
    rows.save()


def put_all(connection: apsw.Connection) -> None:
    for tier, place in itertools.product((Tier.FIVE_MINUTES, Tier.HOUR, Tier.DAY), range(13)):
        put(connection, Deed("put", tier, place, 20.0))


def forget(connection: apsw.Connection, deed: Deed) -> None:
    newest = connection.execute("SELECT max(start) FROM summaries WHERE tier = ?", (deed.tier,)).get or 0
    before = min(newest, window_at(deed.tier, deed.place).start)
    forgetting.summaries(connection, [OldSummaries(SENSOR, deed.tier, before)])


def figures(connection: apsw.Connection) -> Iterator[object]:
    """Return what retention asks, with all kinds of numbers sent; and rows of a part of all."""
    middle = window_at(Tier.FIVE_MINUTES, 4).start
    yield list(tiers.rows(connection, SENSOR, Tier.FIVE_MINUTES, middle, middle + HOUR))
    for sent_ in (None, 0, 5, 10):
        seen = Stock(connection, sent_, 0)
        yield seen.frontier(SENSOR)
        yield [seen.summaries_for_room(what) for what in What if what not in READINGS]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(deeds, max_size=20))
@pytest.mark.usefixtures("short_spans")
def test_what_is_put_revised_and_forgotten_is_the_same_packed_and_as_rows(story: list[Deed]) -> None:
    async def live(folder: Path) -> None:
        twins = Twins(folder)
        try:
            await twins.begin()
            for deed in story:
                await twins.do(deed)
                one, other = twins.ask()
                assert one == other
        finally:
            for store in twins.both:
                store.close()

    with tempfile.TemporaryDirectory() as folder:
        for name in ("packed", "rows"):
            (Path(folder) / name).mkdir()
        asyncio.run(live(Path(folder)))


def filled(connection: apsw.Connection, sensors: int, days: int) -> None:
    """Write the summaries of some days, of sensors that are new."""
    rows = Tiers(connection, lambda _: 0)
    for sensor in range(1, sensors + 1):
        connection.execute("INSERT INTO sensors (id, name) VALUES (?, ?)", (sensor, f"board/{sensor}"))
        for place in range(288 * days):
            window = window_at(Tier.FIVE_MINUTES, place)
            rows.put(sensor, next(summarised([window], [(window.start, place / 4, 0)], REACH)))
    rows.save()


def test_what_is_changed_while_it_is_packed_stays_a_row(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await store.write(lambda connection: filled(connection, 1, 2))
        before = packs.change
        with store.read() as connection:
            change = before(connection, SENSOR, Tier.FIVE_MINUTES, window_at(Tier.DAY, 0).start)
        await store.write(lambda connection: put(connection, Deed("put", Tier.FIVE_MINUTES, 7, 99.5)))
        with store.read() as connection:
            there = answers(connection, SENSOR)
        assert not await store.write(lambda connection: packs.swap(connection, change))
        assert await store._packer.pack(MORNING + FOREVER) == 288
        assert packed(store) == 1
        with store.read() as connection:
            assert answers(connection, SENSOR) == there

    in_store(tmp_path, story)


def test_what_is_fresh_or_out_of_date_is_not_packed(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await store.write(lambda connection: filled(connection, 1, 4))
        first = window_at(Tier.DAY, 0)
        assert await store._packer.pack(first.end + DAY - 1) == 0
        await store.write(lambda connection: connection.execute(_UNMADE, (FIVE_MINUTES, first.start + HOUR)))
        assert await store._packer.pack(first.end + 2 * DAY) == 288  # the second day
        await store.write(lambda connection: connection.execute("DELETE FROM unmade"))
        assert await store._packer.pack(MORNING + FOREVER) == 2 * 288  # the newest row stays one
        assert packed(store) == 3

    in_store(tmp_path, story)


_UNMADE = "INSERT INTO unmade (sensor, width, start) VALUES (1, ?, ?)"


def test_a_deleted_sensor_leaves_no_pack(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await store.write(lambda connection: filled(connection, 2, 2))
        await store._packer.pack(MORNING + FOREVER)
        assert packed(store) == 2
        await renaming.delete(store, "board/1")
        assert packed(store) == 1

    in_store(tmp_path, story)


def test_a_kill_while_summaries_are_packed_loses_and_doubles_none(tmp_path: Path) -> None:
    async def fill(store: Store) -> None:
        await store.write(lambda connection: filled(connection, 2, 12))

    async def ask(store: Store) -> tuple[list[Answers], int]:
        with store.read() as connection:
            assert connection.execute("PRAGMA integrity_check").get == "ok"
            return [answers(connection, sensor) for sensor in (1, 2)], packed(store)

    in_store(tmp_path, fill)
    there, _ = in_store(tmp_path, ask)
    for _ in range(4):
        with subprocess.Popen(child("pack_until_killed", tmp_path), stdout=subprocess.PIPE, cwd=ROOT) as process:
            assert process.stdout
            process.stdout.readline()
            time.sleep(random.uniform(0, 0.15))
            process.kill()
        assert in_store(tmp_path, ask)[0] == there
    in_store(tmp_path, lambda store: store._packer.pack(MORNING + FOREVER))
    assert in_store(tmp_path, ask) == (there, 22)
