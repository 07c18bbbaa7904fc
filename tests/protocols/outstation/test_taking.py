"""Batches in the store of a hub: what becomes of them beside what was there, and over the years."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from outstation import clock
from outstation.core.alerts import APART
from outstation.core.readings import Millis, Reading, Severity
from outstation.core.reporting import Standing
from outstation.core.retention import Limits, Now
from outstation.core.windows import DAY, FIVE_MINUTES, HOUR, Tier
from outstation.protocols.outstation import wire
from outstation.protocols.outstation.taking import Taken, Taking, Terms
from outstation.protocols.outstation.wire import Batch, Sent, Told
from outstation.store import alerts, file, renaming, told
from outstation.store.alerts import highest
from outstation.store.database import Store
from outstation.store.nodes import Nodes
from outstation.store.retention import Retention
from outstation.store.tiers import rows
from tests.protocols.outstation.reporter import said
from tests.store.given import BOOT, MORNING

NOON: Millis = MORNING - MORNING % DAY + DAY // 2


class Wall:
    """A wall clock that a story moves."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> Millis:
        return self.at


def story(folder: Path, work: Callable[[Store, Wall], Awaitable[None]]) -> None:
    async def main() -> None:
        wall = Wall()
        with Store(folder, boot=BOOT, at=wall) as store:
            await Nodes(store).put("n", "key")
            await work(store, wall)

    asyncio.run(main())


async def take(
    store: Store, summaries: list[Sent], *, takes_new: bool = True, asleep: Collection[Severity] = (), **fields: Any
) -> Taken:
    batch = Batch(wire.VERSION, 0, epoch=f"{len(summaries)}{clock.now()}", upto=1, summaries=tuple(summaries), **fields)
    with store.read() as connection:
        most = highest(connection)
    terms = Terms("n", clock.Moment(NOON + 400 * DAY, 0), True, takes_new, False, count(1 + most), asleep, lambda _: [])
    return await store.report(Taking(batch, terms).store)


async def made(store: Store, wall: Wall) -> None:
    """Have all made that is noted."""
    for _ in range(50):
        wall.at += 60_000
        await store.flush()
        with store.read() as connection:
            if not connection.execute("SELECT count(*) FROM unmade WHERE start + width < ?", (wall.at,)).get:
                return
    raise AssertionError("not made")


def _damage(connection: Any) -> None:
    connection.execute("UPDATE packs SET body = x'00'")


def spoil(path: Path, table: str) -> None:
    """Write over the first page of a table."""
    with closing(apsw.Connection(str(path))) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).get
    with path.open("r+b") as data:
        data.seek((page - 1) * file.PAGE_SIZE)
        data.write(b"\xff" * 8)


def means(store: Store, sensor: str, tier: Tier) -> list[float | None]:
    with store.read() as connection:
        number = connection.execute("SELECT id FROM sensors WHERE name = ?", (sensor,)).get
        return [each.numbers.mean if each.numbers else None for each in rows(connection, number, tier, 0, 1 << 50)]


def test_where_sensors_may_not_be_new_those_that_are_known_are_taken(tmp_path: Path) -> None:
    async def work(store: Store, wall: Wall) -> None:
        await take(store, [said("air", NOON)])
        taken = await take(store, [said("air", NOON + FIVE_MINUTES), said("soil", NOON)], takes_new=False)
        assert [(one.sensor, "accept_new_sensors" in one.error) for one in taken.refused] == [("soil", True)]
        assert store.names() == ["n/air"]
        with store.read() as connection:
            assert renaming.newest(connection) == {"n/air": NOON + 2 * FIVE_MINUTES - 1}
        assert len(means(store, "n/air", Tier.FIVE_MINUTES)) == 2

    story(tmp_path, work)


def test_one_batch_that_fails_is_no_others_fault(tmp_path: Path) -> None:
    def fail(connection: Any, log: Any) -> None:
        log.number("n/air")
        raise ValueError

    async def work(store: Store, wall: Wall) -> None:
        other = store.record([Reading("n/soil", 1.0, NOON, 0, NOON, sender_stamped=True)])
        with pytest.raises(ValueError):  # noqa: PT011  it is our own
            await store.report(fail)
        assert (await other).stored == 1
        await take(store, [said("air", NOON)])
        assert len(means(store, "n/air", Tier.FIVE_MINUTES)) == 1
        with store.read() as connection:
            assert {name for (name,) in connection.execute("SELECT name FROM sensors")} == {"n/soil", "n/air"}

    story(tmp_path, work)


