"""A node that was restarted looks back as one that ran through: its spans are filled from the store."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from outstation import clock
from outstation.clock import Trust
from outstation.core.conditions import parse
from outstation.core.messages import parse as message
from outstation.core.node import Node
from outstation.core.readings import Effect, Millis, Note, Quality, Reading, Tick, Value
from outstation.core.rules import AlertSpec, RuleSpec
from outstation.core.sensors import SensorSpec
from outstation.engine import refill as refilling
from outstation.engine.feed import Feed
from outstation.engine.outputs import Outputs
from outstation.engine.refill import refill
from outstation.engine.resuming import remember
from outstation.engine.runner import Runner, boot_now
from outstation.store import file
from outstation.store.database import Boot, Store
from outstation.store.history import History
from tests.store.given import in_store

MINUTE: Millis = 60_000
NOW = clock.moment()
"""When a story ends."""
RULE = RuleSpec("warm", parse("mean(air, 10m) > 20"), alert=AlertSpec(message("It is warm")))


def node_of(rule: RuleSpec = RULE, **spec: object) -> Node:
    settings: dict[str, object] = {"every": 10_000} | spec
    return Node([SensorSpec("air", **settings)], rules=[rule])  # type: ignore[arg-type]


def said(ago: Millis, value: Value | None = 19.0, *, quality: Quality = Quality.OK, sent: bool = False) -> Reading:
    """A reading of so many milliseconds ago, on the clock of this boot."""
    moment = NOW
    return Reading("air", value, moment.at - ago, moment.now - ago, moment.at - ago, quality, sent)


def minutes_10() -> list[Reading]:
    """A reading every 10 s for ten minutes, none of them just where these begin or end."""
    return [said(ago, 15.0 + ago % 70_000 / 10_000) for ago in range(10 * MINUTE - 5_000, 0, -10_000)]


@pytest.fixture(autouse=True)
def today(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each story end now."""
    monkeypatch.setattr(sys.modules[__name__], "NOW", clock.moment())


def store(folder: Path, readings: Sequence[Reading], boot: Boot | None = None) -> None:
    async def story(opened: Store) -> None:
        for first in range(0, len(readings), 500):
            await opened.record(readings[first : first + 500])

    in_store(folder, story, boot or boot_now("trust"))


def restarted(folder: Path, node: Node) -> Node:
    """Return a node that was started on these data."""

    async def main() -> None:
        with Store(folder, boot=boot_now("trust")) as opened:
            remember(node, History(opened))
            refill(Runner(node, opened, Outputs({}), Feed(), "trust"), "trust")

    asyncio.run(main())
    return node


def mean(node: Node, span: Millis = 10 * MINUTE, ago: Millis = 0) -> float | None:
    spans = node.sensors["air"].spans
    assert spans is not None
    found = spans.statistics(span, NOW.now - ago)
    return None if found is None else found.mean


def what_it_does(node: Node, readings: Sequence[Reading]) -> list[Effect]:
    """Return what is told, and when."""
    done: list[Effect] = []
    for reading in readings:
        done += node.handle(Tick(reading.at, reading.now)) + node.handle(reading)
    return [effect for effect in done if isinstance(effect, Note)]


def test_a_node_restarted_within_a_span_decides_as_one_that_ran_through(tmp_path: Path) -> None:
    through, later = node_of(), [said(-ahead, 15.0 + ahead / 10_000) for ahead in range(5_000, 20 * MINUTE, 10_000)]
    for reading in minutes_10():
        through.handle(reading)
    store(tmp_path, minutes_10())
    again = restarted(tmp_path, node_of())
    assert mean(again) == pytest.approx(mean(through), rel=1e-12)
    done = what_it_does(again, later)
    assert done == what_it_does(through, later)
    assert [effect.kind for effect in done if isinstance(effect, Note)] == ["rule fires", "alert raised"]
    assert what_it_does(node_of(), later) != done


