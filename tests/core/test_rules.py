"""When a rule fires and clears: a bound, a gap between two, a hold, late readings, times of day."""

from __future__ import annotations

import msgspec
import pytest

from outstation.core.filters import Limits
from outstation.core.readings import Quality, Zone
from tests.core.garden import HEATER, VENT, Garden, alarm, rule, sensor
from tests.core.story import AIR, DAY, HOUR, MINUTE, YEARS_20, ms


def test_the_vent_opens_above_30_degrees_and_closes_below() -> None:
    garden = Garden(rule())
    garden.says(10, 30.0)
    garden.says(20, 30.1)
    garden.says(30, 29.9)
    assert garden.switchings == [(20, VENT, True), (30, VENT, False)]
    assert garden.journal == [
        ("decided", VENT, 'on: rule "ventilate"'),
        ("rule fires", "ventilate", f"{AIR} > 30"),
        ("decided", VENT, "off: nobody asks, it is the default"),
        ("rule clears", "ventilate", f"no longer: {AIR} > 30"),
    ]


def test_with_a_gap_between_when_and_until_it_fires_once() -> None:
    garden = Garden(rule(until=f"{AIR} < 27"))
    for step, value in enumerate([29.9, 30.1, 29.9, 27.0, 30.1, 28.0]):
        garden.says(10 * step, value)
    assert garden.switchings == [(10, VENT, True)]
    garden.says(60, 26.9)
    garden.says(70, 29.0)
    assert garden.switchings == [(10, VENT, True), (60, VENT, False)]
    assert garden.noted("rule clears") == [f"{AIR} < 27"]


def test_a_hold_waits_to_the_millisecond() -> None:
    garden = Garden(rule(hold=60))
    garden.steady(0, 50, 31)
    garden.wait(59.999)
    assert not garden.fires()
    garden.wait(60)
    assert garden.switchings == [(60, VENT, True)]


def test_a_hold_begins_anew_when_it_was_cooler_in_between() -> None:
    garden = Garden(rule(hold=60))
    garden.steady(0, 40, 31)
    garden.says(50, 29)
    garden.steady(60, 110, 31)
    assert not garden.fires()
    garden.wait(120)
    assert garden.switchings == [(120, VENT, True)]


def test_a_rule_that_has_cleared_holds_again() -> None:
    garden = Garden(rule(until=f"{AIR} < 27", hold=20))
    garden.steady(0, 20, 31)
    garden.says(30, 26)
    garden.steady(40, 70, 31)
    assert garden.switchings == [(20, VENT, True), (30, VENT, False), (60, VENT, True)]


def test_late_readings_fire_nothing() -> None:
    """A hub that drains twelve hours of backlog moves nothing and raises nothing."""
    garden = Garden(rule(alert=alarm()))
    garden.says(12 * HOUR, 20)
    for minute in range(0, 12 * 60, 10):
        assert len(garden.late(12 * HOUR + 1, 60 * minute, 45.0)) == 1
    assert not garden.switchings
    assert not garden.alerted
    assert len(garden.records) == 1 + 72 + 2


def test_late_readings_end_nothing_either() -> None:
    garden = Garden(rule())
    garden.says(100, 31)
    garden.late(101, 5, 10.0)
    assert garden.is_on()


def test_a_disabled_rule_does_nothing() -> None:
    garden = Garden(msgspec.structs.replace(rule(), enabled=False))
    garden.says(10, 45)
    assert not garden.switchings
    assert [spec.name for spec in garden.node.decisions.disabled] == ["ventilate"]


def test_a_rule_may_look_at_outputs_as_they_are() -> None:
    """Not as they will be: a fan that does not turn cools nothing."""
    garden = Garden(rule(claims={VENT: True}), rule("vent is on", name="with it", claims={HEATER: True}))
    garden.failing = {VENT}
    garden.says(10, 31)
    assert not garden.is_on(HEATER)
    garden.failing = set()
    garden.says(20, 31)
    assert garden.is_on(HEATER)
    assert garden.switchings[-1] == (11, HEATER, True)


def test_a_safety_rule_sees_a_spike_and_others_wait_for_a_second_one() -> None:
    """A fire begins as a spike."""
    garden = Garden(
        rule(), rule(f"{AIR} > 60", name="fire", claims={HEATER: True}, safety=True), sensors=[sensor(limits=SPIKE)]
    )
    garden.says(0, 20)
    garden.says(10, 80)
    assert [reading.quality for reading in garden.records if reading.value == 80] == [Quality.SPIKE]
    assert garden.switchings == [(10, HEATER, True)]
    garden.says(20, 80)
    assert garden.switchings == [(10, HEATER, True), (20, VENT, True)]


