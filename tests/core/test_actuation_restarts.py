"""What outlives a restart: in the same boot, in another with a clock that is right, and with one that is not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from outstation.core.restarts import Snapshot
from tests.core.plant import PUMP, VALVE, Plant, output
from tests.core.story import START, ms

ANOTHER: dict[str, Any] = {"boot": "second", "now": 5.0}
UNSURE: dict[str, Any] = {"boot": "second", "now": 5.0, "trusted": False}


def test_in_the_same_boot_a_persons_claim_goes_on() -> None:
    plant = Plant(output())
    plant.order(10, "on", duration=ms(60))
    plant.restart(30)
    assert plant.is_on()
    plant.wait(100)
    assert plant.switchings[-1] == (70, PUMP, False)


def test_in_another_boot_a_persons_claim_ends_by_the_wall_clock() -> None:
    plant = Plant(output())
    plant.order(10, "on", duration=ms(60))
    plant.restart(50, **ANOTHER)
    assert plant.is_on()
    assert plant.stands().until == START + ms(70)
    plant.wait(100)
    assert plant.switchings[-1] == (25, PUMP, False)


def test_a_claim_that_ended_meanwhile_has_ended() -> None:
    plant = Plant(output())
    plant.order(10, "on", duration=ms(60))
    plant.restart(200, **ANOTHER)
    assert not plant.is_on()
    assert plant.notes[-1] == ("claim ended", "the claim of anna ended")


def test_where_nobody_knows_how_long_it_was_away_a_persons_claim_is_dropped() -> None:
    plant = Plant(output())
    plant.order(10, "on")
    plant.restart(20, **UNSURE)
    assert not plant.is_on()
    assert plant.notes[-1] == ("claim ended", "the claim of anna ended: nobody knows how long the node was away")


def test_a_clock_that_went_back_counts_as_no_time() -> None:
    plant = Plant(output())
    plant.order(100, "on", duration=ms(60))
    plant.restart(10, **ANOTHER)
    assert plant.stands().until == START + ms(70)


@pytest.mark.parametrize("more", [{}, ANOTHER, UNSURE])
def test_a_lock_out_outlives_everything(more: dict[str, Any]) -> None:
    plant = Plant(output(default=True))
    plant.order(10, "lock")
    plant.restart(1_000, **more)
    assert plant.line() == "lock-out"
    assert not plant.is_on()


def test_min_off_goes_on_or_counts_anew() -> None:
    def comes_on(**more: Any) -> float:
        plant = Plant(output(min_off=60))
        plant.fire(100, "dry")
        plant.clear(200, "dry")
        plant.fire(210, "dry")
        plant.restart(220, **more)
        plant.wait(1_000)
        return plant.switchings[-1][0]

    assert comes_on() == 260
    assert comes_on(**ANOTHER) == 45
    assert comes_on(**UNSURE) == 65


def test_what_died_while_it_was_on_went_off_then_at_the_latest() -> None:
    """The safe state of a compressor is off: min_off protects it after a crash as well."""
    plant = Plant(output(min_off=60))
    plant.fire(100, "warm")
    plant.restart(110)
    assert not plant.is_on()
    plant.wait(1_000)
    assert plant.switchings[-1] == (170, PUMP, True)


def test_what_is_safe_when_on_stayed_on_and_min_on_goes_on() -> None:
    plant = Plant(output(min_on=30, min_off=60, safe=True))
    plant.fire(100, "warm")
    plant.restart(110, rules=False)
    assert plant.line() == "min_on"
    plant.wait(200)
    assert plant.switchings[-1] == (130, PUMP, False)


def test_what_is_safe_when_on_came_on_by_dying() -> None:
    plant = Plant(output(min_on=30, min_off=60, safe=True))
    plant.restart(100)
    assert plant.line() == "min_on"
    plant.wait(200)
    assert plant.switchings[-1] == (130, PUMP, False)


def test_min_on_does_not_keep_on_what_was_just_told_to_go_off() -> None:
    plant = Plant(output(min_on=30, safe=True))
    plant.order(100, "on")
    plant.slow.add(PUMP)
    plant.order(110, "lock")
    plant.order(110, "unlock")
    assert plant.save().outputs[PUMP].on_since is None


def test_max_on_goes_on_or_keeps_what_it_had_used() -> None:
    def goes_off(**more: Any) -> float:
        plant = Plant(output(max_on=100))
        plant.fire(100, "dry")
        plant.wait(140)
        plant.restart(160, **more)
        plant.wait(1_000)
        return plant.switchings[-1][0]

    assert goes_off() == 200
    assert goes_off(**ANOTHER) == 45
    assert goes_off(**UNSURE) == 65


def test_the_rest_after_max_on_outlives_a_restart() -> None:
    plant = Plant(output(max_on=100))
    plant.fire(100, "dry")
    plant.wait(300)
    plant.restart(310)
    assert plant.line() == "max_on"
    assert not plant.is_on()


def test_time_away_ends_a_run_but_spends_no_claim() -> None:
    plant = Plant(output(max_on=100, min_off=10))
    plant.fire(100, "dry")
    plant.restart(10_000)
    assert not plant.is_on()
    plant.wait(10_020)
    assert plant.switchings[-1] == (10_010, PUMP, True)


def test_what_is_safe_when_on_may_have_been_on_meanwhile() -> None:
    plant = Plant(output(max_on=100, safe=True))
    plant.order(60, "on")
    plant.restart(100)
    plant.wait(200)
    assert plant.switchings[-1] == (160, PUMP, False)


def test_what_had_to_be_opened_off_rests_for_min_off() -> None:
    """It was on while the program was dead; nobody knew then that the other was off."""
    plant = Plant(output(PUMP, interlock=(VALVE,)), output(VALVE, min_off=60, safe=True, default=True))
    plant.restart(100)
    plant.wait(200)
    assert plant.switchings[-1] == (160, VALVE, True)


def test_a_lease_goes_on_or_begins_anew() -> None:
    def falls(**more: Any) -> float:
        plant = Plant(output(lease=60))
        plant.fire(100, "dry")
        plant.doubt(110, "dry")
        plant.restart(120, **more)
        plant.wait(1_000)
        return plant.switchings[-1][0]

    assert falls() == 170
    assert falls(**ANOTHER) == 55
    assert falls(**UNSURE) == 65


def test_a_dimmed_output_runs_on_at_its_level() -> None:
    plant = Plant(output(min_on=30, safe=True, dimmable=True))
    plant.order(100, "set", value=0.3)
    plant.order(101, "off")
    plant.restart(110)
    assert plant.states[PUMP].wanted == 0.3


def test_a_snapshot_is_stored_as_json_and_is_small_where_there_is_nothing_to_keep() -> None:
    plant = Plant(output(min_off=60, dimmable=True))
    assert msgspec.json.encode(plant.save().outputs[PUMP]) == b'{"off_since":0}'
    plant.order(100, "set", value=0.3)
    plant.fire(110, "dry")
    plant.doubt(120, "dry")
    saved = plant.save()
    assert msgspec.json.decode(msgspec.json.encode(saved), type=Snapshot) == saved


def test_an_output_that_is_new_is_left_as_it_is() -> None:
    plant = Plant(output())
    plant.order(10, "on")
    empty = Snapshot(plant.save().stamp, {})
    plant.save = lambda **_: empty  # type: ignore[method-assign]
    plant.restart(20)
    assert not plant.is_on()
