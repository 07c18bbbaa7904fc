"""Who outranks whom: a story for each line of the order, and for rules that cannot be decided."""

from __future__ import annotations

import pytest

from outstation.core import actuation
from outstation.core.claims import ORDER
from outstation.core.node import Node
from outstation.errors import OutrankedError, RefusedError
from tests.core.plant import HEATER, PUMP, VALVE, Plant, output
from tests.core.story import HOUR, START, levels, ms, story, tick


def test_each_line_gives_way_to_the_one_above() -> None:
    """One output, and claims that pile up from below."""
    plant = Plant(output(min_on=10, max_on=50, min_off=20, interlock=(VALVE,), dimmable=True), output(VALVE))
    seen = [plant.line()]
    plant.fire(100, "warm", level=0.5)
    seen.append(plant.line())
    plant.order(105, "off")
    seen.append(plant.line())  # min_on
    plant.wait(110)
    seen.append(plant.line())  # manual
    plant.order(111, "on")
    seen.append(plant.line())  # min_off
    plant.wait(180)
    seen.append(plant.line())  # max_on ended the claims: what is left is its rest
    plant.fire(190, "first", VALVE)
    plant.order(200, "on")
    seen.append(plant.line())  # interlock
    plant.fire(210, "frost", level=0.2, safety=True)
    seen.append(plant.line())
    plant.order(220, "lock")
    seen.append(plant.line())
    assert seen == ["default", "rule", "min_on", "manual", "min_off", "max_on", "interlock", "safety", "lock-out"]
    assert [line.name for line in ORDER] == [
        "process death", "lock-out", "safety", "interlock", "max_on", "min_off", "min_on", "manual", "rule", "default"
    ]  # fmt: skip


# Rules.


def test_the_rule_of_the_highest_priority_decides() -> None:
    plant = Plant(output())
    plant.fire(10, "dry", priority=1)
    plant.fire(20, "night", level=False, priority=2)
    assert not plant.is_on()
    plant.clear(30, "night")
    assert plant.is_on()
    plant.clear(40, "dry")
    assert not plant.is_on()


@pytest.mark.parametrize("safe", [True, False])
def test_of_two_rules_of_one_priority_the_safe_one_decides(safe: bool) -> None:
    plant = Plant(output(safe=safe))
    plant.fire(10, "on")
    plant.fire(20, "off", level=False)
    assert plant.is_on() is safe


def test_of_two_levels_that_are_as_safe_the_earlier_decides() -> None:
    plant = Plant(output(dimmable=True))
    plant.fire(10, "b", level=0.5)
    plant.fire(20, "a", level=0.7)
    assert plant.states[PUMP].wanted == 0.5


def test_a_person_outranks_rules_for_a_time() -> None:
    plant = Plant(output(ruled=True))
    plant.fire(10, "dry", priority=100)
    plant.order(20, "off")
    plant.wait(3_000)
    assert not plant.is_on()
    plant.wait(20 + HOUR)
    assert plant.switchings[-1] == (20 + HOUR, PUMP, True)


def test_a_safety_rule_outranks_a_person_and_the_limits() -> None:
    plant = Plant(output(min_off=60, max_on=30))
    plant.order(0, "off")
    plant.fire(10, "flood", safety=True)
    plant.wait(100)
    assert plant.switchings[1:] == [(10, PUMP, True)]
    plant.clear(100, "flood")
    assert not plant.is_on()


def test_what_stood_while_a_safety_rule_outran_max_on_is_worth_no_other_run() -> None:
    plant = Plant(output(max_on=30))
    plant.fire(10, "fill")
    plant.fire(20, "flood", safety=True)
    plant.clear(100, "flood")
    plant.wait(500)
    assert not plant.is_on()
    assert plant.line() == "max_on"


def test_of_two_safety_rules_the_safe_one_decides() -> None:
    plant = Plant(output(safe=True))
    plant.fire(10, "dry", level=False, safety=True)
    assert not plant.is_on()
    plant.fire(20, "fire", safety=True)
    assert plant.is_on()


def test_a_command_against_a_safety_rule_is_refused_with_its_name() -> None:
    plant = Plant(output())
    plant.fire(10, "dry", level=False, safety=True)
    for action in ("on", "pulse", "toggle"):
        with pytest.raises(OutrankedError, match='pump: the safety rule "dry" asks for off'):
            plant.order(20, action)
    plant.order(20, "off")
    plant.clear(30, "dry")
    assert plant.line() == "manual"


