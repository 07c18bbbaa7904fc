"""What uplinks are to have: whatever happens, each summary goes out in its last revision, and none is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outstation.core.delivery import Item
from outstation.core.readings import Millis, Note
from outstation.core.summaries import Summary
from outstation.core.windows import DAY, FIVE_MINUTES, HOUR, Tier, Window
from outstation.store import forgetting, outbox, packs, renaming, tiers
from outstation.store.chunks import HIGHEST, LOWEST
from outstation.store.database import Store
from outstation.store.forgetting import OldSummaries
from outstation.store.journal import Journal
from outstation.store.outbox import Load, Outbox, Parked
from tests.store.given import MORNING, own, sent
from tests.store.test_tiers import Life, Wall, in_life, made, opened, steps, stored

T = TypeVar("T")

FOREVER: Millis = 400 * DAY

deeds = st.tuples(
    st.sampled_from(["reported"] * 3 + ["unanswered", "in part", "refused", "sent again", "back", "packed", "deleted"]),
    st.integers(1, 40),
)


class Hub:
    """The other side: it has what came to it last of each window."""

    def __init__(self) -> None:
        self.has: dict[Window, Summary] = {}
        self.owed: set[Window] = set()

    def take(self, items: Iterable[Item]) -> None:
        self.has |= {each.summary.window: each.summary for each in items}


async def do(life: Life, hub: Hub, what: str, number: int) -> None:
    box = Outbox(life.store)
    match what:
        case "packed":
            await life.store._packer.pack(life.wall.at + FOREVER)
        case "deleted":
            await deleted(life.store, hub, number)
        case "back":
            await box.back("hub", number)
        case "sent again":
            await box.resend("hub")
        case _:
            await sent_on(box, hub, what, number)


async def sent_on(box: Outbox, hub: Hub, what: str, number: int) -> None:
    load = box.load("hub", number, ahead=True)
    refused = load.items[:1] if what == "refused" else ()
    hub.take((*load.ahead, *load.items[len(refused) :], *load.instead))
    if what == "in part" and load.items:
        await box.taken("hub", load, upto=load.items[len(load.items) // 2].number, instead=load.instead[:1])
    elif what != "unanswered":
        parked = [Parked(each.sensor, each.summary, "no", 0) for each in refused]
        await box.taken("hub", load, parked=parked)


async def deleted(store: Store, hub: Hub, number: int) -> None:
    """Make room by deleting an hour, or some: it does not matter whether the hub has had them."""
    found = {window: each for window, each in stored(store, "a").items() if window.width == FIVE_MINUTES}
    before = max((window.start - window.start % HOUR for window in found), default=0) - number % 3 * HOUR
    hours = {window for window in stored(store, "a") if window.width == HOUR}
    refused = {each.summary.window for each in Outbox(store).parked("hub")}  # these are kept elsewhere
    for window, each in found.items():
        hour = Window(window.start - window.start % HOUR, HOUR)
        if window.start < before and hub.has.get(window) != each and hour in hours and window not in refused:
            hub.owed.add(hour)
    await store.write(lambda connection: forgetting.summaries(connection, [OldSummaries(1, Tier.FIVE_MINUTES, before)]))


async def drain(store: Store, hub: Hub) -> None:
    box = Outbox(store)
    await box.resend("hub")
    load = box.load("hub", 7)
    while load.items or load.instead:
        hub.take((*load.items, *load.instead))
        await box.taken("hub", load)
        load = box.load("hub", 7)
    await box.taken("hub", load)


@pytest.fixture(scope="module")
def short_spans() -> Iterable[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(packs.SPANS, Tier.FIVE_MINUTES, HOUR // 2)
        yield


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(steps, deeds), max_size=25))
@pytest.mark.usefixtures("short_spans")
def test_whatever_happens_the_other_side_has_what_is_stored(story: list[tuple[object, tuple[str, int]]]) -> None:
    async def live(life: Life) -> None:
        hub = Hub()
        await Outbox(life.store).learn(["hub"], MORNING)
        await life.store.record([own("a", 0)])
        for step, deed in story:
            await life.happen(step)  # type: ignore[arg-type]
            await do(life, hub, *deed)
        await made(life.store, life.wall)
        await drain(life.store, hub)
        now = {window: each for window, each in stored(life.store, "a").items() if window.width == FIVE_MINUTES}
        assert {window: hub.has.get(window) for window in now} == now
        assert hub.owed <= hub.has.keys()
        with life.store.read() as connection:
            for each in tiers.rows(connection, 1, Tier.FIVE_MINUTES, LOWEST, HIGHEST):
                assert hub.has.get(each.window, each) == each  # a tombstone, too
        account = Outbox(life.store).account("hub")
        assert (account.waiting, account.parked) == (0, 0)
        assert account.lost >= len(hub.owed)

    in_life(live)


def told(folder: Path, story: Callable[[Store, Outbox, Wall], Awaitable[T]]) -> T:
    async def main() -> T:
        wall = Wall(MORNING + DAY)
        with opened(folder, wall) as store:
            return await story(store, Outbox(store), wall)

    return asyncio.run(main())


async def windows(store: Store, sensor: str, places: Iterable[int], value: float = 20.0) -> None:
    """Have a sensor say something in these windows."""
    await store.record([sent(sensor, place * FIVE_MINUTES, value + place, arrived=DAY) for place in places])


def named(items: Iterable[Item]) -> list[tuple[str, int, object]]:
    """Return what these are of, windows as places after the morning; and what they say last."""
    began = MORNING - MORNING % FIVE_MINUTES
    return [
        (each.sensor, (each.summary.start - began) // FIVE_MINUTES, each.summary.numbers and each.summary.numbers.last)
        for each in items
    ]


def test_a_new_uplink_begins_now_and_has_what_comes_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    async def story(store: Store, box: Outbox, wall: Wall) -> None:
        await windows(store, "air", range(3))
        await made(store, wall)
        await box.learn(["hub"], wall.at)
        assert box.account("hub").waiting == 0
        await windows(store, "soil", [0, 1])
        await windows(store, "air", [1], 30.0)  # corrected
        await made(store, wall)
        load = box.load("hub", 100)
        spoken = [each for each in named(load.items) if each[2] is not None]
        assert sorted(spoken) == [("air", 1, 31.0), ("soil", 0, 20.0), ("soil", 1, 21.0)]
        numbers = [each.number for each in load.items]
        assert numbers == sorted(set(numbers))
        assert load.after < numbers[0]
        assert load.upto >= numbers[-1]
        assert not load.is_more
        await box.taken("hub", load, "token-1", traffic='{"requests":1}')
        again = box.load("hub", 100)
        assert (again.items, again.after, again.token) == ((), load.upto, "token-1")
        assert box.account("hub") == outbox.Account(load.upto, 0, 0, 0, '{"requests":1}')

    told(tmp_path, story)


def test_a_long_queue_goes_in_parts_with_the_newest_ahead(tmp_path: Path) -> None:
    async def story(store: Store, box: Outbox, wall: Wall) -> None:
        await box.learn(["hub", "cloud"], wall.at)
        for sensor in ("air", "soil"):
            await windows(store, sensor, range(20))
        await made(store, wall)
        load, seen = box.load("hub", 7, ahead=True), list[Item]()
        whole = box.load("cloud", 10_000)
        assert load.is_more
        assert {each.sensor: each.number for each in load.ahead} == {
            each.sensor: each.number for each in whole.items if each.summary.start == newest(whole, each.sensor)
        }
        while load.items:
            assert len(load.items) <= 7
            seen += load.items
            await box.taken("hub", load)
            load = box.load("hub", 7, ahead=True)
        assert tuple(seen) == whole.items
        assert (load.ahead, load.is_more) == ((), False)

    told(tmp_path, story)


def newest(load: Load, sensor: str) -> Millis:
    return max(each.summary.start for each in load.items if each.sensor == sensor)


def test_what_is_refused_is_put_aside_and_sent_again_as_it_is_then(tmp_path: Path) -> None:
    async def story(store: Store, box: Outbox, wall: Wall) -> None:
        await box.learn(["hub", "cloud"], wall.at)
        await windows(store, "air", range(2))
        await made(store, wall)
        load = box.load("hub", 100)
        bad = Parked("air", load.items[0].summary, "422: no such sensor", wall.at)
        await box.taken("hub", load, parked=[bad], notes=[Note("uplink refused", "hub", "why", wall.at)])
        assert box.parked("hub") == [bad]
        assert (box.account("hub").waiting, box.account("hub").parked) == (0, 1)
        assert box.load("hub", 100).instead == ()
        await windows(store, "air", [0], 30.0)  # corrected meanwhile
        await made(store, wall)
        await box.taken("hub", box.load("hub", 100))
        assert await box.resend("hub") == 1
        load = box.load("hub", 100)
        assert named(load.instead) == [("air", 0, 30.0)]
        await box.taken("hub", load, upto=load.upto)
        assert box.load("hub", 100).instead == load.instead
        await box.taken("hub", load)
        assert box.load("hub", 100).instead == ()
        assert box.account("cloud").parked == 0

    told(tmp_path, story)


def test_where_all_is_refused_the_oldest_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "PARKED_AT_MOST", 3)

    async def story(store: Store, box: Outbox, wall: Wall) -> None:
        await box.learn(["hub"], wall.at)
        await windows(store, "air", range(5))
        await made(store, wall)
        load = box.load("hub", 100)
        items = [each for each in load.items if each.summary.numbers][:5]
        bad = [Parked("air", each.summary, "no", wall.at + number) for number, each in enumerate(items)]
        await box.taken("hub", load, parked=bad)
        assert box.parked("hub") == bad[:1:-1]
        assert box.account("hub").lost == 2
        assert Journal(store).newest(1)[0].text == "2 summaries that were refused are given up, the oldest of 3."

    told(tmp_path, story)


def test_a_receipt_of_another_epoch_moves_nothing(tmp_path: Path) -> None:
    async def story(store: Store, box: Outbox, wall: Wall) -> None:
        await box.learn(["hub"], wall.at)
        await windows(store, "air", range(5))
        await made(store, wall)
        load = box.load("hub", 100)
        await box.taken("hub", load, "token-1")
        epoch = await box.back("hub", 2)
        assert box.load("hub", 100).epochs == (epoch, *load.epochs)
        assert box.account("hub").cursor == 2
        await box.taken("hub", load, "token-2")
        assert (box.account("hub").cursor, box.load("hub", 1).token) == (2, "token-1")
        for _ in range(20):
            await box.back("hub", HIGHEST)
        assert (len(box.load("hub", 1).epochs), box.account("hub").cursor) == (16, 2)

    told(tmp_path, story)


def test_an_uplink_that_is_not_in_the_config_any_more_is_forgotten(tmp_path: Path) -> None:
    async def story(store: Store, box: Outbox, wall: Wall) -> None:
        await box.learn(["hub", "old"], wall.at)
        await windows(store, "air", range(5))
        await made(store, wall)
        await box.learn(["hub"], wall.at)
        (line,) = Journal(store).newest(1)
        assert (line.kind, line.subject) == ("uplink forgotten", "old")
        await box.learn(["hub", "old"], wall.at)
        assert box.account("old").waiting == 0
        assert box.account("hub").waiting > 0

    told(tmp_path, story)


def test_a_sensor_that_is_renamed_goes_by_its_new_name_and_one_that_is_deleted_not_at_all(tmp_path: Path) -> None:
    async def story(store: Store, box: Outbox, wall: Wall) -> None:
        await box.learn(["hub"], wall.at)
        for sensor in ("air", "soil"):
            await windows(store, sensor, range(2))
        await made(store, wall)
        await renaming.rename(store, "air", "attic")
        await renaming.delete(store, "soil")
        assert {each.sensor for each in box.load("hub", 100).items} == {"attic"}

    told(tmp_path, story)


def test_the_queue_is_read_by_its_index(tmp_path: Path) -> None:
    with opened(tmp_path, Wall()) as store, store.read() as connection:
        for query, index in ((outbox._ROWS, "summaries_by_number"), (outbox._PACKS, "packs_by_number")):
            plan = [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", (0, 1))]
            assert any(f"USING INDEX {index}" in str(step) for step in plan)
            assert not any("TEMP B-TREE" in str(step) for step in plan)


def test_what_the_hub_has_lost_comes_again_also_out_of_packs_and_the_last_revision_last(tmp_path: Path) -> None:
    async def story(store: Store, box: Outbox, wall: Wall) -> None:
        await box.learn(["hub"], wall.at)
        await windows(store, "air", range(400))
        await made(store, wall)
        await box.taken("hub", box.load("hub", 10_000))
        assert await store.pack() > 0
        await windows(store, "air", range(5), 30.0)  # corrected: rows beside the pack
        await made(store, wall)
        await box.back("hub", 0)
        assert box.account("hub").waiting > 400
        hub, load = Hub(), box.load("hub", 3)
        while load.items:
            hub.take(load.items)
            await box.taken("hub", load)
            load = box.load("hub", 3)
        now = stored(store, "air")
        assert {window: each for window, each in hub.has.items() if not each.is_empty} == {
            window: each for window, each in now.items() if window.width == FIVE_MINUTES
        }

    told(tmp_path, story)
