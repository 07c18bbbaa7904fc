"""A simulated day of each example: what it measures is drawn by hand, what it does is asserted.

Hours are those of the local day.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from outstation.backtest.findings import Findings, OutputFinding
from outstation.backtest.trial import Trial
from outstation.config import Config, load
from outstation.core.readings import Millis, Quality, Reading, Value
from tests.backtest.recorded import HOUR, MINUTE, Played
from tests.test_examples import ROOT, secrets

__all__ = ["secrets"]

Curve = Callable[[float], Value | None]
"""What a sensor says at an hour of the day; None: it fails."""

BOARDS_EVERY: Millis = MINUTE


class Day:
    """A day that an example has lived through."""

    def __init__(self, name: str, date: str, world: Mapping[str, Curve]) -> None:
        config = load(ROOT / "examples" / f"{name}.toml")
        zone = ZoneInfo(config.node.timezone or "UTC")
        self.midnight = round(datetime.fromisoformat(date).replace(tzinfo=zone).timestamp() * 1000)
        readings = [each for sensor, curve in world.items() for each in self._readings(config, sensor, curve)]
        self.trial = Trial(config, recorded=world)
        self.found: Findings = self.trial.run(Played(readings))
        assert self.found.unheard == ()

    def _readings(self, config: Config, sensor: str, curve: Curve) -> list[Reading]:
        every = next((table.every for table in config.sensors if table.name == sensor), BOARDS_EVERY)
        hours = [time / HOUR for time in range(0, 24 * HOUR, every)]
        return [self._reading(sensor, hour, curve(hour)) for hour in hours]

    def _reading(self, sensor: str, hour: float, value: Value | None) -> Reading:
        at = self.midnight + round(hour * HOUR)
        return Reading(sensor, value, at, at, at, Quality.OK if value is not None else Quality.FAULT)

    def fired(self, rule: str) -> list[tuple[float, float]]:
        """Return from when to when a rule fired."""
        spells = next(each.spells for each in self.found.rules if each.name == rule)
        begun = [(spell.start - self.midnight) / HOUR for spell in spells]
        return [(start, start + spell.lasted / HOUR) for start, spell in zip(begun, spells, strict=True)]

    def told(self, rule: str) -> list[str]:
        """Return what people were told of a rule."""
        return [spell.message for each in self.found.rules if each.name == rule for spell in each.spells]

    def output(self, name: str) -> OutputFinding:
        """Return what an output did."""
        return next(output for output in self.found.outputs if output.name == name)


def around(*spells: tuple[float, float]) -> object:
    """These times, to three minutes."""
    return [pytest.approx(spell, abs=0.05) for spell in spells]


def within(hour: float, *spells: tuple[float, float]) -> bool:
    return any(start <= hour < end for start, end in spells)


def line(*points: tuple[float, float]) -> Curve:
    """Return a curve of straight lines from point to point; before the first and after the last it is level."""

    def at(hour: float) -> Value:
        for (start, low), (end, high) in pairwise(points):
            if start <= hour < end:
                return low + (high - low) * (hour - start) / (end - start)
        return points[0][1] if hour < points[0][0] else points[-1][1]

    return at


def test_a_summers_day_in_the_greenhouse() -> None:
    """It is 8 °C at three in the night and 32 °C in the afternoon; somebody looks in before breakfast."""
    day = Day(
        "greenhouse",
        "2026-06-22",
        {
            "air_temperature": lambda hour: 20 + 12 * math.sin((hour - 9) / 24 * math.tau),
            "air_humidity": lambda hour: 95.0 if 2 <= hour < 4 else 55.0,
            "soil": line((0, 40), (6, 36), (6.5, 34), (7.5, 34), (8, 52)),
            "door": lambda hour: 5 <= hour < 5.5,
        },
    )
    assert day.fired("ventilate") == around((11.8, 19.0))
    assert day.told("ventilate") == ["28.0 °C in the greenhouse"]
    assert day.output("vent").on == pytest.approx(7.2 * HOUR, abs=3 * MINUTE)
    assert day.fired("stir the air") == around((2.0, 4.0))
    assert day.fired("heat the night") == around((0.77, 5.77))
    assert day.output("heater").on == pytest.approx(4.5 * HOUR, abs=3 * MINUTE)  # not while the door is open
    assert day.fired("door open") == around((5 + 1 / 6, 5.5))
    assert day.told("door open") == ["The door stands open, 10 °C inside"]
    assert day.fired("water the bed") == around((6.33, 7.95))
    assert day.output("pump") == OutputFinding("pump", 2, 10 * MINUTE, 10 * MINUTE)


def test_a_day_on_which_the_freezer_is_unplugged(secrets: None) -> None:
    """From one to five in the afternoon it has no power; in the evening the thermometer's wire breaks."""
    cold = line((13, -19.5), (17, 7), (18.5, -20))
    day = Day(
        "freezer-alarm",
        "2026-03-10",
        {
            "inside": lambda hour: None if hour >= 21 else cold(hour),
            "door": lambda hour: 8 <= hour < 8.01 or 16.9 <= hour < 17,
        },
    )
    (warms, _), (warm, thaws_no_more) = day.fired("it warms")[0], day.fired("too warm")[0]
    assert 13 < warms < 13.5 < warm < 14.4
    assert thaws_no_more == pytest.approx(18.17, abs=0.05)
    assert day.told("too warm") == ["-10.9 °C in the freezer"]
    assert day.output("siren") == OutputFinding("siren", 2, 10 * MINUTE, 10 * MINUTE)
    assert day.fired("nobody knows") == around((21 + 1 / 6, 24.0))
    assert day.fired("door open") == around((16.93, 17.0))  # not for half a minute in the morning


