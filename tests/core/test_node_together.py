"""Readings that come together: each counts, and what they come to is decided once."""

from __future__ import annotations

from outstation.core.actuation import ActuatorSpec
from outstation.core.conditions import parse
from outstation.core.node import Node
from outstation.core.readings import Effect, Reading, Record, Switch, Tick, Zone
from outstation.core.rules import RuleSpec
from outstation.core.sensors import SensorSpec


def greenhouse(when: str, until: str | None = None) -> Node:
    rule = RuleSpec("vent", parse(when), parse(until) if until else None, claims={"vent": True})
    node = Node([SensorSpec("a/t"), SensorSpec("a/h")], [ActuatorSpec("vent")], rules=[rule])
    node.handle(Tick(0, 0, Zone(0)))
    return node


def said(value: float, sensor: str = "a/t", at: int = 1_000, *, arrived: int = 1_000) -> Reading:
    return Reading(sensor, value, at, arrived, arrived, sender_stamped=at != arrived)


def switched(effects: list[Effect]) -> list[bool | float]:
    return [effect.level for effect in effects if isinstance(effect, Switch)]


def test_what_was_hot_for_a_moment_in_a_backlog_moves_nothing() -> None:
    node = greenhouse("a/t > 30", "a/t < 28")
    effects = node.handle_all([said(20), said(40), said(20), said(40), said(25)])
    assert switched(effects) == []
    assert [effect.reading.value for effect in effects if isinstance(effect, Record)] == [20, 40, 20, 40, 25]


def test_the_last_of_them_decides() -> None:
    node = greenhouse("a/t > 30", "a/t < 28")
    effects = node.handle_all([said(20), said(60, "a/h"), said(40)])
    assert switched(effects) == [True]
    assert isinstance(effects[0], Switch)  # outputs act first


def test_the_newest_decides_also_where_it_does_not_come_last() -> None:
    node = greenhouse("a/t > 30")
    effects = node.handle_all([said(40, at=900), said(20, at=800), said(20, at=700)])
    assert switched(effects) == [True]


def test_a_rule_over_two_of_them_sees_both() -> None:
    node = greenhouse("a/t > 30 and a/h > 50")
    assert switched(node.handle_all([said(40), said(60, "a/h")])) == [True]


def test_all_of_them_count_in_spans() -> None:
    node = greenhouse("count(a/t, 10m) >= 3")
    assert switched(node.handle_all([said(1), said(1), said(1)])) == [True]


def test_nobody_looks_where_there_is_no_rule() -> None:
    node = Node([SensorSpec("a/t")])
    assert len(node.handle_all([said(1), said(2)])) == 2


def test_one_alone_is_decided_as_ever() -> None:
    assert switched(greenhouse("a/t > 30").handle_all([said(40)])) == [True]
