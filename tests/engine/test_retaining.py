"""A node's figures: how big, how long, when full; what is written to the card; and what is deleted, in words."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from outstation import clock
from outstation.config import Config, SensorTable, StoreTable
from outstation.config.models import NodeTable
from outstation.core.retention import Limits
from outstation.core.windows import DAY, HOUR
from outstation.engine import retaining
from outstation.engine.retaining import Retaining
from outstation.engine.runner import boot_now
from outstation.errors import StoreError
from outstation.store.database import Store
from tests.store.given import own
from tests.store.stocked import add, sealed, summarised

T = TypeVar("T")

KEPT = {"readings": 31_536_000, "bytes": 84_000_000, "cap_bytes": 2_000_000_000, "since": "2025-11-21T10:00:00.000Z"}
GROWING = {**KEPT, "bytes_a_day": 430_000, "full_at": None}


def told(
    folder: Path,
    story: Callable[[Store, Retaining], Awaitable[T]],
    table: dict[str, Any],
    sensors: Any = (),
    trust: Any = "trust",
) -> T:
    config = Config(node=NodeTable(clock=trust), store=StoreTable.model_validate(table), sensors=sensors)

    async def main() -> T:
        with Store(folder, boot=boot_now(trust)) as store:
            return await story(store, Retaining(store, config))

    return asyncio.run(main())


async def a_year(store: Store, sensor: str) -> None:
    """Give a sensor a block a month, up to yesterday, as retention.md has it."""
    today = clock.at() - clock.at() % DAY
    await add(store, sensor, [today - (back * 30 - 15) * DAY for back in range(12, 0, -1)])


def test_a_node_with_a_year_of_data_says_how_big_how_long_and_when_full(tmp_path: Path) -> None:
    async def story(store: Store, keeper: Retaining) -> dict[str, Any]:
        await store.record([own("air", 1)])
        await a_year(store, "air")
        await sealed(store, "air", [(clock.at() - step * HOUR, 4_096) for step in range(8, 1, -1)], size=9_000)
        await keeper.look()
        return keeper.document()

    found = told(tmp_path, story, {"keep_mb": 50})
    assert found["readings"] == 12 * 100 + 7 * 4_096 + 1
    assert found["cap_bytes"] == 50_000_000
    assert 150_000 < found["bytes_a_day"] < 250_000  # seven blocks in the last eight hours, of a day
    assert found["since"] < clock.iso(clock.at() - 300 * DAY)
    assert clock.iso(clock.at() + 180 * DAY) < found["full_at"] < clock.iso(clock.at() + 365 * DAY)
    assert found["in_words"][0].startswith("29,873 readings since 20")
    assert "MB a day, and is full on 20" in found["in_words"][1]


def test_the_figures_are_all_of_one_look_and_since_counts_what_is_not_sealed(tmp_path: Path) -> None:
    async def story(store: Store, keeper: Retaining) -> tuple[dict[str, Any], dict[str, Any]]:
        await store.record([own("air", 5 * HOUR)])
        await keeper.look()
        seen = keeper.document()
        await store.record([own("air", 6 * HOUR + now) for now in range(10)])
        return seen, keeper.document()

    seen, later = told(tmp_path, story, {})
    assert seen["since"] is not None
    assert [later[key] for key in ("readings", "bytes", "since")] == [
        seen[key] for key in ("readings", "bytes", "since")
    ]


SIZE = "31,536,000 readings since 2025-11-21, in 84 MB of 2,000 MB."


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"bytes": None}, ["The data file was not looked at yet."]),
        ({}, [SIZE, "It grows by 0.4 MB a day, and will not be full in ten years."]),
        (
            {"full_at": "2028-02-29T01:00:00.000Z"},
            [SIZE, "It grows by 0.4 MB a day, and is full on 2028-02-29: then the oldest readings make room."],
        ),
        (
            {"since": None, "bytes_a_day": None},
            [
                "31,536,000 readings, in 84 MB of 2,000 MB.",
                "How fast it grows is known when the first readings are sealed, within a day.",
            ],
        ),
        (
            {"cap_bytes": 85_000_000},
            [SIZE.replace("2,000", "85"), "It is full: the oldest readings make room for new ones."],
        ),
    ],
)
def test_the_figures_in_words(document: dict[str, Any], words: list[str]) -> None:
    assert retaining.words({**GROWING, **document}) == words


def test_the_card_budget_in_words() -> None:
    written = {"written_bytes": 34_000_000, "written_bytes_a_day": 11_000_000, "lose_at_most_seconds": 10.0}
    lose = "a power cut costs at most 10 s of this node's own readings."
    assert (
        retaining.words({**GROWING, **written})[2] == f"Written to the disk since the start: 34 MB, 11 MB a day; {lose}"
    )
    started = {**GROWING, **written, "written_bytes_a_day": None}
    assert retaining.words(started)[2] == f"Written to the disk since the start: 34 MB; {lose}"


def test_what_is_written_is_the_kernels_count(tmp_path: Path) -> None:
    before = retaining.written_bytes()
    assert before is not None
    with (tmp_path / "some").open("wb") as file:
        file.write(bytes(1 << 20))
    after = retaining.written_bytes()
    assert after is not None
    assert after >= before  # no more can be said: /tmp may be in memory, and other threads write, too


def test_a_dry_run_says_what_would_go_and_why_and_deletes_nothing(tmp_path: Path) -> None:
    table = {"keep": "200d", "keep_5m": "300d"}
    soil = SensorTable.model_validate({"name": "soil", "driver": "system", "keep": "40d"})

    async def story(store: Store, keeper: Retaining) -> tuple[list[str], list[str], Any]:
        await store.record([own("air", 1), own("soil", 1)])
        await a_year(store, "air")
        await a_year(store, "soil")
        unasked, asked = await keeper.plan(asked=False), await keeper.plan(asked=True)
        assert store.stats().readings == 2_402
        return list(retaining.plan_in_words(unasked)), list(retaining.plan_in_words(asked)), await keeper.run()

    unasked, asked, run = told(tmp_path, story, table, (soil,))
    assert [line.partition(", up to")[0] for line in unasked[-2:-1]] == ["soil: 200 readings that are summarised"]
    assert unasked[-2].endswith("UTC: older than 40 days")
    assert unasked[-1] == "More is too old. It goes a tenth of all a day, unless you say so: outstation retention --now"
    assert [line.partition(", up to")[0] for line in asked] == [
        "air: summaries of five minutes",
        "soil: summaries of five minutes",
        "soil: 1,100 readings that are summarised",
        "air: 500 readings that are summarised",
    ]
    assert (run["deleted"], run["kept"], run["readings"]) == (1_600, "", 802)


def test_a_dry_run_says_what_makes_room(tmp_path: Path) -> None:
    async def story(store: Store, keeper: Retaining) -> tuple[Any, Any, Any]:
        await sealed(store, "air", [(clock.at() - back * DAY, 100) for back in range(50, 0, -1)], size=20_000)
        await summarised(store, "air", [clock.at() - clock.at() % DAY - back * DAY for back in (3, 2)])
        await store.beside(lambda connection: connection.wal_checkpoint(mode=3))
        keeper._limits = Limits(500_000)
        planned = (await keeper.plan(asked=False))["going"]
        await keeper.make_room()
        keeper._limits = Limits(1_000)
        return planned, 5_000 - store.stats().readings, (await keeper.plan(asked=False))["going"]

    planned, deleted, rest = told(tmp_path, story, {})
    assert [(one["what"], one["why"]) for one in planned] == [
        ("readings that are summarised", "the file is to have 0.5 MB at most")
    ]
    assert 0 < planned[0]["readings"] <= deleted  # what is written to delete takes room, too, for a while
    assert [one["what"] for one in rest] == ["readings that are summarised", "summaries of five minutes"]


def test_a_clock_that_nobody_vouches_for_deletes_nothing_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "trust", lambda _="auto": clock.Trust.UNSET)

    async def story(store: Store, keeper: Retaining) -> list[str]:
        await store.record([own("air", 1)])
        await a_year(store, "air")
        await keeper.forget_old()
        assert (await keeper.run())["deleted"] == 0
        return list(retaining.plan_in_words(await keeper.plan(asked=True)))

    found = told(tmp_path, story, {"keep": "1d"}, trust="auto")
    assert found == ["Nothing is deleted by age: the clock is not synchronised."]


def test_a_cap_below_what_cannot_go_is_a_trouble(tmp_path: Path) -> None:
    async def story(store: Store, keeper: Retaining) -> list[str]:
        keeper._limits = Limits(1_000)
        await keeper.make_room()
        return keeper.troubles()

    assert told(tmp_path, story, {}) == [
        "The data file is larger than [store] keep_mb, and holds nothing that could go."
    ]


def test_without_a_setting_the_disk_is_asked(tmp_path: Path) -> None:
    limits = retaining.limits_of(Config(), tmp_path, 0)
    assert 0 < limits.cap <= 2_000_000_000
    assert (limits.keep, limits.keep_5m, limits.own) == (None, 730 * DAY, {})


def test_a_stopped_node_answers_from_its_file(tmp_path: Path) -> None:
    async def story(store: Store, _: Retaining) -> None:
        await store.record([own("air", 1)])
        await a_year(store, "air")

    told(tmp_path, story, {})
    config = Config(node=NodeTable(clock="trust"), store=StoreTable.model_validate({"keep": "85d", "keep_mb": 50}))
    found = retaining.of_stopped(tmp_path / "outstation.db", config, asked=False)
    assert (found["readings"], found["cap_bytes"]) == (1_201, 50_000_000)
    assert (found["going"][0]["readings"], found["left"]) == (100, True)
    assert len(found["in_words"]) == 2
    with pytest.raises(StoreError):
        retaining.of_stopped(tmp_path / "nothing.db", config, asked=False)