def test_a_day_on_which_a_storm_comes_over_the_mast(secrets: None) -> None:
    """Sun from nine, a shower at eleven, the pressure falls from noon, and at four the storm is there."""
    day = Day(
        "weather-mast",
        "2026-09-30",
        {
            "wind": lambda hour: 50.0 if 16 <= hour < 17.5 else 12.0,
            "rain_rate": lambda hour: 4.0 if 11 <= hour < 11.5 else 0.0,
            "light": lambda hour: 40_000.0 if 9 <= hour < 19 else 100.0,
            "barometer": line((12, 1016), (16, 1006), (20, 1006)),
        },
    )
    assert day.fired("a storm is coming")[0][0] < 14
    assert day.fired("storm") == around((16.0, 17.84))
    assert day.told("storm") == ["Wind of 50 km/h: the awning is in"]
    assert day.fired("rain on the awning") == around((11.0, 11.5))
    assert day.fired("shade") == around((9.05, 19.13))
    out = (11 - 9.05) + (16 - 11.5) + (19.13 - 17.84)
    assert day.output("awning").on == pytest.approx(out * HOUR, abs=6 * MINUTE)


def test_a_day_on_which_the_well_runs_dry() -> None:
    """The tank is filled in the morning; in the afternoon there is no water for an hour; at night a relay sticks."""
    tank = line((0, 1.5), (5, 0.75), (6.7, 2.4), (14, 0.78), (14.5, 1.2), (15.9, 0.7), (17.7, 2.4), (24, 1.6))
    fills = ((4.69, 6.6), (13.93, 14.5), (15.8306, 17.6))
    day = Day(
        "pump-house",
        "2026-08-01",
        {
            "tank": tank,
            "well_dry": lambda hour: 14.5 <= hour < 15.5,
            "flow_rate": lambda hour: 40.0 if within(hour, *fills) else 0.0,
            "main_runs": lambda hour: within(hour, *fills) or 22 <= hour < 22.2,
            "winding": line((0, 60)),
        },
    )
    assert day.fired("fill the tank") == around(fills[0], (fills[1][0], fills[2][1]))
    assert day.fired("the well is dry") == around((14.5, 15.83))
    assert day.told("the well is dry") == ["The well is dry, the pumps are locked. The tank has 1.2 m"]
    assert day.output("main_pump").on == pytest.approx(sum(end - start for start, end in fills) * HOUR, abs=MINUTE)
    assert day.fired("feedback of main_pump") == around((22.0, 22.2))
    assert day.fired("it pumps nothing") == []
    assert day.found.others == ()


def test_a_day_of_the_hub(secrets: None) -> None:
    """There is frost on the porch before sunrise, and somebody is in the shed at eleven at night."""
    day = Day(
        "hub",
        "2026-04-12",
        {
            "porch/temperature": line((0, 5), (5, -1), (10, 9), (24, 8)),
            "shed/temperature": line((0, 10)),
            "shed/door": lambda hour: 9 <= hour < 10 or 23 <= hour < 23.5,
            "cpu_temp": lambda hour: 80.0 if 15 <= hour < 16 else 55.0,
        },
    )
    assert day.fired("frost") == around((2.5, 7.5))
    assert day.told("frost") == ["2.0 °C on the porch: bring the oleander in"]
    assert day.fired("shed at night") == around((23 + 1 / 12, 23.5))
    assert day.fired("hub too hot") == around((15.14, 16.0))