def test_what_is_raised_at_night_is_told_in_the_morning_if_it_still_stands(tmp_path: Path) -> None:
    night: tuple[Severity, ...] = ("info", "warning")
    gone, stays, urgent = (
        Told("d", "raised", number, "rule", "vent", severity, "m", "raised", NOON)
        for number, severity in enumerate(("warning", "warning", "critical"), 1)
    )

    async def held(store: Store, asleep: Collection[Severity] = ()) -> list[int]:
        with store.read() as connection:
            return [one.alert.id for one in told.held(connection, asleep)]

    async def work(store: Store, wall: Wall) -> None:
        taken = await take(store, [], alerts=(gone, stays, urgent), asleep=night)
        assert [(one.alert.id, one.tell) for one in taken.told] == [(1, False), (2, False), (3, True)]
        over = msgspec.structs.replace(gone, state="cleared", cleared_at=NOON + 1)
        taken = await take(store, [], alerts=(over,), asleep=night)
        assert [(one.happened, one.tell) for one in taken.told] == [("cleared", False)]
        assert (await held(store, night), await held(store)) == ([], [2])
        with store.read() as connection:
            found = told.held(connection, ())
        await store.write(lambda connection: told.release(connection, found))
        assert await held(store) == []
        over = msgspec.structs.replace(stays, state="cleared", cleared_at=NOON + 1)
        taken = await take(store, [], alerts=(over,))
        assert [(one.happened, one.tell) for one in taken.told] == [("cleared", True)]

    story(tmp_path, work)


def test_an_alert_that_flaps_is_one_and_one_that_comes_back_later_is_another(tmp_path: Path) -> None:
    first = Told("d", "raised", 7, "rule", "vent", "warning", "m", "raised", NOON)
    over = msgspec.structs.replace(first, state="cleared", cleared_at=NOON + 100)
    again = msgspec.structs.replace(first, raised_at=NOON + 200)
    over_again = msgspec.structs.replace(again, state="cleared", cleared_at=NOON + 210)
    later = msgspec.structs.replace(first, raised_at=NOON + 210 + APART)
    other = msgspec.structs.replace(first, raised_at=NOON + 220 + APART, subject="door")

    async def said(store: Store, sent: Told) -> tuple[str, int]:
        [one] = (await take(store, [], alerts=(sent,))).told
        return one.happened, one.alert.id

    async def work(store: Store, wall: Wall) -> None:
        assert [await said(store, one) for one in (first, over)] == [("raised", 1), ("cleared", 1)]
        assert await said(store, again) == ("raised", 1)
        assert not (await take(store, [], alerts=(again,))).told
        assert await said(store, over_again) == ("cleared", 1)
        assert [await said(store, one) for one in (later, other)] == [("raised", 2), ("raised", 3)]

    story(tmp_path, work)


def test_hours_and_days_are_made_of_what_was_reported(tmp_path: Path) -> None:
    async def work(store: Store, wall: Wall) -> None:
        night = NOON - DAY // 2
        sent = [said("air", night - 2 * HOUR + place * FIVE_MINUTES, float(place)) for place in range(24)]
        sent.append(said("air", night - 5 * HOUR, 1.0))  # one of those that are gone where it comes from
        await take(store, sent, hours=(said("air", night - 5 * HOUR, 100.0, width=HOUR),))
        await made(store, wall)
        assert means(store, "n/air", Tier.HOUR) == [100.0, 5.5, 17.5]
        assert means(store, "n/air", Tier.DAY) == [pytest.approx((100.0 + 12 * 5.5 + 12 * 17.5) / 25)]
        await take(store, [Sent("air", night - 2 * HOUR, FIVE_MINUTES)])
        await made(store, wall)
        assert means(store, "n/air", Tier.HOUR) == [100.0, 6.0, 17.5]

    story(tmp_path, work)


def test_an_hour_that_came_as_one_says_more_than_those_of_its_parts_that_come_as_well(tmp_path: Path) -> None:
    """Where the disk of a node was full, the first half of an hour is gone, and the other half is still to be sent."""

    async def work(store: Store, wall: Wall) -> None:
        night = NOON - DAY // 2
        whole = msgspec.structs.replace(said("air", night, 100.0, width=HOUR), count=24)
        await take(store, [], hours=(whole,))
        await take(store, [said("air", night + place * FIVE_MINUTES, 7.0) for place in range(6, 12)])
        await made(store, wall)
        assert means(store, "n/air", Tier.HOUR) == [100.0]
        await take(store, [said("air", night + place * FIVE_MINUTES, 7.0) for place in range(12)])
        await made(store, wall)
        assert means(store, "n/air", Tier.HOUR) == [7.0]

    story(tmp_path, work)


