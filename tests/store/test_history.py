"""The questions, held against a plain list that knows the same readings."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outstation.clock import Trust
from outstation.core.readings import Millis, Quality, Reading, Value
from outstation.errors import RefusedError
from outstation.store import chunks, log, pages
from outstation.store.database import Boot, Recorded, Store
from outstation.store.history import History, Instant
from outstation.store.rows import Columns, unpack
from tests.store.given import MORNING, in_store, own, sent

STEP: Millis = 40_000
"""Times of the model are multiples of this, so that many fall together and some gaps are worth remembering."""


def test_the_newest_are_given_oldest_first_and_the_token_leads_on(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await store.record([own("a", number, number) for number in range(10)])
        history = History(store)
        page = history.of_sensor("a", limit=4)
        assert [reading.value for reading in page.rows] == [6, 7, 8, 9]
        page = history.of_sensor("a", limit=4, cursor=page.next)
        assert [reading.value for reading in page.rows] == [2, 3, 4, 5]
        page = history.of_sensor("a", limit=4, cursor=page.next)
        assert [reading.value for reading in page.rows] == [0, 1]
        assert page.next is None

    in_store(tmp_path, story)


def test_start_is_included_and_end_is_not(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await store.record([own("a", number, number) for number in range(10)])
        history = History(store)
        rows = history.of_sensor("a", start=MORNING + 3, end=MORNING + 6).rows
        assert [reading.value for reading in rows] == [3, 4, 5]
        instants = history.instants(start=MORNING + 3, end=MORNING + 6).rows
        assert instants == [(MORNING + number, {"a": number}) for number in (3, 4, 5)]

    in_store(tmp_path, story)


def test_an_instant_is_one_moment_of_all_sensors(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await store.record([own("a", 1, 1), own("b", 1, True), own("a", 2, 2), own("b", 3, None), own("b", 2, "x")])
        history = History(store)
        assert history.instants().rows == [(MORNING + 1, {"a": 1, "b": True}), (MORNING + 2, {"a": 2, "b": "x"})]
        page = history.instants(limit=1)
        assert page.rows == [(MORNING + 2, {"a": 2, "b": "x"})]
        assert history.instants(limit=1, cursor=page.next).rows == [(MORNING + 1, {"a": 1, "b": True})]

    in_store(tmp_path, story)


def test_a_page_of_a_big_hub_is_cut_short_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "CELLS_AT_MOST", 100)

    async def story(store: Store) -> None:
        await store.record([own(f"s{sensor}", at, at) for at in range(20) for sensor in range(30)])
        history = History(store)
        page, walked = history.instants(limit=15), 0
        assert len(page.rows) == 3
        while page.next:
            walked += len(page.rows)
            page = history.instants(limit=15, cursor=page.next)
        assert walked + len(page.rows) == 20

    in_store(tmp_path, story)


def test_nobody_is_asked_about_an_unknown_sensor(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        history = History(store)
        assert history.of_sensor("nobody").rows == []
        assert history.instants().rows == []
        assert history.latest() == {}
        assert history.count() == 0

    in_store(tmp_path, story)


@pytest.mark.parametrize("cursor", ["", "x", "é", "A" * 5_000, "AAAAAAAAAAAA", "-_-_", "\ud800", "====", "a b"])
def test_a_cursor_that_is_not_ours_is_refused(tmp_path: Path, cursor: str) -> None:
    async def story(store: Store) -> None:
        await store.record([own("a", 1), own("a", 2)])
        history = History(store)
        for ask in (lambda text: history.of_sensor("a", cursor=text), lambda text: history.instants(cursor=text)):
            with pytest.raises(RefusedError, match="cursor"):
                ask(cursor)

    in_store(tmp_path, story)


def test_a_cursor_is_good_for_its_own_question_only(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await store.record([own("a", 1), own("a", 2)])
        history = History(store)
        cursor = history.of_sensor("a", limit=1).next
        assert cursor
        for text in (cursor[:-1], cursor + "A", cursor.swapcase(), cursor + "="):
            with pytest.raises(RefusedError):
                history.of_sensor("a", cursor=text)
        with pytest.raises(RefusedError):
            history.instants(cursor=cursor)

    in_store(tmp_path, story)


class Stored(NamedTuple):
    """A reading as the model keeps it: `time` is boot time for our own, UTC for a sender's."""

    boot: int
    time: Millis
    reading: Reading


