"""After a restart: rules, holds, leases, settings, locks and alerts go on where they were, as far as anybody knows.

What the node keeps goes through JSON and a table of rows, and is all that is left of it.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from outstation.core.actuation import ActuatorSpec
from outstation.core.readings import Keep, Note
from outstation.core.settings import SettingSpec
from tests.core.garden import HEATER, NIGHT, OUTPUTS, VENT, VENT_AT, Garden, alarm, rule
from tests.core.story import AIR, HOUR, MINUTE, ms

KINDS = {
    "the same boot": {},
    "the same boot, a clock nobody believes": {"trusted": False},
    "another boot": {"another": True},
    "another boot, a clock nobody believes": {"another": True, "trusted": False},
}
HYSTERESIS = rule(until=f"{AIR} < 27", alert=alarm())


def restarts(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("how", [KINDS[name] for name in names or KINDS], ids=list(names or KINDS))


@restarts()
def test_a_rule_that_fired_goes_on_firing(how: dict[str, Any]) -> None:
    """Between 27 and 30 nobody would know that it had fired."""
    garden = Garden(HYSTERESIS)
    garden.says(0, 31)
    garden.says(10, 28)
    garden.restart(**how)
    assert garden.fires()
    assert garden.is_on()
    garden.says(garden.second + 1, 28)
    assert garden.is_on()
    garden.says(garden.second + 1, 26)
    assert not garden.is_on()
    assert [happened for _, happened, _ in garden.happenings()] == ["raised", "cleared"]


@restarts()
@pytest.mark.parametrize("anew", [False, True])
def test_a_hold_counts_the_time_off_or_begins_anew(how: dict[str, Any], anew: bool) -> None:
    garden = Garden(rule(hold=60, anew=anew))
    garden.steady(0, 30, 31)
    garden.restart(10, **how)
    back = garden.second
    goes_on = not anew and how != KINDS["another boot, a clock nobody believes"]
    garden.steady(back, back + 50, 31)
    garden.wait(back + 60)
    # Of the 60 s it had 30, and 10 while it was off.
    assert garden.switchings == [(back + (20 if goes_on else 60), VENT, True)]


def test_a_hold_that_ended_while_the_node_was_off_fires_at_once() -> None:
    garden = Garden(rule(hold=60))
    garden.steady(0, 30, 31)
    garden.restart(29)
    assert not garden.fires()
    garden.wait(60)
    assert garden.fires()


def test_a_pause_of_a_hold_goes_on_too() -> None:
    garden = Garden(rule(hold=60))
    garden.says(0, 31)
    garden.wait(50)
    garden.restart(10)
    garden.says(70, 31)
    # Known for 30.001 s until the pause.
    garden.steady(80, 90, 31)
    garden.wait(99.998)
    assert not garden.fires()
    garden.says(99.998, 31)
    garden.wait(99.999)
    assert garden.fires()


@restarts("the same boot", "another boot")
@pytest.mark.parametrize("anew", [False, True])
def test_the_lease_of_a_claim_goes_on_however_often_the_node_restarts(how: dict[str, Any], anew: bool) -> None:
    """A node that crashes every minute must not keep an output on that nobody can decide."""
    garden = Garden(msgspec.structs.replace(HYSTERESIS, hold_anew=anew))
    garden.says(0, 31)
    spent = garden.second
    for _ in range(6):
        garden.wait(garden.second + 50)
        garden.restart(10, **how)
        spent += 60
    assert not garden.is_on()
    assert garden.fires()


def test_the_lease_counts_anew_where_nobody_knows_how_long_it_was_off() -> None:
    garden = Garden(HYSTERESIS)
    garden.says(0, 31)
    garden.wait(300)
    garden.restart(10, another=True, trusted=False)
    assert garden.is_on()
    back = garden.second
    garden.wait(back + 400)
    assert garden.switchings[-1] == (back + 300, VENT, False)


def test_a_rule_that_is_gone_claims_nothing_any_more() -> None:
    garden = Garden(HYSTERESIS)
    garden.says(0, 31)
    effects = garden.restart(rules=[])
    assert not garden.is_on()
    assert garden.output().wants == ()
    assert garden.alerts == []
    assert Keep("rule", "ventilate", None) in effects
    assert not [name for kind, name in garden.rows if kind in ("rule", "alert")]


def test_a_rule_that_was_disabled_claims_nothing_any_more() -> None:
    garden = Garden(HYSTERESIS)
    garden.says(0, 31)
    garden.restart(rules=[msgspec.structs.replace(HYSTERESIS, enabled=False)])
    assert not garden.is_on()
    assert garden.alerts == []
    assert ("rule", "ventilate") not in garden.rows
    garden.says(garden.second + 1, 28)
    garden.restart(rules=[HYSTERESIS])
    assert not garden.is_on()


def test_a_rule_that_claims_another_output_now_lets_go_of_the_first() -> None:
    garden = Garden(HYSTERESIS)
    garden.says(0, 31)
    garden.restart(rules=[msgspec.structs.replace(HYSTERESIS, claims={HEATER: True})])
    assert not garden.is_on(VENT)
    assert garden.is_on(HEATER)


def test_an_output_of_another_name_is_another_output() -> None:
    garden = Garden(HYSTERESIS)
    garden.order(0, "lock")
    garden.order(0, "on", HEATER)
    garden.restart(rules=[], outputs=[ActuatorSpec("skylight")])
    assert garden.node.actuators["skylight"].lock is None
    assert sorted(garden.rows) == [("output", "skylight")]


@restarts()
def test_a_lock_outlives_every_restart(how: dict[str, Any]) -> None:
    garden = Garden(HYSTERESIS)
    garden.order(0, "lock")
    garden.says(1, 31)
    garden.restart(**how)
    garden.says(garden.second + 1, 31)
    assert garden.fires()
    assert not garden.is_on()
    assert garden.line() == "lock-out"
    garden.restart(**how)
    garden.order(garden.second + 1, "unlock")
    assert garden.is_on()


@restarts()
def test_a_person_s_claim_goes_on_only_where_its_end_is_known(how: dict[str, Any]) -> None:
    garden = Garden()
    garden.order(0, "on", duration=60)
    garden.restart(10, **how)
    known = how != KINDS["another boot, a clock nobody believes"]
    assert garden.is_on() is known
    back = garden.second
    garden.wait(back + 49.999)
    assert garden.is_on() is known
    garden.wait(back + 50)
    assert not garden.is_on()


@restarts()
def test_a_setting_stays_as_people_have_set_it(how: dict[str, Any]) -> None:
    garden = Garden(rule(f"{AIR} > vent_at"))
    garden.adjust(0, 20)
    garden.restart(**how)
    assert garden.node.decisions.settings["vent_at"] == 20
    assert garden.node.decisions.set_by["vent_at"].who == "anna"
    garden.says(garden.second, 21)
    assert garden.is_on()


@pytest.mark.parametrize(
    ("now", "value"),
    [
        (SettingSpec("vent_at", 30, low=25, high=40), 30),
        (SettingSpec("vent_at", 15, low=10, high=20), 20),
        (SettingSpec("vent_at", 15, low=10, high=19.9), 15),
        (SettingSpec("vent_at", 25), 20),
    ],
)
def test_a_setting_outside_its_new_bounds_is_what_the_config_says(now: SettingSpec, value: float) -> None:
    garden = Garden()
    garden.adjust(0, 20)
    garden.restart(settings=[now])
    assert garden.node.decisions.settings["vent_at"] == value
    assert (("setting", "vent_at") in garden.rows) is (value == 20)


def test_a_setting_that_is_gone_is_forgotten() -> None:
    garden = Garden()
    garden.adjust(0, 20)
    garden.restart(settings=[])
    assert garden.rows.keys() == {("output", VENT), ("output", HEATER)}


@restarts()
def test_alerts_that_stand_go_on_standing(how: dict[str, Any]) -> None:
    garden = Garden(rule(until=f"{AIR} < 27", alert=alarm(repeat=120)))
    garden.says(0, 31)
    before = garden.alerts
    garden.restart(10, **how)
    assert garden.alerts == before
    garden.says(garden.second + 1, 32)
    assert len(garden.alerted) == 1
    garden.steady(garden.second + 10, garden.second + 130, 31)
    assert [happened for _, happened, _ in garden.happenings()] == ["raised", "repeated"]
    garden.says(garden.second, 20)
    assert garden.alerts == []
    # The next one has a number of its own.
    garden.says(garden.second + 1, 31)
    assert [alert.id for alert in garden.alerts] == [2]


def test_a_number_of_an_alert_is_never_given_twice() -> None:
    garden = Garden(HYSTERESIS)
    garden.node.decisions.alerts.count_from(41)
    garden.says(0, 31)
    garden.node.decisions.alerts.count_from(7)
    assert [alert.id for alert in garden.alerts] == [42]


def test_an_acknowledged_alert_stays_so() -> None:
    garden = Garden(rule(until=f"{AIR} < 27", alert=alarm(repeat=60)))
    garden.says(0, 31)
    garden.acknowledge(5, 1)
    garden.restart()
    garden.steady(20, 200, 28)
    assert [alert.state for alert in garden.alerts] == ["acknowledged"]
    assert [happened for _, happened, _ in garden.happenings()] == ["raised", "acknowledged"]


def test_an_alert_whose_rule_tells_nobody_any_more_is_over() -> None:
    """Nobody would ever clear it: it would be told again for ever."""
    garden = Garden(HYSTERESIS)
    garden.says(0, 31)
    garden.restart(rules=[msgspec.structs.replace(HYSTERESIS, alert=None)])
    assert garden.fires()
    assert garden.alerts == []


def test_what_ends_with_a_restart_at_night_is_told_in_the_morning() -> None:
    garden = Garden(HYSTERESIS, quiet=NIGHT, hour=21.5)
    garden.says(0, 31)
    garden.wait(HOUR)
    garden.restart(rules=[])
    assert garden.happenings()[-1] == (HOUR + 10, "cleared", False)
    garden.wait(10 * HOUR)
    assert garden.happenings()[-1] == (9.5 * HOUR, "cleared", True)


def test_alerts_of_outputs_go_on_until_the_output_is_well() -> None:
    garden = Garden()
    garden.failing = {VENT}
    garden.order(0, "on")
    assert [alert.kind for alert in garden.alerts] == ["output"]
    garden.restart()
    assert [alert.kind for alert in garden.alerts] == ["output"]
    garden.failing = set()
    garden.restart()
    assert garden.alerts == []


def test_alerts_of_an_output_that_is_gone_are_over() -> None:
    garden = Garden()
    garden.failing = {VENT}
    garden.order(0, "on")
    garden.restart(outputs=OUTPUTS[1:])
    assert garden.alerts == []


@restarts()
def test_what_was_kept_restores_to_the_same(how: dict[str, Any]) -> None:
    """Twice: a restart that comes right after one changes nothing but the times."""
    pump = ActuatorSpec(VENT, max_on=ms(HOUR), lease=ms(300), ruled=True)
    garden = Garden(HYSTERESIS, rule(f"{AIR} > 20", name="held", hold=600), outputs=[pump, OUTPUTS[1]], quiet=NIGHT)
    garden.says(0, 31)
    garden.adjust(10, 20)
    garden.order(10, "on", HEATER, duration=HOUR)
    garden.restart(**how)
    first, wanted = dict(garden.rows), [state.wanted for state in garden.node.actuators.values()]
    garden.restart(0)
    assert garden.rows == first
    assert [state.wanted for state in garden.node.actuators.values()] == wanted


def test_a_crash_before_the_rows_are_written_restores_to_what_was_before() -> None:
    """The outputs of the new rows went safe with the crash; what was decided is decided again."""
    garden = Garden(HYSTERESIS)
    garden.says(0, 29)
    rows = dict(garden.rows)
    garden.says(10, 31)
    garden.rows = rows
    garden.restart()
    # The reading itself is on disk.
    assert garden.fires()
    assert garden.is_on()


@pytest.mark.parametrize("kind", ["rule", "output", "setting", "alert"])
def test_a_row_that_cannot_be_read_takes_nothing_else_with_it(kind: str) -> None:
    garden = Garden(HYSTERESIS)
    garden.says(0, 31)
    garden.adjust(0, 20)
    garden.order(0, "lock")
    rows = garden.rows | {(kind, "gone"): b'{"since": "long ago", "alert": 1, "lock": 2, "value": "a"}'}
    fresh = Garden(HYSTERESIS).node
    effects = fresh.restore(rows, garden.stamp, garden.here())
    assert [effect.subject for effect in effects if isinstance(effect, Note)] == ["gone"]
    assert fresh.actuators[VENT].lock
    assert fresh.decisions.rules["ventilate"].firing
    assert fresh.decisions.settings == garden.node.decisions.settings
    assert Keep(kind, "gone", None) in effects


def test_a_lock_on_an_output_that_is_gone_is_noted() -> None:
    garden = Garden(HYSTERESIS)
    garden.order(0, "lock")
    rows = {("output", "renamed"): garden.rows["output", VENT]}
    effects = Garden(HYSTERESIS).node.restore(rows, garden.stamp, garden.here())
    notes = [(effect.subject, effect.text) for effect in effects if isinstance(effect, Note)]
    assert [subject for subject, _ in notes] == ["renamed"]
    assert notes[0][1].startswith("it was locked by")


def test_a_rule_that_was_written_anew_begins_anew() -> None:
    garden = Garden(rule(f"{AIR} > 30", f"{AIR} < 28"))
    garden.says(0, 31)
    assert garden.fires()
    fresh = Garden(rule(f"{AIR} > 90", f"{AIR} < 1")).node
    fresh.restore(garden.rows, garden.stamp, garden.here())
    assert not fresh.decisions.rules["ventilate"].firing


def test_while_an_output_with_a_limit_is_on_that_is_kept_again_and_again() -> None:
    """So that a power cut takes no more than a minute from what max_on has counted."""
    limited = ActuatorSpec(VENT, max_on=ms(HOUR), ruled=True)
    garden = Garden(HYSTERESIS, outputs=[limited, OUTPUTS[1]])
    decisions = garden.node.decisions
    garden.order(0, "on", HEATER)
    assert decisions.still_kept() == []
    garden.says(10, 31)
    assert decisions.still_kept() == [Keep("output", VENT, garden.rows["output", VENT])]
    garden.says(20, 20)
    assert decisions.still_kept() == []


def test_max_on_keeps_what_it_had_used_at_the_last_stamp() -> None:
    limited = ActuatorSpec(VENT, max_on=ms(10 * MINUTE), ruled=True)
    garden = Garden(HYSTERESIS, outputs=[limited, OUTPUTS[1]])
    garden.steady(0, 300, 31)
    garden.stamp = garden.here()
    garden.restart(7 * HOUR, another=True, trusted=False)
    back = garden.second
    garden.steady(back, back + 310, 31)
    assert garden.switchings[-1] == (back + 300, VENT, False)


def test_nothing_kept_at_all_is_a_first_start() -> None:
    garden = Garden()
    garden.rows = {}
    garden.restart(settings=[VENT_AT])
    assert garden.rows.keys() == {("output", VENT), ("output", HEATER)}
