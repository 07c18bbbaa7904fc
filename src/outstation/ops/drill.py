"""Starts a node, strikes it down in four ways, and tells how long each output took to be safe and whether it stayed.

The law of this file: it judges only by what the pins went through, never by what the node says of itself.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from outstation.devices.lines.simulated import Change
from outstation.errors import OutstationError
from outstation.ops.drill_node import DrilledNode, born_ns
from outstation.ops.drill_pins import LEVELS, Chip, Pin, Pins, config_text
from outstation.ops.drill_pwm import all_of
from outstation.ops.outputs import make_safe
from outstation.wire import outputs

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.05
"""Seldom, not to get in the way of what is measured: the pins' changes have times of their own."""

_SWITCHED_WITHIN_S = 2.0
"""What a driver has to set an output."""

_FOLLOWS_WITHIN_S = 60.0
_ENDS_WITHIN_S = 10.0
"""After 8 s the supervisor ends a server that does not stop."""

_REST_S = 0.3
"""So long the pins are looked at after all is over."""


class Blow(msgspec.Struct, frozen=True):
    """One way to strike a node. limit_s: until when its outputs are promised to be safe."""

    name: Literal["killed", "frozen", "stopped", "orphaned"]
    words: str
    signum: int
    at_server: bool
    limit_s: float
    followed: bool


BLOWS = (
    Blow("killed", "killing the server", signal.SIGKILL, at_server=True, limit_s=2, followed=True),
    Blow("frozen", "freezing the server", signal.SIGSTOP, at_server=True, limit_s=12, followed=True),
    Blow("stopped", "stopping the node", signal.SIGTERM, at_server=False, limit_s=2, followed=False),
    Blow("orphaned", "killing the supervisor", signal.SIGKILL, at_server=False, limit_s=2, followed=False),
)
"""docs/explanation/outputs.md promises these limits. followed: the next server comes by itself."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of one output. safe_after_ms None: it did not become safe. stayed: in words, "yes" or "no" first."""

    blow: str
    actuator: str
    safe: Literal["on", "off"]
    chip: Chip
    safe_after_ms: float | None
    limit_ms: float
    stayed: str
    passed: bool


class Seen(msgspec.Struct, frozen=True):
    """What a pin went through after a blow. next_ns: the birth of the next server; None: there was none."""

    struck_ns: int
    changes: list[Change]
    next_ns: int | None = None


def drill(program: Sequence[str], pins: Sequence[Pin], tell: Callable[[str], None]) -> Iterator[Outcome]:
    """Yield what became of each output after each blow. Raises OutstationError when the drill itself cannot go on.

    program: the words that call this program. pins: all simulated, or all real. tell: is told what goes on.
    """
    for blow in BLOWS:
        tell(f"{blow.words}: up to {blow.limit_s:g} s")
        with (
            _folder(pins) as folder,
            all_of(folder, pins) as eye,
            DrilledNode(program, folder) as node,
        ):
            yield from _story(node, eye, pins, blow)


def judge(pin: Pin, blow: Blow, seen: Seen) -> Outcome:
    """Judge one output by what its pin went through."""
    safe = next((each for each in seen.changes if each.driven and each.level is pin.safe_high), None)
    after = None if safe is None else round((safe.at_ns - seen.struck_ns) / 1e6, 1)
    fault = _fault(pin, blow, seen, safe)
    return Outcome(
        blow=blow.name,
        actuator=pin.actuator,
        safe="on" if pin.safe else "off",
        chip=pin.chip,
        safe_after_ms=after,
        limit_ms=blow.limit_s * 1000,
        stayed=f"no: {fault}" if fault else f"yes{_afterwards(blow, seen)}",
        passed=not fault and after is not None and after <= blow.limit_s * 1000,
    )


def _fault(pin: Pin, blow: Blow, seen: Seen, safe: Change | None) -> str:
    """Return what went wrong with a pin, "" where nothing did."""
    unsafe = "off" if pin.safe else "on"
    for each in seen.changes:
        ms = f"after {(each.at_ns - seen.struck_ns) / 1e6:.0f} ms"
        if not each.driven and (blow.followed or safe is None or each.at_ns < safe.at_ns):
            return f"let go of {ms}, when it was {'safe' if each.level is pin.safe_high else unsafe}"
        wanted = seen.next_ns is not None and each.at_ns >= seen.next_ns
        if safe and each.at_ns > safe.at_ns and each.driven and each.level is not pin.safe_high and not wanted:
            return f"{unsafe} again {ms}"
    if safe is None:
        return f"it was left {unsafe}"
    return "no server has followed" if blow.followed and seen.next_ns is None else ""


