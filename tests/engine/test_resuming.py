"""Going on after a restart, with a real data file: what was kept comes back, and what cannot be read does no harm."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import msgspec
import pytest

from outstation import clock
from outstation.core import conditions, messages
from outstation.core.actuation import ActuatorSpec
from outstation.core.node import Node
from outstation.core.readings import Adjust, Command, Keep, Level, Millis, Quality, Reading, Switched
from outstation.core.rules import AlertSpec, RuleSpec
from outstation.core.sensors import SensorSpec
from outstation.core.settings import SettingSpec
from outstation.engine.feed import Feed
from outstation.engine.outputs import Outputs
from outstation.engine.resuming import last_value, remember, resume
from outstation.engine.runner import Runner, boot_now
from outstation.store.database import Store
from outstation.store.history import History

HOT = AlertSpec(messages.parse("It is {air} °C"))
COOLED = conditions.parse("air < 15 and vent is on", actuators=["vent"])
RULES = (
    RuleSpec("ventilate", conditions.parse("air > vent_at", settings=["vent_at"]), COOLED, claims={"vent": True}),
    RuleSpec("shut", conditions.parse("vent is off", actuators=["vent"]), alert=HOT),
)
VENT_AT = SettingSpec("vent_at", 30, low=10, high=40)


def new_node(*rules: RuleSpec) -> Node:
    sensors, vent = [SensorSpec("air", every=10_000)], ActuatorSpec("vent", ruled=True)
    return Node(sensors, [vent], rules=rules or RULES[:1], settings=[VENT_AT])


def started(folder: Path, node: Node, story: Callable[[Runner], None] = lambda _: None) -> Node:
    """Start a node on these data as `outstation run` does, but for drivers; let something happen, and kill it."""

    async def main() -> None:
        with Store(folder, boot=boot_now("trust")) as store:
            runner = Runner(node, store, Outputs({}), Feed(), "trust")
            remember(node, History(store))
            resume(runner, "trust")
            story(runner)
            await store.flush()

    asyncio.run(main())
    return node


def said(value: float, *, ago: Millis = 0, sensor: str = "air", quality: Quality = Quality.OK) -> Reading:
    moment = clock.moment()
    return Reading(sensor, value, moment.at - ago, moment.now - ago, moment.at - ago, quality)


def hot(runner: Runner, vent: Level = False) -> None:
    """A person sets vent_at, the vent is seen where it is, and the air is hot."""
    moment = clock.moment()
    runner.do(runner.node.handle(Adjust("vent_at", 20, "anna", moment.at, moment.now)))
    runner.node.handle(Switched("vent", vent, moment.at, moment.now))
    runner.store.keep([one for one in runner.node.handle(said(21)) if isinstance(one, Keep)])


def lock(runner: Runner) -> None:
    moment = clock.moment()
    effects = runner.node.handle(Command("vent", "lock", "anna", moment.at, moment.now))
    runner.store.keep([one for one in effects if isinstance(one, Keep)])


def rows(folder: Path) -> dict[tuple[str, str], str]:
    connection = apsw.Connection(str(next(folder.glob("*.db"))))
    found = {(kind, name): body for kind, name, body in connection.execute("SELECT kind, name, body FROM kept")}
    connection.close()
    return found


def break_row(folder: Path, kind: str, name: str) -> None:
    connection = apsw.Connection(str(next(folder.glob("*.db"))))
    connection.execute('INSERT OR REPLACE INTO kept (kind, name, body) VALUES (?, ?, \'{"since": "x"}\')', (kind, name))
    connection.close()


def test_what_was_decided_goes_on(tmp_path: Path) -> None:
    started(tmp_path, new_node(), hot)
    node = started(tmp_path, new_node())
    assert node.decisions.rules["ventilate"].firing
    assert node.decisions.settings["vent_at"] == 20
    assert node.actuators["vent"].wanted is True
    assert set(rows(tmp_path)) == {("rule", "ventilate"), ("setting", "vent_at"), ("output", "vent")}


def test_a_lock_goes_on(tmp_path: Path) -> None:
    def story(runner: Runner) -> None:
        hot(runner)
        lock(runner)

    started(tmp_path, new_node(), story)
    for _ in range(3):
        node = started(tmp_path, new_node())
        assert node.actuators["vent"].lock is not None
        assert node.actuators["vent"].wanted is False


def test_a_first_start_finds_nothing(tmp_path: Path) -> None:
    node = started(tmp_path, new_node())
    assert not node.decisions.rules["ventilate"].firing
    assert rows(tmp_path) == {}


def test_what_cannot_be_read_begins_anew_and_is_gone_the_next_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    started(tmp_path, new_node(), hot)
    break_row(tmp_path, "rule", "ventilate")
    with caplog.at_level(logging.INFO):
        node = started(tmp_path, new_node())
    assert "what was kept of this rule cannot be read" in caplog.text
    assert not node.decisions.rules["ventilate"].firing
    caplog.clear()
    started(tmp_path, new_node())
    assert "cannot be read" not in caplog.text


def test_a_data_file_that_cannot_be_read_does_not_keep_a_node_from_starting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    started(tmp_path, new_node(), hot)
    node = new_node()

    async def main() -> None:
        with (
            Store(tmp_path, boot=boot_now("trust")) as store,
            closing(apsw.Connection(str(store.path))) as connection,
        ):
            connection.set_busy_timeout(10_000)
            connection.execute("ALTER TABLE kept RENAME TO elsewhere")
            resume(Runner(node, store, Outputs({}), Feed(), "trust"), "trust")
            connection.execute("ALTER TABLE elsewhere RENAME TO kept")

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert "starting without what outputs, rules and settings were before" in caplog.text
    assert not node.decisions.rules["ventilate"].firing
    assert started(tmp_path, new_node()).decisions.rules["ventilate"].firing


def test_a_stop_makes_outputs_safe_and_changes_no_rule(tmp_path: Path) -> None:
    """The vent is off because the program ends, which is nobody's business to be told of."""

    def stop(runner: Runner) -> None:
        hot(runner, vent=True)
        moment = clock.moment()
        runner.close()
        runner.report(Switched("vent", False, moment.at, moment.now))
        runner.report(said(10))

    started(tmp_path, new_node(*RULES), stop)
    assert ("rule", "shut") not in rows(tmp_path)
    assert not [name for kind, name in rows(tmp_path) if kind == "alert"]
    node = started(tmp_path, new_node(*RULES))
    assert node.decisions.rules["ventilate"].firing


