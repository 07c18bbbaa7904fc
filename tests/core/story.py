"""The words of the stories: events at seconds since a start, and what came of them.

Both clocks start at second 0: `now` there, `at` at START. `wall` is how far the wall clock has
been stepped.
"""

from __future__ import annotations

from outstation.core.actuation import ActuatorSpec
from outstation.core.filters import Limits
from outstation.core.node import Node
from outstation.core.readings import (
    Command,
    Effect,
    Event,
    Failed,
    Level,
    Millis,
    Note,
    Quality,
    Reading,
    Record,
    Switch,
    Switched,
    Tick,
    Value,
)
from outstation.core.sensors import SensorSpec

START: Millis = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""

MINUTE, HOUR, DAY = 60, 3_600, 86_400
YEARS_20 = 20 * 365 * DAY

AIR = "air_temperature"
PORCH = "porch/temperature"
LED = "led"


def ms(seconds: float) -> Millis:
    return round(seconds * 1000)


def node_of(
    *, limits: Limits | None = None, dead_band: float | None = None, every: Millis = 10_000, heartbeat: float = HOUR
) -> Node:
    """Make a node with a sensor of its own, a board on the porch, and an LED."""
    limits = limits or Limits()
    air = SensorSpec(AIR, every=every, limits=limits, dead_band=dead_band, heartbeat=ms(heartbeat))
    return Node([air, SensorSpec(PORCH, limits=limits)], [ActuatorSpec(LED)])


def newest(node: Node, sensor: str = PORCH) -> Reading:
    found = node.sensors[sensor].newest
    assert found is not None
    return found


def said(second: float, value: Value | None, *, sensor: str = AIR, wall: float = 0) -> Reading:
    """Make a reading that this node stamped."""
    at = START + ms(second + wall)
    return Reading(sensor, value, at, ms(second), at)


def sent(measured: float, value: Value, *, arrived: float | None = None, sensor: str = PORCH) -> Reading:
    """Make a reading that its sender stamped; it arrives at once unless said otherwise."""
    second = measured if arrived is None else arrived
    return Reading(sensor, value, START + ms(measured), ms(second), START + ms(second), sender_stamped=True)


def steady(seconds: float, count: int) -> list[Reading]:
    """Make the readings of a board with a rhythm."""
    return [sent(number * seconds, 20) for number in range(count)]


def failed(second: float, error: str, *, sensor: str = AIR) -> Failed:
    return Failed(sensor, error, START + ms(second), ms(second))


def tick(second: float) -> Tick:
    return Tick(START + ms(second), ms(second))


def order(
    second: float, action: str, *, value: float | None = None, duration: Millis | None = None, actuator: str = LED
) -> Command:
    return Command(actuator, action, "anna", START + ms(second), ms(second), value, duration)


def done(second: float, level: Level, *, actuator: str = LED) -> Switched:
    """Make the answer of a driver that obeyed."""
    return Switched(actuator, level, START + ms(second), ms(second))


def refused(second: float, error: str = "the line is busy", *, actuator: str = LED) -> Switched:
    """Make the answer of a driver that failed."""
    return Switched(actuator, None, START + ms(second), ms(second), error)


def story(node: Node, *events: Event) -> list[Effect]:
    """Tell the node what happened, and return all that it made of it."""
    return [effect for event in events for effect in node.handle(event)]


def kept(effects: list[Effect]) -> list[Reading]:
    return [effect.reading for effect in effects if isinstance(effect, Record)]


def values(effects: list[Effect]) -> list[Value | None]:
    return [reading.value for reading in kept(effects)]


def worths(effects: list[Effect]) -> list[Quality]:
    return [reading.quality for reading in kept(effects)]


def levels(effects: list[Effect]) -> list[Level]:
    return [effect.level for effect in effects if isinstance(effect, Switch)]


def notes(effects: list[Effect]) -> list[tuple[str, str]]:
    """Return the lines of the journal, but for those on alerts: each is an effect of its own."""
    found = [effect for effect in effects if isinstance(effect, Note) and not effect.kind.startswith("alert")]
    return [(effect.kind, effect.text) for effect in found]
