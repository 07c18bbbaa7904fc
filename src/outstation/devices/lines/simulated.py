"""Lines of a simulated chip, and the words to look at it and to move it from outside.

The chip is a process of its own (simchip.py) that is started by the first who needs it and
outlives whoever started it: what a crash left on the pins can be looked at afterwards.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import msgspec

from outstation.devices.lines.line import CONSUMER_BYTES, Edge, Line, Wanted
from outstation.errors import DeviceError, MissingDeviceError
from outstation.wire import RefusedError
from outstation.wire import simulated as wire

Release = Literal["kept", "floating"]
"""What a line does when its last holder lets go: stay at its level, or be driven by nobody."""

LINES = 54
"""Lines of the chip unless told otherwise: as many as the BCM2835 has (its data sheet, chapter 6)."""

_START_S = 5.0
_SCRIPT = Path(__file__).resolve().parents[1] / "simchip.py"


class Change(msgspec.Struct, frozen=True):
    """What a pin went through: from `at_ns` (CLOCK_MONOTONIC) on at `level`, driven by the chip or not."""

    at_ns: int
    level: bool
    driven: bool


def start(path: Path, *, on_release: Release = "kept", linger_s: float = 60, lines: int = LINES) -> None:
    """Start the chip at `path`, unless there is one. Returns when it can be reached. Raises DeviceError."""
    command = [sys.executable, "-I", "-S", str(_SCRIPT), path.name, on_release, str(linger_s), str(lines)]
    try:
        done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, timeout=_START_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceError(f"The simulated GPIO chip at {path} could not be started: {error}.") from error
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise DeviceError(f"The simulated GPIO chip at {path} could not be started: {reason}.")


def open_line(path: Path, wanted: Wanted) -> SimulatedLine:
    """Request a line of the chip at `path`, which is started if there is none. Raises DeviceError."""
    give_up = time.monotonic() + _START_S
    while True:
        connection = _reach_or_start(path, give_up)
        try:
            _ask(connection, "request", *_fields(wanted))
        except RefusedError as refusal:
            connection.close()
            raise refused(str(path), wanted, refusal) from refusal
        except DeviceError:
            # It may have ended in this very moment, as one does that nobody needed for a while.
            connection.close()
            if time.monotonic() > give_up:
                raise
        else:
            return SimulatedLine(connection)


def be_there(path: Path) -> None:
    """Start the chip at `path` if nobody answers there. Raises DeviceError."""
    _reach_or_start(path, time.monotonic() + _START_S).close()


def shared(request: int) -> SimulatedLine:
    """Return this process's share of a line that another one holds: its descriptor is the connection."""
    return SimulatedLine(socket.socket(fileno=request))


