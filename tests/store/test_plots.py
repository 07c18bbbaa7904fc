"""Plots from a real file: the same from tiers as from readings, whatever waits to be made or was deleted."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import apsw
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outstation.core.plotting import Plan, columns, of_readings
from outstation.core.readings import Millis, Quality, Reading
from outstation.core.summaries import Said, Summary, encode, total
from outstation.core.summing import summarised
from outstation.core.windows import DAY, FIVE_MINUTES, HOUR, Offset, Piece, Tier, Window, parts, touched, window
from outstation.errors import RefusedError, StoreError
from outstation.store import plots, raw
from outstation.store.columns import Column
from outstation.store.database import Store
from outstation.store.plots import Asked, Plot, draw
from tests.core.test_summaries import alike, qualities
from tests.core.test_summaries import values as any_values
from tests.core.test_windows import offset_in, utc
from tests.store.given import BOOT, MORNING, own

T = TypeVar("T")

SECOND: Millis = 1_000
REACH: Millis = 30_000
BEGIN = utc("2026-03-27T21:00:00Z")
"""Two days before clocks are put forward in Berlin."""

_numbers = itertools.count(1)


class Node:
    """A store with sensors, and what its summaries would be."""

    def __init__(self, folder: Path, loop: asyncio.AbstractEventLoop) -> None:
        self.store = Store(folder, boot=BOOT, offset=offset_in("Europe/Berlin"), reach=lambda _: REACH)
        self._loop = loop

    def record(self, said: list[Said], name: str = "") -> str:
        """Store readings of a sensor, a new one without a name, in the order of their arrival; return its name."""
        name = name or f"board/s{next(_numbers)}"
        readings = [
            Reading(name, value, at, 0, BEGIN, Quality(quality), sender_stamped=True) for at, value, quality in said
        ]
        self.run(lambda: self.store.record(readings))
        return name

    def summarise(self, name: str, summaries: list[Summary], unmade: Iterable[Window] = ()) -> None:
        """Have these and no other summaries of a sensor, and these windows wait to be made anew."""

        def fill(connection: apsw.Connection) -> None:
            sensor = _id(connection, name)
            connection.execute("DELETE FROM summaries WHERE sensor = ?", (sensor,))
            connection.execute("DELETE FROM unmade WHERE sensor = ?", (sensor,))
            rows = [(sensor, one.window.tier, one.start, one.width, 1, encode(one)) for one in summaries]
            connection.executemany("INSERT INTO summaries VALUES (?, ?, ?, ?, ?, ?)", rows)
            connection.executemany(
                "INSERT OR IGNORE INTO unmade VALUES (?, ?, ?)", [(sensor, one.width, one.start) for one in unmade]
            )

        self.run(lambda: self.store.write(fill))

    def forget(self, name: str, tier: Tier, until: Millis) -> None:
        """Say that so much was deleted."""
        row = "INSERT OR REPLACE INTO forgotten SELECT id, ?, ? FROM sensors WHERE name = ?"
        self.run(
            lambda: self.store.write(lambda connection: connection.execute(row, (int(tier), until, name)).fetchall())
        )

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        async def main() -> T:
            return await work()

        return self._loop.run_until_complete(main())


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    loop = asyncio.new_event_loop()
    found = Node(tmp_path_factory.mktemp("data"), loop)
    with found.store:
        yield found
    loop.close()


def _id(connection: apsw.Connection, name: str) -> int:
    found: int = connection.execute("SELECT id FROM sensors WHERE name = ?", (name,)).get
    return found


def tiers(readings: list[Said], now: Millis, offset: Offset) -> list[Summary]:
    """Return all summaries of windows that are over, and not empty."""
    if not readings:
        return []
    first, made = window(Tier.DAY, readings[0][0], offset).start, list[Summary]()
    fives = [Window(at, FIVE_MINUTES) for at in range(first, now - FIVE_MINUTES + 1, FIVE_MINUTES)]
    heard = [one for one in readings if one[0] < fives[-1].end] if fives else []
    finer = [one for one in summarised(fives, heard, REACH) if not one.is_empty] if heard else []
    for tier in (Tier.HOUR, Tier.DAY):
        made += finer
        found = {window(tier, one.start, offset) for one in finer if one.window.tier == tier - 1}
        finer = [_of(each, made, offset) for each in sorted(found) if each.end <= now]
    return made + finer


def _of(each: Window, made: list[Summary], offset: Offset) -> Summary:
    inner = parts(each, offset)
    mine = [
        one for part in inner for one in made if one.window.tier is part.tier and part.start <= one.start < part.end
    ]
    return total(each, mine)


def from_readings(node: Node, name: str, plot: Plot, until: Millis) -> list[Summary]:
    """Return the same columns, drawn from the readings alone."""
    drawn = plot.sensors[name].columns
    edges = (*(one.start for one in drawn), drawn[-1].window.end)
    piece = Piece(Tier.RAW, edges[0], until)
    with node.store.read() as connection:
        sensor = _id(connection, name)
        said = raw.said(connection, sensor, edges[0], until)
        before = raw.last_before(connection, sensor, edges[0])
    whole = Plan(Tier.RAW, edges, (piece,))
    return columns(whole, of_readings(whole, piece, said, REACH, before) if until > edges[0] else ())


def plotted(
    node: Node,
    name: str,
    *,
    start: Millis = BEGIN,
    span: Millis,
    points: int = 800,
    every: Millis | None = None,
    now: Millis = BEGIN + 4 * DAY + 1,
    zone: str = "Europe/Berlin",
) -> Plot:
    return draw(node.store, Asked({name: REACH}, start, start + span, points, every, now, offset_in(zone)))


histories = st.lists(st.tuples(st.integers(0, 4 * DAY), any_values, qualities), min_size=1, max_size=40)
spans = st.integers(1, 3 * HOUR) | st.integers(HOUR, 5 * DAY)
widths = st.sampled_from([None, 7 * SECOND, 90 * SECOND, FIVE_MINUTES, 20 * 60 * SECOND, HOUR, 6 * HOUR, DAY, 2 * DAY])


@settings(max_examples=80, deadline=None)
@given(
    histories,
    st.lists(st.integers(0, 39), max_size=8),
    st.integers(-HOUR, 4 * DAY),
    spans,
    st.integers(1, 40),
    widths,
    st.sampled_from(["Europe/Berlin", "Asia/Kolkata"]),
    st.sampled_from([0, 10 * SECOND, HOUR, 2 * DAY]),
)
def test_a_plot_from_tiers_and_one_from_readings_are_the_same(
    node: Node,
    said: list[Said],
    late: list[int],
    start: Millis,
    span: Millis,
    points: int,
    every: Millis | None,
    zone: str,
    lag: Millis,
) -> None:
    """Some readings came late, so that their windows wait to be made anew; and the last windows were not made yet."""
    offset, now = offset_in(zone), BEGIN + 4 * DAY + 1
    stamps: dict[Millis, Said] = {BEGIN + at: (BEGIN + at, value, quality) for at, value, quality in said}
    readings = [stamps[at] for at in sorted(stamps)]
    behind = [one for number, one in enumerate(readings) if number in late]
    in_time = [one for one in readings if one not in behind]
    name = node.record([*in_time, *behind])
    unmade = [each for at, _, _ in behind for each in touched(at, at, REACH)]
    node.summarise(name, tiers(in_time, now - lag, offset), unmade)
    begin = BEGIN + start
    if every is not None and span // every > 2_000:
        span = 2_000 * every
    plot = plotted(node, name, start=begin, span=span, points=points, every=every, now=now, zone=zone)
    found = plot.sensors[name]
    for one, other in zip(found.columns, from_readings(node, name, plot, now), strict=True):
        alike(one, other)
    assert found.columns[0].start <= begin < begin + span <= found.columns[-1].window.end
    assert every is not None or len(found.columns) <= max(points, 2)
    assert every is None or {one.width for one in found.columns} <= {every, every - HOUR, every + HOUR}


@settings(max_examples=40, deadline=None)
@given(st.lists(histories, min_size=1, max_size=4), st.booleans(), spans, st.integers(0, 4 * DAY), st.integers(1, 40))
def test_so_they_are_while_the_store_summarises_by_itself(
    node: Node, batches: list[list[Said]], is_in_order: bool, span: Millis, start: Millis, points: int
) -> None:
    """The same again and again, late, corrected, in order or not; and asked for at once."""
    name = ""
    for batch in batches:
        said = [(BEGIN + at, value, quality) for at, value, quality in batch]
        name = node.record(sorted(said, key=lambda each: each[0]) if is_in_order else said, name)
        now = BEGIN + 4 * DAY + 1
        plot = plotted(node, name, start=BEGIN + start, span=span, points=points, now=now)
        for one, other in zip(plot.sensors[name].columns, from_readings(node, name, plot, now), strict=True):
            alike(one, other)


def hours(count: int, *, start: Millis = BEGIN) -> list[Summary]:
    """Return hours with one reading each: its number."""
    windows = [Window(start + number * HOUR, HOUR) for number in range(count)]
    return [next(summarised([each], [(each.start, number, 0)], REACH)) for number, each in enumerate(windows)]


def count(plot: Plot) -> int:
    [found] = plot.sensors.values()
    return sum(column.count for column in found.columns)


def test_a_year_is_drawn_from_its_hours_wherever_their_pages_are(node: Node) -> None:
    name = node.record([(BEGIN, 0, 0)])
    node.summarise(name, hours(365 * 24))
    plot = plotted(node, name, span=365 * DAY, now=BEGIN + 366 * DAY)
    assert (plot.tier, count(plot)) == (Tier.HOUR, 365 * 24)
    numbers = [column.numbers for column in plot.sensors[name].columns]
    assert max(found.highest for found in numbers if found) == 365 * 24 - 1


def test_an_hour_that_waits_to_be_made_anew_is_drawn_from_its_five_minutes(node: Node) -> None:
    name = node.record([(BEGIN + 5 * HOUR, 0, 0)])
    right = tiers([(BEGIN + number * FIVE_MINUTES, number, 0) for number in range(48)], BEGIN + 4 * HOUR, lambda _: 0)
    wrong = [one if one.width == FIVE_MINUTES else msgspec.structs.replace(one, numbers=None) for one in right]
    node.summarise(name, wrong, [Window(BEGIN + HOUR, HOUR)])
    plot = plotted(node, name, span=4 * HOUR, every=HOUR, now=BEGIN + 6 * HOUR)
    assert [column.count for column in plot.sensors[name].columns] == [0, 12, 0, 0]


def test_a_window_that_the_newest_reading_is_in_may_be_summarised_too_soon(node: Node) -> None:
    """A sender paused in the middle of it, and went on."""
    said: list[Said] = [(BEGIN + number * SECOND, number, 0) for number in range(200)]
    name = node.record(said)
    node.summarise(name, tiers(said[:100], BEGIN + DAY, lambda _: 0))
    assert count(plotted(node, name, span=HOUR, every=HOUR)) == 200


def test_what_was_deleted_is_drawn_from_what_is_left_and_refused_where_columns_are_narrower(node: Node) -> None:
    name = node.record([(BEGIN + number * 10 * SECOND, number, 0) for number in range(8_640)])
    node.summarise(name, tiers([(BEGIN + at * HOUR, 1.0, 0) for at in range(24)], BEGIN + DAY, lambda _: 0))
    assert plotted(node, name, span=2 * HOUR).tier is Tier.RAW
    node.forget(name, Tier.RAW, BEGIN + 3 * HOUR)
    assert plotted(node, name, span=2 * HOUR).tier is Tier.FIVE_MINUTES
    assert count(plotted(node, name, span=2 * HOUR, every=FIVE_MINUTES)) == 2
    with pytest.raises(RefusedError, match="every=auto"):
        plotted(node, name, span=2 * HOUR, every=SECOND)
    node.forget(name, Tier.FIVE_MINUTES, BEGIN + 3 * HOUR)
    assert plotted(node, name, span=2 * HOUR).tier is Tier.HOUR
    assert plotted(node, name, start=BEGIN + 4 * HOUR, span=2 * HOUR).tier is Tier.RAW


def test_what_is_stored_is_drawn_though_the_clock_of_this_boot_was_never_set(node: Node) -> None:
    said: list[Said] = [(BEGIN + number * SECOND, number, 0) for number in range(400)]
    name = node.record(said)
    node.summarise(name, tiers(said, BEGIN + FIVE_MINUTES, lambda _: 0))
    assert count(plotted(node, name, span=HOUR, now=5 * SECOND)) == 400


def test_what_waits_in_memory_is_drawn_as_what_is_on_disk(node: Node) -> None:
    readings = [own("shed", number * SECOND, number) for number in range(700)]
    node.run(lambda: node.store.record(readings[:400]))
    node.store.record_soon(readings[400:])
    for _ in range(2):
        plot = plotted(node, "shed", start=MORNING, span=700 * SECOND, every=FIVE_MINUTES, now=MORNING + 700 * SECOND)
        numbers = [column.numbers for column in plot.sensors["shed"].columns]
        assert [(found.count, found.last) for found in numbers if found] == [(200, 199), (300, 499), (200, 699)]
        node.run(node.store.flush)


def test_of_a_sensor_that_stored_nothing_there_is_an_empty_plot(node: Node) -> None:
    plot = plotted(node, "board/nothing", span=HOUR)
    assert count(plot) == 0


def test_of_readings_that_are_not_summed_up_yet_only_so_many_are_read(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import, or a file of an older program: a year of it is refused, an hour of it is drawn."""
    monkeypatch.setattr(plots, "MOST_READINGS", 9_000)
    times = range(BEGIN, BEGIN + 30 * DAY, 2 * 60 * SECOND)
    for first in range(0, len(times), 5_000):
        some = times[first : first + 5_000]
        node.run(partial(node.store.record_columns, [Column("old/air", some, [1.0] * len(some))]))
    now = BEGIN + 30 * DAY
    week = [Window(BEGIN + number * FIVE_MINUTES, FIVE_MINUTES) for number in range(2_100)]
    node.summarise("old/air", [], week)
    with pytest.raises(StoreError, match="still being summed up"):
        plotted(node, "old/air", span=9 * DAY, now=now)
    node.summarise("old/air", [])
    with pytest.raises(RefusedError, match="every=5m"):
        plotted(node, "old/air", span=20 * DAY, every=4 * 60 * SECOND, now=now)
    note = "INSERT INTO backlog SELECT id, ? FROM sensors WHERE name = 'old/air'"
    node.run(lambda: node.store.write(lambda connection: connection.execute(note, (BEGIN + 20 * DAY,)).fetchall()))
    with pytest.raises(StoreError, match=r'"old/air" are still being summed up: of this span, about 33 % are done'):
        plotted(node, "old/air", span=30 * DAY, now=now)
    assert count(plotted(node, "old/air", span=2 * DAY, now=now)) == 2 * 720
    days = tiers([(at, 1.0, 0) for at in times[10 * 720 :]], now, offset_in("UTC"))
    node.summarise("old/air", days)
    monkeypatch.undo()
    assert count(plotted(node, "old/air", span=30 * DAY, every=HOUR, now=now)) == 30 * 720, "half a plot is none"


def test_columns_that_begin_before_1970_are_not_said_to_be_deleted(node: Node) -> None:
    name = node.record([(BEGIN, 1.0, 0)])
    plot = plotted(node, name, start=0, span=BEGIN + DAY, every=365 * DAY)
    assert plot.sensors[name].columns[0].start < 0
    assert count(plot) == 1
