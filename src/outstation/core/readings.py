"""The vocabulary of the core: what may happen (events) and what is to be done about it (effects)."""

from __future__ import annotations

import enum
from typing import Literal

import msgspec

Millis = int
"""Milliseconds: of UTC since the Unix epoch for `at`, of CLOCK_BOOTTIME for `now`."""

Value = float | int | bool | str
"""What a sensor says: int within 64 bits, text up to 255 bytes of UTF-8."""

Level = float | bool
"""What an output is set to: a bool for on and off, 0.0 to 1.0 for a dimmed one."""

MAX_TEXT = 255
"""Bytes of a text value: the longest that a ThingSpeak field carries."""


class Quality(enum.IntEnum):
    """What a value is worth. Stored: numbers stay."""

    OK = 0
    OUT_OF_RANGE = 1
    SPIKE = 2
    STUCK = 3
    FAULT = 4


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One value of one sensor. An event, and a record.

    at: when it was measured, UTC. now, arrived: when it reached this node, on both clocks.
    sender_stamped: the sender gave `at`; then (sensor, at) is the reading's identity.
    value is None for a fault: the sensor was asked and had nothing to say.
    """

    sensor: str
    value: Value | None
    at: Millis
    now: Millis
    arrived: Millis
    quality: Quality = Quality.OK
    sender_stamped: bool = False


class Failed(msgspec.Struct, frozen=True, gc=False):
    """An event: a sensor was asked and its driver failed; `error` says why and what to do."""

    sensor: str
    error: str
    at: Millis
    now: Millis


class Zone(msgspec.Struct, frozen=True, gc=False):
    """Where local time stands: `offset` is added to UTC.

    sunrise, sunset: of this local day, in minutes since its midnight; None where there is none, or no place is known.
    """

    offset: Millis
    sunrise: int | None = None
    sunset: int | None = None


class Tick(msgspec.Struct, frozen=True, gc=False):
    """An event: time has passed. Sent when the core asked for it, at the latest.

    zone: what local time is from now on; None while the clock is not to be believed.
    """

    at: Millis
    now: Millis
    zone: Zone | None = None


class Command(msgspec.Struct, frozen=True):
    """An event: somebody wants an output in a state. `duration` in milliseconds; None: until released."""

    actuator: str
    action: str
    who: str
    at: Millis
    now: Millis
    value: float | None = None
    duration: Millis | None = None


class Switched(msgspec.Struct, frozen=True):
    """An event: an output was driven to `level`, or its driver failed with `error` and the level is unknown."""

    actuator: str
    level: Level | None
    at: Millis
    now: Millis
    error: str = ""


class Adjust(msgspec.Struct, frozen=True):
    """An event: somebody changes a setting. value None: back to what the config says."""

    setting: str
    value: float | None
    who: str
    at: Millis
    now: Millis


class Acknowledge(msgspec.Struct, frozen=True):
    """An event: somebody has seen an alert, and says so."""

    alert: int
    who: str
    at: Millis
    now: Millis


class Trouble(msgspec.Struct, frozen=True):
    """An event: something of the node itself is so that people are told. text "": it is well again."""

    subject: str
    severity: Severity
    text: str
    at: Millis
    now: Millis


class Record(msgspec.Struct, frozen=True, gc=False):
    """An effect: keep this reading."""

    reading: Reading


class Switch(msgspec.Struct, frozen=True, gc=False):
    """An effect: drive this output to this level."""

    actuator: str
    level: Level


class Note(msgspec.Struct, frozen=True, gc=False):
    """An effect: write into the journal what happened and why."""

    kind: str
    subject: str
    text: str
    at: Millis


class Keep(msgspec.Struct, frozen=True, gc=False):
    """An effect: what must outlive a restart has changed, and is to be on disk with the readings that changed it.

    body: JSON, whose times are on `now` of this boot; None: no longer kept.
    """

    kind: str
    name: str
    body: bytes | None


Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
"""From the least to the most urgent."""

AlertState = Literal["raised", "acknowledged", "cleared"]


class Alert(msgspec.Struct, frozen=True):
    """What a person should be told: one for each spell. subject: a rule, an output, the node itself, as `kind` says.

    Times are UTC. values: what the sensors, outputs and settings said that it is about, when it was raised.
    node: that reported it; "": it is of this one.
    """

    id: int
    kind: str
    subject: str
    severity: Severity
    message: str
    raised_at: Millis
    state: AlertState = "raised"
    values: dict[str, Value | None] = {}
    acknowledged_by: str = ""
    acknowledged_at: Millis | None = None
    cleared_at: Millis | None = None
    node: str = ""


Happened = Literal["raised", "repeated", "acknowledged", "cleared"]


class Alerted(msgspec.Struct, frozen=True):
    """An effect: this alert is now so, is to be stored, and `tell`: whoever is told of alerts is told now."""

    alert: Alert
    happened: Happened
    tell: bool


Event = Reading | Failed | Tick | Command | Switched | Adjust | Acknowledge | Trouble
Effect = Record | Switch | Note | Keep | Alerted
