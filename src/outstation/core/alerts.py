"""When a person should be told: raised, repeated, acknowledged, cleared; not at night, and not every second.

One alert for each spell of its subject. The law of this file: what is not told at once is told later,
as it is then: in the morning, unless it is critical, and of one subject once a minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from outstation.core.readings import (
    Acknowledge,
    Alert,
    Alerted,
    Effect,
    Happened,
    Keep,
    Millis,
    Note,
    Severity,
    Value,
)
from outstation.core.sight import Sight
from outstation.errors import RefusedError, UnknownNameError

Quiet = tuple[int, int]
"""The first minute of the day in which people sleep, and the first in which they do not."""

Subject = tuple[str, str]
"""The kind of what an alert is about, and its name."""

APART: Millis = 60_000
"""From one telling that an alert was raised to the next about the same subject: spells between them are one."""


class Standing(msgspec.Struct, frozen=True, omit_defaults=True):
    """An alert that is not over: it was not cleared, or that was not told yet.

    repeat: how often it is told again; again: when next, on `now`. held: what happened to it that is
    to be told yet.
    """

    alert: Alert
    repeat: Millis | None = None
    again: Millis | None = None
    held: Happened | None = None


class Alerts:
    """All alerts that stand. Every method returns what is to be done about what it did."""

    def __init__(self, quiet: Quiet | None = None) -> None:
        self._quiet = quiet
        self._standing: dict[int, Standing] = {}
        self._of: dict[Subject, int] = {}
        self._told: dict[Subject, Millis] = {}
        self._last = 0

    @property
    def standing(self) -> list[Alert]:
        """The alerts that were not cleared, the oldest first."""
        return [self._standing[number].alert for number in sorted(self._of.values())]

    def of(self, kind: str, subject: str) -> Alert | None:
        """Return the alert that stands about a subject."""
        number = self._of.get((kind, subject))
        return None if number is None else self._standing[number].alert

    def count_from(self, number: int) -> None:
        """Give the next alert a number above this one."""
        self._last = max(self._last, number)

    def number(self) -> int:
        """Return a number that no alert has, for one of another node."""
        self._last += 1
        return self._last

    def start(
        self,
        kind: str,
        subject: str,
        severity: Severity,
        message: str,
        sight: Sight,
        *,
        values: Mapping[str, Value | None] = {},
        repeat: Millis | None = None,
    ) -> list[Effect]:
        """Raise an alert, unless one stands about this subject."""
        if (kind, subject) in self._of:
            return []
        number = self._untold(kind, subject) or self._last + 1
        self._last = max(self._last, number)
        alert = Alert(number, kind, subject, severity, message, sight.at, values=dict(values))
        self._of[kind, subject] = number
        again = None if repeat is None else sight.now + repeat
        return self._happens(Standing(alert, repeat, again), "raised", sight)

    def clear(self, kind: str, subject: str, sight: Sight) -> list[Effect]:
        """Clear the alert about a subject, if one stands."""
        number = self._of.pop((kind, subject), None)
        if number is None:
            return []
        known = self._standing[number]
        alert = msgspec.structs.replace(known.alert, state="cleared", cleared_at=sight.at)
        return self._happens(msgspec.structs.replace(known, alert=alert, again=None), "cleared", sight)

    def acknowledge(self, event: Acknowledge, sight: Sight) -> list[Effect]:
        """Keep that somebody has seen an alert: it is not repeated. Raises UnknownNameError, RefusedError."""
        known = self._standing.get(event.alert)
        if known is None or known.alert.state == "cleared":
            raise UnknownNameError(f"No alert {event.alert} stands.", cure="GET /api/alerts lists those that do.")
        if known.alert.state == "acknowledged":
            raise RefusedError(f"Alert {event.alert} was acknowledged by {known.alert.acknowledged_by} already.")
        alert = msgspec.structs.replace(
            known.alert, state="acknowledged", acknowledged_by=event.who, acknowledged_at=event.at
        )
        return self._happens(msgspec.structs.replace(known, alert=alert, again=None, held=None), "acknowledged", sight)

    def tick(self, sight: Sight) -> list[Effect]:
        """Tell what was held back, when its time has come; and tell again what is to be repeated."""
        effects: list[Effect] = []
        for known in list(self._standing.values()) if self._standing else ():
            if sight.now < self._told_from(known, sight):
                continue
            if known.held is not None:
                effects += self._tell(known, known.held, sight)
            elif known.again is not None and sight.now >= known.again:
                again = sight.now + (known.repeat or 0)
                effects += self._tell(msgspec.structs.replace(known, again=again), "repeated", sight)
        return effects

    def next_due(self, sight: Sight) -> Millis | None:
        """Return when it wants a Tick: a repetition is due, or what was held back."""
        if not self._standing:
            return None
        due = [
            max(self._told_from(known, sight), 0 if known.held is not None else known.again or 0)
            for known in self._standing.values()
            if known.held is not None or known.again is not None
        ]
        return min(due, default=None)

    def quiet_for(self, severity: Severity, sight: Sight) -> Millis:
        """Return for how long people sleep; 0: they do not, or nobody knows what time it is, or they are woken."""
        local = sight.local()
        if self._quiet is None or local is None or severity == "critical":
            return 0
        first, end = self._quiet
        minute = local.minute_of_day
        if (minute - first) % 1440 >= (end - first) % 1440:
            return 0
        return sight.until_minute((end - minute) % 1440)

    def restore(self, kept: Iterable[Standing], shift: Millis) -> None:
        """Take in the alerts that stood before a restart. shift: what to add to their times."""
        for known in kept:
            again = None if known.again is None else known.again + shift
            self._standing[known.alert.id] = msgspec.structs.replace(known, again=again)
            self.count_from(known.alert.id)
            if known.alert.state != "cleared":
                self._of[known.alert.kind, known.alert.subject] = known.alert.id

    def kept(self) -> list[Keep]:
        """Return all that must outlive a restart."""
        return [_keep(known) for known in self._standing.values()]

    def _happens(self, known: Standing, happened: Happened, sight: Sight) -> list[Effect]:
        """Take in what happens to an alert: tell of it, or hold that back."""
        note = Note(f"alert {happened}", known.alert.subject, _words(known.alert, happened), sight.at)
        # That it is over is told at once, if people have heard that it began.
        told_from = sight.now + self.quiet_for(known.alert.severity, sight)
        if happened == "raised" or known.held is not None:
            told_from = self._told_from(known, sight)
        if sight.now >= told_from:
            return [*self._tell(known, happened, sight), note]
        held = None if happened == "acknowledged" else happened
        known = msgspec.structs.replace(known, held=held)
        self._standing[known.alert.id] = known
        return [_keep(known), Alerted(known.alert, happened, tell=False), note]

    def _tell(self, known: Standing, happened: Happened, sight: Sight) -> list[Effect]:
        alert, known = known.alert, msgspec.structs.replace(known, held=None)
        if happened == "raised":
            self._told[alert.kind, alert.subject] = sight.now
        told = Alerted(alert, happened, tell=True)
        if alert.state == "cleared":
            self._standing.pop(alert.id, None)
            return [Keep("alert", str(alert.id), None), told]
        self._standing[alert.id] = known
        return [_keep(known), told]

    def _untold(self, kind: str, subject: str) -> int:
        """Return the number of an alert about a subject that is over, and nobody was told of; 0: there is none."""
        for number, known in self._standing.items():
            if (known.alert.kind, known.alert.subject) == (kind, subject) and known.held == "cleared":
                return number
        return 0

    def _told_from(self, known: Standing, sight: Sight) -> Millis:
        """Return from when on people may be told of an alert."""
        alert = known.alert
        awake = sight.now + self.quiet_for(alert.severity, sight)
        before = self._told.get((alert.kind, alert.subject))
        return awake if before is None else max(awake, before + APART)


def _keep(known: Standing) -> Keep:
    return Keep("alert", str(known.alert.id), msgspec.json.encode(known))


def _words(alert: Alert, happened: Happened) -> str:
    by = f", by {alert.acknowledged_by}" if happened == "acknowledged" else ""
    return f"{alert.severity} alert {alert.id}: {alert.message}{by}"
