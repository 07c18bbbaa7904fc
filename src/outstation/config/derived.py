"""Sensors that are worked out from others: what their tables mean, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from outstation.config.checks import Found
from outstation.config.mistakes import shown
from outstation.config.models import Config, SensorTable
from outstation.core import conditions
from outstation.core.calibration import Calibration
from outstation.core.conditions import ConditionError, Expression, Known, Mistake, parse_value
from outstation.core.deriving import DerivedSpec, order

DERIVED = "derived"
"""The driver of such a sensor."""

Check = Callable[[Expression], list[Mistake]]
"""Returns what is wrong with a value on this node."""


def is_derived(table: object) -> bool:
    """Tell whether a table is that of a derived sensor."""
    return isinstance(table, SensorTable) and getattr(table, "driver", "") == DERIVED


def specs(config: Config) -> list[DerivedSpec]:
    """Return how derived sensors are worked out, in the order of the file."""
    settings = [table.name for table in config.settings]
    return [
        DerivedSpec(table.name, parse_value(table.options["value"], settings=settings), table.every, table.calibration)
        for table in config.sensors
        if is_derived(table)
    ]


def inputs(config: Config) -> dict[str, frozenset[str]]:
    """Return what each derived sensor is made of; those that are made of others stand behind them."""
    found = {spec.sensor: conditions.sensors(spec.value) for spec in specs(config)}
    return {name: found[name] for name in order(found)[0]}


def units_of(config: Config, sensors: Mapping[str, str]) -> dict[str, str]:
    """Return the units of derived sensors. sensors: those that are known."""
    values = {spec.sensor: spec.value for spec in specs(config)}
    return units(values, sensors, {table.name: table.unit for table in config.settings})


def units(values: Mapping[str, Expression], sensors: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """Return in which units values are: given, or as far as those of what they are made of tell.

    sensors, settings: the units that are known.
    """
    found: dict[str, str] = {}
    ordered, _ = order({name: conditions.sensors(value) for name, value in values.items()})
    for name in ordered:
        known = Known({**sensors, **found}, settings=settings)
        found[name] = sensors.get(name) or conditions.unit_of(values[name], known)
    return found


class Derived:
    """The derived sensors among all tables, as far as they can be read. mistakes: where they cannot."""

    def __init__(self, found: Mapping[str, Found], outputs: Mapping[str, Found], settings: Mapping[str, Found]) -> None:
        """Take the tables of sensors, outputs and settings by their names."""
        self._tables = {name: one for name, one in found.items() if is_derived(one.table)}
        self.values: dict[str, Expression] = {}
        self.mistakes: list[str] = []
        for name, one in self._tables.items():
            text = getattr(one.options, "value", None)
            if isinstance(text, str):
                try:
                    self.values[name] = parse_value(text, actuators=outputs, settings=settings)
                except ConditionError as error:
                    self.mistakes += pointed(one, "value", error.mistakes)

    def units(self, sensors: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
        """Return their units: as their tables say, else as their values do."""
        return units(self.values, sensors, settings)

    def wrong(self, check: Check, unit_of: Callable[[Expression], str]) -> Iterator[str]:
        """Return what is wrong with those that can be read, on this node."""
        for name, value in self.values.items():
            one: Any = self._tables[name]
            yield from pointed(one, "value", check(value))
            unit, found = getattr(one.table, "unit", None), unit_of(value)
            is_as_worked_out = getattr(one.table, "calibration", None) == Calibration()
            if unit and found and unit != found and is_as_worked_out:
                yield one.place.says("unit", f"expected {shown(found)}, in which its value is, found {shown(unit)}")
        _, circle = order({name: conditions.sensors(value) for name, value in self.values.items()})
        if circle:
            words = ", which is made of ".join([*circle, circle[0]])
            yield self._tables[circle[0]].place.says("value", f"expected no circle: {words}")


def pointed(one: Found, key: str, wrong: list[Mistake] | tuple[Mistake, ...]) -> Iterator[str]:
    """Say what is wrong in a text, and show below it where."""
    for mistake in wrong:
        yield f"{one.place.says(key, mistake.sentence)}\n{mistake.shown}"
