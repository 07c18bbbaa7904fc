"""Outputs that must not be on at once: turns, waiting, and what is not known to be off."""

from __future__ import annotations

import pytest

from outstation.core.actuation import ActuatorSpec
from outstation.core.limits import contradictions
from tests.core.plant import HEATER, PUMP, VALVE, Plant, output

BOTH = (output(PUMP, interlock=(VALVE,)), output(VALVE))


def test_the_later_claim_waits_until_the_earlier_falls() -> None:
    plant = Plant(*BOTH)
    plant.order(10, "on")
    plant.order(20, "on", VALVE, who="ben")
    assert plant.line(VALVE) == "interlock"
    assert plant.stands(VALVE).who == PUMP
    assert plant.pending(VALVE) == (True, None)
    plant.order(30, "off")
    assert plant.switchings[-2:] == [(30, PUMP, False), (30, VALVE, True)]


def test_one_comes_on_when_the_other_was_seen_off() -> None:
    plant = Plant(*BOTH)
    plant.order(10, "on")
    plant.order(20, "on", VALVE)
    plant.slow.add(PUMP)
    plant.order(30, "off")
    assert not plant.is_on(VALVE)
    plant.answer(31)
    assert plant.is_on(VALVE)


def test_what_was_told_to_come_on_may_be_on_until_it_is_seen_off() -> None:
    plant = Plant(*BOTH)
    plant.slow.add(PUMP)
    plant.order(10, "on")
    plant.order(10.1, "off")
    plant.order(10.2, "on", VALVE)
    assert not plant.is_on(VALVE)
    plant.answer(11, level=True)
    assert not plant.is_on(VALVE)
    plant.answer(12, level=False)
    assert plant.is_on(VALVE)


def test_what_is_unknown_counts_as_on() -> None:
    plant = Plant(*BOTH)
    plant.order(10, "on", VALVE)
    plant.failing.add(PUMP)
    plant.order(20, "off")
    assert not plant.is_on(VALVE)
    plant.failing.clear()
    plant.wait(30)
    assert plant.is_on(VALVE)


def test_after_a_start_nothing_comes_on_until_the_others_were_seen_off() -> None:
    plant = Plant(output(PUMP, interlock=(VALVE,), default=True), output(VALVE), opened=False)
    assert not plant.is_on()
    plant.open()
    assert plant.is_on()


def test_of_several_that_wait_the_earliest_goes_first() -> None:
    plant = Plant(*(output(name, interlock=("water",)) for name in (PUMP, VALVE, HEATER)))
    plant.order(10, "on", HEATER)
    plant.fire(20, "dry", VALVE)
    plant.order(30, "on", PUMP)
    plant.order(40, "release", HEATER)
    assert (plant.is_on(VALVE), plant.is_on(PUMP)) == (True, False)


def test_who_is_on_stays_on_before_an_earlier_claim_that_had_to_wait() -> None:
    plant = Plant(output(PUMP, min_off=100, interlock=(VALVE,)), output(VALVE))
    plant.order(10, "on")
    plant.order(20, "on", VALVE)
    plant.wait(200)
    assert (plant.is_on(VALVE), plant.is_on(PUMP)) == (True, False)


def test_who_waits_for_one_keeps_no_third_waiting() -> None:
    plant = Plant(output(PUMP), output(VALVE, interlock=(PUMP, HEATER)), output(HEATER))
    plant.order(10, "on", PUMP)
    plant.order(20, "on", VALVE)
    plant.order(30, "on", HEATER)
    assert plant.is_on(HEATER)
    plant.order(40, "off", PUMP)
    assert not plant.is_on(VALVE)
    plant.order(50, "off", HEATER)
    assert plant.is_on(VALVE)


