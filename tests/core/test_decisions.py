"""What the node decides with: settings, commands beside rules, what is kept, and what comes first."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest

from outstation.core.actuation import ActuatorSpec
from outstation.core.node import Node
from outstation.core.readings import Keep, Note, Record, Switch
from outstation.core.settings import SettingSpec
from outstation.errors import RefusedError, UnknownNameError
from tests.core.garden import HEATER, OUTPUTS, VENT, Garden, alarm, condition, rule
from tests.core.story import AIR, HOUR, ms, said, tick


def test_a_setting_moves_what_a_rule_waits_for_at_once() -> None:
    """People stand in the greenhouse when they change it."""
    garden = Garden(rule(f"{AIR} > vent_at"))
    garden.says(0, 28)
    effects = garden.adjust(5, 27)
    assert garden.switchings == [(5, VENT, True)]
    assert isinstance(effects[0], Switch)
    assert garden.noted("setting") == ["from 30 to 27 °C by anna"]
    garden.adjust(6, None)
    assert garden.switchings == [(5, VENT, True), (6, VENT, False)]
    assert garden.noted("setting")[-1] == "from 27 to 30 °C by anna"
    assert ("setting", "vent_at") not in garden.rows


def test_a_setting_that_changes_while_its_rule_fires_lets_the_claim_go() -> None:
    garden = Garden(rule(f"{AIR} > vent_at", f"{AIR} < vent_at - 3"))
    garden.says(0, 31)
    garden.adjust(5, 33)
    assert garden.is_on()
    garden.adjust(6, 35)
    assert garden.switchings == [(0, VENT, True), (6, VENT, False)]


@pytest.mark.parametrize("value", [9.9, 40.1, float("nan"), float("inf"), float("-inf")])
def test_a_setting_stays_in_its_bounds(value: float) -> None:
    garden = Garden(rule(f"{AIR} > vent_at"))
    with pytest.raises(RefusedError, match="vent_at: expected a number from 10 to 40, found"):
        garden.adjust(0, value)
    assert garden.node.decisions.settings["vent_at"] == 30
    assert garden.adjust(1, 10)
    assert garden.adjust(2, 40)


def test_a_setting_without_bounds_takes_any_number() -> None:
    garden = Garden(settings=[SettingSpec("gain", 1)])
    garden.adjust(0, -1e300, "gain")
    assert garden.noted("setting") == ["from 1 to -1e+300 by anna"]
    with pytest.raises(RefusedError):
        garden.adjust(0, float("inf"), "gain")


@pytest.mark.parametrize(("settings", "known"), [((), "none"), ((SettingSpec("a", 1), SettingSpec("b", 1)), "a, b")])
def test_a_setting_that_nobody_knows_is_refused(settings: tuple[SettingSpec, ...], known: str) -> None:
    garden = Garden(settings=settings)
    with pytest.raises(UnknownNameError, match='There is no setting "vent_at"') as refused:
        garden.adjust(0, 20)
    assert refused.value.cure == f"Known: {known}."


def test_a_person_comes_before_a_rule_and_the_rule_after_the_person() -> None:
    garden = Garden(rule(until=f"{AIR} < 27"))
    garden.says(0, 31)
    garden.order(10, "off", duration=60)
    garden.steady(20, 100, 31)
    assert garden.switchings == [(0, VENT, True), (10, VENT, False), (70, VENT, True)]


def test_of_two_rules_the_higher_priority_decides() -> None:
    storm = rule(f"{AIR} < 35", name="storm", claims={VENT: False}, priority=1)
    garden = Garden(rule(), storm)
    garden.says(0, 31)
    garden.says(10, 36)
    assert garden.switchings == [(10, VENT, True)]


def test_a_rule_may_claim_several_outputs() -> None:
    garden = Garden(rule(claims={VENT: True, HEATER: False}))
    garden.order(0, "on", HEATER)
    garden.says(1, 31)
    assert garden.is_on(HEATER)
    assert garden.is_on(VENT)
    garden.order(2, "release", HEATER)
    assert not garden.is_on(HEATER)


def test_outputs_come_first_and_what_is_kept_with_them() -> None:
    garden = Garden(rule(alert=alarm()))
    effects = garden.says(0, 31)
    assert [type(effect) for effect in effects[:3]] == [Switch, Note, Keep]
    assert isinstance(effects[-1], Record)


def test_what_stays_the_same_is_not_kept_again() -> None:
    garden = Garden(rule(until=f"{AIR} < 27"))
    garden.says(0, 31)
    assert [type(effect) for effect in garden.says(10, 32)] == [Record]


def test_an_output_that_a_rule_takes_back_at_once_does_not_click() -> None:
    """The heater would come on as the vent is seen off, and the rule that sees this wants the vent instead."""
    outputs = [ActuatorSpec(VENT, interlock=(HEATER,), ruled=True), ActuatorSpec(HEATER, default=True, ruled=True)]
    garden = Garden(rule(f"{AIR} > 30 and vent is off"), outputs=outputs)
    garden.says(0, 20)
    garden.order(1, "on")
    assert garden.is_on(VENT)
    garden.says(2, 31)
    garden.switchings.clear()
    garden.order(3, "release")
    assert garden.switchings == [(3, VENT, False), (3, VENT, True)]


def test_a_rule_that_moves_what_it_looks_at_turns_once_a_second_and_no_faster() -> None:
    garden = Garden(rule(f"{AIR} > 30 and vent is off"))
    garden.says(0, 31)
    garden.wait(10)
    assert len(garden.switchings) <= 11
    seconds = [second for second, _, _ in garden.switchings]
    assert all(later - sooner >= 1 for sooner, later in pairwise(seconds))


def test_outputs_that_no_rule_claims_are_left_to_people() -> None:
    garden = Garden(rule("vent is on", name="follow", claims={HEATER: True}), outputs=OUTPUTS)
    garden.order(0, "on")
    assert garden.is_on(HEATER)
    garden.order(10, "off")
    assert not garden.is_on(HEATER)


def test_the_sun_is_asked_for_where_a_rule_looks_at_it() -> None:
    assert not Garden(rule(until=f"{AIR} < 27")).node.decisions.ask_for_the_sun
    assert Garden(rule(until="between sunset and sunrise")).node.decisions.ask_for_the_sun


def test_spans_are_those_of_all_rules_that_look_at_a_sensor() -> None:
    garden = Garden(rule(f"mean({AIR}, 1h) > 30", f"max({AIR}, 10m) < 20"), rule(f"rate({AIR}, 10m) > 5", name="other"))
    assert garden.node.decisions.spans_of(AIR) == (ms(600), ms(HOUR))


def test_a_node_without_rules_wants_no_tick_for_readings() -> None:
    node = Node([Garden().sensors[0]])
    node.handle(tick(0))
    node.handle(said(0, 31))
    assert node.next_due() is None
    assert node.next_due_before(10**9) is False


def test_a_reading_from_outside_may_want_a_tick_sooner() -> None:
    garden = Garden(rule(hold=5))
    assert garden.node.next_due_before(ms(6)) is False
    garden.says(0, 31)
    assert garden.node.next_due_before(ms(6)) is True
    assert garden.node.next_due_before(ms(5)) is False


def test_the_condition_that_counts_is_until_while_a_rule_fires() -> None:
    garden = Garden(rule(until=f"{AIR} < 27"), rule(name="plain"))
    state = garden.node.decisions.rules["ventilate"]
    assert state.condition == condition(f"{AIR} > 30")
    garden.says(0, 31)
    assert state.condition == condition(f"{AIR} < 27")
    assert garden.node.decisions.rules["plain"].condition == condition(f"{AIR} > 30")


def test_what_is_kept_is_small() -> None:
    """A row for each that has something to remember, and nothing in it that says nothing."""
    garden = Garden(rule(hold=60))
    assert garden.rows == {("output", VENT): b'{"off_since":0}', ("output", HEATER): b'{"off_since":0}'}
    garden.says(0, 31)
    assert msgspec.json.decode(garden.rows["rule", "ventilate"]) == {
        "asked": 0,
        "text": garden.node.decisions.rules["ventilate"].spec.when.text,
    }
