"""Long spans after a restart: their older part comes from summaries, and says what the readings said."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path

import apsw
import msgspec
import pytest

from outstation.clock import Trust
from outstation.core.conditions import parse
from outstation.core.messages import parse as message
from outstation.core.node import Node
from outstation.core.readings import Millis, Note, Quality, Reading, Tick
from outstation.core.restarts import Stamp
from outstation.core.rules import AlertSpec, RuleSpec
from outstation.core.sensors import SensorSpec
from outstation.core.spans import Statistics
from outstation.core.summing import summarised
from outstation.core.windows import DAY, FIVE_MINUTES, HOUR, Window
from outstation.engine import refill as refilling
from outstation.engine.runner import boot_now, stamp_now
from outstation.store import file, lookback
from outstation.store.database import Boot, Store
from outstation.store.sealing.packing import Block, pack
from outstation.store.tiers import Tiers
from tests.engine import test_refill
from tests.engine.test_refill import MINUTE, restarted, store

SENSORS = [f"air_{number}" for number in range(10)]


@pytest.fixture(autouse=True)
def summaries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each story end now, on whatever machine, with summaries wherever they may stand for readings."""
    monkeypatch.setattr(lookback, "READ_ALL", 0)
    for limit in ("SUMMARIES_WITHIN", "READ_WITHIN", "FILL_WITHIN"):
        monkeypatch.setattr(refilling, limit, 60_000)


def node_of(*names: str, every: Millis | None = MINUTE) -> Node:
    rules = [
        RuleSpec(f"{name} is warm", parse(f"mean({name}, 24h) > 20"), alert=AlertSpec(message("It is warm")))
        for name in names
    ]
    return Node([SensorSpec(name, every=every) for name in names], rules=rules)


def readings(begin: Millis, end: Millis, every: Millis = MINUTE) -> list[Reading]:
    """Return readings of so many milliseconds ago, some of them faulty: on the clock of this boot."""
    chance = random.Random(begin)
    return [reading(ago, chance.gauss(20, 5), chance.random() < 0.05) for ago in range(begin, end, -every)]


def reading(ago: Millis, value: float, is_bad: bool = False) -> Reading:
    moment = test_refill.NOW
    quality = Quality.SPIKE if is_bad else Quality.OK
    return Reading("air", value, moment.at - ago, moment.now - ago, moment.at - ago, quality)


def span(node: Node, name: str = "air") -> Statistics | None:
    """Return what is said of the last day, be it enough or not."""
    spans = node.sensors[name].spans
    assert spans is not None
    return spans._spans[DAY].all(test_refill.NOW.now)


def slices(node: Node) -> list[Statistics]:
    spans = node.sensors["air"].spans
    assert spans is not None
    return spans._spans[DAY]._back


def told(readings: Sequence[Reading]) -> Node:
    node = node_of("air")
    for each in readings:
        node.handle(each)
    return node


def assert_same(one: Node, other: Node) -> None:
    found, wanted = span(one), span(other)
    assert found is not None
    assert wanted is not None
    for field in ("count", "lowest", "highest", "first", "last"):
        assert getattr(found, field) == getattr(wanted, field), field
    for field, about in (("first_now", 2), ("last_now", 2), ("covered", 15 * MINUTE), ("mean", 1e-9), ("stdev", 1e-9)):
        assert getattr(found, field) == pytest.approx(getattr(wanted, field), abs=about), field
    # Of the thousand readings in windows, only the mean of each window has its say in it.
    assert found.rate == pytest.approx(wanted.rate, abs=0.001)


def changed(folder: Path, *statements: str) -> None:
    """Change the file behind the back of the program."""
    connection = apsw.Connection(str(folder / file.NAME))
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_the_day_before_a_restart_is_as_it_was(tmp_path: Path) -> None:
    day = readings(23 * HOUR, 17_000)
    store(tmp_path, day)
    node = restarted(tmp_path, node_of("air"))
    assert_same(node, told(day))
    assert len(slices(node)) < len(day) / 4


def test_windows_that_are_out_of_date_or_missing_are_read(tmp_path: Path) -> None:
    day = readings(23 * HOUR, 17_000)
    store(tmp_path, day)
    changed(
        tmp_path,
        "INSERT OR IGNORE INTO unmade"
        " SELECT sensor, width, start FROM summaries WHERE start / width % 4 = 1 AND tier = 1",
        "UPDATE summaries SET body = (SELECT body FROM summaries LIMIT 1) WHERE start / width % 4 = 1",
        "DELETE FROM summaries WHERE start / width % 4 = 2 AND tier = 1",
    )
    assert_same(restarted(tmp_path, node_of("air")), told(day))


def test_the_window_in_which_the_node_went_away_is_read(tmp_path: Path) -> None:
    day = readings(23 * HOUR, 2 * HOUR - 150_000)
    store(tmp_path, day)
    open_ = day[-1].at // FIVE_MINUTES * FIVE_MINUTES
    row = f"SELECT sensor, tier, {open_}, width, number, body FROM summaries WHERE tier = 1 LIMIT 1"
    changed(tmp_path, f"INSERT OR REPLACE INTO summaries {row}")
    assert_same(restarted(tmp_path, node_of("air")), told(day))


