"""The interfaces a stranger may implement, and how they are found.

A driver speaks its protocol and nothing else: it blocks, it raises DeviceError, it knows no
schedule. Around it the engine owns the policy: when, again, how long, in which thread.
Found by entry point, ours as well: groups `outstation.sensors` and `outstation.actuators`.
"""

from __future__ import annotations

import abc
import functools
import math
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from pydantic import BaseModel, ConfigDict

from outstation.core.readings import MAX_TEXT, Level, Value
from outstation.errors import DeviceError, OutstationError, RefusedError

Report = Callable[[Value, int], None]
"""Called by a watching driver: the value, and CLOCK_MONOTONIC nanoseconds of its change."""


def checked(value: object) -> Value:
    """Return what a driver read if it is a Value at all. Raises DeviceError: None, NaN, a text too long, ..."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, str) and _fits(value):
        return str(value)
    raise DeviceError(
        f"The driver returned {_shown(value)}.",
        cure=f"Expected a finite number (whole ones within 64 bits), true or false, or a text up to {MAX_TEXT} bytes.",
    )


def _fits(text: str) -> bool:
    try:
        return len(text.encode()) <= MAX_TEXT
    except UnicodeEncodeError:  # Half of a surrogate pair: no text.
        return False


def _shown(value: object) -> str:
    if isinstance(value, int):
        return "a whole number beyond 64 bits"
    if isinstance(value, str):
        return f"a text of {len(value)} characters"
    return str(value) if value is None or isinstance(value, float) else f"a value of type {type(value).__name__}"


Lines = Callable[[str, str, int, bool], int]
"""Returns a descriptor of an output line's request, held by somebody who outlives this process.

Given: the kind (gpio, simulated), the chip as `wire/outputs.py` has it, the pin, whether active is low. Any thread may
call it; it ends within 2 s. Raises wire.RefusedError, OSError.
"""


class Place(msgspec.Struct, frozen=True):
    """Where a driver is: `data` is the node's own folder, `base` the config's (relative files start there).

    lines: who holds the output lines, where that is not this process.
    """

    data: Path
    base: Path
    lines: Lines | None = None


class DriverOptions(BaseModel):
    """The keys that a driver adds to its table in outstation.toml. Unknown ones are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SensorDriver(abc.ABC):
    """One sensor. Called in one thread per `bus`: two drivers with the same bus never run at once."""

    Options: ClassVar[type[DriverOptions]] = DriverOptions
    unit: str = ""
    simulated: bool = False

    def __init__(self, name: str, options: Any, place: Place) -> None:
        """Take the options as checked; touch no hardware yet."""
        self.name, self.options, self.place = name, options, place
        self.bus = f"{type(self).__module__}:{name}"

    def open(self) -> None:
        """Get hold of the hardware. Raises DeviceError; is called again, with back-off."""

    @abc.abstractmethod
    def read(self) -> Value:
        """Return the value now. Raises DeviceError."""

    def close(self) -> None:
        """Let go. May be called twice, and before open()."""

    def simulate(self, value: Value | None) -> None:
        """Move a simulated input to `value`, or let it go again (None). In any thread. Only simulated ones can."""
        raise RefusedError(f"{self.name} is not simulated.", cure="Only simulated inputs can be moved.")


class WatchingDriver(SensorDriver):
    """A sensor that also speaks by itself: its changes are reported the moment they happen."""

    @abc.abstractmethod
    def watch(self, report: Report) -> None:
        """Block and report each change until close(). Raises DeviceError. Runs in a thread of its own."""


class ActuatorDriver(abc.ABC):
    """One output.

    safe_within: seconds that open(safe level) may take in another process, after this one died.
    immediate: set() takes microseconds, so that a decision need not wait for a thread.
    """

    Options: ClassVar[type[DriverOptions]] = DriverOptions
    simulated: bool = False
    dimmable: bool = False
    immediate: bool = False
    safe_within: float = 2.0

    def __init__(self, name: str, options: Any, place: Place) -> None:
        """Take the options as checked; touch no hardware yet."""
        self.name, self.options, self.place = name, options, place
        self.bus = f"{type(self).__module__}:{name}"

    @abc.abstractmethod
    def open(self, level: Level) -> None:
        """Get hold of the output and drive it to `level` in one step. Raises DeviceError."""

    @abc.abstractmethod
    def set(self, level: Level) -> None:
        """Drive the output. Returns when it is done, within 2 s. Raises DeviceError."""

    def close(self) -> None:
        """Let go. May be called twice, and before open()."""


@functools.cache
def names(group: str) -> tuple[str, ...]:
    """Return the names of all installed drivers of a group, `sensors` or `actuators`, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=f"outstation.{group}")}))


@functools.cache
def load(group: str, name: str) -> Any:
    """Return the driver class of that name. Raises OutstationError that names those there are."""
    for point in entry_points(group=f"outstation.{group}", name=name):
        return point.load()
    raise OutstationError(f'There is no driver "{name}" for {group}.', cure=f"Valid: {', '.join(names(group))}.")
