"""What uplinks have not had is kept for them, as long as there is room; then hours take its place, and all is told."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from outstation.core.readings import Millis
from outstation.core.retention import Limits, Now, What
from outstation.core.windows import DAY, FIVE_MINUTES, HOUR, Tier
from outstation.store import backup, file, unsent
from outstation.store.database import Store
from outstation.store.journal import Journal
from outstation.store.outbox import Outbox
from outstation.store.retention import Retention
from tests.store.given import in_store, sent
from tests.store.stocked import NEW_YEAR, sealed, summarised
from tests.store.test_outbox import named, told, windows
from tests.store.test_tiers import Wall, made

NOW = Now(NEW_YEAR + 200 * DAY, trusted=True)
DAYS = [NEW_YEAR + day * DAY for day in range(30)]


async def add(store: Store) -> None:
    """Give a sensor an hour of summaries on each of some days, as five minutes and as an hour."""
    await summarised(store, "air", DAYS)
    await store.write(lambda connection: connection.execute(_HOURS, (Tier.HOUR, HOUR)).fetchall())


_HOURS = """
INSERT INTO summaries (sensor, tier, start, width, number, body)
SELECT sensor, ?, start, ?, number, body FROM summaries WHERE start % 86400000 = 0
"""


def held(store: Store) -> tuple[int, int]:
    """Return how many summaries of five minutes and of hours there are."""
    with store.read() as connection:
        counts = "SELECT count(*) FILTER (WHERE tier = 1), count(*) FILTER (WHERE tier = 2) FROM summaries"
        return tuple(connection.execute(counts).fetchall()[0])  # type: ignore[return-value]


async def shrink(store: Store, what: What, times: int) -> None:
    """Make room, so many times."""
    retention = Retention(store)
    for _ in range(times):
        await retention._delete_summaries(retention.look(lambda seen: seen.summaries_for_room(what)))


def test_where_there_is_no_room_hours_go_in_the_place_of_five_minutes_that_went_unsent(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        box = Outbox(store)
        await box.learn(["hub", "cloud"], NOW.at)
        await add(store)
        load = box.load("cloud", 10_000)
        await box.taken("cloud", load)
        await shrink(store, What.FIVE_MINUTES, 1)
        assert held(store) == (360, 30)
        await shrink(store, What.UNSENT_FIVE_MINUTES, 10)
        assert held(store) == (240, 30)
        load = box.load("hub", 10_000)
        assert [each.summary.start for each in load.instead] == DAYS[:10]
        assert {each.summary.width for each in load.instead} == {HOUR}
        assert (len(load.items), load.items[0].summary.start) == (240, DAYS[10])
        account = box.account("hub")
        assert (account.lost, account.waiting) == (120, 250)
        assert box.account("cloud").lost == 0
        lines = [line for line in Journal(store).newest(100) if line.kind == "uplink skipped"]
        assert {line.subject for line in lines} == {"hub"}
        assert len(lines) == 10
        assert lines[0].text == (
            "There was no room for 12 summaries that it had not had, 2025-01-01T00:00:00.000Z to "
            "2025-01-01T00:55:00.000Z: their hours are sent."
        )
        await box.taken("hub", load)
        assert box.account("hub").waiting == 0

    in_store(tmp_path, story)


def test_hours_that_wait_go_last_and_not_in_silence(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        box = Outbox(store)
        await box.learn(["hub"], NOW.at)
        await add(store)
        await shrink(store, What.UNSENT_FIVE_MINUTES, 40)
        await box.taken("hub", box.load("hub", 100), instead=[])  # the cursor has passed them, these still wait
        await shrink(store, What.HOURS, 10)
        assert len(box.load("hub", 100).instead) == 29
        await shrink(store, What.UNSENT_HOURS, 1)
        assert held(store) == (12, 23)
        assert len(box.load("hub", 100).instead) == 22
        assert "summaries of hours that it had not had" in Journal(store).newest(1)[0].text

    in_store(tmp_path, story)


def test_nothing_goes_by_age_and_no_hour_before_five_minutes_while_an_uplink_waits(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        box, retention = Outbox(store), Retention(store)
        await box.learn(["hub"], NOW.at)
        await add(store)
        await sealed(store, "air", [(day, 100) for day in DAYS])
        await retention.by_age(Limits(1 << 40, keep=DAY, keep_5m=DAY), NOW, asked=True)
        assert (held(store), store.stats().readings) == ((360, 30), 3_000)
        load = box.load("hub", 60)
        await box.taken("hub", load)
        await retention.by_age(Limits(1 << 40, keep=DAY, keep_5m=DAY), NOW, asked=True)
        assert (held(store), store.stats().readings) == ((300, 30), 2_500)
        await box.taken("hub", box.load("hub", 10_000))
        await retention.by_age(Limits(1 << 40, keep=DAY, keep_5m=DAY), NOW, asked=True)
        assert (held(store), store.stats().readings) == ((12, 30), 0)

    in_store(tmp_path, story)


def test_what_an_uplink_has_not_had_is_not_packed(tmp_path: Path) -> None:
    async def story(store: Store, box: Outbox, wall: Wall) -> None:
        await box.learn(["hub"], wall.at)
        await windows(store, "air", range(600))
        await made(store, wall)
        await store.pack()
        assert packed(store) == {2}
        load = box.load("hub", 400)
        assert len(load.items) == 400  # each has its own number
        await box.taken("hub", box.load("hub", 10_000))
        await store.pack()
        assert packed(store) == {1, 2}

    def packed(store: Store) -> set[int]:
        with store.read() as connection:
            return {tier for (tier,) in connection.execute("SELECT tier FROM packs")}

    told(tmp_path, story)


def test_a_file_that_was_restored_has_a_new_epoch_and_knows_the_old_one(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "backup.db"
    data.mkdir()

    async def story(store: Store, box: Outbox, wall: Wall) -> tuple[str, ...]:
        await box.learn(["hub"], wall.at)
        await windows(store, "air", range(3))
        await made(store, wall)
        await box.taken("hub", load := box.load("hub", 100), "token-1")
        return load.epochs

    before = told(data, story)
    backup.back_up_stopped(data, copy)

    async def goes_on(store: Store, box: Outbox, wall: Wall) -> int:
        assert box.load("hub", 1).epochs == before
        await windows(store, "air", range(3, 9))
        await made(store, wall)
        await box.taken("hub", box.load("hub", 100), "token-2")
        return box.account("hub").cursor

    cursor = told(data, goes_on)
    backup.restore(copy, data)

    async def restored(store: Store, box: Outbox, wall: Wall) -> None:
        load = box.load("hub", 100)
        assert (load.epochs[1:], load.token) == (before, "token-1")
        assert load.after < cursor

    told(data, restored)
    assert {one.name for one in data.iterdir() if one.name.startswith(".")} == set()


@pytest.mark.parametrize("readable", [True, False])
def test_a_fresh_file_in_the_place_of_a_damaged_one_begins_anew(tmp_path: Path, *, readable: bool) -> None:
    async def story(store: Store, box: Outbox, wall: Wall) -> tuple[str, ...]:
        await box.learn(["hub"], wall.at)
        await windows(store, "air", range(3))
        await made(store, wall)
        await box.taken("hub", load := box.load("hub", 100), "token-1", traffic="{}")
        assert box.account("hub").cursor > 0
        return load.epochs

    async def after(store: Store, box: Outbox, wall: Wall) -> None:
        assert store.damaged
        load, account = box.load("hub", 100), box.account("hub")
        assert not set(load.epochs) & set(before)
        assert (load.token, account.traffic) == (("token-1", "{}") if readable else ("", ""))
        await windows(store, "air", range(2))
        await made(store, wall)
        load = box.load("hub", 100)
        assert [each for each in named(load.items) if each[2]] == [("air", 0, 20.0), ("air", 1, 21.0)]
        await box.taken("hub", load)
        assert box.account("hub").waiting == 0

    before = told(tmp_path, story)
    path = tmp_path / file.NAME
    content = bytearray(path.read_bytes())
    if readable:
        with apsw.Connection(str(path)) as connection:
            page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'log'").get
        content[(page - 1) * file.PAGE_SIZE : (page - 1) * file.PAGE_SIZE + 8] = b"\xff" * 8
    else:
        content[:] = content[:100] + b"\xff" * (len(content) - 100)
    path.write_bytes(content)
    told(tmp_path, after)


def test_who_waits_for_nothing_holds_nothing_up(tmp_path: Path) -> None:
    async def story(store: Store, box: Outbox, wall: Wall) -> None:
        assert asked(store) is None
        await box.learn(["hub", "cloud"], wall.at)
        assert asked(store) is None
        await store.record([sent("air", at * FIVE_MINUTES, 1.5, arrived=DAY) for at in range(9)])
        await made(store, wall)
        await box.taken("hub", box.load("hub", 100))
        assert asked(store) == 0
        await box.taken("cloud", box.load("cloud", 100))
        assert asked(store) is None

    def asked(store: Store) -> Millis | None:
        with store.read() as connection:
            return unsent.heard_by_all(connection)

    told(tmp_path, story)