class SimulatedLine(Line):
    """A line of a simulated chip. The connection is the request: share it and the line is shared."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def fileno(self) -> int:
        return self._connection.fileno()

    def get(self) -> bool:
        return self._ask("get") == ["1"]

    def set(self, level: bool) -> None:
        self._ask("set", str(int(level)))

    def edges(self) -> list[Edge]:
        found: list[Edge] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self._receive())
        return found

    def close(self) -> None:
        self._connection.close()

    def _ask(self, *words: str) -> list[str]:
        try:
            return _ask(self._connection, *words)
        except RefusedError as refusal:
            raise DeviceError(f"The simulated GPIO chip refused {words[0]}: {os.strerror(refusal.number)}.") from None

    def _receive(self) -> Edge:
        try:
            level, at_ns, number = self._connection.recv(256, socket.MSG_DONTWAIT).split(b"\t")
        except BlockingIOError:
            raise
        except (OSError, ValueError) as error:
            raise DeviceError("The simulated GPIO chip is gone.") from error
        return Edge(level == b"1", int(at_ns), int(number))


class SimulatedChip:
    """The chip as the world outside sees it: looks at pins, and moves inputs. A context manager."""

    def __init__(self, path: Path) -> None:
        try:
            self._connection = wire.reach(str(path))
        except OSError as error:
            raise DeviceError(f"There is no simulated GPIO chip at {path}: {error.strerror}.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def level(self, pin: int) -> bool | None:
        """Return what the outside sees: high, low, or None where neither the chip nor anybody else drives it."""
        level, driven, _ = self._ask("inspect", str(pin))
        return level == "1" if driven == "1" else None

    def holder(self, pin: int) -> str:
        """Return the name of whoever holds the line, "" where nobody does."""
        return self._ask("inspect", str(pin))[2]

    def changes(self, pin: int) -> list[Change]:
        """Return what the pin went through, oldest first."""
        rows = [[int(word) for word in row.split()] for row in self._ask("changes", str(pin)) if row]
        return [Change(at_ns, bool(level), bool(driven)) for at_ns, level, driven in rows]

    def drive_high(self, pin: int, *, for_ms: int = 0) -> None:
        """Move an input from outside; with `for_ms`, back after that time."""
        self._ask("drive", str(pin), "1", str(for_ms))

    def drive_low(self, pin: int, *, for_ms: int = 0) -> None:
        """Move an input from outside; with `for_ms`, back after that time."""
        self._ask("drive", str(pin), "0", str(for_ms))

    def let_go(self, pin: int) -> None:
        """Drive the input no longer: its pull decides."""
        self._ask("drive", str(pin), "", "0")

    def stop(self) -> None:
        """End the chip, as if it had been pulled out."""
        self._ask("stop")

    def close(self) -> None:
        """Look away; the chip stays."""
        self._connection.close()

    def _ask(self, *words: str) -> list[str]:
        try:
            return _ask(self._connection, *words)
        except RefusedError as refusal:
            raise DeviceError(f"The simulated GPIO chip refused {words[0]}: {os.strerror(refusal.number)}.") from None


def _ask(connection: socket.socket, *words: str) -> list[str]:
    """Return the chip's answer. Raises RefusedError, DeviceError."""
    try:
        return wire.ask(connection, *words)
    except TimeoutError as error:
        raise DeviceError(f"The simulated GPIO chip did not answer within {wire.ANSWER_S:g} s.") from error
    except OSError as error:
        raise DeviceError(f"The simulated GPIO chip is gone: {error.strerror}.") from error


def _fields(wanted: Wanted) -> list[str]:
    holder = wanted.holder.encode()[:CONSUMER_BYTES].decode(errors="ignore").replace("\t", " ")
    direction = "input" if wanted.level is None else "output"
    flags = [str(int(wanted.active_low)), wanted.pull or "", str(wanted.debounce * 1_000), str(int(bool(wanted.level)))]
    return [str(wanted.pin), direction, *flags, holder]


def refused(chip: str, wanted: Wanted, refusal: RefusedError) -> DeviceError:
    """Return in words why a line cannot be had."""
    path = Path(chip)
    if refusal.stage == "chip":
        return DeviceError(f"The simulated GPIO chip at {path} cannot be reached: {os.strerror(refusal.number)}.")
    if refusal.number == errno.EBUSY:
        return DeviceError(
            f'Simulated pin {wanted.pin} is held by "{refusal.detail}".', cure="Use another pin, or end that program."
        )
    if refusal.number == errno.ENOENT:
        last = int(refusal.detail) - 1
        return MissingDeviceError(
            f"There is no pin {wanted.pin} on the simulated chip {path.name}.", cure=f"Its pins are 0 to {last}."
        )
    return DeviceError(f"Simulated pin {wanted.pin} was refused: {os.strerror(refusal.number)}.")


def _reach_or_start(path: Path, give_up: float) -> socket.socket:
    """Connect, and start the chip when nobody answers."""
    while True:
        try:
            return wire.reach(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            if time.monotonic() > give_up:
                raise DeviceError(f"The simulated GPIO chip at {path} cannot be reached.") from None
        except OSError as error:
            raise DeviceError(f"The simulated GPIO chip at {path} cannot be reached: {error.strerror}.") from error
        start(path)
        time.sleep(0.005)
