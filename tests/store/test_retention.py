"""What of the history goes, by age and to make room: never in doubt, never much at once, and the room goes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from outstation.clock import Trust
from outstation.core.retention import READINGS, Limits, Now, What
from outstation.core.windows import DAY, FIVE_MINUTES, HOUR, Tier
from outstation.store import chunks, outlook
from outstation.store.database import Boot, Store
from outstation.store.forgetting import Gone
from outstation.store.history import History
from outstation.store.retention import Deleted, Retention
from outstation.store.stock import Stock
from tests.store.given import BOOT, noise, own, sent
from tests.store.stocked import NEW_YEAR, add, sealed, summarised

T = TypeVar("T")

NOW = Now(NEW_YEAR + 100 * DAY, trusted=True)
FREELY = 1 << 40


def told(folder: Path, story: Callable[[Store, Retention], Awaitable[T]], boot: Boot = BOOT) -> T:
    async def main() -> T:
        with Store(folder, boot=boot) as store:
            return await story(store, Retention(store))

    return asyncio.run(main())


def days_of(store: Store, sensor: str) -> list[int]:
    """Return the days of the year whose block is still there."""
    query = "SELECT start FROM blocks JOIN sensors ON sensors.id = sensor WHERE name = ? ORDER BY start"
    with store.read() as connection:
        return [(start - NEW_YEAR) // DAY for (start,) in connection.execute(query, (sensor,))]


def asked(store: Store, query: str) -> list[tuple[object, ...]]:
    with store.read() as connection:
        return list(connection.execute(query))


async def had(store: Store, **cursors: int) -> None:
    """Have uplinks that have had the summaries up to these numbers."""
    add_ = "INSERT INTO uplinks (name, cursor) VALUES (?, ?)"
    await store.write(lambda connection: connection.executemany(add_, list(cursors.items())).fetchall())


def test_what_is_older_than_its_days_goes(tmp_path: Path) -> None:
    async def story(store: Store, retention: Retention) -> None:
        await add(store, "air", range(100))
        assert (await retention.by_age(Limits(FREELY, keep=95 * DAY), NOW)).readings == 500
        assert days_of(store, "air") == list(range(5, 100))
        assert store.stats().readings == 9_500
        assert asked(store, "SELECT readings FROM closed") == [(9_500,)]
        assert asked(store, "SELECT tier, until FROM forgotten") == [(0, NEW_YEAR + 4 * DAY + HOUR)]

    told(tmp_path, story)


def test_no_more_than_a_tenth_goes_in_a_day_unless_a_person_says_so(tmp_path: Path) -> None:
    limits = Limits(FREELY, keep=30 * DAY)

    async def story(store: Store, retention: Retention) -> None:
        await add(store, "air", range(100))
        assert await retention.by_age(limits, NOW) == Deleted(1_000, 1_000, left=True)
        for hour in range(1, 24):  # what became too old just now goes all the same
            await retention.by_age(limits, Now(NOW.at + hour * HOUR, trusted=True))
        assert days_of(store, "air") == [*range(10, 69), *range(71, 100)]
        assert (await retention.by_age(limits, Now(NOW.at + DAY, trusted=True))).readings == 800
        assert (await retention.by_age(limits, Now(NOW.at + DAY, trusted=True), asked=True)).left is False
        assert days_of(store, "air") == list(range(71, 100))

    told(tmp_path, story)


def test_of_a_small_history_a_block_goes_in_a_day_though_it_is_more_than_a_tenth(tmp_path: Path) -> None:
    limits = Limits(FREELY, keep=30 * DAY)

    async def story(store: Store, retention: Retention) -> None:
        await add(store, "air", range(5))
        planned = retention.look(lambda seen: outlook.plan(seen, limits, NOW, asked=False))
        assert ([one.readings for one in planned.going], planned.left) == ([100], True)
        assert await retention.by_age(limits, NOW) == Deleted(100, 50, left=True)
        for hour in range(1, 24):
            assert (await retention.by_age(limits, Now(NOW.at + hour * HOUR, trusted=True))).readings == 0
        assert (await retention.by_age(limits, Now(NOW.at + DAY, trusted=True))).readings == 100
        assert days_of(store, "air") == [2, 3, 4]

    told(tmp_path, story)


def test_nothing_goes_by_age_while_the_clock_is_in_doubt(tmp_path: Path) -> None:
    limits = Limits(FREELY, keep=DAY, keep_5m=DAY)
    later = Now(NOW.at + 20 * 365 * DAY, trusted=True)

    async def story(store: Store, retention: Retention) -> None:
        await add(store, "air", range(100))
        kept = (await retention.by_age(limits, Now(later.at, trusted=False), asked=True)).kept
        assert kept == "Nothing is deleted by age: the clock is not synchronised."
        await store.set_boot(Boot(BOOT.kernel_id, BOOT.offset + 20 * 365 * DAY, Trust.SYNCHRONISED))
        kept = (await retention.by_age(limits, later)).kept
        assert kept == "Nothing is deleted by age until the next boot: the clock has stepped by 7300 days."
        await store.set_boot(BOOT)
        assert (await retention.by_age(limits, NOW, asked=True)).kept == kept
        assert days_of(store, "air") == list(range(100))
        assert asked(store, "SELECT count(*) FROM summaries") == [(1_200,)]

    told(tmp_path, story)


def test_of_a_boot_whose_clock_was_never_set_nobody_knows_the_age(tmp_path: Path) -> None:
    async def story(store: Store, retention: Retention) -> None:
        await add(store, "air", [0, 1], boot=1)
        await add(store, "soil", range(2, 40))
        deleted = await retention.by_age(Limits(FREELY, keep=DAY), NOW, asked=True)
        assert (deleted.readings, days_of(store, "air")) == (3_800, [0, 1])

    told(tmp_path, story, Boot("boot-1", 0, Trust.UNSET))


def test_a_sensor_may_have_its_own_days(tmp_path: Path) -> None:
    async def story(store: Store, retention: Retention) -> None:
        for sensor in ("air", "soil", "vent"):
            await add(store, sensor, range(0, 100, 10))
        limits = Limits(FREELY, keep=30 * DAY, own={"air": 5 * DAY, "vent": 85 * DAY, "nowhere": DAY})
        await retention.by_age(limits, NOW, asked=True)
        assert days_of(store, "air") == []
        assert days_of(store, "soil") == [70, 80, 90]
        assert days_of(store, "vent") == list(range(20, 100, 10))

    told(tmp_path, story)


def test_nothing_unsummarised_goes_by_age(tmp_path: Path) -> None:
    async def story(store: Store, retention: Retention) -> None:
        await sealed(store, "soil", [(NEW_YEAR, 100)])
        await add(store, "air", [0, 1, 2])
        await sealed(store, "air", [(NEW_YEAR + 3 * DAY, 100)])
        row = f"INSERT INTO unmade SELECT id, {FIVE_MINUTES}, {NEW_YEAR + DAY} FROM sensors WHERE name = 'air'"
        await store.write(lambda connection: connection.execute(row).fetchall())
        limits = Limits(FREELY, keep=10 * DAY)
        await retention.by_age(limits, NOW, asked=True)
        assert (days_of(store, "soil"), days_of(store, "air")) == ([0], [1, 2, 3])
        await store.write(lambda connection: connection.execute("DELETE FROM unmade").fetchall())
        await retention.by_age(limits, NOW, asked=True)
        assert (days_of(store, "soil"), days_of(store, "air")) == ([0], [3])

    told(tmp_path, story)


def test_nothing_goes_by_age_before_the_uplinks_have_had_it(tmp_path: Path) -> None:
    async def story(store: Store, retention: Retention) -> None:
        await add(store, "air", [0, 1, 2])
        await had(store, hub=15, cloud=99)  # the twelve of the first day, and three of the second
        await retention.by_age(Limits(FREELY, keep=DAY, keep_5m=DAY), NOW, asked=True)
        assert days_of(store, "air") == [1, 2]
        assert asked(store, "SELECT min(number) FROM summaries") == [(13,)]

    told(tmp_path, story)


def test_summaries_of_five_minutes_go_by_age_a_tenth_of_their_time_at_once(tmp_path: Path) -> None:
    async def story(store: Store, retention: Retention) -> None:
        await add(store, "air", range(101))
        await summarised(store, "air", [NEW_YEAR], Tier.HOUR)
        await retention.by_age(Limits(FREELY, keep_5m=50 * DAY), NOW)
        assert asked(store, "SELECT tier, count(*) FROM summaries GROUP BY tier") == [(1, 91 * 12), (2, 12)]
        assert asked(store, "SELECT tier, until FROM forgotten") == [(1, NEW_YEAR + 10 * DAY)]
        await retention.by_age(Limits(FREELY, keep_5m=50 * DAY), NOW, asked=True)
        assert asked(store, "SELECT count(*) FROM summaries WHERE tier = 1") == [(51 * 12,)]

    told(tmp_path, story)


def test_room_is_made_in_the_order_of_what_is_missed_least(tmp_path: Path) -> None:
    days = [NEW_YEAR + day * DAY for day in range(100)]

    async def story(store: Store, retention: Retention) -> list[str]:
        await sealed(store, "air", [(day, 100) for day in days], size=5_000)
        for tier in (Tier.FIVE_MINUTES, Tier.HOUR, Tier.DAY):
            await summarised(store, "air", days[:80], tier)
        await had(store, hub=50 * 12)
        before, cap, order = held(store), await asyncio.to_thread(retention.look, Stock.used), []
        while before["days"] > 1:
            cap = cap * 95 // 100
            await retention.make_room(Limits(cap), NOW.at)
            now = held(store)
            order += [what for what, count in now.items() if count < before[what] and what not in order]
            before = now
        return order

    def held(store: Store) -> dict[str, int]:
        covered = f"start < {days[50]}"
        kinds = {
            "sent readings": f"blocks WHERE {covered}",
            "sent 5m": f"summaries WHERE tier = 1 AND {covered}",
            "bare readings": f"blocks WHERE NOT {covered}",
            "unsent 5m": f"summaries WHERE tier = 1 AND NOT {covered}",
            "hours": "summaries WHERE tier = 2",
            "days": "summaries WHERE tier = 3",
        }
        with store.read() as connection:
            return {what: connection.execute(f"SELECT count(*) FROM {rows}").get for what, rows in kinds.items()}

    assert told(tmp_path, story) == ["sent readings", "sent 5m", "bare readings", "unsent 5m", "hours", "days"]


def test_summaries_of_today_stay_while_there_are_readings(tmp_path: Path) -> None:
    hours = [NEW_YEAR + hour * HOUR for hour in range(20)]

    async def story(store: Store, retention: Retention) -> list[tuple[int, int, int]]:
        await sealed(store, "bare", [(hour, 100) for hour in hours], size=5_000)
        await sealed(store, "air", [(hour, 100) for hour in hours], size=5_000)
        for tier in (Tier.FIVE_MINUTES, Tier.HOUR):
            await summarised(store, "air", hours, tier)
        row = f"INSERT INTO unmade SELECT id, {DAY}, {NEW_YEAR} FROM sensors WHERE name = 'air'"  # it is not over
        await store.write(lambda connection: connection.execute(row).fetchall())
        cap = await asyncio.to_thread(retention.look, Stock.used)
        seen: list[tuple[int, int, int]] = []
        while not seen or seen[-1][-1] == 480:
            cap = cap * 95 // 100
            await retention.make_room(Limits(cap), NOW.at)
            seen.append((len(days_of(store, "air")), len(days_of(store, "bare")), summaries(store)))
        return seen

    def summaries(store: Store) -> int:
        with store.read() as connection:
            return int(connection.execute("SELECT count(*) FROM summaries").get)

    left = told(tmp_path, story)
    assert all(bare == 20 or not air for air, bare, _ in left)
    assert left[-2][-1] == 480
    assert left[-1][:2] == (0, 0)


def test_what_arrived_first_goes_first_whatever_its_time_says(tmp_path: Path) -> None:
    async def story(store: Store, retention: Retention) -> None:
        days = [7_000, 1, 2, 0, 3, 4]
        await sealed(store, "air", [(NEW_YEAR + day * DAY, 100) for day in days], size=20_000)
        await summarised(store, "air", [NEW_YEAR + 8_000 * DAY])
        used = await asyncio.to_thread(retention.look, Stock.used)
        await retention.make_room(Limits(used - 20_000), NOW.at)
        assert days_of(store, "air") == [0, 2, 3, 4]
        assert asked(store, "SELECT until FROM forgotten") == [(NEW_YEAR + DAY + HOUR,)]

    told(tmp_path, story)


def test_the_cap_holds_while_readings_arrive(tmp_path: Path) -> None:
    cap = 6_000_000

    async def story(store: Store, retention: Retention) -> None:
        for second in range(25):
            day = NEW_YEAR + second * DAY
            await store.record([own("fresh", second * 1_000 + step, step) for step in range(1_000)])
            await sealed(store, "air", [(day, 4_096)] * 20, size=10_000)
            await retention.make_room(Limits(cap), NOW.at)
            assert retention.look(Stock.used) <= cap
            with store.read() as connection:
                assert connection.pragma("page_count") * connection.pragma("page_size") <= cap

    told(tmp_path, story)


def test_a_large_log_is_sealed_before_anything_is_deleted(tmp_path: Path) -> None:
    async def story(store: Store, retention: Retention) -> None:
        await add(store, "air", range(10))
        for call in range(100):
            await store.record([own("fresh", call * 100 + step, noise(step + call % 4 * 100)) for step in range(100)])
        used = retention.look(Stock.used)
        assert await retention.make_room(Limits(used), NOW.at) == Deleted()
        assert retention.look(Stock.used) < used - used // 25
        assert (days_of(store, "air"), store.stats().readings) == (list(range(10)), 11_000)

    told(tmp_path, story)


def test_room_is_given_back_but_for_a_tenth(tmp_path: Path) -> None:
    async def story(store: Store, retention: Retention) -> None:
        await sealed(store, "air", [(NEW_YEAR + day * DAY, 100) for day in range(100)], size=20_000)
        await summarised(store, "air", [NEW_YEAR + 100 * DAY])
        await retention.by_age(Limits(FREELY, keep=10 * DAY), NOW, asked=True)
        with store.read() as connection:
            pages, free = connection.pragma("page_count"), connection.pragma("freelist_count")
        assert free <= pages // 9
        assert pages * connection.pragma("page_size") < 600_000

    told(tmp_path, story)


def test_a_block_that_was_changed_meanwhile_stays(tmp_path: Path) -> None:
    async def story(store: Store, retention: Retention) -> None:
        await add(store, "air", [1])
        (old,) = retention.look(lambda seen: seen.readings_for_room(What.READINGS, 1))
        await store.write(lambda connection: connection.execute("UPDATE blocks SET count = 101").fetchall())
        assert await store.forget([old], NOW.at) == Gone(1, 0)
        assert days_of(store, "air") == [1]

    told(tmp_path, story)


def test_a_correction_that_is_not_sealed_yet_counts_when_its_block_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 1)

    async def story(store: Store, retention: Retention) -> None:
        await store.record([sent("air", at) for at in range(100)])
        await store.record([sent("soil", 0)])  # the newest chunk is not sealed
        await store.seal(everything=True)
        await store.record([sent("air", 7, 2.5), sent("air", 200)])
        await store.record([sent("air", 7, 3.5)])
        await all_goes(store, retention)
        history = History(store)
        assert len(history.of_sensor("air").rows) == 2
        assert history.count() == store.stats().readings == 3
        await store.record([sent("soil", 1)])
        await store.seal(everything=True)
        await all_goes(store, retention)
        assert history.count() == store.stats().readings == 1

    async def all_goes(store: Store, retention: Retention) -> None:
        old = retention.look(lambda seen: [old for what in READINGS for old in seen.readings_for_room(what, FREELY)])
        assert old
        await store.forget(old, NOW.at)

    told(tmp_path, story)


def test_summaries_of_1970_do_not_cost_a_step_for_each_day_since(tmp_path: Path) -> None:
    async def story(store: Store, retention: Retention) -> None:
        await summarised(store, "air", [0, NEW_YEAR, NEW_YEAR + DAY, NEW_YEAR + 90 * DAY])
        limits = Limits(FREELY, keep_5m=50 * DAY)
        some = retention.look(lambda seen: list(seen.aged_summaries(limits, NOW, asked=True)))
        assert [each.before for each in some] == [DAY, NEW_YEAR + DAY, NEW_YEAR + 2 * DAY]

    told(tmp_path, story)
