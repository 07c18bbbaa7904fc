"""At night people sleep: what is critical wakes them, the rest is told in the morning, as it is then."""

from __future__ import annotations

import pytest

from outstation.core.readings import Zone
from tests.core.garden import NIGHT, Garden, alarm, rule
from tests.core.story import AIR, HOUR, MINUTE, ms

MORNING = 9 * HOUR
"""07:00: the stories begin at 22:00."""

HYSTERESIS = f"{AIR} < 27"


def night(*, hour: float = 22, repeat: float | None = None) -> Garden:
    return Garden(rule(until=HYSTERESIS, alert=alarm(repeat=repeat)), quiet=NIGHT, hour=hour)


def test_what_is_raised_at_night_is_told_in_the_morning() -> None:
    garden = night()
    garden.says(10, 31)
    assert [alert.state for alert in garden.alerts] == ["raised"]
    garden.wait(10 * HOUR)
    assert garden.happenings() == [(10, "raised", False), (MORNING, "raised", True)]


def test_what_came_and_went_at_night_is_told_as_over() -> None:
    garden = night()
    garden.says(10, 31)
    garden.says(20, 20)
    assert ("alert", "1") in garden.rows
    garden.wait(10 * HOUR)
    assert garden.happenings() == [(10, "raised", False), (20, "cleared", False), (MORNING, "cleared", True)]
    assert ("alert", "1") not in garden.rows


def test_what_was_told_in_the_evening_and_ends_at_night_is_told_as_over() -> None:
    garden = night(hour=21.75)
    garden.says(0, 31)
    garden.says(HOUR, 20)
    garden.wait(10 * HOUR)
    assert garden.happenings() == [
        (0, "raised", True),
        (HOUR, "cleared", False),
        (MORNING + 15 * MINUTE, "cleared", True),
    ]


def test_what_is_critical_is_told_at_once() -> None:
    garden = Garden(rule(alert=alarm(severity="critical")), quiet=NIGHT, hour=22)
    garden.says(10, 31)
    garden.says(20, 20)
    garden.wait(10 * HOUR)
    assert garden.happenings() == [(10, "raised", True), (20, "cleared", True)]


def test_what_nobody_has_heard_of_is_told_as_raised_and_nobody_is_reminded_at_night() -> None:
    garden = night(repeat=4 * HOUR)
    garden.says(0, 31)
    garden.wait(MORNING)
    assert garden.happenings() == [
        (0, "raised", False),
        (MORNING, "raised", True),
    ]


def test_what_was_told_before_is_told_as_repeated() -> None:
    garden = night(hour=21, repeat=4 * HOUR)
    garden.says(0, 31)
    garden.wait(MORNING + HOUR)
    assert garden.happenings() == [(0, "raised", True), (MORNING + HOUR, "repeated", True)]


def test_what_somebody_saw_at_night_is_not_told_in_the_morning() -> None:
    garden = night()
    garden.says(10, 31)
    garden.acknowledge(20, 1)
    garden.wait(10 * HOUR)
    assert garden.happenings() == [(10, "raised", False), (20, "acknowledged", False)]


def test_a_restart_at_night_forgets_nothing() -> None:
    garden = night()
    garden.says(10, 31)
    garden.says(20, 20)
    garden.says(30, 31)
    garden.restart()
    garden.says(garden.second, 28)
    garden.wait(10 * HOUR)
    assert garden.happenings()[3:] == [(MORNING, "raised", True)]


def test_without_a_clock_nobody_sleeps() -> None:
    garden = Garden(rule(alert=alarm()), quiet=NIGHT, zone=False)
    garden.says(10, 31)
    assert garden.happenings() == [(10, "raised", True)]


def test_a_clock_that_is_set_to_the_day_tells_what_was_held() -> None:
    garden = night()
    garden.says(10, 31)
    garden.step_clock(20, 12 * HOUR)
    garden.ticks(21)
    assert garden.happenings() == [(10, "raised", False), (21, "raised", True)]


def test_summer_time_begins_while_people_sleep() -> None:
    """They wake up an hour sooner than it looked the evening before."""
    garden = night()
    garden.says(10, 31)
    garden.wait(4 * HOUR)
    garden.zone = Zone(ms(23 * HOUR))
    garden.ticks(5 * HOUR)
    garden.wait(10 * HOUR)
    assert garden.happenings()[-1] == (MORNING - HOUR, "raised", True)


@pytest.mark.parametrize(("hour", "told"), [(12.99, True), (13, False), (14.99, False), (15, True)])
def test_people_may_sleep_by_day(hour: float, told: bool) -> None:
    garden = Garden(rule(alert=alarm()), quiet=(13 * 60, 15 * 60), hour=hour)
    garden.says(0, 31)
    assert garden.happenings() == [(0, "raised", told)]


def test_what_was_over_before_a_restart_and_not_told_yet_is_told_after_it() -> None:
    garden = night()
    garden.says(10, 31)
    garden.says(20, 20)
    garden.restart()
    garden.wait(10 * HOUR)
    assert garden.happenings()[-1][1:] == ("cleared", True)
    assert not garden.node.decisions.alerts.standing
