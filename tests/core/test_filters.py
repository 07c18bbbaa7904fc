"""What a raw value is worth, and which of them are stored."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from outstation.core.filters import Limits, Memory, in_range, judge, worth_storing
from outstation.core.readings import Quality, Reading, Value
from tests.core.story import HOUR, MINUTE, ms, said

OK, OUT, SPIKE, STUCK, FAULT = Quality

STEP_OF_5 = Limits(spike=5)
STUCK_AFTER_1_H = Limits(stuck=ms(HOUR))


def judged(limits: Limits, *told: Value | tuple[float, Value | None] | None) -> list[Quality]:
    """Judge values one after the other: a second apart, or at the seconds given."""
    memory = Memory()
    timed = [one if isinstance(one, tuple) else (float(second), one) for second, one in enumerate(told)]
    return [judge(limits, memory, value, ms(second)) for second, value in timed]


def test_without_limits_everything_is_plausible() -> None:
    assert judged(Limits(), 20, -1e300, 1e300, True, "open", 2**63 - 1, (100 * HOUR, 2**63 - 1)) == [OK] * 7


def test_both_ends_of_the_range_belong_to_it() -> None:
    assert judged(Limits(low=-30, high=60), -30, 60, -30.1, 60.1, 0) == [OK, OK, OUT, OUT, OK]


def test_a_range_may_be_open_at_one_end() -> None:
    assert judged(Limits(low=0), -1, 1e9) == [OUT, OK]
    assert judged(Limits(high=100), -1e9, 101) == [OK, OUT]


def test_a_contact_and_a_text_have_no_range() -> None:
    assert judged(Limits(low=5, high=6, spike=0.1, stuck=1), True, False, "open", "open", "open") == [OK] * 5


def test_nothing_to_say_is_a_fault() -> None:
    assert judged(Limits(), None) == [FAULT]
    assert judged(STEP_OF_5, 20, None, 21) == [OK, FAULT, OK]


def test_a_far_step_that_goes_back_is_one_spike() -> None:
    assert judged(STEP_OF_5, 20, 85, 20, 21) == [OK, SPIKE, OK, OK]


def test_a_far_step_that_stays_is_doubted_once() -> None:
    assert judged(STEP_OF_5, 20, 40, 41, 42) == [OK, SPIKE, OK, OK]


def test_in_a_wild_world_too_no_two_in_a_row_are_held_back() -> None:
    assert judged(STEP_OF_5, 20, 80, -80, 300, -300) == [OK, SPIKE, OK, SPIKE, OK]


def test_a_step_of_just_the_limit_is_no_spike() -> None:
    assert judged(STEP_OF_5, 20, 25, 20) == [OK, OK, OK]


def test_slow_change_goes_as_far_as_it_likes() -> None:
    assert judged(STEP_OF_5, *range(0, 100, 4)) == [OK] * 25


def test_the_first_value_has_nothing_to_be_far_from() -> None:
    assert judged(STEP_OF_5, 1e6) == [OK]


def test_a_value_out_of_range_is_not_what_the_next_is_compared_with() -> None:
    assert judged(Limits(high=60, spike=5), 20, 85, 85, 21) == [OK, OUT, OUT, OK]


def test_one_value_for_too_long_is_stuck_and_another_frees_it() -> None:
    told = [(0, 20), (HOUR - 1, 20), (HOUR, 20), (2 * HOUR, 20), (2 * HOUR + 1, 20.1), (3 * HOUR, 20.1)]
    assert judged(STUCK_AFTER_1_H, *told) == [OK, OK, STUCK, STUCK, OK, OK]


def test_what_said_something_impossible_in_between_is_not_stuck() -> None:
    limits = Limits(high=60, stuck=ms(HOUR))
    assert judged(limits, (0, 20), (30 * MINUTE, 85), (HOUR, 20)) == [OK, OUT, OK]


def test_a_sensor_stuck_out_of_its_range_is_out_of_range() -> None:
    limits = Limits(high=60, stuck=ms(HOUR))
    assert judged(limits, (0, 85), (HOUR, 85)) == [OUT, OUT]


def test_in_range_needs_no_memory() -> None:
    limits = Limits(low=0, high=60, spike=1, stuck=1)
    assert [in_range(limits, value) for value in (20, 59, -1, None, "open")] == [OK, OK, OUT, FAULT, OK]


@given(st.lists(st.floats(-1e6, 1e6)), st.floats(0.1, 1e6))
def test_a_spike_holds_back_at_most_one_reading(told: list[float], step: float) -> None:
    quality = judged(Limits(spike=step), *told)
    assert all(first is OK or second is OK for first, second in itertools.pairwise(quality))


def stored(dead_band: float, heartbeat: float, *readings: Reading) -> list[Value | None]:
    last: Reading | None = None
    values: list[Value | None] = []
    for reading in readings:
        if worth_storing(reading, last, dead_band, ms(heartbeat)):
            last = reading
            values.append(reading.value)
    return values


def of_quality(reading: Reading, quality: Quality) -> Reading:
    return Reading(reading.sensor, reading.value, reading.at, reading.now, reading.arrived, quality)


def test_small_changes_are_measured_against_what_was_stored() -> None:
    creeping = [said(second, 20 + second / 10) for second in range(11)]
    assert stored(0.5, HOUR, *creeping) == [20, 20.5, 21]


def test_a_change_as_large_as_the_dead_band_is_stored() -> None:
    assert stored(0.5, HOUR, said(0, 20), said(1, 20.5), said(2, 20.25), said(3, 20)) == [20, 20.5, 20]


def test_the_heartbeat_stores_what_did_not_change() -> None:
    assert stored(0.5, 30, *[said(second, 20) for second in range(0, 91, 10)]) == [20, 20, 20, 20]


def test_a_change_of_quality_is_always_stored() -> None:
    calm = [said(second, 20) for second in range(3)]
    assert stored(0.5, HOUR, calm[0], of_quality(calm[1], STUCK), calm[2]) == [20, 20, 20]


def test_a_contact_opens_and_closes_whatever_the_dead_band() -> None:
    assert stored(5, HOUR, said(0, False), said(1, True), said(2, True), said(3, False)) == [False, True, False]


def test_a_text_is_stored_when_it_changes() -> None:
    assert stored(5, HOUR, said(0, "open"), said(1, "open"), said(2, "ajar")) == ["open", "ajar"]


def test_from_number_to_text_is_a_change() -> None:
    assert stored(5, HOUR, said(0, 1), said(1, "1"), said(2, 1)) == [1, "1", 1]
