"""Stored readings are replayed in the order of their measurement, once each, whatever order they came in."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from pathlib import Path

import apsw
import pytest

from outstation.clock import Trust
from outstation.core.readings import Millis, Quality, Reading, Value
from outstation.errors import StoreError
from outstation.store import file, replay
from outstation.store.database import Boot, Store
from tests.store.given import BOOT, MORNING, in_store, own, sent

HOUR: Millis = 3_600_000


def stored(folder: Path, *commits: Sequence[Reading], boot: Boot = BOOT) -> None:
    """Store readings, each row in a commit of its own."""

    async def story(store: Store) -> None:
        for commit in commits:
            await store.record(commit)

    in_store(folder, story, boot)


def replayed(
    folder: Path, start: Millis | None = None, end: Millis | None = None, sensors: Collection[str] | None = None
) -> list[Reading]:
    """Return what a replay gives; times are in milliseconds after MORNING."""
    with replay.opened(folder) as connection:
        return list(
            replay.replay(
                connection,
                start=None if start is None else MORNING + start,
                end=None if end is None else MORNING + end,
                sensors=sensors,
            )
        )


def shown(readings: Sequence[Reading]) -> list[tuple[str, Millis, Value | None]]:
    return [(reading.sensor, reading.at - MORNING, reading.value) for reading in readings]


def test_readings_come_in_the_order_of_their_measurement_as_if_they_had_arrived_then(tmp_path: Path) -> None:
    stored(tmp_path, [own("air", 1_000), own("air", 2_000)], [sent("porch/air", 1_500, arrived=2_500)])
    found = replayed(tmp_path)
    assert shown(found) == [("air", 1_000, 1.5), ("porch/air", 1_500, 1.5), ("air", 2_000, 1.5)]
    assert [(each.now, each.arrived) for each in found] == [(each.at, each.at) for each in found]
    assert [each.sender_stamped for each in found] == [False, True, False]


def test_only_what_is_asked_for(tmp_path: Path) -> None:
    stored(tmp_path, [own(sensor, now) for now in range(0, 5_000, 1_000) for sensor in ("air", "soil", "rain")])
    assert shown(replayed(tmp_path, 1_000, 3_000, ["soil"])) == [("soil", 1_000, 1.5), ("soil", 2_000, 1.5)]
    assert replayed(tmp_path, sensors=["nobody"]) == []
    assert replayed(tmp_path, start=5_000) == []
    assert replayed(tmp_path, end=0) == []


def test_of_a_corrected_reading_the_last_value(tmp_path: Path) -> None:
    stored(tmp_path, [sent("a/x", 5, 1.0), sent("a/x", 7, 2.0)], [sent("a/x", 5, 3.0)], [sent("a/x", 5, 4.0)])
    assert shown(replayed(tmp_path)) == [("a/x", 5, 4.0), ("a/x", 7, 2.0)]


def test_a_correction_may_come_long_after(tmp_path: Path) -> None:
    first = [sent("a/x", at, float(at)) for at in range(9_000)]
    corrections = [sent("a/x", at, -1.0) for at in range(100, 9_000, 100)]
    stored(tmp_path, first, corrections)
    found = replayed(tmp_path)
    assert [(each.at - MORNING, each.value) for each in found] == [
        (at, -1.0 if at and at % 100 == 0 else float(at)) for at in range(9_000)
    ]


def test_what_the_node_stamped_itself_may_share_a_millisecond(tmp_path: Path) -> None:
    stored(tmp_path, [own("air", 5, 1.0), own("air", 5, 2.0), sent("air", 5, 3.0), sent("air", 5, 4.0)])
    assert [each.value for each in replayed(tmp_path)] == [4.0, 1.0, 2.0]


def test_values_and_their_worth_stay_what_they_are(tmp_path: Path) -> None:
    values: list[Value | None] = [True, 7, 7.0, "warm", None]
    worth = [Quality.OK, Quality.SPIKE, Quality.STUCK, Quality.OUT_OF_RANGE, Quality.FAULT]
    given = [own("air", now, value, quality) for now, (value, quality) in enumerate(zip(values, worth, strict=True))]
    stored(tmp_path, given)
    found = replayed(tmp_path)
    assert [(type(each.value), each.value, each.quality) for each in found] == [
        (type(value), value, quality) for value, quality in zip(values, worth, strict=True)
    ]


def test_each_boot_has_its_own_clock(tmp_path: Path) -> None:
    stored(tmp_path, [own("air", 10 * HOUR)])
    later = Boot("boot-2", MORNING + 20 * HOUR, Trust.SYNCHRONISED)
    stored(tmp_path, [own("air", 1_000)], boot=later)
    assert [each.at - MORNING for each in replayed(tmp_path)] == [10 * HOUR, 20 * HOUR + 1_000]


def test_a_backlog_of_many_hours_is_merged_in(tmp_path: Path) -> None:
    own_ones = [own("air", now) for now in range(30_000)]
    backlog = [sent("porch/air", at, arrived=40_000) for at in range(0, 30_000, 3)]
    stored(tmp_path, *(own_ones[first : first + 500] for first in range(0, 30_000, 500)), backlog)
    found = replayed(tmp_path)
    assert [each.at for each in found] == sorted(each.at for each in [*own_ones, *backlog])


@pytest.mark.parametrize("most", [100, 5_000, 200_000])
def test_what_is_in_memory_at_once_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    chance = random.Random(7)
    times = list(range(0, 30_000, 3))
    chance.shuffle(times)
    stored(tmp_path, *([sent("a/x", at, float(at)) for at in times[first::40]] for first in range(40)))
    monkeypatch.setattr(replay, "OPEN_AT_MOST", most)
    assert [each.at - MORNING for each in replayed(tmp_path)] == sorted(times)


def test_no_more_is_in_memory_than_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(7)
    times = list(range(60_000))
    chance.shuffle(times)
    stored(tmp_path, *([sent("a/x", at) for at in times[first::15]] for first in range(15)))
    monkeypatch.setattr(replay, "OPEN_AT_MOST", 10_000)
    with replay.opened(tmp_path) as connection:
        one = replay._Replay(connection, {1: "a/x"})
        seen = [(len(part.at), sum(each.left for each in one._parts)) for part in one.parts(0, MORNING * 2)]
    assert sum(here for here, _ in seen) == 60_000
    assert max(map(sum, seen)) < 10_000 + 2 * 4_096


def test_it_is_read_beside_a_running_node(tmp_path: Path) -> None:
    async def story(store: Store) -> list[Reading]:
        await store.record([own("air", 1)])
        with replay.opened(tmp_path) as connection:
            readings = replay.replay(connection)
            first = next(readings)
            await store.record([own("air", 2)])
            return [first, *readings, *replay.replay(connection)]

    assert [each.now - MORNING for each in in_store(tmp_path, story)] == [1, 1, 2]


def test_where_there_are_no_data_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no data"), replay.opened(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_row_is_told(tmp_path: Path) -> None:
    stored(tmp_path, [own("air", 1)])
    with apsw.Connection(str(tmp_path / file.NAME)) as connection:
        connection.execute("UPDATE log SET body = x'c1'")
    with pytest.raises(StoreError):
        replayed(tmp_path)


def test_all_names_are_known(tmp_path: Path) -> None:
    stored(tmp_path, [own("air", 1)], [own("vent", 2, True)])
    with replay.opened(tmp_path) as connection:
        assert replay.names(connection) == ["air", "vent"]
