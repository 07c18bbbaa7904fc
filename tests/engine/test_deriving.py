"""Derived sensors of a running node: they are stored and shown, and go on after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from outstation import clock
from outstation.core.conditions import parse_value
from outstation.core.deriving import DerivedSpec
from outstation.core.node import Node
from outstation.core.readings import Millis, Reading, Value
from outstation.core.sensors import SensorSpec
from outstation.engine.feed import Feed
from outstation.engine.outputs import Outputs
from outstation.engine.refill import refill
from outstation.engine.reported import describe, hear
from outstation.engine.resuming import remember
from outstation.engine.runner import Runner, boot_now
from outstation.store.database import Store
from outstation.store.history import History

SPREAD = DerivedSpec("spread", parse_value("air - soil"), every=100)
WARMTH = DerivedSpec("warmth", parse_value("mean(air, 10s)"), every=100)


def lived(
    folder: Path, story: Callable[[Runner], Awaitable[None]], *specs: DerivedSpec
) -> dict[str, list[Value | None]]:
    """Start a node on these data, let something happen; return what was stored by then."""

    async def main() -> dict[str, list[Value | None]]:
        with Store(folder, boot=boot_now("trust")) as store:
            own = [SensorSpec(name, every=100) for name in ("air", "soil")]
            node = Node([*own, *(SensorSpec(spec.sensor) for spec in specs)], derived=specs)
            runner = Runner(node, store, Outputs({}), Feed(), "trust")
            remember(node, History(store))
            refill(runner, "trust")
            runner.start()
            await story(runner)
            runner.close()
            await store.flush()
            history = History(store)
            return {spec.sensor: [row.value for row in history.of_sensor(spec.sensor).rows] for spec in specs}

    return asyncio.run(main())


def said(sensor: str, value: float, *, ago: Millis = 0) -> Reading:
    at, now = clock.moment()
    return Reading(sensor, value, at - ago, now - ago, at - ago)


def test_what_is_worked_out_is_stored_and_shown_with_what_it_was_worked_out_from(tmp_path: Path) -> None:
    async def story(runner: Runner) -> None:
        with runner.feed.watch() as watcher:
            runner.report(said("air", 20))
            runner.report(said("soil", 15))
            await asyncio.sleep(0.15)
            await runner.take([said("air", 22), said("soil", 15)])
            shown = [event.decode() for event in await watcher.next(1)]
        assert [text.count('"spread"') for text in shown] == [0, 0, 1, 0, 0, 1]

    assert lived(tmp_path, story, SPREAD) == {"spread": [5, 7]}


def test_what_other_nodes_report_is_not_stored_but_what_is_derived_from_it_is(tmp_path: Path) -> None:
    chill = DerivedSpec("chill", parse_value("air - pi/air"))

    async def story(runner: Runner) -> None:
        describe(runner, [SensorSpec("pi/air", every=100)])
        runner.report(said("air", 20))
        hear(runner, [said("pi/air", 12)])
        assert "pi/air" not in History(runner.store).latest()

    assert lived(tmp_path, story, chill) == {"chill": [8]}


def test_a_tick_of_the_runner_ends_the_wait_for_a_silent_input(tmp_path: Path) -> None:
    async def story(runner: Runner) -> None:
        runner.report(said("air", 20))
        runner.report(said("soil", 15))
        await asyncio.sleep(0.15)
        runner.report(said("air", 21))
        await asyncio.sleep(0.3)

    assert lived(tmp_path, story, SPREAD) == {"spread": [5, 6]}


def test_after_a_restart_its_spans_know_what_was_before(tmp_path: Path) -> None:
    async def before(runner: Runner) -> None:
        for second in range(12, 1, -1):
            await runner.take([said("air", 20, ago=second * 1_000)])

    async def after(runner: Runner) -> None:
        runner.report(said("air", 31))

    lived(tmp_path, before)
    (first,) = lived(tmp_path, after, WARMTH)["warmth"]
    assert isinstance(first, float)
    assert 20 < first < 23
