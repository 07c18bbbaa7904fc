"""When a person should be told: raised, repeated, acknowledged, cleared; and not at night, unless it is critical.

One alert for each spell of its subject. The law of this file: what was not told because people sleep is
told in the morning, as it is then.
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


class Standing(msgspec.Struct, frozen=True, omit_defaults=True):
    """An alert that is not over: it was not cleared, or that was not told yet.

    repeat: how often it is told again; again: when next, on `now`. held: what happened to it that is
    told when people wake up.
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
        self._last += 1
        alert = Alert(self._last, kind, subject, severity, message, sight.at, values=dict(values))
        self._of[kind, subject] = alert.id
        again = None if repeat is None else sight.now + repeat
        return self._now(Standing(alert, repeat, again), "raised", sight)

    def clear(self, kind: str, subject: str, sight: Sight) -> list[Effect]:
        """Clear the alert about a subject, if one stands."""
        number = self._of.pop((kind, subject), None)
        if number is None:
            return []
        known = self._standing[number]
        alert = msgspec.structs.replace(known.alert, state="cleared", cleared_at=sight.at)
        return self._now(msgspec.structs.replace(known, alert=alert, again=None), "cleared", sight)

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
        return self._now(msgspec.structs.replace(known, alert=alert, again=None), "acknowledged", sight)

    def tick(self, sight: Sight) -> list[Effect]:
        """Tell what was held back, when people are awake; and tell again what is to be repeated."""
        effects: list[Effect] = []
        for known in list(self._standing.values()):
            if known.held is not None and self._is_told(known.alert, sight):
                effects += self._now(known, known.held, sight)
            elif known.again is not None and sight.now >= known.again:
                again = sight.now + (known.repeat or 0)
                effects += self._now(msgspec.structs.replace(known, again=again), "repeated", sight)
        return effects

    def next_due(self, sight: Sight) -> Millis | None:
        """Return when it wants a Tick: a repetition is due, or people wake up."""
        due = [known.again for known in self._standing.values() if known.again is not None]
        if any(known.held is not None for known in self._standing.values()):
            due.append(sight.now + self._quiet_for(sight))
        return min(due, default=None)

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

    def _now(self, known: Standing, happened: Happened, sight: Sight) -> list[Effect]:
        """Take in how an alert is now; tell of it, or hold that back."""
        tell = self._is_told(known.alert, sight)
        held = None if tell or happened == "acknowledged" else _latest(known.held, happened)
        known = msgspec.structs.replace(known, held=held)
        self._standing[known.alert.id] = known
        if known.alert.state == "cleared" and tell:
            del self._standing[known.alert.id]
            keep = Keep("alert", str(known.alert.id), None)
        else:
            keep = _keep(known)
        alert = known.alert
        note = Note(f"alert {happened}", alert.subject, _words(alert, happened), sight.at)
        return [keep, Alerted(alert, happened, tell), note]

    def _is_told(self, alert: Alert, sight: Sight) -> bool:
        return alert.severity == "critical" or not self._quiet_for(sight)

    def _quiet_for(self, sight: Sight) -> Millis:
        """Return for how long people sleep; 0: they do not, or nobody knows what time it is."""
        local = sight.local()
        if self._quiet is None or local is None:
            return 0
        first, end = self._quiet
        minute = local.minute_of_day
        if (minute - first) % 1440 >= (end - first) % 1440:
            return 0
        return sight.until_minute((end - minute) % 1440)


def _latest(held: Happened | None, happened: Happened) -> Happened:
    """Return what to tell later: of what nobody has heard yet, that it was raised, until it is cleared."""
    return "raised" if held == "raised" and happened == "repeated" else happened


def _keep(known: Standing) -> Keep:
    return Keep("alert", str(known.alert.id), msgspec.json.encode(known))


def _words(alert: Alert, happened: Happened) -> str:
    by = f", by {alert.acknowledged_by}" if happened == "acknowledged" else ""
    return f"{alert.severity} alert {alert.id}: {alert.message}{by}"