def test_a_default_makes_way_for_a_claim_when_its_min_on_is_over() -> None:
    plant = Plant(output(PUMP, default=True, min_on=30, interlock=(VALVE,)), output(VALVE))
    plant.order(10, "on", VALVE)
    plant.wait(60)
    plant.order(60, "off", VALVE)
    assert plant.switchings[1:] == [
        (0, PUMP, True), (30, PUMP, False), (30, VALVE, True), (60, VALVE, False), (60, PUMP, True)
    ]  # fmt: skip


def test_a_safety_rule_waits_for_nobody() -> None:
    plant = Plant(*BOTH)
    plant.order(10, "on")
    plant.slow.add(PUMP)
    plant.fire(20, "frost", VALVE, safety=True)
    # What goes off is told first.
    assert plant.switchings[-2:] == [(20, PUMP, False), (20, VALVE, True)]
    assert plant.line() == "interlock"


def test_of_two_safety_rules_the_later_waits() -> None:
    plant = Plant(*BOTH)
    plant.fire(10, "frost", VALVE, safety=True)
    plant.fire(20, "flood", PUMP, safety=True)
    assert (plant.is_on(VALVE), plant.is_on(PUMP)) == (True, False)
    assert plant.line() == "interlock"
    plant.clear(30, "frost", VALVE)
    assert (plant.is_on(VALVE), plant.is_on(PUMP)) == (False, True)


def test_a_safety_rule_that_is_heard_stays_on_before_an_earlier_one_that_was_locked_out() -> None:
    plant = Plant(*BOTH)
    plant.order(10, "lock")
    plant.fire(20, "flood", PUMP, safety=True)
    plant.fire(30, "frost", VALVE, safety=True)
    plant.order(40, "unlock")
    assert (plant.is_on(VALVE), plant.is_on(PUMP)) == (True, False)


def test_what_would_be_off_anyway_keeps_nobody_waiting() -> None:
    plant = Plant(*BOTH)
    plant.order(10, "lock")
    plant.fire(20, "dry", PUMP)
    plant.fire(30, "warm", VALVE)
    assert plant.is_on(VALVE)
    plant.fire(40, "leak", VALVE, level=False, safety=True)
    plant.order(50, "unlock")
    assert plant.is_on(PUMP)


def test_an_interlock_outranks_min_on_when_safety_asks() -> None:
    plant = Plant(output(PUMP, interlock=(VALVE,), min_on=100), output(VALVE))
    plant.order(10, "on")
    plant.fire(20, "frost", VALVE, safety=True)
    assert not plant.is_on()


# What cannot be meant.


def said(*specs: ActuatorSpec) -> list[tuple[str, str]]:
    return [(found.actuator, found.key) for found in contradictions(specs)]


def test_limits_that_fit() -> None:
    group = [output(name, interlock=("water",), min_on=10, max_on=10) for name in (PUMP, VALVE)]
    assert said(*group, output(HEATER, default=True, safe=True, max_on=10, min_off=5, interlock=(PUMP,))) == []


@pytest.mark.parametrize(
    ("specs", "found"),
    [
        ([output(interlock=(PUMP,))], [(PUMP, "interlock")]),
        ([output(interlock=("pmup",)), output(VALVE)], [(PUMP, "interlock")]),
        ([output(min_on=11, max_on=10)], [(PUMP, "min_on")]),
        ([output(max_on=10, default=True)], [(PUMP, "max_on")]),
        (
            [output(default=True, interlock=(VALVE,)), output(VALVE, default=True), output(HEATER, default=True)],
            [(PUMP, "default"), (VALVE, "default")],
        ),
        (
            [output(safe=True, interlock=(VALVE,)), output(VALVE, safe=True), output(HEATER, safe=True)],
            [(PUMP, "safe"), (VALVE, "safe")],
        ),
    ],
)
def test_limits_that_contradict_themselves(specs: list[ActuatorSpec], found: list[tuple[str, str]]) -> None:
    assert said(*specs) == found


def test_a_contradiction_says_what_to_do() -> None:
    [found] = contradictions([output(min_on=90, max_on=10)])
    assert found.text == "it cannot stay on for 1m30s and go off after 10s: make max_on the longer one."