# What sensors said last.


def newest(folder: Path, *readings: Reading) -> Node:
    async def story() -> None:
        with Store(folder, boot=boot_now("trust")) as store:
            for reading in readings:
                await store.record([reading])

    asyncio.run(story())
    return started(folder, new_node())


def test_a_sensor_is_as_old_as_its_last_reading(tmp_path: Path) -> None:
    node = newest(tmp_path, said(19, ago=40_000), said(20, ago=20_000))
    found = node.sensors["air"].newest
    assert found is not None
    assert found.value == 20
    age = node.sensors["air"].age(clock.now())
    assert age == pytest.approx(20_000, abs=5_000)


def test_a_reading_from_the_future_does_not_count_as_fresh(tmp_path: Path) -> None:
    """The clock was set back: nobody knows how old it is."""
    node = newest(tmp_path, said(20, ago=-3_600_000))
    assert node.sensors["air"].is_stale(clock.now())


def test_devices_are_known_again_and_what_the_config_has_lost_is_not(tmp_path: Path) -> None:
    node = newest(tmp_path, said(1, sensor="porch/temperature"), said(2, sensor="gone"), said(3, sensor="vent"))
    assert set(node.sensors) == {"air", "porch/temperature"}
    found = node.sensors["porch/temperature"].newest
    assert found is not None
    assert found.value == 1


def test_what_a_value_was_worth_is_known_again(tmp_path: Path) -> None:
    node = newest(tmp_path, said(99, quality=Quality.SPIKE))
    found = node.sensors["air"].newest
    assert found is not None
    assert found.quality is Quality.SPIKE


def test_a_driver_that_goes_on_from_its_last_value_may_say_since_when(tmp_path: Path) -> None:
    fault = msgspec.structs.replace(said(0, quality=Quality.FAULT), value=None)
    newest(tmp_path, last := said(20, ago=20_000), fault)
    with Store(tmp_path, boot=boot_now("trust")) as store:
        assert last_value(History(store), "air", last.at) == 20
        assert last_value(History(store), "air", last.at + 1) is None