def test_nodes_are_known_after_the_file_was_damaged_and_asked_for_all_that_they_have(tmp_path: Path) -> None:
    alert = Told("d", "raised", 1, "rule", "vent", "warning", "m", "raised", NOON)

    async def before(store: Store, wall: Wall) -> None:
        await take(store, [said("air", NOON)], alerts=(alert,))

    async def main() -> None:
        with Store(tmp_path, boot=BOOT, at=Wall()) as store:
            assert store.damaged
            (known,) = Nodes(store).all()
            assert (known.name, known.key, known.report.standing, known.report.until) == ("n", "key", Standing(), None)
            assert known.report.at
            assert (await take(store, [], alerts=(alert,))).told == []
            is_over = msgspec.structs.replace(alert, state="cleared", cleared_at=NOON + 1)
            (over,) = (await take(store, [], alerts=(is_over,))).told
            assert (over.alert.id, over.happened, over.tell) == (1, "cleared", True)

    story(tmp_path, before)
    spoil(tmp_path / file.NAME, "log")
    asyncio.run(main())


def test_the_last_word_on_a_window_counts_also_within_a_batch(tmp_path: Path) -> None:
    async def work(store: Store, wall: Wall) -> None:
        other, gone = NOON + FIVE_MINUTES, Sent("air", NOON, FIVE_MINUTES)
        await take(store, [said("air", NOON), gone, said("air", other, 1.0), said("air", other, 2.0)])
        assert means(store, "n/air", Tier.FIVE_MINUTES) == [2.0]

    story(tmp_path, work)


def test_no_node_can_fill_the_disk_with_alerts_that_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "AT_MOST", 3)

    async def work(store: Store, wall: Wall) -> None:
        alert = Told("d", "raised", 1, "rule", "vent", "warning", "m", "raised", NOON)
        await take(store, [], alerts=tuple(msgspec.structs.replace(alert, id=number) for number in range(8)))
        assert len(alerts.Alerts(store).page(100)) == 3

    story(tmp_path, work)


def test_a_reading_that_comes_as_one_takes_no_summary_away(tmp_path: Path) -> None:
    """A sensor is reported, or read: who does both keeps at least what was reported."""

    async def work(store: Store, wall: Wall) -> None:
        await take(store, [said("air", NOON - HOUR, 7.0)])
        late = Reading("n/air", 1.0, NOON - HOUR + 60_000, 0, NOON, sender_stamped=True)
        await store.record([late, Reading("n/air", 1.0, NOON, 0, NOON, sender_stamped=True)])
        await made(store, wall)
        assert means(store, "n/air", Tier.FIVE_MINUTES)[0] == 7.0

    story(tmp_path, work)


def test_packed_and_deleted_by_age_as_all_others(tmp_path: Path) -> None:
    async def work(store: Store, wall: Wall) -> None:
        await take(store, [said("air", NOON - DAY + place * FIVE_MINUTES, 1.0) for place in range(288)])
        await made(store, wall)
        wall.at = NOON + 5 * DAY
        assert await store.pack() > 100
        before = means(store, "n/air", Tier.FIVE_MINUTES)
        await take(store, [said("air", NOON - DAY, 3.0)])
        assert means(store, "n/air", Tier.FIVE_MINUTES) == [3.0, *before[1:]]
        await made(store, wall)
        wall.at = NOON + 100 * DAY
        now = Now(wall.at, trusted=True)
        await Retention(store).by_age(Limits(1 << 30, keep=DAY, keep_5m=30 * DAY), now, asked=True)
        assert len(means(store, "n/air", Tier.FIVE_MINUTES)) == 12  # those of the newest hour
        assert means(store, "n/air", Tier.HOUR)[0] == (3.0 + 11) / 12

    story(tmp_path, work)


def test_a_pack_that_is_damaged_takes_no_more_with_it(tmp_path: Path) -> None:
    async def work(store: Store, wall: Wall) -> None:
        await take(store, [said("air", NOON - DAY + place * FIVE_MINUTES, 1.0) for place in range(288)])
        await made(store, wall)
        wall.at = NOON + 5 * DAY
        await store.pack()
        await take(store, [said("air", NOON - DAY, 3.0)])
        await store.write(_damage)
        means(store, "n/air", Tier.FIVE_MINUTES)
        await made(store, wall)
        assert means(store, "n/air", Tier.FIVE_MINUTES)[0] == 3.0
        assert means(store, "n/air", Tier.HOUR)[0] is not None

    story(tmp_path, work)
