"""What conditions look at: the node's sensors, outputs and settings at one moment.

The law of this file: it looks and changes nothing, but what a span has to forget. What is stale,
faulty or was never seen has no value.
"""

from __future__ import annotations

from collections.abc import Mapping

from outstation.core.claims import ActuatorState
from outstation.core.conditions import Local
from outstation.core.readings import Level, Millis, Quality, Value, Zone
from outstation.core.sensors import SensorState
from outstation.core.spans import Spans, Statistics

_MINUTE, _DAY = 60_000, 86_400_000
_THURSDAY = 3
"""The weekday of 1 January 1970."""


class Sight:
    """The node as a condition sees it: `at` and `now` are the moment, `safety`: who looks is a safety rule.

    Fills in conditions.Outlook. The settings are numbers by name.
    """

    def __init__(
        self, sensors: Mapping[str, SensorState], actuators: Mapping[str, ActuatorState], settings: Mapping[str, float]
    ) -> None:
        self._sensors, self._actuators, self._settings = sensors, actuators, settings
        self.at: Millis = 0
        self.now: Millis = 0
        self.zone: Zone | None = None
        self.safety = False

    def value(self, name: str) -> Value | None:
        """Return what a sensor says. For a safety rule a spike is a value: a fire begins as one."""
        state = self._sensors.get(name)
        if state is None or state.newest is None or state.error:
            return None
        quality = state.newest.quality
        if quality and not (self.safety and quality is Quality.SPIKE):
            return None
        return None if state.is_stale(self.now) else state.newest.value

    def level(self, actuator: str) -> Level | None:
        """Return the level of an output; None while it is unknown."""
        return self._actuators[actuator].level

    def setting(self, name: str) -> float:
        """Return a setting."""
        return self._settings[name]

    def age(self, name: str) -> Millis | None:
        """Return how long ago a sensor was measured; None if it never was."""
        state = self._sensors.get(name)
        return None if state is None else state.age(self.now)

    def quality(self, name: str) -> str:
        """Return one of tree.QUALITIES."""
        state = self._sensors.get(name)
        if state is None or (state.newest is None and not state.error):
            return "unseen"
        if state.error or state.newest is None:
            return "fault"
        return "stale" if state.is_stale(self.now) else state.newest.quality.name.lower()

    def count(self, name: str, span: Millis) -> int:
        """Return how many readings a sensor had in a span."""
        spans = self._spans(name)
        return spans.count(span, self.now) if spans else 0

    def span(self, name: str, span: Millis) -> Statistics | None:
        """Return the statistics of a sensor over a span; None while too little of it was heard."""
        spans = self._spans(name)
        return spans.statistics(span, self.now) if spans else None

    def fresh_for(self, name: str) -> Millis | None:
        """Return how long until a sensor that says nothing more is stale; None if it is, or was never seen."""
        state = self._sensors.get(name)
        age = None if state is None else state.age(self.now)
        if state is None or age is None:
            return None
        left = state.stale_limit() - age + 1
        return left if left > 0 else None

    def steady_for(self, name: str, span: Millis) -> Millis | None:
        """Return how long a span's statistics last if no reading comes; None: for ever."""
        spans = self._spans(name)
        return spans.steady_for(span, self.now) if spans else None

    def local(self) -> Local | None:
        """Return the local time; None while the clock is not to be believed."""
        zone = self.zone
        if zone is None:
            return None
        local = self.at + zone.offset
        weekday = (local // _DAY + _THURSDAY) % 7
        return Local(local // _MINUTE % 1440, weekday, zone.sunrise, zone.sunset)

    def until_minute(self, minutes: int) -> Millis:
        """Return how long it is to the beginning of a local minute that many ahead."""
        offset = self.zone.offset if self.zone else 0
        return minutes * _MINUTE - (self.at + offset) % _MINUTE

    def shown(self, name: str) -> Value | None:
        """Return what a message shows by this name: the value of a sensor, an output or a setting."""
        if name in self._settings:
            return self._settings[name]
        if name in self._actuators:
            return self._actuators[name].level
        return self.value(name)

    def _spans(self, name: str) -> Spans | None:
        state = self._sensors.get(name)
        return state.spans if state else None
