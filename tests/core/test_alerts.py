"""When people are told: once for each spell, again until somebody has seen it, and what ends by itself."""

from __future__ import annotations

import pytest

from outstation.core.actuation import ActuatorSpec
from outstation.core.readings import Alert, Value
from outstation.errors import RefusedError, UnknownNameError
from tests.core.garden import HEATER, OUTPUTS, VENT, Garden, alarm, rule
from tests.core.story import AIR, HOUR, MINUTE, START, ms


def test_one_alert_for_each_spell_and_not_one_for_each_reading() -> None:
    garden = Garden(rule(until=f"{AIR} < 27", alert=alarm()))
    for second, value in [(0, 30.06), (10, 33), (20, 28), (30, 31), (40, 26), (60, 31)]:
        garden.says(second, value)
    assert garden.alerted == [
        (0, "raised", True, "It is 30.1 °C"),
        (40, "cleared", True, "It is 30.1 °C"),
        (60, "raised", True, "It is 31.0 °C"),
    ]


def test_an_alert_says_what_was_so_when_it_was_raised() -> None:
    words = alarm("{air_temperature} °C above {vent_at} with the heater {heater}, outside {porch/temperature}")
    when = f"{AIR} > vent_at and heater is off and age(porch/temperature) > 1h"
    garden = Garden(rule(when, alert=words))
    garden.says(5, 31)
    garden.says(15, 39)
    message = "31 °C above 30 with the heater off, outside unknown"
    values: dict[str, Value | None] = {AIR: 31, "vent_at": 30, HEATER: False, "porch/temperature": None}
    assert garden.alerts == [Alert(1, "rule", "ventilate", "warning", message, START + 5_000, values=values)]


def test_an_alert_is_told_again_until_somebody_has_seen_it() -> None:
    garden = Garden(rule(until=f"{AIR} < 27", alert=alarm(repeat=60)))
    garden.steady(0, 150, 31)
    assert garden.happenings() == [(0, "raised", True), (60, "repeated", True), (120, "repeated", True)]
    garden.acknowledge(150, 1)
    garden.steady(160, 400, 31)
    assert garden.happenings()[3:] == [(150, "acknowledged", True)]
    [alert] = garden.alerts
    assert (alert.state, alert.acknowledged_by, alert.acknowledged_at) == ("acknowledged", "anna", START + 150_000)
    garden.says(410, 20)
    assert garden.happenings()[-1] == (410, "cleared", True)
    assert garden.alerts == []


def test_a_rule_that_flaps_is_told_once_a_minute_as_it_is_then() -> None:
    garden = Garden(rule(alert=alarm()))
    for second in range(0, 180, 4):
        garden.says(second, 31)
        garden.says(second + 2, 20)
    told = [(second, happened) for second, happened, tell in garden.happenings() if tell]
    assert len([second for second, happened in told if happened == "raised"]) <= 3
    garden.wait(400)
    assert garden.happenings()[-1][1:] == ("cleared", True)
    assert not [name for kind, name in garden.rows if kind == "alert"]


def test_that_it_is_over_is_told_at_once_where_people_know_that_it_began() -> None:
    garden = Garden(rule(alert=alarm()))
    for second, value in [(0, 31), (10, 20), (20, 31), (30, 20), (40, 31)]:
        garden.says(second, value)
    garden.wait(61)
    told = [(second, happened) for second, happened, tell in garden.happenings() if tell]
    assert told == [(0, "raised"), (10, "cleared"), (60, "raised")]
    # Three spells, of which people heard of two.
    assert [alert.id for alert in garden.alerts] == [2]


def test_what_is_held_back_for_a_minute_can_be_acknowledged_meanwhile() -> None:
    garden = Garden(rule(alert=alarm()))
    for second, value in [(0, 31), (10, 20), (20, 31)]:
        garden.says(second, value)
    garden.acknowledge(30, 2)
    garden.wait(200)
    assert [happened for _, happened, tell in garden.happenings() if tell] == ["raised", "cleared", "acknowledged"]


def test_an_alert_that_has_cleared_is_not_told_again() -> None:
    garden = Garden(rule(alert=alarm(repeat=60)))
    garden.says(0, 31)
    garden.says(10, 20)
    garden.wait(HOUR)
    assert len(garden.alerted) == 2


