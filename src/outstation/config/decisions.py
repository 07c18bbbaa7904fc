"""What rules, settings and limits mean on this node: whom they name has to be there, and none may contradict itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from outstation import plugins
from outstation.config.checks import Found
from outstation.config.derived import Derived, pointed
from outstation.config.mistakes import shown
from outstation.config.models import (
    ActuatorTable,
    DeviceTable,
    NodeTable,
    RuleTable,
    SensorTable,
    SettingTable,
    WebTable,
)
from outstation.config.specs import actuator_spec
from outstation.core import conditions, messages
from outstation.core.claims import ActuatorSpec
from outstation.core.conditions import Condition, ConditionError, Expression, Known, Mistake, unit_of
from outstation.core.conditions.mistakes import nearest
from outstation.core.contradictions import never, overlap
from outstation.core.limits import contradictions


def mistakes(
    found: list[Found], node: NodeTable, web: WebTable, base: Path, recorded: Collection[str] = ()
) -> list[str]:
    """Return what is wrong with them, given all tables that repeat. base: the config's folder.

    recorded: sensors that need no table, where rules are tried on a recording.
    """
    outputs, settings = _named(found, ActuatorTable), _named(found, SettingTable)
    return [
        *(line for one in settings.values() for line in _setting(one)),
        *_limits(outputs, found),
        *_Rules(found, node, web, base, recorded).mistakes(),
    ]


def _named(found: list[Found], kind: type) -> dict[str, Found]:
    """Return the tables of a kind that have a name; of two with the same, the first."""
    named: dict[str, Found] = {}
    for one in found:
        if isinstance(one.table, kind) and hasattr(one.table, "name"):
            named.setdefault(one.table.name, one)
    return named


def _is_whole(table: BaseModel) -> bool:
    """Tell whether nothing is missing in a table; in one that is not, no value can be relied on."""
    return all(hasattr(table, key) for key in type(table).model_fields)


def _setting(one: Found) -> Iterator[str]:
    table: Any = one.table
    if not _is_whole(one.table):
        return
    low, high = table.min, table.max
    if low is not None and high is not None and low > high:
        yield one.place.says("min", f"expected a number of at most max, which is {high:g}, found {low:g}")
    elif low is not None and table.value < low:
        yield one.place.says("value", f"expected a number of at least min, which is {low:g}, found {table.value:g}")
    elif high is not None and table.value > high:
        yield one.place.says("value", f"expected a number of at most max, which is {high:g}, found {table.value:g}")


def _limits(outputs: Mapping[str, Found], found: list[Found]) -> Iterator[str]:
    specs = [_spec(name, one) for name, one in outputs.items()]
    for wrong in contradictions(specs):
        yield outputs[wrong.actuator].place.says(wrong.key, wrong.text)
    sensors = _named(found, SensorTable)
    for one in outputs.values():
        sensor = getattr(one.table, "feedback", None)
        if sensor is not None and sensor not in sensors:
            hint = nearest(sensor, sensors) or f"; own sensors: {', '.join(sensors) or 'none'}"
            yield one.place.says("feedback", f"expected a sensor of this node, found {shown(sensor)}{hint}")


def _spec(name: str, one: Found) -> ActuatorSpec:
    assert isinstance(one.table, ActuatorTable)
    return actuator_spec(one.table, dimmable=False, ruled=False) if _is_whole(one.table) else ActuatorSpec(name)


class _Rules:
    """Compares each rule with what there is on the node."""

    def __init__(
        self, found: list[Found], node: NodeTable, web: WebTable, base: Path, recorded: Collection[str]
    ) -> None:
        self._rules = [one for one in found if isinstance(one.table, RuleTable)]
        self._outputs, self._base = _named(found, ActuatorTable), base
        settings, self._devices = _named(found, SettingTable), _named(found, DeviceTable)
        self._accepts_new = web.accept_new_sensors
        tables = _named(found, SensorTable)
        self._derived = Derived(tables, self._outputs, settings)
        in_units = {name: getattr(one.table, "unit", "") for name, one in settings.items()}
        looked_at = tables if self._rules or self._derived.values else {}
        sensors = {name: self._unit(one) for name, one in looked_at.items()}
        sensors |= self._derived.units(sensors, in_units)
        boards = [
            f"{name}/{field}" for name, one in self._devices.items() for field in getattr(one.table, "fields", ())
        ]
        heard = dict.fromkeys(set(recorded).difference(self._outputs, settings), "")
        self._known = Known(
            heard | sensors | dict.fromkeys(boards, ""),
            tuple(self._outputs),
            in_units,
            place=node.place is not None,
        )

    def mistakes(self) -> Iterator[str]:
        yield from self._derived.mistakes
        yield from self._derived.wrong(self._wrong_with, lambda value: unit_of(value, self._known))
        for one in self._rules:
            yield from self._conditions(one)
            yield from self._claims(one)
            yield from self._message(one)

    def _conditions(self, one: Found) -> Iterator[str]:
        parsed: dict[str, Condition] = {}
        for key in ("when", "until"):
            text = getattr(one.table, key, None)
            if isinstance(text, str):
                try:
                    condition = self._condition(text)
                except ConditionError as error:
                    yield from pointed(one, key, error.mistakes)
                else:
                    parsed[key] = condition
        for key, condition in parsed.items():
            yield from pointed(one, key, [wrong for wrong in [never(condition)] if wrong])
        if "when" in parsed:
            yield from self._loop(one, parsed["when"])
        if len(parsed) == 2:
            yield from pointed(one, "until", [wrong for wrong in [overlap(parsed["when"], parsed["until"])] if wrong])

    def _loop(self, one: Found, when: Condition) -> Iterator[str]:
        """A rule that looks at what it moves, and waits for nothing, moves it to and fro."""
        claim = one.raw.get("claim", {})
        own = conditions.actuators(when) & set(claim if isinstance(claim, dict) else ())
        if own and "hold" not in one.raw and "until" not in one.raw:
            name = min(own)
            sentence = f"expected a hold or an until: it claims {name} and looks at it, so that would click for ever"
            yield one.place.says("when", sentence)

    def _condition(self, text: str) -> Condition:
        """Return a condition that is right on this node. Raises ConditionError."""
        known = self._known
        condition = conditions.parse(text, actuators=known.actuators, settings=known.settings)
        if wrong := self._wrong_with(condition):
            raise ConditionError(wrong)
        return condition

    def _wrong_with(self, condition: Condition | Expression) -> list[Mistake]:
        known = self._known
        devices = {name.rpartition("/")[0] for name in conditions.sensors(condition) if self._may_come(name)}
        known = Known(known.sensors, known.actuators, known.settings, devices, known.place)
        return conditions.check(condition, known)

    def _may_come(self, name: str) -> bool:
        """Tell whether a device that is in no table may bring a sensor of this name: a key may be given to it."""
        device = name.rpartition("/")[0]
        return bool(device) and self._accepts_new and device not in self._devices

    def _claims(self, one: Found) -> Iterator[str]:
        """Look at what stands in the file: a level that means nothing must not hide a name that nobody has."""
        claim = one.raw.get("claim", {})
        if claim == {} and "alert" not in one.raw:
            yield one.place.says("", "expected a claim or an alert: without either it does nothing")
        for name, level in claim.items() if isinstance(claim, dict) else ():
            output = self._outputs.get(name)
            if output is None:
                hint = nearest(name, self._outputs) or f"; outputs: {', '.join(self._outputs) or 'none'}"
                yield one.place.says("claim", f"expected the name of an output, found {shown(name)}{hint}")
            elif _is_share(level) and not getattr(self._driver("actuators", output), "dimmable", True):
                yield one.place.says(f"claim.{name}", f'expected "on" or "off", found {level:g}: it cannot be dimmed')

    def _message(self, one: Found) -> Iterator[str]:
        clause = one.raw.get("alert")
        text = clause.get("message") if isinstance(clause, dict) else None
        if not isinstance(text, str):
            return
        try:
            message = messages.parse(text)
        except ConditionError as error:
            yield from pointed(one, "alert.message", error.mistakes)
        else:
            fields = [part for part in message.parts if isinstance(part, messages.Field)]
            yield from pointed(one, "alert.message", [wrong for field in fields if (wrong := self._field(text, field))])

    def _field(self, text: str, field: messages.Field) -> Mistake | None:
        names = sorted({*self._known.sensors, *self._known.actuators, *self._known.settings})
        if field.name in names or self._may_come(field.name):
            return None
        sentence = f'expected the name of a sensor, an output or a setting, found "{field.name}", which nobody knows'
        return Mistake(f"{sentence}{nearest(field.name, names)}", text, field.start, field.end)

    def _unit(self, one: Found) -> str:
        """Return a sensor's unit: its table's, or its driver's."""
        unit = getattr(one.table, "unit", None)
        return getattr(self._driver("sensors", one), "unit", "") if unit is None else unit

    def _driver(self, group: str, one: Found) -> Any:
        """Return a table's driver, which touches nothing yet; None where there is none."""
        if one.options is None or not _is_whole(one.options):
            return None
        table: Any = one.table
        return plugins.load(group, table.driver)(table.name, one.options, plugins.Place(self._base, self._base))


def _is_share(level: object) -> bool:
    return isinstance(level, int | float) and not isinstance(level, bool) and 0 <= level <= 1