def test_a_spike_pauses_a_hold_for_one_reading() -> None:
    garden = Garden(rule(hold=60), sensors=[sensor(limits=SPIKE)])
    garden.steady(0, 20, 31)
    garden.says(30, 90)
    garden.steady(40, 60, 31)
    garden.wait(69.999)
    assert not garden.fires()
    garden.wait(70)
    assert garden.fires()


SPIKE = Limits(spike=20)


def test_from_friday_evening_through_midnight() -> None:
    """After midnight it is the next day."""
    garden = Garden(rule("between 22:00 and 06:00 and weekday is friday"), hour=0)
    # The first second is a Thursday's midnight.
    garden.wait(3 * DAY)
    assert garden.switchings == [
        (DAY, VENT, True),
        (DAY + 6 * HOUR, VENT, False),
        (DAY + 22 * HOUR, VENT, True),
        (2 * DAY, VENT, False),
    ]


def test_from_sunset_to_sunrise() -> None:
    garden = Garden(rule("between sunset + 30m and sunrise"), hour=12)
    garden.zone = Zone(ms(12 * HOUR), sunrise=8 * 60 + 5, sunset=16 * 60 + 10)
    garden.ticks(1)
    garden.wait(DAY)
    assert garden.switchings == [
        (4 * HOUR + 40 * MINUTE, VENT, True),
        (20 * HOUR + 5 * MINUTE, VENT, False),
    ]


def test_local_time_is_unknown_before_the_clock_is_set_and_looked_at_at_once_when_it_is() -> None:
    garden = Garden(rule("between 08:00 and 20:00"), hour=12, zone=False)
    garden.wait(HOUR)
    assert not garden.is_on()
    garden.zone = Zone(ms(12 * HOUR))
    garden.ticks(HOUR + 1)
    assert garden.switchings == [(HOUR + 1, VENT, True)]


@pytest.mark.parametrize("step", [YEARS_20, -YEARS_20, 12 * HOUR, -12 * HOUR])
def test_a_step_of_the_wall_clock_is_followed_at_once_and_moves_no_hold(step: int) -> None:
    noon = "between 08:00 and 20:00"
    held = rule(f"{AIR} > 30", name="held", hold=60, claims={HEATER: True})
    garden = Garden(rule(noon), held, hour=12)
    garden.steady(0, 20, 31)
    assert garden.is_on()
    garden.step_clock(25, step)
    garden.ticks(26)
    assert garden.is_on() is (abs(step) != 12 * HOUR)
    garden.steady(30, 50, 31)
    garden.wait(59.999)
    assert not garden.fires("held")
    garden.wait(60)
    assert garden.fires("held")


def test_what_a_clock_drifts_is_no_step() -> None:
    garden = Garden(rule("between 08:00 and 20:00"), hour=12)
    garden.step_clock(10, 0.9)
    assert garden.ticks(11) == []


def test_a_board_that_says_the_same_once_more_is_not_heard_twice() -> None:
    garden = Garden(rule(), sensors=[sensor(limits=SPIKE)])
    garden.late(0, 0, 20)
    garden.late(10, 10, 80)
    garden.late(11, 10, 80)
    assert not garden.is_on()


def test_a_text_decides_nothing() -> None:
    garden = Garden(rule())
    garden.says(0, 31)
    garden.says(10, "warm")
    assert garden.is_on()
    assert garden.output().wants[0].decided is False


def test_a_text_and_a_spike_count_in_no_span() -> None:
    garden = Garden(rule(f"mean({AIR}, 1m) > 30"), sensors=[sensor(limits=SPIKE)])
    garden.steady(0, 50, 31)
    garden.says(55, "warm")
    garden.says(56, 31)
    garden.says(57, 90)
    assert garden.node.sensors[AIR].spans is not None
    found = garden.node.decisions.sight.span(AIR, ms(60))
    assert found is not None
    assert (found.count, found.highest) == (7, 31)


def test_a_rule_over_a_span_is_looked_at_when_readings_leave_it() -> None:
    garden = Garden(rule(f"count({AIR}, 1m) < 3 and {AIR} > 0"))
    garden.steady(0, 30, 20)
    assert not garden.is_on()
    garden.wait(60)
    assert garden.second == 60
    assert garden.node.decisions.spans_of(AIR) == (ms(60),)
    assert garden.node.decisions.spans_of("other") == ()


def test_a_rule_does_not_fire_where_it_would_clear_at_once() -> None:
    """As settings may have it: it would move its output to and fro with every reading."""
    garden = Garden(rule(f"{AIR} > 30", f"{AIR} < 35"))
    garden.steady(0, 60, 31)
    assert garden.switchings == []
    garden.says(70, 36)
    assert garden.is_on()
