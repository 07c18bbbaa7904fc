"""When a condition becomes a firing rule: hold, until, unknown, restarts."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from outstation.core.conditions import Condition
from outstation.core.messages import Message
from outstation.core.readings import Level, Millis, Severity


class AlertSpec(msgspec.Struct, frozen=True):
    """What a rule tells people when it fires. repeat: again so often until it is acknowledged; None: once."""

    message: Message
    severity: Severity = "warning"
    repeat: Millis | None = None


class RuleSpec(msgspec.Struct, frozen=True):
    """One rule as configured.

    until: None: it clears when `when` is false. hold: how long `when` has to be true before it fires.
    safety: above priorities. claims: outputs and the levels that it claims. hold_anew: after a restart
    a hold begins anew; else the time that the node was off counts.
    """

    name: str
    when: Condition
    until: Condition | None = None
    hold: Millis = 0
    priority: float = 0
    safety: bool = False
    enabled: bool = True
    claims: Mapping[str, Level] = {}
    alert: AlertSpec | None = None
    hold_anew: bool = False


class SettingSpec(msgspec.Struct, frozen=True):
    """A number that people change: its default and its bounds, both included."""

    name: str
    default: float
    low: float | None = None
    high: float | None = None
    unit: str = ""
    label: str = ""
