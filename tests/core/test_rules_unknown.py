"""Unknown is a value: it pauses, it resets a hold, and past the lease a claim that nobody can decide falls."""

from __future__ import annotations

import pytest

from outstation.core.actuation import ActuatorSpec
from tests.core.garden import HEATER, VENT, Garden, alarm, rule
from tests.core.story import AIR, HOUR, MINUTE, ms

STALE = 30.001
LEASE = 300


def test_a_silence_shorter_than_the_hold_pauses_it() -> None:
    garden = Garden(rule(hold=60))
    garden.steady(0, 20, 31)
    # Stale from 50.001 to 80: the hold lacks what was not known.
    garden.steady(80, 80, 31)
    garden.wait(89.998)
    assert not garden.fires()
    garden.says(89.998, 31)
    garden.wait(89.999)
    assert garden.switchings == [(89.999, VENT, True)]


def test_a_silence_longer_than_the_hold_resets_it() -> None:
    garden = Garden(rule(hold=60))
    garden.steady(0, 20, 31)
    garden.steady(120, 170, 31)
    garden.wait(179.999)
    assert not garden.fires()
    garden.wait(180)
    assert garden.fires()


def test_a_silence_as_long_as_the_hold_is_not_longer() -> None:
    garden = Garden(rule(hold=60))
    garden.says(0, 31)
    garden.says(90.001, 31)
    # Asked from 0 to 30.001, and again from 90.001: the other half.
    garden.wait(120)
    assert garden.switchings == [(120, VENT, True)]


def test_a_hold_that_nobody_decides_is_forgotten_by_itself() -> None:
    garden = Garden(rule(hold=60))
    garden.says(0, 31)
    assert ("rule", "ventilate") in garden.rows
    garden.wait(30 + 60)
    assert ("rule", "ventilate") in garden.rows
    garden.wait(31 + 60)
    assert ("rule", "ventilate") not in garden.rows


def test_a_failing_driver_pauses_a_hold_at_once() -> None:
    garden = Garden(rule(hold=60))
    garden.says(0, 31)
    garden.says(10, 31)
    garden.fails(20)
    garden.says(45, 31)
    garden.steady(55, 75, 31)
    garden.wait(84.999)
    assert not garden.fires()
    garden.wait(85)
    assert garden.fires()


def test_a_sensor_that_dies_while_its_rule_fires_ends_the_claim_with_the_lease() -> None:
    """It asked for a level; nobody who could decide does so any more."""
    garden = Garden(rule(until=f"{AIR} < 27"))
    garden.says(0, 31)
    garden.wait(600)
    assert garden.switchings == [(0, VENT, True), (STALE + LEASE, VENT, False)]
    assert garden.fires()
    assert garden.noted("decided")[-1].startswith('off: rule "ventilate" could not be decided for 5m')


def test_past_the_lease_an_output_goes_to_its_safe_level() -> None:
    frost = ActuatorSpec(HEATER, safe=True, lease=ms(60), ruled=True)
    cool = rule(f"{AIR} > 20", name="cool", claims={HEATER: False})
    garden = Garden(cool, outputs=[frost])
    garden.says(0, 25)
    garden.wait(100)
    assert garden.switchings == [(STALE + 60, HEATER, True)]


def test_a_sensor_that_comes_back_within_the_lease_changes_nothing() -> None:
    garden = Garden(rule(until=f"{AIR} < 27"))
    garden.says(0, 31)
    garden.says(200, 31)
    garden.wait(200 + STALE + LEASE - 1)
    garden.says(garden.second, 31)
    garden.wait(garden.second + 100)
    assert garden.switchings == [(0, VENT, True)]


def test_one_who_comes_back_after_the_lease_gives_the_rule_its_say_again() -> None:
    garden = Garden(rule(until=f"{AIR} < 27"))
    garden.says(0, 31)
    garden.wait(400)
    garden.says(400, 28)
    assert garden.switchings[-1] == (400, VENT, True)


def test_what_was_never_seen_is_unknown_and_fires_nothing() -> None:
    garden = Garden(rule("porch/temperature < 5"), rule(f"not {AIR} > 30", name="other"))
    garden.wait(25 * HOUR)
    assert not garden.switchings


def test_age_and_quality_are_always_known() -> None:
    silent = rule(f"age({AIR}) > 15m", name="silent", claims={HEATER: True}, alert=alarm("No word of the air"))
    stale = rule(f"quality({AIR}) is stale", name="stale")
    garden = Garden(silent, stale)
    # Never seen: the age of that is longer than any other.
    assert garden.is_on(HEATER)
    garden.says(10, 20)
    assert not garden.is_on(HEATER)
    garden.wait(20 * MINUTE)
    assert garden.switchings[-2:] == [(40.001, VENT, True), (910.001, HEATER, True)]


@pytest.mark.parametrize("firing", [False, True])
def test_a_rule_that_fails_while_running_is_disabled_and_the_others_go_on(firing: bool) -> None:
    # There is no such setting as `ghost`: it fails when it gets that far.
    begin = f"{AIR} > 30" if firing else f"{AIR} > 30 and {AIR} > ghost"
    bad = rule(begin, f"{AIR} < 30 and {AIR} < ghost", name="bad", alert=alarm())
    good = rule(name="good", claims={HEATER: True})
    garden = Garden(bad, good)
    garden.says(0, 31)
    garden.says(10, 29)
    garden.steady(20, 400, 31)
    assert garden.node.decisions.rules["bad"].failed == "KeyError: 'ghost'"
    assert garden.is_on(HEATER)
    assert garden.noted("rule failed") == ["KeyError: 'ghost'"]
    [alert] = [alert for alert in garden.alerts if alert.kind == "broken rule"]
    assert (alert.severity, alert.subject) == ("critical", "bad")
    assert "disabled until the node is started anew" in alert.message
    vent = [(second, level) for second, name, level in garden.switchings if name == VENT]
    assert vent == ([(0, True), (10 + LEASE, False)] if firing else [])


def test_a_rule_that_fails_after_it_has_let_go_has_not_let_go() -> None:
    """Its claim falls with the lease, as that of any rule which nobody can decide: else it would stand for ever."""
    bad = rule(f"{AIR} > 30 or age({AIR}) > ghost * 1s", f"{AIR} < 20", name="bad")
    garden = Garden()
    garden.says(0, 31)
    garden.restart(rules=[bad])
    assert garden.is_on()
    # It clears, and fails when it is asked when it could fire again.
    garden.says(20, 10)
    assert garden.node.decisions.rules["bad"].failed
    garden.wait(20 + LEASE)
    assert garden.switchings[-1] == (20 + LEASE, VENT, False)


def test_a_broken_rule_is_tried_again_at_the_next_start_and_its_alert_is_over() -> None:
    bad = rule(f"{AIR} > 30 and {AIR} > ghost", name="bad")
    garden = Garden(bad)
    garden.says(0, 31)
    assert [alert.id for alert in garden.alerts] == [1]
    # It fails again, which is told again.
    garden.restart()
    assert [alert.id for alert in garden.alerts] == [2]
    garden.restart(rules=[rule(name="bad")])
    assert garden.alerts == []
    assert garden.is_on()