class Model:
    """The store as a list: nothing is packed, indexed or skipped."""

    def __init__(self, boot: Boot) -> None:
        self.boots = [boot]
        self.stored: list[Stored] = []
        self.told: dict[tuple[str, Millis], bytes] = {}

    def set_boot(self, boot: Boot) -> None:
        last = self.boots[-1]
        if boot.kernel_id != last.kernel_id:
            self.boots.append(boot)
        elif last.trust is not Trust.SYNCHRONISED:
            self.boots[-1] = Boot(last.kernel_id, boot.offset, max(last.trust, boot.trust))
        elif abs(boot.offset - last.offset) > 1_000:
            self.boots.append(boot)

    def record(self, readings: list[Reading]) -> Recorded:
        verdicts = [self._take(reading) for reading in readings]
        return Recorded(verdicts.count("new"), verdicts.count("again"), verdicts.count("other"))

    def _take(self, reading: Reading) -> str:
        boot, offset = len(self.boots) - 1, self.boots[-1].offset
        if not reading.sender_stamped:
            self.stored.append(Stored(boot, reading.at - offset, reading))
            return "new"
        key, value = (reading.sensor, reading.at), msgspec.msgpack.encode(reading.value)
        before, self.told[key] = self.told.get(key), value
        if before == value:
            return "again"
        self.stored.append(Stored(boot, reading.at, reading))
        return "new" if before is None else "other"

    def shown(self) -> list[tuple[Millis, Reading]]:
        """Every reading with its time as known now, in order: of one millisecond the sender's last word comes first."""
        last = {(one.reading.sensor, one.time): one.reading for one in self.stored if one.reading.sender_stamped}
        rows: list[tuple[Millis, Reading]] = []
        for one in self.stored:
            if not one.reading.sender_stamped:
                rows.append((one.time + self.boots[one.boot].offset, one.reading))
            elif (value := last.pop((one.reading.sensor, one.time), None)) is not None:
                rows.append((one.time, value))
        return sorted(rows, key=lambda row: (row[0], not row[1].sender_stamped))

    def of_sensor(self, name: str, start: Millis, end: Millis) -> list[tuple[Millis, Value | None, Quality]]:
        return [
            (at, reading.value, reading.quality)
            for at, reading in self.shown()
            if reading.sensor == name and start <= at < end
        ]

    def instants(self, start: Millis, end: Millis) -> list[Instant]:
        found: dict[Millis, dict[str, Value | None]] = {}
        for one in sorted(self.stored, key=lambda one: not one.reading.sender_stamped):  # the last word counts
            at = one.time if one.reading.sender_stamped else one.time + self.boots[one.boot].offset
            if start <= at < end and (one.reading.value is not None or one.reading.sender_stamped):
                found.setdefault(at, {})[one.reading.sensor] = one.reading.value
        rows = [(at, {name: value for name, value in found[at].items() if value is not None}) for at in sorted(found)]
        return [row for row in rows if row[1]]

    def latest(self) -> dict[str, tuple[Millis, Value | None]]:
        """Of our own the last measured, whatever its clock said; of the senders' the newest; the newer of the two."""
        latest: dict[str, tuple[Millis, Value | None]] = {}
        for name in {one.reading.sensor for one in self.stored}:
            mine = [one for one in self.stored if one.reading.sensor == name and not one.reading.sender_stamped]
            theirs = [one for one in self.stored if one.reading.sensor == name and one.reading.sender_stamped]
            best: list[tuple[Millis, Value | None]] = []
            if mine:
                newest = max(enumerate(mine), key=lambda one: (one[1].boot, one[1].time, one[0]))[1]
                best.append((newest.time + self.boots[newest.boot].offset, newest.reading.value))
            if theirs:
                newest = max(enumerate(theirs), key=lambda one: (one[1].time, one[0]))[1]
                best.append((newest.time, newest.reading.value))
            latest[name] = max(best, key=lambda one: one[0])
        return latest


