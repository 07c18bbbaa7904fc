"""What a condition sees in the tests: a View made of plain dicts, of which what is not given is unknown."""

from __future__ import annotations

from outstation.core.conditions import Local
from outstation.core.readings import Level, Millis, Value
from outstation.core.spans import Statistics, merged, of_reading

Told = list[tuple[Millis, float]]
"""Readings: when, and what."""

MONDAY_NOON = Local(minute_of_day=12 * 60, weekday=0)


class Seen:
    """A View and an Outlook."""

    def __init__(
        self,
        values: dict[str, Value] | None = None,
        *,
        levels: dict[str, Level] | None = None,
        settings: dict[str, float] | None = None,
        ages: dict[str, Millis] | None = None,
        qualities: dict[str, str] | None = None,
        told: dict[str, Told] | None = None,
        local: Local | None = None,
    ) -> None:
        self.values = values or {}
        self.levels, self.settings, self.ages = levels or {}, settings or {}, ages or {}
        self.qualities, self.told, self.now_local = qualities or {}, told or {}, local
        self.fresh: dict[str, Millis] = {}
        self.steady: dict[str, Millis] = {}

    def value(self, name: str) -> Value | None:
        return self.values.get(name)

    def level(self, actuator: str) -> Level | None:
        return self.levels.get(actuator)

    def setting(self, name: str) -> float:
        return self.settings[name]

    def age(self, name: str) -> Millis | None:
        return self.ages.get(name)

    def quality(self, name: str) -> str:
        return self.qualities.get(name, "ok" if name in self.values else "unseen")

    def count(self, name: str, span: Millis) -> int:
        return len(self.told.get(name, []))

    def span(self, name: str, span: Millis) -> Statistics | None:
        parts = [of_reading(now, value) for now, value in self.told.get(name, [])]
        if not parts:
            return None
        all_ = parts[0]
        for part in parts[1:]:
            all_ = merged(all_, part)
        return all_

    def local(self) -> Local | None:
        return self.now_local

    def fresh_for(self, name: str) -> Millis | None:
        return self.fresh.get(name)

    def steady_for(self, name: str, span: Millis) -> Millis | None:
        return self.steady.get(name)
