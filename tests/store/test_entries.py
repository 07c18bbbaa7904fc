"""Stories of entries: numbered, kept to the letter, on disk with their readings or not at all, sealed unseen."""

from __future__ import annotations

import asyncio
import tempfile
from functools import partial
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outstation.clock import Trust
from outstation.core.readings import Reading
from outstation.errors import RefusedError, StoreError
from outstation.store import entry_blocks
from outstation.store.database import Boot, Store
from outstation.store.entries import Entries, Entry
from outstation.store.history import History
from tests.store.given import BOOT, DAY, MORNING, in_store, own


def entry(
    first: str | None, at: int, channel: int = 1, *, stamped: bool = False, second: str | None = None, number: int = 0
) -> Entry:
    fields = first, second, *[None] * 6
    return Entry(channel, MORNING + at, fields, number=number, sender_stamped=stamped)


def firsts(found: list[Entry]) -> list[str | None]:
    return [one.fields[0] for one in found]


def test_entries_are_counted_by_channel_and_come_back_to_the_letter(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        entries = Entries(store)
        assert await entries.enter([entry("72.30", 0), entry("72.31", 1)], [own("porch/t", 0, 72.3)]) == [1, 2]
        assert await entries.enter([entry("-", 1, channel=2)], []) == [1]
        assert firsts(entries.of_channel(1)) == ["72.30", "72.31"]
        assert entries.last(1) == entries.numbered(1, 2)
        assert (entries.last_number(1), entries.last_number(3)) == (2, 0)
        assert (entries.last(3), entries.numbered(1, 9), entries.last_of_field(1, 2)) == (None, None, None)
        assert store.stats().readings == 1

    in_store(tmp_path, story)

    async def later(store: Store) -> None:
        assert await Entries(store).enter([entry("72.32", 5)], []) == [3]

    in_store(tmp_path, later)


def test_all_that_one_says_comes_back(tmp_path: Path) -> None:
    whole = Entry(7, MORNING, tuple("abcdefgh"), "fine", "51.5", "-0.10", "12")

    async def story(store: Store) -> None:
        entries = Entries(store)
        await entries.enter([whole], [])
        for _ in range(2):
            assert entries.last(7) == msgspec.structs.replace(whole, number=1)
            await entries.seal()

    in_store(tmp_path, story)


def test_one_whose_time_the_board_gave_is_the_same_when_it_comes_again(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        entries = Entries(store)
        batch = [entry("1", 1000, stamped=True), entry("2", 2000, stamped=True)]
        assert await entries.enter(batch, []) == [1, 2]
        assert await entries.enter(batch, []) == [1, 2]
        await entries.seal()
        assert await entries.enter([*batch, entry("3", 3000, stamped=True)], []) == [1, 2, 3]
        assert await entries.enter([entry(None, 1000, stamped=True, second="dry")], []) == [1]
        assert await entries.enter([entry("0", 500, stamped=True), entry("0", 500, stamped=True)], []) == [4, 4]
        assert firsts(entries.of_channel(1)) == ["0", "1", "2", "3"]
        assert entries.last_of_field(1, 2) == entries.numbered(1, 1)
        assert await entries.enter([entry("4", 3000)], []) == [5]  # this node's own time tells nothing apart

    in_store(tmp_path, story)


def test_an_entry_that_cannot_be_stored_takes_its_readings_with_it(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        entries = Entries(store)
        with pytest.raises(RefusedError):
            entries.enter([entry("\ud800", 0)], [own("porch/t", 0)])
        await store.write(lambda connection: connection.execute("ALTER TABLE entry_log RENAME TO away").get)
        with pytest.raises(StoreError):
            await entries.enter([entry("1", 0)], [own("porch/t", 0)])
        with store.read() as connection:
            assert connection.execute("SELECT count(*) FROM log").get == 0

    in_store(tmp_path, story)


def test_what_could_not_be_stored_took_no_number(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        entries = Entries(store)
        assert await entries.enter([entry("1", 0)], []) == [1]
        await store.write(lambda connection: connection.execute("CREATE TRIGGER full BEFORE INSERT ON entry_log " + NO))
        with pytest.raises(StoreError):
            await entries.enter([entry("2", 1)], [])
        assert firsts([last] if (last := entries.last(1)) else []) == ["1"]
        await asyncio.sleep(1.1)  # then the file is opened again
        await store.write(lambda connection: connection.execute("DROP TRIGGER full"))
        assert await entries.enter([entry("3", 2)], []) == [2]

    in_store(tmp_path, story)


def test_the_last_entry_is_there_while_others_are_on_their_way(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        entries = Entries(store)
        await entries.enter([entry("0", 0)], [])
        for number in range(1, 200):
            coming = entries.enter([entry(str(number), number)], [])
            while not coming.done():
                assert await asyncio.to_thread(entries.last, 1)

    in_store(tmp_path, story)


NO = "BEGIN SELECT raise(ABORT, 'no'); END"


def test_a_number_is_not_given_twice_where_the_data_file_is_lost(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        entries = Entries(store)
        assert await entries.enter([entry("1", 0), entry("2", 1)], []) == [1, 2]
        store.path.unlink()
        assert await entries.enter([entry("3", 2)], []) == [3]

    in_store(tmp_path, story)


def test_an_export_brings_its_numbers_along(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        entries = Entries(store)
        brought = [entry("a", 0, stamped=True, number=17), entry("b", 1, stamped=True, number=19)]
        assert await entries.enter(brought, []) == [17, 19]
        assert await entries.enter(brought, []) == [17, 19]
        assert await entries.enter([entry("c", 2)], []) == [20]
        late = [entry("x", -2, stamped=True, number=17), entry("y", -1, stamped=True, number=18)]
        assert await entries.enter(late, []) == [21, 22]  # this channel has given those already
        alike = [entry("p", 3, stamped=True, number=30), entry("q", 3, stamped=True, number=31)]
        for _ in range(2):
            assert await entries.enter(alike, []) == [30, 31]
            await entries.seal()
        assert firsts(entries.of_channel(1)) == ["x", "y", "a", "b", "c", "p", "q"]

    in_store(tmp_path, story)


def test_a_full_log_is_sealed_by_itself_and_the_next_start_goes_on(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        entries = Entries(store, seal_from=50)
        for start in range(0, 1200, 100):
            several = range(start, start + 100)
            await entries.enter([entry(str(number), number, channel=number % 3) for number in several], [])
        async with asyncio.timeout(5):
            while in_log(store) >= 12:
                await entries.enter([], [])
        assert firsts(entries.of_channel(1, limit=2)) == ["1195", "1198"]

    in_store(tmp_path, story)

    async def later(store: Store) -> None:
        entries = Entries(store)
        assert await entries.enter([entry("x", 5000)], []) == [401]
        assert len(entries.of_channel(1)) == 401

    in_store(tmp_path, later)


def test_entries_of_a_clock_that_is_set_later_move_with_their_readings(tmp_path: Path) -> None:
    def ours(text: str, now: int, seen: Boot) -> tuple[Entry, Reading]:
        at = seen.offset + now
        fields = text, *[None] * 7
        return Entry(1, at, fields, offset=seen.offset), Reading("porch/t", float(text), at, now, at)

    unset = msgspec.structs.replace(BOOT, offset=MORNING - 9 * DAY, trust=Trust.UNSET)

    async def story(store: Store) -> None:
        entries = Entries(store)
        for now in (1000, 2000):  # the first is sealed when the clock is set, the second is not
            one, reading = ours(f"{now}", now, unset)
            assert await entries.enter([one], [reading]) == [now // 1000]
            if now == 1000:
                await entries.seal()
        given = Entry(1, MORNING - 9 * DAY + 1000, ("7", *[None] * 7), sender_stamped=True)
        assert await entries.enter([given], []) == [3]  # the time of a board is no time of ours
        waited, reading = ours("3000", 3000, unset)
        await store.set_boot(BOOT)
        assert await entries.enter([waited], [reading]) == [4]
        for _ in range(2):
            found = [(one.number, one.at - MORNING) for one in entries.of_channel(1)]
            assert found == [(3, 1000 - 9 * DAY), (1, 1000), (2, 2000), (4, 3000)]
            await entries.seal()
        span = entries.of_channel(1, start=MORNING, end=MORNING + 1500)
        assert [one.number for one in span] == [1]
        assert await entries.enter([given], []) == [3]
        readings = History(store).of_sensor("porch/t").rows
        assert sorted(reading.at - MORNING for reading in readings) == [1000, 2000, 3000]

    in_store(tmp_path, story, unset)


def test_sealing_begins_anew_when_the_clock_is_set_meanwhile(tmp_path: Path) -> None:
    unset = msgspec.structs.replace(BOOT, offset=MORNING - DAY, trust=Trust.UNSET)

    async def story(store: Store) -> None:
        entries = Entries(store)
        await entries.enter([Entry(1, MORNING - DAY, ("1", *[None] * 7), offset=unset.offset)], [])
        sealing = asyncio.create_task(entries.seal())
        await asyncio.sleep(0)  # it looks at the log, in a thread
        await store.set_boot(BOOT)
        await sealing
        await entries.seal()
        assert [one.at for one in entries.of_channel(1)] == [MORNING]

    in_store(tmp_path, story, unset)


def test_entries_of_a_clock_that_was_never_set_do_not_go_by_age(tmp_path: Path) -> None:
    unset = msgspec.structs.replace(BOOT, offset=0, trust=Trust.UNSET)

    async def story(store: Store) -> None:
        entries = Entries(store)
        await entries.enter([Entry(1, 5, ("1", *[None] * 7), offset=0), entry("2", 0)], [])
        await entries.seal()
        await store.write(partial(entry_blocks.age, before=MORNING + DAY, asked=True))
        assert firsts(entries.of_channel(1)) == ["1"]

    in_store(tmp_path, story, unset)


def test_none_is_none(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        entries = Entries(store)
        await entries.enter([entry("1", 0)], [])
        assert entries.of_channel(1, limit=0) == []

    in_store(tmp_path, story)


def test_the_newest_of_blocks_that_overlap_are_the_newest(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        entries = Entries(store)
        for times in ((10, 20), (0, 30)):
            await entries.enter([entry(str(at), at) for at in times], [])
            await entries.seal()
        assert firsts(entries.of_channel(1, limit=2)) == ["20", "30"]

    in_store(tmp_path, story)


def test_blocks_become_one_in_the_order_of_time(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        entries = Entries(store)
        for times in ([20], [10, 30], [15, 17], *([at, at + 1] for at in range(40, 60, 2))):
            await entries.enter([entry(str(at), at) for at in times], [])
            await entries.seal()
        all_times = [10, 15, 17, 20, 30, *range(40, 60)]
        assert firsts(entries.of_channel(1)) == [str(at) for at in all_times]
        for at in all_times:
            assert firsts(entries.of_channel(1, start=MORNING + at, end=MORNING + at + 1)) == [str(at)]
        with store.read() as connection:
            assert connection.execute("SELECT count(*) FROM entry_blocks").get < 8

    in_store(tmp_path, story)


def test_what_is_added_to_an_entry_goes_into_the_block_that_has_it_where_two_may(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        entries = Entries(store)
        fillers = range(21, 18 + entry_blocks.MOST)
        for times in ([5000, 5003], [20, 6000], [*fillers, 5001, 5002]):  # the last fill the second block: it is two
            await entries.enter([entry(str(at), at, stamped=True) for at in times], [])
            await entries.seal()
        (number,) = await entries.enter([entry("ours", 5001)], [])  # by now the block of 5000 to 5003 ends later
        await entries.seal()
        assert await entries.enter([entry(None, 5001, stamped=True, second="x", number=number - 2)], []) == [number - 2]
        for _ in range(2):
            found = entries.of_channel(1, start=MORNING + 5001, end=MORNING + 5002)
            assert [(one.number, one.fields[:2]) for one in found] == [
                (number - 2, ("5001", "x")),
                (number, ("ours", None)),
            ]
            await entries.seal()

    in_store(tmp_path, story)


def in_log(store: Store) -> int:
    with store.read() as connection:
        return int(connection.execute("SELECT count(*) FROM entry_log").get)


@pytest.mark.parametrize("body", [b"\x93\x01\x02\x03", b"\x91\x94\x01\x02\x03\x81\x00\xa1\xff", b"\x78\x9c", b""])
def test_a_damaged_row_of_the_log_costs_that_row_alone(tmp_path: Path, body: bytes) -> None:
    async def story(store: Store) -> None:
        entries = Entries(store)
        for number in range(3):
            await entries.enter([entry(str(number), number)], [own("porch/t", number)])
        spoil = "UPDATE entry_log SET body = ? WHERE id = 2"
        await store.write(lambda connection: connection.execute(spoil, (body,)).get)
        assert firsts(Entries(store).of_channel(1)) == ["0", "2"]
        assert await entries.enter([entry("3", 3)], []) == [4]
        await store.flush()
        assert store.lost == ("A part of the history was damaged, and is left out: what some boards wrote at a time.")
        await entries.seal()
        assert firsts(entries.of_channel(1)) == ["0", "2", "3"]
        assert (store.stats().damaged, store.stats().readings) == ("", 3)

    in_store(tmp_path, story)


@pytest.mark.parametrize("is_sealed_first", [False, True])
def test_a_damaged_block_is_left_out_and_said_and_kept_aside(tmp_path: Path, *, is_sealed_first: bool) -> None:
    async def story(store: Store) -> None:
        entries = Entries(store)
        await entries.enter([entry("1", 0)], [])
        await entries.seal()
        await store.write(lambda connection: connection.execute("UPDATE entry_blocks SET body = x'00'").get)
        await entries.enter([entry("2", 1), entry("late", 0)], [])
        if is_sealed_first:  # into that block, were it sound
            await entries.seal()
        assert firsts(entries.of_channel(1)) == ["late", "2"]
        await entries.seal()
        await store.flush()  # the commit behind the one that found it moves it
        assert "1 entries of channel 1, " in store.lost
        assert firsts(entries.of_channel(1)) == ["late", "2"]
        with store.read() as connection:
            assert connection.execute("SELECT source, body FROM damaged").fetchall() == [("entry_blocks", b"\0")]
        assert store.stats().readings == 0

    in_store(tmp_path, story)


Steps = st.lists(
    st.one_of(
        st.just("seal"),
        st.lists(
            st.tuples(st.integers(0, 40), st.booleans(), st.sampled_from([None, "7.0"]), st.sampled_from([None, "x"])),
            min_size=1,
            max_size=6,
        ),
    ),
    max_size=12,
)


@settings(max_examples=12, deadline=None)
@given(Steps)
def test_what_is_sealed_answers_as_what_is_not(
    steps: list[str | list[tuple[int, bool, str | None, str | None]]],
) -> None:
    async def story(store: Store) -> None:
        entries = Entries(store, seal_from=1 << 60)
        known: dict[int, Entry] = {}
        for step in steps:
            if isinstance(step, str):
                await entries.seal()
                continue
            batch = [entry(first, at, stamped=stamped, second=second) for at, stamped, first, second in step]
            for one, number in zip(batch, await entries.enter(batch, []), strict=True):
                before = known[number].fields if number in known else one.fields
                fields = tuple(new or old for new, old in zip(one.fields, before, strict=True))
                known[number] = Entry(1, one.at, fields, number=number)
        ordered = sorted(known.values(), key=lambda one: (one.at, one.number))
        assert entries.of_channel(1) == ordered
        assert entries.of_channel(1, limit=3) == ordered[-3:]
        span = [one for one in ordered if MORNING + 10 <= one.at < MORNING + 30]
        assert entries.of_channel(1, start=MORNING + 10, end=MORNING + 30, limit=5) == span[-5:]
        assert entries.last(1) == known.get(len(known))
        with_text = [number for number, one in known.items() if one.fields[1]]
        assert entries.last_of_field(1, 2) == (known[max(with_text)] if with_text else None)

    with tempfile.TemporaryDirectory() as folder:
        in_store(Path(folder), story)