def test_claims_that_have_not_changed_ask_for_nothing() -> None:
    plant = Plant(output())
    plant.fire(10, "dry")
    wants = {PUMP: tuple(plant.wants[PUMP].values())}
    assert actuation.claim(plant.states, wants, plant.tick) == []


# A rule that cannot be decided.


def test_past_its_lease_a_claim_that_cannot_be_decided_falls_and_the_output_goes_safe() -> None:
    plant = Plant(output())
    plant.fire(10, "dry")
    plant.doubt(20, "dry")
    plant.wait(500)
    assert plant.switchings == [(10, PUMP, True), (320, PUMP, False)]
    why = 'off: rule "dry" could not be decided for 5m, so this is the safe state, for 5m10s'
    assert plant.notes[-1] == ("decided", why)
    plant.doubt(500, "dry", decided=True)
    assert plant.is_on()


def test_safe_may_be_on_and_is_not_the_default() -> None:
    plant = Plant(output(safe=True, lease=60))
    plant.fire(10, "close", level=False)
    plant.doubt(20, "close")
    assert not plant.is_on()
    plant.wait(80)
    assert plant.is_on()
    plant.clear(90, "close")
    assert not plant.is_on()


def test_a_lease_counts_anew_each_time() -> None:
    plant = Plant(output(lease=60))
    plant.fire(10, "dry")
    for second in range(20, 1_000, 60):
        plant.doubt(second, "dry")
        plant.doubt(second + 59, "dry", decided=True)
    assert plant.switchings == [(10, PUMP, True)]


def test_another_claim_does_not_lengthen_a_lease() -> None:
    plant = Plant(output(lease=60))
    plant.fire(10, "dry", priority=2)
    plant.doubt(20, "dry")
    plant.fire(70, "warm")
    plant.wait(80)
    assert not plant.is_on()


def test_a_person_outranks_a_claim_that_cannot_be_decided() -> None:
    plant = Plant(output(lease=60))
    plant.fire(10, "dry")
    plant.doubt(20, "dry")
    plant.order(100, "on")
    assert plant.is_on()


# Lock-out.


def test_a_lock_out_switches_off_and_outranks_all() -> None:
    plant = Plant(output(min_on=60, default=True))
    plant.order(10, "on")
    plant.order(20, "lock")
    plant.fire(30, "flood", safety=True)
    plant.wait(10 * HOUR)
    assert plant.switchings == [(10, PUMP, True), (20, PUMP, False)]
    plant.order(10 * HOUR, "unlock", who="ben")
    assert plant.is_on()
    assert plant.notes[-1] == ("command", "unlock by ben; it was locked by anna")


def test_a_lock_out_ends_the_claim_of_a_person_but_not_those_of_rules() -> None:
    plant = Plant(output())
    plant.order(10, "on")
    plant.order(20, "lock")
    plant.order(30, "unlock")
    assert not plant.is_on()
    plant.order(40, "lock")
    plant.fire(50, "dry")
    assert plant.pending() == (True, None)
    plant.order(60, "unlock")
    assert plant.is_on()


@pytest.mark.parametrize("action", ["on", "off", "toggle", "pulse", "set"])
def test_what_is_locked_out_takes_no_commands(action: str) -> None:
    plant = Plant(output(dimmable=True))
    plant.order(10, "lock")
    with pytest.raises(OutrankedError, match="pump is locked out by anna"):
        plant.order(20, action, who="ben", value=1)
    plant.order(30, "release", who="ben")


def test_a_second_person_cannot_rely_on_the_lock_of_the_first() -> None:
    plant = Plant(output())
    plant.order(10, "lock")
    plant.order(15, "lock")
    with pytest.raises(OutrankedError, match="locked out already, by anna"):
        plant.order(20, "lock", who="ben")
    assert plant.stands().since == START + ms(10)


def test_a_lock_out_has_no_end_of_its_own() -> None:
    plant = Plant(output())
    with pytest.raises(RefusedError, match="ends by unlock alone"):
        plant.order(10, "lock", duration=ms(60))
    assert plant.line() == "default"


def test_unlocking_what_is_not_locked_does_nothing() -> None:
    plant = Plant(output())
    plant.order(10, "on")
    plant.order(20, "unlock")
    assert plant.is_on()
    assert plant.notes[-1] == ("command", "unlock by anna")


# As a part of the node.


def test_a_node_links_its_outputs_and_tells_them_the_time() -> None:
    node = Node([], [output(PUMP, default=True, min_off=10), output(HEATER, interlock=(PUMP,))])
    assert node.actuators[PUMP].partners == (HEATER,)
    assert node.actuators[HEATER].partners == (PUMP,)
    assert levels(story(node, tick(0))) == [False, False]