def _afterwards(blow: Blow, seen: Seen) -> str:
    if blow.followed:
        return ", until the next server"
    return ", then kept by the chip" if seen.changes[-1].driven else ", then let go of: the wiring decides"


def _story(node: DrilledNode, eye: Pins, pins: Sequence[Pin], blow: Blow) -> Iterator[Outcome]:
    _switch_away(node, eye, pins)
    server = node.server()
    if server is None:
        raise OutstationError("The drilled node has lost its server before anything was done to it.")
    struck_ns = time.monotonic_ns()
    os.kill(server if blow.at_server else node.pid, blow.signum)
    safe = _until(lambda: all(_is_safe(eye, pin, struck_ns) for pin in pins), blow.limit_s)
    next_ns = None
    if not blow.followed:
        _until(node.has_ended, _ENDS_WITHIN_S)
    elif safe or node.server() != server:  # else nobody has taken the old one away, and none will follow
        next_ns = _next_born(node, server)
    time.sleep(_REST_S)
    for pin in pins:
        yield judge(pin, blow, Seen(struck_ns, _since(eye, pin, struck_ns), next_ns))


def _switch_away(node: DrilledNode, eye: Pins, pins: Sequence[Pin]) -> None:
    """Drive each output to where it is not safe. Raises OutstationError when that is not seen at its pin."""
    for pin in pins:
        node.command(pin.name, not pin.safe)
    if _until(lambda: all(_is_away(eye, pin) for pin in pins), _SWITCHED_WITHIN_S):
        return
    left = ", ".join(sorted({pin.actuator for pin in pins if not _is_away(eye, pin)}))
    cure = f"Look whether {LEVELS} names it: some chips print their lines in a way of their own."
    raise OutstationError(
        f"The node says that it has switched {left}, and the pin does not show it.",
        cure=cure if _are_real(pins) else "",
    )


def _next_born(node: DrilledNode, before: int) -> int | None:
    """Wait until a server answers again; return when the first one after the blow was born."""
    born: list[int] = []

    def follows() -> bool:
        following = node.server()
        if following in (None, before):
            return False
        born.append(born_ns(following))
        return node.answers()

    followed = _until(lambda: follows() or node.has_ended(), _FOLLOWS_WITHIN_S) and not node.has_ended()
    return min(born) if followed else None


def _is_away(eye: Pins, pin: Pin) -> bool:
    changes = eye.changes(pin)
    return bool(changes) and changes[-1].driven and changes[-1].level is not pin.safe_high


def _is_safe(eye: Pins, pin: Pin, struck_ns: int) -> bool:
    return any(each.driven and each.level is pin.safe_high for each in _since(eye, pin, struck_ns))


def _since(eye: Pins, pin: Pin, at_ns: int) -> list[Change]:
    return [each for each in eye.changes(pin) if each.at_ns > at_ns]


def _until(happened: Callable[[], bool], seconds: float) -> bool:
    """Wait; return whether it happened in time."""
    give_up = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > give_up:
            return False
        time.sleep(_LOOK_EVERY_S)
    return True


def _are_real(pins: Sequence[Pin]) -> bool:
    return pins[0].chip == "real"


@contextmanager
def _folder(pins: Sequence[Pin]) -> Iterator[Path]:
    """A data folder with a config in it. At its end real outputs are safe, whatever the drill has found."""
    folder = Path(tempfile.mkdtemp(prefix="outstation-drill-"))
    try:
        (folder / "outstation.toml").write_text(config_text(pins), encoding="utf-8")
        yield folder
    finally:
        if _are_real(pins) and (folder / outputs.NAME).exists():
            for pin, known in zip(pins, outputs.read(str(folder / outputs.NAME)), strict=True):
                if (made := make_safe(known)).result in ("held", "failed"):
                    log.warning("%s may not be in its safe state: %s", pin.actuator, made.detail)
        shutil.rmtree(folder, ignore_errors=True)
