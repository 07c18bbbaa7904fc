"""What conditions see of a node: values that count, ages, qualities, local time, and what a message shows."""

from __future__ import annotations

import pytest

from outstation.core.actuation import ActuatorSpec, ActuatorState
from outstation.core.conditions import Local
from outstation.core.filters import Limits
from outstation.core.readings import Quality, Reading, Zone
from outstation.core.sensors import SensorSpec, SensorState
from outstation.core.sight import Sight
from outstation.core.spans import Spans
from tests.core.garden import VENT, VENT_AT, Garden, rule, sensor
from tests.core.story import AIR, DAY, HOUR, MINUTE, PORCH, START, ms


def sight_of(*states: SensorState, second: float = 0, zone: Zone | None = None) -> Sight:
    actuators = {VENT: ActuatorState(ActuatorSpec(VENT), level=True)}
    sight = Sight({state.spec.name: state for state in states}, actuators, {VENT_AT.name: 30.0})
    sight.at, sight.now, sight.zone = START + ms(second), ms(second), zone
    return sight


def heard(value: float | str | None = 20.0, quality: Quality = Quality.OK, *, error: str = "") -> SensorState:
    """Make the sensor of the air that spoke at second 0."""
    state = SensorState(SensorSpec(AIR, every=10_000), newest=Reading(AIR, value, START, 0, START, quality))
    state.error = error
    return state


def silent(*, error: str = "") -> SensorState:
    return SensorState(SensorSpec(AIR, every=10_000), error=error)


@pytest.mark.parametrize(
    ("state", "second", "value", "quality"),
    [
        (heard(), 30, 20.0, "ok"),
        (heard(), 30.001, None, "stale"),
        (heard(error="no answer"), 0, None, "fault"),
        (heard(None, Quality.FAULT), 0, None, "fault"),
        (heard(20, Quality.SPIKE), 0, None, "spike"),
        (heard(20, Quality.STUCK), 0, None, "stuck"),
        (heard(20, Quality.OUT_OF_RANGE), 0, None, "out_of_range"),
        (heard(20, Quality.STUCK), 31, None, "stale"),
        (heard("wet"), 0, "wet", "ok"),
        (silent(), 0, None, "unseen"),
        (silent(error="no answer"), 0, None, "fault"),
    ],
)
def test_only_what_is_well_and_fresh_has_a_value(
    state: SensorState, second: float, value: object, quality: str
) -> None:
    sight = sight_of(state, second=second)
    assert (sight.value(AIR), sight.quality(AIR)) == (value, quality)


def test_what_nobody_has_heard_of_is_unseen() -> None:
    sight = sight_of()
    assert (sight.value(PORCH), sight.quality(PORCH), sight.age(PORCH)) == (None, "unseen", None)
    assert (sight.count(PORCH, 60_000), sight.span(PORCH, 60_000)) == (0, None)
    assert (sight.fresh_for(PORCH), sight.steady_for(PORCH, 60_000)) == (None, None)


@pytest.mark.parametrize(("quality", "value"), [(Quality.SPIKE, 80), (Quality.STUCK, None), (Quality.FAULT, None)])
def test_a_spike_is_a_value_for_a_safety_rule_and_nothing_else_is(quality: Quality, value: float | None) -> None:
    sight = sight_of(heard(80, quality))
    sight.safety = True
    assert sight.value(AIR) == value


@pytest.mark.parametrize(("second", "left"), [(0, 30_001), (30, 1), (30.001, None)])
def test_it_knows_how_long_a_value_stays_fresh(second: float, left: int | None) -> None:
    assert sight_of(heard(), second=second).fresh_for(AIR) == left


def test_what_was_never_seen_does_not_go_stale() -> None:
    assert sight_of(silent()).fresh_for(AIR) is None


def test_spans_are_those_of_the_sensor() -> None:
    state = heard()
    state.spans = Spans([60_000])
    for second in range(0, 60, 10):
        state.spans.add(ms(second), second, reach=30_000)
    sight = sight_of(state, second=50)
    assert sight.count(AIR, 60_000) == 6
    found = sight.span(AIR, 60_000)
    assert found is not None
    assert (found.mean, found.highest) == (25, 50)
    assert sight.steady_for(AIR, 60_000) == 10_000


@pytest.mark.parametrize(
    ("zone", "second", "local"),
    [
        (Zone(0), 0, Local(0, 3)),
        (Zone(ms(HOUR)), 90, Local(61, 3)),
        (Zone(ms(-HOUR)), 0, Local(23 * 60, 2)),
        (Zone(ms(5.5 * HOUR), 400, 1100), 2 * DAY, Local(330, 5, 400, 1100)),
        (None, 0, None),
    ],
)
def test_local_time_is_that_of_the_zone(zone: Zone | None, second: float, local: Local | None) -> None:
    """2026 begins on a Thursday."""
    assert sight_of(second=second, zone=zone).local() == local


@pytest.mark.parametrize(
    ("zone", "left"), [(Zone(0), 90), (Zone(ms(5.5 * HOUR)), 90), (Zone(ms(30)), 120), (Zone(ms(10)), 80), (None, 90)]
)
def test_a_local_minute_begins_where_the_zone_says(zone: Zone | None, left: float) -> None:
    assert sight_of(second=30, zone=zone).until_minute(2) == ms(left)


def test_a_message_shows_settings_outputs_and_sensors() -> None:
    sight = sight_of(heard())
    assert [sight.shown(name) for name in (VENT_AT.name, VENT, AIR, PORCH)] == [30.0, True, 20.0, None]


# A dead band.


@pytest.mark.parametrize("hold", [0, 60])
def test_a_dead_band_never_swallows_a_reading_that_changed_a_rule(hold: float) -> None:
    garden = Garden(rule(hold=hold), sensors=[sensor(dead_band=5)])
    for second, value in [(0, 29.8), (10, 29.9), (20, 30.1), (30, 30.2), (40, 29.9), (50, 29.8)]:
        garden.says(second, value)
    stored = [reading.value for reading in garden.records if reading.sensor == AIR]
    assert stored == [29.8, 30.1, 29.9]


def test_a_dead_band_never_swallows_a_reading_that_broke_a_rule() -> None:
    garden = Garden(rule(f"{AIR} > 30 and {AIR} > ghost"), sensors=[sensor(dead_band=5, limits=Limits())])
    garden.says(0, 29.9)
    garden.says(10, 30.1)
    assert [reading.value for reading in garden.records if reading.sensor == AIR] == [29.9, 30.1]


def test_a_dead_band_never_swallows_the_reading_at_which_a_claim_is_decided_again() -> None:
    garden = Garden(rule(until=f"{AIR} < 27"), sensors=[sensor(dead_band=5)])
    garden.says(0, 31)
    garden.wait(MINUTE)
    garden.says(MINUTE, 31.1)
    assert [reading.value for reading in garden.records if reading.sensor == AIR] == [31, 31.1]