TIMES = st.integers(0, 30).map(lambda step: step * STEP)
VALUES = st.sampled_from([1, 1.0, True, "1", None, 2, 3, 4])
RAW = st.tuples(st.sampled_from("abc"), TIMES, VALUES, st.booleans(), st.sampled_from(Quality))
BATCHES = st.lists(RAW, min_size=1, max_size=8)
OFFSETS = st.integers(0, 20).map(lambda step: step * STEP)
BOOTS = st.builds(Boot, st.sampled_from(["k1", "k2", "k3"]), OFFSETS, st.sampled_from(Trust))
DEEDS = st.lists(st.one_of(BATCHES, BATCHES, BATCHES, BOOTS, st.just("restart")), max_size=25)
SPANS = st.tuples(TIMES, TIMES, st.integers(1, 7))


def readings_of(raw: list[tuple[str, Millis, Value | None, bool, Quality]], offset: Millis) -> list[Reading]:
    return [
        Reading(name, value, at, at - offset, at, quality, sender_stamped=is_sent)
        for name, at, value, is_sent, quality in raw
    ]


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every border come up in a story of some dozen readings."""
    monkeypatch.setattr(chunks, "CHUNK_READINGS", 9)
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 3)
    monkeypatch.setattr(log, "NEWEST_EVERY", 15)


Deed = list[tuple[str, Millis, Value | None, bool, Quality]] | Boot | str


@pytest.mark.usefixtures("small_chunks")
@settings(max_examples=150, deadline=None)
@given(first=BOOTS, deeds=DEEDS, spans=st.lists(SPANS, min_size=1, max_size=4))
def test_every_answer_is_that_of_a_plain_list(
    first: Boot, deeds: list[Deed], spans: list[tuple[int, int, int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(live_through(Path(folder), first, deeds, spans))


async def live_through(folder: Path, boot: Boot, deeds: list[Deed], spans: list[tuple[int, int, int]]) -> None:
    model, store = Model(boot), Store(folder, boot=boot)
    try:
        for deed in deeds:
            if isinstance(deed, Boot):
                model.set_boot(deed)
                await store.set_boot(deed)
            elif isinstance(deed, str):
                store.close()
                store = Store(folder, boot=model.boots[-1])
            else:
                batch = readings_of(deed, model.boots[-1].offset)
                assert await store.record(batch) == model.record(batch)
        compare(History(store), model, spans)
        assert store.stats().readings == History(store).count()
    finally:
        store.close()


def compare(history: History, model: Model, spans: list[tuple[int, int, int]]) -> None:
    assert {name: (reading.at, reading.value) for name, reading in history.latest().items()} == model.latest()
    assert history.count() == len(model.shown())
    for start, end, limit in spans:
        for name in "abc":
            found = [row for page in series(history, name, start, end, limit) for row in page]
            assert repr(found) == repr(model.of_sensor(name, start, end))
        instants = [row for page in moments(history, start, end, limit) for row in page]
        assert distinct(instants) == distinct(model.instants(start, end))


def distinct(instants: list[Instant]) -> list[tuple[Millis, list[tuple[str, str]]]]:
    """Make 1, 1.0 and True three values, and the order of the names none of our business."""
    return [(at, sorted((name, repr(value)) for name, value in values.items())) for at, values in instants]


def series(
    history: History, name: str, start: Millis, end: Millis, limit: int
) -> Iterator[list[tuple[Millis, Value | None, Quality]]]:
    """Walk all pages; the newest comes first, so they are put in order from behind."""
    pages_found, cursor = [], None
    while True:
        page = history.of_sensor(name, start=start, end=end, limit=limit, cursor=cursor)
        assert len(page.rows) == limit or page.next is None
        pages_found.append([(row.at, row.value, row.quality) for row in page.rows])
        cursor = page.next
        if cursor is None:
            return reversed(pages_found)


def moments(history: History, start: Millis, end: Millis, limit: int) -> Iterator[list[Instant]]:
    pages_found, cursor = [], None
    while True:
        page = history.instants(start=start, end=end, limit=limit, cursor=cursor)
        assert len(page.rows) == limit or page.next is None
        pages_found.append(page.rows)
        cursor = page.next
        if cursor is None:
            return reversed(pages_found)


@pytest.mark.usefixtures("small_chunks")
@settings(max_examples=40, deadline=None)
@given(before=BATCHES, between=st.lists(BATCHES, max_size=8), limit=st.integers(1, 3))
def test_what_was_there_is_walked_once_while_more_arrives(
    before: list[tuple[str, Millis, Value | None, bool, Quality]],
    between: list[list[tuple[str, Millis, Value | None, bool, Quality]]],
    limit: int,
) -> None:
    """Late readings and corrections come in between the pages: nothing that was there repeats or hides."""
    boot = Boot("k1", 0, Trust.SYNCHRONISED)

    async def story(store: Store) -> None:
        history, model, arriving = History(store), Model(boot), iter(between)
        model.record(readings_of(before, 0))
        await store.record(readings_of(before, 0))
        walked: list[tuple[str, Millis]] = []
        for name in "abc":
            cursor, is_first = None, True
            while is_first or cursor:
                page = history.of_sensor(name, limit=limit, cursor=cursor)
                walked += [(name, row.at) for row in page.rows]
                cursor, is_first = page.next, False
                batch = next(arriving, [])
                await store.record([row for row in readings_of(batch, 0) if row.sensor == name])
        for key in {(reading.sensor, at) for at, reading in model.shown()}:
            there = sum((reading.sensor, at) == key for at, reading in model.shown())
            assert walked.count(key) >= there

    with tempfile.TemporaryDirectory() as folder:
        in_store(Path(folder), story, boot)


def test_a_correction_between_two_pages_hides_nothing(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        history = History(store)
        await store.record([sent("a", 5, "first"), own("a", 5, "own")])
        page = history.of_sensor("a", limit=1)
        assert [row.value for row in page.rows] == ["own"]
        await store.record([sent("a", 5, "corrected")])
        assert [row.value for row in history.of_sensor("a", limit=1, cursor=page.next).rows] == ["corrected"]

    in_store(tmp_path, story)


@pytest.mark.usefixtures("small_chunks")
def test_what_was_taken_back_is_no_instant_and_those_before_it_are(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        for number in range(4):
            await store.record([sent("a", number, number)])
        await store.record([sent("a", 3, None)])
        assert History(store).instants(limit=1).rows == [(MORNING + 2, {"a": 2})]

    in_store(tmp_path, story)


def test_an_earlier_boot_whose_clock_was_ahead_is_not_overlooked(tmp_path: Path) -> None:
    ahead = Boot("boot-0", MORNING + 1_000_000, Trust.SYNCHRONISED)

    async def story(store: Store) -> None:
        await store.record([Reading("a", "ahead", ahead.offset + now, now, ahead.offset + now) for now in range(3)])
        await store.set_boot(Boot("boot-1", MORNING, Trust.SYNCHRONISED))
        await store.record([own("a", now, "right") for now in range(9)])
        await store.record([own("a", now, "right") for now in range(100, 103)])
        history = History(store)
        assert [row.value for row in history.of_sensor("a", limit=1).rows] == ["ahead"]
        assert history.instants(limit=1).rows == [(ahead.offset + 2, {"a": "ahead"})]

    in_store(tmp_path, story, ahead)


def test_a_page_reads_the_last_chunks_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_READINGS", 100)
    read: list[bytes] = []

    def counting(body: bytes) -> Columns:
        read.append(body)
        return unpack(body)

    async def story(store: Store) -> None:
        for at in range(0, 10_000, 100):
            await store.record([own("a", at + step) for step in range(100)])
        await store.record([sent("b/x", 5_050)])
        monkeypatch.setattr(chunks, "unpack", counting)
        history = History(store)
        for ask, most in ((lambda: history.of_sensor("a"), 2), (history.instants, 2)):
            read.clear()
            ask()
            assert len(read) <= most
        read.clear()
        history.of_sensor("a", start=MORNING + 5_000, end=MORNING + 5_050)
        assert len(read) <= 2

    in_store(tmp_path, story)