def test_an_alert_is_acknowledged_once_and_only_while_it_stands() -> None:
    garden = Garden(rule(alert=alarm()))
    garden.says(0, 31)
    with pytest.raises(UnknownNameError, match="No alert 2 stands"):
        garden.acknowledge(1, 2)
    garden.acknowledge(2, 1)
    with pytest.raises(RefusedError, match="acknowledged by anna already"):
        garden.acknowledge(3, 1)
    garden.says(4, 20)
    with pytest.raises(UnknownNameError, match="No alert 1 stands"):
        garden.acknowledge(5, 1)


def test_a_restart_with_a_standing_alert_raises_no_second_one() -> None:
    garden = Garden(rule(until=f"{AIR} < 27", alert=alarm()))
    garden.says(0, 31)
    for _ in range(3):
        garden.restart()
        garden.says(garden.second + 1, 31)
    assert garden.happenings() == [(0, "raised", True)]


def test_a_rule_may_tell_people_and_move_nothing() -> None:
    garden = Garden(rule(claims={}, alert=alarm()))
    garden.says(0, 31)
    assert not garden.switchings
    assert len(garden.alerts) == 1


def test_an_output_that_does_not_obey_is_told_at_once_and_once() -> None:
    garden = Garden(rule())
    garden.failing = {VENT}
    garden.steady(0, 300, 31)
    [alert] = garden.alerts
    assert (alert.kind, alert.subject, alert.severity) == ("output", VENT, "critical")
    assert alert.message == "vent does not obey, so nobody knows whether it is on: the line is busy"
    garden.failing = set()
    garden.wait(HOUR)
    assert garden.alerts == []
    assert [happened for _, happened, _ in garden.happenings()] == ["raised", "cleared"]


def test_an_output_that_max_on_cuts_off_while_its_rule_goes_on_is_told() -> None:
    """The soil stays dry with the pump running: the tank is empty, or the hose is off."""
    pump = ActuatorSpec(VENT, max_on=ms(10 * MINUTE), ruled=True)
    garden = Garden(rule(until=f"{AIR} < 27"), outputs=[pump, OUTPUTS[1]])
    garden.steady(0, 1200, 31)
    assert garden.switchings == [(0, VENT, True), (600, VENT, False)]
    [alert] = garden.alerts
    assert (alert.kind, alert.subject, alert.severity, alert.raised_at) == ("max_on", VENT, "warning", START + 600_000)
    assert alert.message == "vent is kept off: max_on: it has been on for 10m"
    garden.restart()
    assert [alert.id for alert in garden.alerts] == [1]
    garden.says(garden.second + 1, 20)
    assert garden.alerts == []


def test_a_person_s_run_that_max_on_ends_is_no_alert() -> None:
    pump = ActuatorSpec(VENT, max_on=ms(10 * MINUTE), ruled=True)
    garden = Garden(outputs=[pump])
    garden.order(0, "on", duration=HOUR)
    garden.wait(HOUR)
    assert garden.switchings == [(0, VENT, True), (600, VENT, False)]
    assert garden.alerted == []


def test_alerts_are_in_the_journal() -> None:
    garden = Garden(rule(until=f"{AIR} < 27", alert=alarm("Hot", repeat=60), claims={HEATER: False}))
    garden.steady(0, 60, 31)
    garden.acknowledge(70, 1)
    garden.says(80, 20)
    assert [(kind, subject, text) for kind, subject, text in garden.journal if kind.startswith("alert")] == [
        ("alert raised", "ventilate", "warning alert 1: Hot"),
        ("alert acknowledged", "ventilate", "warning alert 1: Hot, by anna"),
        ("alert cleared", "ventilate", "warning alert 1: Hot"),
    ]


def test_an_alert_of_another_node_has_a_number_of_its_own() -> None:
    garden = Garden(rule(until=f"{AIR} < 27", alert=alarm()))
    assert garden.node.decisions.alerts.number() == 1
    garden.says(0, 31)
    assert [alert.id for alert in garden.alerts] == [2]
