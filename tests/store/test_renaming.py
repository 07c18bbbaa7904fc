"""A sensor is renamed and deleted with all of its history, wherever that is: in the log, in blocks, in summaries."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from outstation.core.readings import Value
from outstation.errors import RefusedError, UnknownNameError
from outstation.store import chunks, renaming, replay
from outstation.store.database import Store
from outstation.store.history import History
from tests.store.given import DAY, MORNING, in_store, own, sent

ROUND = 900
"""Readings of three sensors together: some chunks, of which there are more here than elsewhere."""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_READINGS", 100)


class Seen(NamedTuple):
    """Everything that anybody can see."""

    readings: int
    names: list[str]
    latest: dict[str, Value | None]
    pages: dict[str, list[tuple[int, Value | None]]]
    instants: dict[str, list[tuple[int, Value]]]
    replayed: dict[str, int]

    def without(self, name: str) -> Seen:
        """The same if there had never been such a sensor."""
        kept = [{key: what for key, what in part.items() if key != name} for part in self[2:]]
        return Seen(self.readings - len(self.pages[name]), [one for one in self.names if one != name], *kept)  # type: ignore[arg-type]


def seen(store: Store) -> Seen:
    history = History(store)
    instants: dict[str, list[tuple[int, Value]]] = {}
    for at, values in history.instants(limit=100_000).rows:
        for name, value in values.items():
            instants.setdefault(name, []).append((at, value))
    replayed: dict[str, int] = {}
    with store.read() as connection:
        for reading in replay.replay(connection):
            replayed[reading.sensor] = replayed.get(reading.sensor, 0) + 1
    return Seen(
        history.count(),
        sorted(store.names()),
        {name: reading.value for name, reading in history.latest().items()},
        {
            name: [(row.at, row.value) for row in history.of_sensor(name, limit=100_000).rows]
            for name in sorted(store.names())
        },
        instants,
        replayed,
    )


async def fill(store: Store, first: int = 0) -> None:
    """Store a round of each sensor; of the board's some are late, some come twice, some are corrected."""
    for start in range(first, first + ROUND // 3, 50):
        steps = range(start, start + 50)
        await store.record(
            [
                *(sent("porch/temp", 1000 * at, at) for at in steps if at % 50),
                *(sent("porch/humidity", 1000 * at, at) for at in steps),
                *(own("cpu_temp", 1000 * at, at) for at in steps),
            ]
        )
        late, again, corrected = (start, 1), (start + 9, start + 9), (start + 7, -1)
        await store.record([sent("porch/temp", 1000 * at, value) for at, value in (corrected, again, late)])


async def in_the_log(store: Store) -> None:
    await fill(store)


async def sealed(store: Store) -> None:
    """All but the newest chunk is in blocks; and the log corrects what is there."""
    await fill(store)
    await store.seal(everything=True)
    await store.record([sent("porch/temp", 1000 * 11, -2), sent("porch/temp", 1000 * 12, -2)])


async def in_both(store: Store) -> None:
    await fill(store)
    await store.seal(everything=True)
    await fill(store, ROUND // 3)


def rows(store: Store, table: str) -> int:
    with store.read() as connection:
        found: int = connection.execute(
            f"SELECT count(*) FROM {table} WHERE sensor NOT IN (SELECT id FROM sensors)"
        ).get
    return found


@pytest.mark.parametrize(
    ("place", "name"),
    [(in_the_log, "porch/temp"), (sealed, "porch/temp"), (in_both, "porch/temp"), (in_both, "cpu_temp")],
)
def test_of_a_deleted_sensor_nothing_is_seen_and_nothing_counted(tmp_path: Path, place: object, name: str) -> None:
    async def story(store: Store) -> Seen:
        assert callable(place)
        await place(store)
        before = seen(store)
        assert await renaming.delete(store, name) == len(before.pages[name])
        after = before.without(name)
        assert seen(store) == after
        assert store.stats().readings == after.readings
        assert [rows(store, table) for table in ("blocks", "summaries", "unmade", "forgotten")] == [0, 0, 0, 0]
        return after

    async def later(store: Store) -> Seen:
        assert seen(store) == after
        await fill(store, 10_000)
        more = seen(store)
        await store.seal(everything=True)
        assert seen(store) == more
        assert rows(store, "blocks") == 0
        return more

    after = in_store(tmp_path, story)
    more = in_store(tmp_path, later)
    assert {at for at, _ in more.pages[name]} == {MORNING + 1000 * at for at in range(10_000, 10_000 + ROUND // 3)}

    async def at_last(store: Store) -> None:
        assert seen(store) == more
        assert store.stats().readings == more.readings

    in_store(tmp_path, at_last)


def test_what_a_kill_left_of_a_deleted_sensor_is_swept_up_later(tmp_path: Path) -> None:
    async def killed(store: Store) -> Seen:
        await sealed(store)
        before = seen(store)
        await store.relearn(partial(renaming._hide, name="porch/temp"))
        assert rows(store, "blocks")
        return before.without("porch/temp")

    async def after(store: Store) -> None:
        hidden = seen(store)
        assert hidden._replace(readings=expected.readings) == expected
        assert await renaming.sweep(store) == hidden.readings - expected.readings
        assert seen(store) == expected
        assert rows(store, "blocks") == 0
        assert await renaming.sweep(store) == 0

    expected = in_store(tmp_path, killed)
    in_store(tmp_path, after)


def test_a_number_is_never_given_twice(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        for name in ("a/a", "a/b", "a/c"):
            await store.record([sent(name, 1)])
        await renaming.delete(store, "a/c")
        await renaming.delete(store, "a/a")
        await store.record([sent("a/d", 1), sent("a/a", 2)])

    async def after(store: Store) -> None:
        await store.record([sent("a/e", 1)])
        with store.read() as connection:
            ids = dict(connection.execute("SELECT name, id FROM sensors"))
        assert ids == {"a/b": 2, "a/d": 4, "a/a": 5, "a/e": 6}

    in_store(tmp_path, story)
    in_store(tmp_path, after)


def test_a_renamed_sensor_has_its_history_and_goes_on(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await in_both(store)
        before = seen(store)
        await renaming.rename(store, "porch/temp", "porch/temperature")
        after = seen(store)
        assert after.readings == before.readings
        assert after.pages == {
            name.replace("temp", "temperature") if "/temp" in name else name: page
            for name, page in before.pages.items()
        }
        newest = max(at for at, _ in after.pages["porch/temperature"])
        again = await store.record([sent("porch/temperature", newest - MORNING, after.latest["porch/temperature"])])
        assert again.duplicates == 1
        await store.record([sent("porch/temp", DAY)])
        assert len(seen(store).pages["porch/temp"]) == 1

    in_store(tmp_path, story)


def test_summaries_go_on_under_the_new_name(tmp_path: Path) -> None:
    """What is open when it is renamed is summed up as if nothing had been."""

    async def story(store: Store) -> None:
        await store.record([sent("a/a", 1000 * at, at) for at in range(900)])
        await renaming.rename(store, "a/a", "a/b")
        await store.record([sent("a/b", 1000 * at, at) for at in range(900, 1_800)])
        assert store.stats().error is None
        assert len(History(store).of_sensor("a/b", limit=5_000).rows) == 1_800

    in_store(tmp_path, story)


def test_what_has_no_history_and_what_has_its_own_is_refused(tmp_path: Path) -> None:
    async def story(store: Store) -> None:
        await store.record([sent("a/a", 1), sent("a/b", 1)])
        with pytest.raises(UnknownNameError, match='"a/c" has no history'):
            await renaming.rename(store, "a/c", "a/d")
        with pytest.raises(UnknownNameError, match='"a/c" has no history'):
            await renaming.delete(store, "a/c")
        with pytest.raises(RefusedError, match="outstation sensors delete a/b"):
            await renaming.rename(store, "a/a", "a/b")
        assert seen(store).readings == 2

    in_store(tmp_path, story)
