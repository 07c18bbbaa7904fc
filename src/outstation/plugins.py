"""The interfaces a stranger may implement, and how they are found.

A driver speaks its protocol and nothing else: it blocks, it raises DeviceError, it knows no
schedule. Around it the engine owns the policy: when, again, how long, in which thread.
An uplink speaks its protocol and nothing else as well; it is asynchronous, and asks the engine for each request.
Found by entry point, ours as well: groups `outstation.sensors`, `outstation.actuators` and `outstation.uplinks`.
"""

from __future__ import annotations

import abc
import functools
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec
from pydantic import BaseModel, ConfigDict

from outstation.core.delivery import Answer, Item
from outstation.core.readings import MAX_TEXT, Alert, Happened, Level, Millis, Reading, Value
from outstation.errors import DeviceError, MissingDeviceError, OutstationError, RefusedError, to_install

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

Given: the kind (gpio, simulated, pwm), the chip as `wire/outputs.py` has it, the pin, whether active is low. Any thread
may call it; it ends within 2 s. Raises wire.RefusedError, OSError.
"""


class Place(msgspec.Struct, frozen=True):
    """Where a driver is: `data` is the node's own folder, `base` the config's (relative files start there).

    lines: who holds the output lines, where that is not this process. last: what a sensor of this node said last, as
    its driver said it, also before the node was started, but not before a moment (UTC, ms); it may look on the disk,
    and raises StoreError.
    """

    data: Path
    base: Path
    lines: Lines | None = None
    last: Callable[[str, Millis], Value | None] = lambda _name, _since: None


class DriverOptions(BaseModel):
    """The keys that a driver or an uplink adds to its table in outstation.toml. Unknown ones are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SensorDriver(abc.ABC):
    """One sensor. Called in one thread per `bus`: two drivers with the same bus never run at once.

    answers_within: seconds after which read() has answered or raised by itself; before, it does not hang.
    """

    Options: ClassVar[type[DriverOptions]] = DriverOptions
    unit: str = ""
    simulated: bool = False
    answers_within: float = 0.0

    def __init__(self, name: str, options: Any, place: Place) -> None:
        """Take the options as checked; touch no hardware yet."""
        self.name, self.options, self.place = name, options, place
        self.bus = f"{type(self).__module__}:{name}"

    def load(self) -> None:
        """Import what open() needs, where that takes long. Called before it, in a thread where nobody waits."""

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


class Request(msgspec.Struct, frozen=True):
    """One request of HTTP. `headers` go beside Host, User-Agent, Content-Type and Content-Length.

    read: bytes of the answer at most, its head included.
    live: it has live values alone, and is counted apart.
    """

    url: str
    body: bytes = b""
    headers: Mapping[str, str] = {}
    method: str = "POST"
    type: str = "application/json"
    read: int = 65_536
    live: bool = False


Exchange = Callable[[Request], Awaitable[Answer]]
"""Sends one request and returns what came of it; raises nothing. The engine counts its bytes and keeps its time."""


class About(msgspec.Struct, frozen=True):
    """What is known of a sensor beside its summaries."""

    unit: str = ""
    label: str = ""


class Doing(msgspec.Struct, frozen=True):
    """How the node does: its clock in one word, what waits for this uplink, was refused by it, or is gone unsent."""

    clock: str = ""
    every: Millis = 300_000
    waiting: int = 0
    parked: int = 0
    lost: int = 0


class Parcel(msgspec.Struct, frozen=True):
    """What an uplink is to send in one request. items: those above number `after`, up to `upto`; at most `batch`.

    at: now, UTC. sensors: all that are known. The rest is for protocols that keep books. ahead: newest ones from
    further on; they come again when it is their turn. instead: without a number: those of an hour in the place of
    five-minute ones that are gone, and what a person wants sent again; for all others they are among the items.
    epoch, before, token: whose numbers these are, which ones they follow, and what the last outcome said.
    """

    at: Millis
    items: tuple[Item, ...] = ()
    after: int = 0
    upto: int = 0
    ahead: tuple[Item, ...] = ()
    instead: tuple[Item, ...] = ()
    epoch: str = ""
    before: tuple[str, ...] = ()
    token: str = ""
    sensors: Mapping[str, About] = {}
    node: Doing = Doing()


