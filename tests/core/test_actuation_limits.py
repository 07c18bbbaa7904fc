"""min_on, min_off and max_on: what a pump, a compressor and a burner need, whoever asks."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest

from outstation.errors import OutrankedError, RefusedError
from tests.core.plant import PUMP, Plant, output
from tests.core.story import MINUTE, START, ms

# min_off.


def test_min_off_counts_from_when_the_output_was_seen_off() -> None:
    plant = Plant(output(min_off=60))
    plant.fire(100, "fill")
    plant.slow.add(PUMP)
    plant.clear(200, "fill")
    plant.answer(203)
    plant.fire(210, "fill")
    assert plant.line() == "min_off"
    assert plant.pending() == (True, 263)
    plant.wait(300)
    assert plant.switchings == [(100, PUMP, True), (200, PUMP, False), (263, PUMP, True)]


def test_after_a_start_an_output_must_first_be_seen_off_for_min_off() -> None:
    plant = Plant(output(min_off=60, default=True))
    assert not plant.is_on()
    plant.wait(100)
    assert plant.switchings == [(60, PUMP, True)]


def test_an_output_without_min_off_may_come_on_at_once() -> None:
    plant = Plant(output(default=True))
    assert plant.is_on()


def test_while_it_goes_off_an_output_cannot_come_on_again() -> None:
    plant = Plant(output(min_off=60))
    plant.order(100, "on")
    plant.slow.add(PUMP)
    plant.order(110, "off")
    plant.order(110.1, "on")
    assert plant.line() == "min_off"
    # Nobody can say when: that it is off was not seen yet.
    assert plant.pending() == (True, None)
    plant.answer(111)
    assert plant.pending() == (True, 171)


def test_an_output_whose_driver_fails_to_switch_it_off_stays_asked_to_be_off() -> None:
    plant = Plant(output(min_off=60))
    plant.order(100, "on")
    plant.failing.add(PUMP)
    plant.order(110, "off")
    plant.order(120, "on")
    plant.wait(1_000)
    assert not plant.is_on()
    plant.failing.clear()
    plant.wait(1_060)
    seen_off = next(second for second, _, level in reversed(plant.switchings) if not level)
    plant.wait(1_200)
    assert plant.switchings[-1] == (seen_off + 60, PUMP, True)


def test_a_flapping_rule_switches_no_more_than_min_on_and_min_off_allow() -> None:
    plant = Plant(output(min_on=30, min_off=60))
    for tenth in range(1_000, 7_000, 2):
        plant.fire(tenth / 10, "flapping")
        plant.clear(tenth / 10 + 0.1, "flapping")
    times = [second for second, _, _ in plant.switchings]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(gap >= 30 for gap in gaps[::2])
    assert all(gap >= 60 for gap in gaps[1::2])
    assert len(times) > 10


# min_on.


def test_min_on_counts_from_when_the_output_was_seen_on() -> None:
    plant = Plant(output(min_on=30))
    plant.slow.add(PUMP)
    plant.order(100, "on")
    plant.order(101, "off")
    assert plant.line() == "min_on"
    assert plant.pending() == (False, None)
    plant.answer(102)
    assert plant.pending() == (False, 132)
    plant.wait(140)
    assert plant.switchings == [(100, PUMP, True), (132, PUMP, False)]


def test_a_pulse_is_as_long_as_min_on() -> None:
    plant = Plant(output(min_on=5))
    plant.order(10, "pulse")
    plant.wait(20)
    assert plant.switchings == [(10, PUMP, True), (15, PUMP, False)]


def test_min_on_does_not_keep_on_what_does_not_answer() -> None:
    plant = Plant(output(min_on=30))
    plant.failing.add(PUMP)
    plant.order(100, "on")
    plant.order(101, "off")
    assert plant.line() == "manual"
    assert not plant.is_on()


def test_min_on_keeps_a_dimmed_output_on_but_not_at_its_level() -> None:
    plant = Plant(output(min_on=30, dimmable=True))
    plant.order(100, "set", value=0.5)
    plant.order(101, "set", value=0.3)
    plant.order(102, "off")
    assert plant.switchings == [(100, PUMP, 0.5), (101, PUMP, 0.3)]
    plant.wait(130)
    assert plant.switchings[-1] == (130, PUMP, False)


def test_a_command_that_is_kept_back_is_not_driven_once_more() -> None:
    plant = Plant(output(min_on=30))
    plant.order(100, "on")
    plant.order(101, "off")
    plant.order(102, "off")
    assert plant.switchings == [(100, PUMP, True)]


def test_two_toggles_cancel_out_also_when_the_first_is_kept_back() -> None:
    plant = Plant(output(min_off=60))
    plant.order(10, "toggle")
    assert plant.pending() == (True, 60)
    plant.order(11, "toggle")
    assert plant.pending() is None
    plant.wait(100)
    assert not plant.is_on()


# A command that could never have an effect.


@pytest.mark.parametrize(("action", "duration"), [("on", 20), ("pulse", None)])
def test_a_command_that_would_be_over_before_it_begins_is_refused(action: str, duration: float | None) -> None:
    plant = Plant(output(min_off=60))
    plant.order(10, "off")
    with pytest.raises(OutrankedError, match="pump: min_off keeps it off for 40s, which is longer"):
        plant.order(20, action, duration=None if duration is None else ms(duration))
    assert plant.stands().who == "anna"
    assert plant.pending() is None


def test_a_command_that_begins_before_it_is_over_waits() -> None:
    plant = Plant(output(min_off=60))
    plant.order(20, "on", duration=ms(60))
    assert plant.pending() == (True, 60)
    plant.wait(100)
    assert plant.switchings == [(60, PUMP, True), (80, PUMP, False)]


def test_a_time_that_is_none_is_refused() -> None:
    plant = Plant(output())
    with pytest.raises(RefusedError, match="longer than zero"):
        plant.order(10, "on", duration=0)


# max_on.


def test_max_on_ends_a_run_whose_claim_stands() -> None:
    plant = Plant(output(max_on=900))
    plant.fire(100, "fill")
    plant.wait(10_000)
    assert plant.switchings == [(100, PUMP, True), (1_000, PUMP, False)]
    assert plant.line() == "max_on"
    assert ("decided", "off: max_on: it has been on for 15m") in plant.notes


def test_after_max_on_the_output_rests_until_the_claim_falls() -> None:
    plant = Plant(output(max_on=900))
    plant.fire(100, "fill")
    plant.clear(5_000, "fill")
    assert plant.line() == "default"
    plant.fire(5_100, "fill")
    plant.wait(10_000)
    assert plant.switchings[2:] == [(5_100, PUMP, True), (6_000, PUMP, False)]


def test_after_max_on_the_output_rests_for_min_off_as_well() -> None:
    plant = Plant(output(max_on=900, min_off=300))
    plant.fire(400, "fill")
    plant.clear(1_301, "fill")
    plant.fire(1_302, "fill")
    plant.wait(2_000)
    assert plant.switchings == [(400, PUMP, True), (1_300, PUMP, False), (1_600, PUMP, True)]


def test_a_claim_that_has_run_its_time_does_not_stand_in_the_way_of_others() -> None:
    plant = Plant(output(max_on=900))
    plant.fire(100, "stuck", priority=9)
    plant.fire(2_000, "morning")
    plant.clear(2_060, "morning")
    plant.order(3_000, "on")
    plant.order(3_060, "release")
    assert plant.switchings[2:4] == [(2_000, PUMP, True), (2_060, PUMP, False)]
    assert plant.switchings[4:] == [(3_000, PUMP, True), (3_060, PUMP, False)]
    assert plant.line() == "max_on"


def test_a_person_may_begin_another_run_after_max_on() -> None:
    plant = Plant(output(max_on=900, min_off=60))
    plant.order(100, "on")
    plant.wait(1_010)
    assert ("claim ended", "max_on ended the claim of anna") in plant.notes
    assert plant.line() == "default"
    plant.order(1_020, "on")
    assert plant.pending() == (True, 1_060)


def test_a_new_claim_does_not_lengthen_a_run() -> None:
    plant = Plant(output(max_on=900))
    plant.order(100, "on")
    plant.order(900, "on")
    plant.fire(950, "fill")
    plant.wait(2_000)
    assert plant.switchings == [(100, PUMP, True), (900, PUMP, True), (1_000, PUMP, False)]


def test_a_claim_that_comes_when_the_run_ends_is_worth_another() -> None:
    plant = Plant(output(max_on=900, min_off=10))
    plant.fire(100, "fill")
    plant.order(1_000, "on", duration=ms(MINUTE))
    plant.wait(2_000)
    assert plant.switchings[2:] == [(1_010, PUMP, True), (1_060, PUMP, False)]


def test_the_claim_of_a_rule_that_comes_when_the_run_ends_is_worth_another() -> None:
    plant = Plant(output(max_on=900, min_off=10))
    plant.fire(100, "fill")
    plant.fire(1_000, "dry")
    plant.wait(1_010)
    assert plant.stands().who == "dry"


def test_a_person_who_wants_it_off_decides_before_a_claim_that_has_run_its_time() -> None:
    plant = Plant(output(max_on=900))
    plant.fire(100, "fill")
    plant.order(2_000, "off")
    assert plant.line() == "manual"


def test_what_becomes_unknown_while_it_is_off_must_be_seen_off_before_it_comes_on() -> None:
    plant = Plant(output(max_on=900))
    plant.failing.add(PUMP)
    plant.order(10, "off")
    plant.order(1_000, "on")
    assert plant.line() == "max_on"
    assert not plant.is_on()


def test_an_unknown_level_counts_as_on() -> None:
    plant = Plant(output(max_on=900))
    plant.failing.add(PUMP)
    plant.fire(100, "fill")
    plant.wait(1_100)
    assert not plant.is_on()
    plant.failing.clear()
    plant.wait(1_200)
    assert not plant.is_on()
    assert plant.line() == "max_on"


def test_what_could_not_be_seen_off_cannot_come_on() -> None:
    plant = Plant(output(max_on=900))
    plant.order(100, "on")
    plant.failing.add(PUMP)
    plant.order(110, "off")
    plant.order(1_100, "on")
    assert not plant.is_on()
    assert plant.line() == "max_on"
    assert plant.pending() == (True, None)
    plant.failing.clear()
    plant.wait(1_200)
    # It came after the run, which no claim has kept on: it begins one.
    assert plant.is_on()


def test_a_default_that_is_on_runs_by_turns() -> None:
    plant = Plant(output(max_on=100, min_off=20, default=True))
    plant.wait(300)
    assert plant.switchings == [
        (20, PUMP, True), (120, PUMP, False), (140, PUMP, True), (240, PUMP, False), (260, PUMP, True)
    ]  # fmt: skip


def test_an_old_order_to_go_off_that_is_answered_late_ends_no_run() -> None:
    plant = Plant(output(max_on=100))
    plant.order(10, "on")
    plant.slow.add(PUMP)
    plant.order(20, "off")
    plant.order(20.1, "on")
    plant.answer(21, level=False)
    plant.answer(22, level=True)
    plant.wait(111)
    assert plant.switchings[-1] == (110, PUMP, False)


# A person's claim where something else is at work.


@pytest.mark.parametrize(
    ("more", "ends"),
    [
        ({}, None),
        ({"ruled": True}, 3_600),
        ({"max_on": 9_000}, 3_600),
        ({"manual_for": 60}, 60),
        ({"ruled": True, "manual_for": 7_200}, 7_200),
    ],
)
def test_a_persons_claim_ends_after_manual_for(more: dict[str, Any], ends: float | None) -> None:
    plant = Plant(output(**more))
    plant.order(10, "on")
    until = plant.stands().until
    assert until == (None if ends is None else START + ms(10 + ends))


def test_a_person_may_say_how_long() -> None:
    plant = Plant(output(manual_for=60))
    plant.order(10, "on", duration=ms(7_200))
    plant.wait(7_000)
    assert plant.is_on()


def test_a_refused_command_changes_nothing() -> None:
    plant = Plant(output(min_off=60))
    plant.order(10, "off")
    before = msgspec.to_builtins(plant.states)
    with pytest.raises(RefusedError):
        plant.order(10, "pulse", who="ben")
    assert msgspec.to_builtins(plant.states) == before
