"""A chip of the kernel's own making, and its lines as the world outside sees them: runs inside the machine.

Documentation/admin-guide/gpio/gpio-sim.rst in the kernel's sources. When a request ends, gpio-sim lets the line fall
to its pull: it is a chip of the kind that floats.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import gpiod
import msgspec

LOOK_EVERY_S = 0.005

_LINES = 8
_CONFIG = Path("/sys/kernel/config/gpio-sim/rig")


class Change(msgspec.Struct, frozen=True):
    """A line as it was found `at_ms` after the blow (None: before it), and who could have moved it.

    holder: whom the kernel names, "" for nobody; server: the pid of the server, 0 while it has no hand on a line.
    """

    at_ms: float | None
    high: bool
    holder: str
    server: int


class Chip:
    """A gpio-sim chip with eight lines, there until the machine is off."""

    def __init__(self) -> None:
        bank = _CONFIG / "bank"
        bank.mkdir(parents=True)
        (bank / "num_lines").write_text(str(_LINES))
        (_CONFIG / "live").write_text("1")
        name = (bank / "chip_name").read_text().strip()
        self.path = Path("/dev") / name
        self._sysfs = Path("/sys/devices/platform") / (_CONFIG / "dev_name").read_text().strip() / name

    def pull(self, pin: int, *, high: bool) -> None:
        """Let a resistor draw the line to one side while nobody drives it."""
        (self._sysfs / f"sim_gpio{pin}" / "pull").write_text("pull-up" if high else "pull-down")

    def high(self, pin: int) -> bool:
        """Return the level of a line."""
        return (self._sysfs / f"sim_gpio{pin}" / "value").read_text().strip() == "1"

    def holder(self, pin: int) -> str:
        """Return who has requested the line."""
        with gpiod.Chip(str(self.path)) as chip:
            return chip.get_line_info(pin).consumer or ""

    @contextlib.contextmanager
    def watched(self, pins: Sequence[int], pid: int) -> Iterator[Watch]:
        """Look at the lines from now on; pid: of the node whose server is noted."""
        watch = Watch(self, pins, pid)
        watch.start()
        try:
            yield watch
        finally:
            watch.ended.set()
            watch.join()


class Watch(threading.Thread):
    """Whoever looks at the lines: notes each change, and how long its eyes were closed at most (`blind_ms`)."""

    def __init__(self, chip: Chip, pins: Sequence[int], pid: int) -> None:
        super().__init__(name="watch")
        self._chip, self._pid = chip, pid
        self.changes: dict[int, list[Change]] = {pin: [] for pin in pins}
        self.blind_ms = 0.0
        self.ended = threading.Event()
        self._blow_at: float | None = None

    def blow(self) -> None:
        """Count from this moment on."""
        self._blow_at = time.monotonic()

    def ms(self) -> float | None:
        """Return the milliseconds since the blow, None before it."""
        return None if self._blow_at is None else _ms(time.monotonic() - self._blow_at)

    def run(self) -> None:
        before = time.monotonic()
        while not self.ended.is_set():
            self._look()
            time.sleep(LOOK_EVERY_S)
            now = time.monotonic()
            self.blind_ms = max(self.blind_ms, _ms(now - before))
            before = now

    def _look(self) -> None:
        for pin, seen in self.changes.items():
            at_ms, high = self.ms(), self._chip.high(pin)
            holder = self._chip.holder(pin)
            if not seen or (seen[-1].high, seen[-1].holder) != (high, holder):
                pid = server(self._pid)
                seen.append(Change(at_ms, high, holder, pid if _has_lines(pid) else 0))


def server(pid: int) -> int:
    """Return the pid of the server of the node that was started as `pid`: its child, or itself; 0 if there is none."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []
    return next(
        (each for each in [*map(int, children), pid] if b"/supervisor/" not in (_command(each) or b"/supervisor/")), 0
    )


def alive(pid: int) -> bool:
    """Tell whether a process has not ended, buried or not."""
    return bool(_command(pid))


def _has_lines(pid: int) -> bool:
    """Tell whether a process has a request of lines open: without one nobody can set a level."""
    try:
        return any("gpio-line" in _target(each) for each in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def _target(descriptor: Path) -> str:
    """Return what a descriptor leads to; "" where it was closed meanwhile, as a process that starts does often."""
    try:
        return str(descriptor.readlink())
    except OSError:
        return ""


def _command(pid: int) -> bytes:
    """Return the command line of a process; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
