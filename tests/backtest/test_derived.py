"""Derived sensors in a backtest: worked out from what was recorded, as the running node would have."""

from __future__ import annotations

from pathlib import Path

from outstation.config import load
from outstation.config.derived import specs
from outstation.core.node import Node
from outstation.core.readings import Record
from outstation.core.sensors import SensorSpec
from tests.backtest.recorded import MINUTE, Played, every, trial

RULES = """
[[sensors]]
name = "dew"
driver = "derived"
value = "dew_point(air, humidity)"

[[sensors]]
name = "spread"
driver = "derived"
value = "{spread}"

[[rules]]
name = "damp"
when = "{when}"
alert = {{ message = "{{spread:.1f}}" }}
"""
AIR, HUMIDITY = every("air", MINUTE, *[20] * 120), every("humidity", MINUTE, *[50] * 60, *[95] * 60)


def rules(spread: str = "air - dew", when: str = "spread < 2") -> str:
    return RULES.format(spread=spread, when=when)


def test_what_is_new_in_the_tried_file_is_worked_out(tmp_path: Path) -> None:
    recording = Played([*AIR, *HUMIDITY])
    tried = trial(tmp_path, rules(), recording)
    assert tried.sensors == {"air", "humidity"}
    (spell,) = tried.run(recording).rules[0].spells
    assert (spell.start - AIR[60].at, spell.message) == (0, "0.8")


def test_another_value_counts_though_an_older_one_was_recorded(tmp_path: Path) -> None:
    recording = Played([*AIR, *HUMIDITY, *every("dew", MINUTE, *[20] * 120)])
    (spell,) = trial(tmp_path, rules(spread="air - dew - 10"), recording).run(recording).rules[0].spells
    assert spell.start == AIR[0].at


def test_of_one_whose_inputs_were_not_recorded_its_own_readings_are_taken(tmp_path: Path) -> None:
    recording = Played([*AIR, *every("dew", MINUTE, *[5] * 60, *[19] * 60)])
    tried = trial(tmp_path, rules() + '[[sensors]]\nname = "humidity"\nevery = "1m"\n', recording)
    assert tried.sensors == {"air", "dew"}
    assert [spell.start for spell in tried.run(recording).rules[0].spells] == [AIR[60].at]


def test_without_inputs_and_without_readings_it_is_unheard(tmp_path: Path) -> None:
    recording = Played(AIR)
    found = trial(tmp_path, rules().replace("air, humidity", "air, later/x"), recording).run(recording)
    assert set(found.unheard) == {"dew", "later/x", "spread"}


def test_spans_over_it_know_what_was_before_the_start(tmp_path: Path) -> None:
    recording = Played([*AIR, *HUMIDITY])
    tried = trial(tmp_path, rules(when="max(spread, 30m) > 10 and count(spread, 30m) > 10"), recording)
    (spell,) = tried.run(recording, start=AIR[50].at).rules[0].spells
    assert (spell.start, spell.lasted) == (AIR[50].at, 39 * MINUTE)


def test_it_is_what_the_running_node_stored(tmp_path: Path) -> None:
    """Live through it as a node, and try the rule on that: it fires where the first stored value is low enough."""
    (tmp_path / "node.toml").write_text(rules() + own("air", "°C") + own("humidity", "%"))
    names = ("air", "humidity", "dew", "spread")
    node = Node([SensorSpec(name) for name in names], derived=specs(load(tmp_path / "node.toml")))
    readings = sorted([*AIR, *HUMIDITY], key=lambda reading: reading.at)
    stored = [one.reading for reading in readings for one in node.handle(reading) if isinstance(one, Record)]
    low = [one for one in stored if one.sensor == "spread" and isinstance(one.value, float) and one.value < 2]
    recording = Played(readings)
    (spell,) = trial(tmp_path, rules(), recording).run(recording).rules[0].spells
    assert (spell.start, spell.lasted) == (low[0].at, low[-1].at - low[0].at)


def own(name: str, unit: str) -> str:
    return f'[[sensors]]\nname = "{name}"\ndriver = "system"\nquantity = "uptime"\nunit = "{unit}"\n'