def test_what_is_no_number_or_not_ok_is_left_out(tmp_path: Path) -> None:
    odd = [said(5, 1e9, quality=Quality.SPIKE), said(4, None, quality=Quality.FAULT), said(3, "warm")]
    store(tmp_path, [*minutes_10(), *odd])
    node = node_of()
    for reading in minutes_10():
        node.handle(reading)
    assert mean(restarted(tmp_path, node_of())) == pytest.approx(mean(node))


def test_a_correction_counts_and_not_what_it_corrects(tmp_path: Path) -> None:
    sent = [said(ago, 10.0, sent=True) for ago in range(10 * MINUTE, 0, -10_000)]
    store(tmp_path, sent)
    store(tmp_path, [said(NOW.at - reading.at, 30.0, sent=True) for reading in sent])
    assert mean(restarted(tmp_path, node_of())) == 30.0


def test_what_a_dead_band_kept_from_the_store_was_said_all_the_same(tmp_path: Path) -> None:
    store(tmp_path, [said(ago) for ago in range(10 * MINUTE, 0, -5 * MINUTE)])
    assert mean(restarted(tmp_path, node_of())) is None
    assert mean(restarted(tmp_path, node_of(dead_band=0.5, heartbeat=5 * MINUTE))) == 19.0


def test_the_rhythm_of_a_board_is_known_again(tmp_path: Path) -> None:
    store(tmp_path, [said(ago, sent=True) for ago in range(10 * MINUTE, 0, -MINUTE)])
    node = restarted(tmp_path, node_of(every=None))
    assert node.sensors["air"].stale_limit() == 3 * MINUTE


@pytest.mark.parametrize(("trust", "known"), [(Trust.SYNCHRONISED, True), (Trust.UNSET, False)])
def test_another_boot_counts_where_its_clock_was_right(tmp_path: Path, trust: Trust, *, known: bool) -> None:
    offset = NOW.at - NOW.now - 90 * MINUTE  # it was up for an hour and a half longer
    moved = [Reading("air", each.value, each.at, each.at - offset, each.arrived) for each in minutes_10()]
    store(tmp_path, moved, Boot("another boot", offset, trust))
    node = node_of()
    for reading in minutes_10():
        node.handle(reading)
    assert mean(restarted(tmp_path, node_of())) == (pytest.approx(mean(node)) if known else None)


def test_without_rules_that_look_back_nothing_is_read(tmp_path: Path) -> None:
    store(tmp_path, minutes_10())
    node = restarted(tmp_path, node_of(RuleSpec("now", parse("air > 20"), alert=RULE.alert)))
    assert node.sensors["air"].spans is None


def test_what_there_is_no_time_to_read_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store(tmp_path, minutes_10())
    monkeypatch.setattr(refilling, "READ_WITHIN", 0)
    with caplog.at_level(logging.WARNING):
        assert mean(restarted(tmp_path, node_of())) is None
    assert "no time" in caplog.text


def test_what_there_is_no_time_to_fill_in_is_the_oldest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    every_100_ms = [said(ago) for ago in range(10 * MINUTE, 0, -100)]
    store(tmp_path, every_100_ms)
    monkeypatch.setattr(refilling, "FILL_WITHIN", 3)
    rule = RuleSpec("both", parse("mean(air, 10m) > 20 or mean(air, 1s) > 20"), alert=RULE.alert)
    with caplog.at_level(logging.WARNING):
        node = restarted(tmp_path, node_of(rule))
    assert mean(node) is None
    assert mean(node, 1_000) == 19.0
    assert "no time" in caplog.text


def test_a_store_that_cannot_be_read_holds_up_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store(tmp_path, minutes_10())
    node = node_of()

    async def main() -> None:
        with Store(tmp_path, boot=boot_now("trust")) as opened:
            (tmp_path / file.NAME).unlink()
            refill(Runner(node, opened, Outputs({}), Feed(), "trust"), "trust")

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert "without what sensors said" in caplog.text