class News(msgspec.Struct, frozen=True):
    """An alert on its way, as it is now. key: random, the same at every try."""

    key: str
    happened: Happened
    alert: Alert


class Objection(msgspec.Struct, frozen=True):
    """One item of a parcel that the other side will never take, though it took the rest. item: its place there."""

    list: Literal["items", "instead", "alerts"]
    item: int
    error: str


class Outcome(msgspec.Struct, frozen=True):
    """What came of a parcel, or of news. answer: of its last request; its status decides what the engine does next.

    A 2xx means that all was taken but the objections; what an uplink cannot believe it turns into an answer without
    a status, whose error says why. token, cursor: for protocols that keep books. back_to: the other side knows
    nothing after this number, and follows a new epoch. cloned: another sender uses the same name. watched: somebody
    looks there just now.
    """

    answer: Answer
    objections: tuple[Objection, ...] = ()
    token: str = ""
    cursor: int | None = None
    back_to: int | None = None
    cloned: bool = False
    watched: bool = False


class Uplink(abc.ABC):
    """One place where summaries and alerts go. Called in the loop: nothing here may block, or touch a file.

    batch: summaries in a parcel at most; 0: it takes none. alerts: which it takes: every change of every alert, those
    that receivers are told of as well, or none. apart: between two requests at least, ms. idle: it sends even when
    there is nothing to send, once per `every`. only_well: and only while rules are decided and nothing is unhealthy.
    books: its protocol keeps books (see Parcel and Outcome). news: alerts in a request at most. live: whether the
    newest readings are shown there as they come: never, while somebody watches, or always; shown: so many at once.
    """

    Options: ClassVar[type[DriverOptions]] = DriverOptions
    batch: int = 1
    alerts: Literal["all", "told", "none"] = "told"
    apart: Millis = 0
    idle: bool = False
    only_well: bool = False
    books: bool = False
    news: int = 1
    live: Literal["off", "watched", "always"] = "off"
    shown: int = 1

    def __init__(self, name: str, options: Any, node: str, exchange: Exchange) -> None:
        """Take the options as checked. node: what this node is called."""
        self.name, self.options, self.node, self.exchange = name, options, node, exchange

    @abc.abstractmethod
    async def send(self, parcel: Parcel) -> Outcome:
        """Try once. Raises nothing for what the other side does."""

    async def tell(self, news: Sequence[News]) -> Outcome:
        """Try once to tell of alerts, of `news` at most."""
        return Outcome(Answer(200))

    async def show(self, readings: Sequence[Reading], sensors: Mapping[str, About]) -> Outcome:
        """Try once to show readings, each with a value; they are sent no second time. sensors: all that are known."""
        return Outcome(Answer(200))

    def close(self) -> None:
        """Let go. May be called twice."""


@functools.cache
def _points(group: str) -> Mapping[str, EntryPoint]:
    """Return all installed drivers of a group by name; of two the one that is found first, as Python imports."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=f"outstation.{group}"):
        found.setdefault(point.name, point)
    return found


@functools.cache
def names(group: str) -> tuple[str, ...]:
    """Return the names of all installed drivers of a group, `sensors`, `actuators` or `uplinks`, sorted."""
    return tuple(sorted(_points(group)))


def is_ours(group: str, name: str) -> bool:
    """Tell whether this package brings the driver of that name: it is imported in no time, and raises nothing."""
    point = _points(group).get(name)
    return point is not None and point.module.startswith("outstation.")


@functools.cache
def load(group: str, name: str) -> Any:
    """Return the driver class of that name. Raises OutstationError: there is none, or it cannot be imported."""
    point = _points(group).get(name)
    if point is None:
        raise OutstationError(f'There is no driver "{name}" for {group}.', cure=f"Valid: {', '.join(names(group))}.")
    try:
        return _a_driver(point.load())
    except (Exception, SystemExit) as error:  # a stranger's module may raise anything
        raise _broken(point, error) from error


def _a_driver(kind: Any) -> Any:
    if hasattr(kind, "Options"):
        return kind
    raise TypeError("it is no driver class")


def _broken(point: EntryPoint, error: BaseException) -> MissingDeviceError:
    package = point.dist.name if point.dist else point.module
    words = f'The driver "{point.name}" of {package} cannot be imported: {type(error).__name__}: {error}.'
    return MissingDeviceError(words, cure=to_install(f"--force-reinstall {package}"))