def test_what_retention_left_is_summaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    day = readings(23 * HOUR, 17_000)
    store(tmp_path, day)
    until = test_refill.NOW.at // HOUR * HOUR - 3 * HOUR
    changed(tmp_path, "DELETE FROM log WHERE id = 1", f"INSERT INTO forgotten SELECT id, 0, {until} FROM sensors")
    monkeypatch.setattr(lookback, "READ_ALL", 10_000)
    assert_same(restarted(tmp_path, node_of("air")), told(day))


def test_a_time_at_which_no_clock_was_right_counts_for_nothing(tmp_path: Path) -> None:
    day = readings(23 * HOUR, 17_000)
    stray = [Reading("air", 1e6, each.at, each.now % HOUR, each.arrived) for each in day[-300:-240]]
    offset = stray[0].at - stray[0].now
    store(tmp_path, stray, Boot("a boot before the clock was set", offset, Trust.UNSET))
    store(tmp_path, day)
    assert_same(restarted(tmp_path, node_of("air")), told(day))


def test_the_rhythm_of_a_slow_board_is_known_again(tmp_path: Path) -> None:
    store(tmp_path, readings(23 * HOUR, 0, every=20 * MINUTE))
    node = restarted(tmp_path, node_of("air", every=None))
    assert node.sensors["air"].stale_limit() == HOUR


def test_where_the_clock_is_not_right_summaries_count_for_nothing(tmp_path: Path) -> None:
    store(tmp_path, readings(23 * HOUR, 17_000))
    here = stamp_now("trust")
    assert summaries_in(tmp_path, here) > 250
    assert summaries_in(tmp_path, msgspec.structs.replace(here, trusted=False)) == 0


@pytest.mark.parametrize(("at_once", "some"), [(100_000, False), (3_000, True), (1_000, True)])
def test_what_can_be_read_at_once_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int, *, some: bool
) -> None:
    """Of the one there are 1,380 readings, but with 4,140 of the other between them."""
    day = readings(23 * HOUR, 17_000)
    others = [msgspec.structs.replace(each, sensor="sea") for each in readings(23 * HOUR, 17_000, every=20_000)]
    store(tmp_path, sorted([*day, *others], key=attrgetter("now")))
    monkeypatch.setattr(lookback, "READ_ALL", at_once)
    assert (summaries_in(tmp_path, stamp_now("trust")) > 0) == some


def summaries_in(folder: Path, here: Stamp) -> int:
    async def main() -> int:
        with Store(folder, boot=boot_now("trust")) as opened, opened.read() as connection:
            return len(lookback.summed(connection, {"air": look}, here, lambda: True).get("air", []))

    look = lookback.Look(DAY, None, MINUTE)
    return asyncio.run(main())


def test_ten_sensors_at_one_hertz_are_known_for_a_day(tmp_path: Path) -> None:
    moment = test_refill.NOW
    times = range(moment.now - DAY - MINUTE, moment.now, 1_000)
    values = [19.0 + now // 1_000 % 7 / 2 for now in times]
    ten_at_one_hertz(tmp_path, times, values, moment.at - moment.now)
    node = restarted(tmp_path, node_of(*SENSORS, every=1_000))
    for name in SENSORS:
        found = span(node, name)
        assert found is not None
        assert found.count == pytest.approx(DAY // 1_000, abs=FIVE_MINUTES // 1_000)
        assert found.covered == pytest.approx(DAY, abs=FIVE_MINUTES)
        assert found.mean == pytest.approx(20.5, abs=0.001)
    effects = node.handle(Tick(moment.at, moment.now))
    raised = [effect for effect in effects if isinstance(effect, Note) and effect.kind == "alert raised"]
    assert len(raised) == len(SENSORS)


def ten_at_one_hertz(folder: Path, times: Sequence[Millis], values: Sequence[float], offset: Millis) -> None:
    """Fill a store as if it had been there: what is packed and summed up once is that of all ten."""
    cuts = range(0, len(times), 4_096)
    blocks = [
        Block(list(times[cut : cut + 4_096]), values[cut : cut + 4_096], bytes(len(times[cut : cut + 4_096])))
        for cut in cuts
    ]
    packed = [(block.times[0], block.times[-1], len(block.times), pack(block)) for block in blocks]
    start, end = ((each + offset) // FIVE_MINUTES * FIVE_MINUTES for each in (times[0], times[-1]))
    said = [(now + offset, value, 0) for now, value in zip(times, values, strict=True) if now + offset < end]
    rows = list(summarised([Window(at, FIVE_MINUTES) for at in range(start, end, FIVE_MINUTES)], said, 30_000))

    def work(connection: apsw.Connection) -> None:
        tiers = Tiers(connection, lambda _: 0)
        boot = connection.execute("SELECT max(id) FROM boots").get
        for number, name in enumerate(SENSORS, 1):
            connection.execute("INSERT INTO sensors VALUES (?, ?)", (number, name))
            for block in packed:
                connection.execute(_BLOCK, (number, boot, *block))
            for row in rows:
                tiers.put(number, row)
        tiers.save()

    async def main() -> None:
        with Store(folder, boot=boot_now("trust")) as opened:
            await opened.write(work)

    asyncio.run(main())


_BLOCK = "INSERT INTO blocks (sensor, boot, start, end, count, body) VALUES (?, ?, ?, ?, ?, ?)"
