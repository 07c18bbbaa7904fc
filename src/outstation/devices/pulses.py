"""Pulses: counted on a line of this machine by the kernel's edges, or by somebody else who shows a number.

The law of this file: a pulse counts once. The kernel numbers the edges of a line, so those that a slow reader has
missed are counted all the same; a number that falls has gone round or begun anew, and is never a pulse less.
"""

from __future__ import annotations

import os
import select
import threading
from abc import abstractmethod
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Protocol

from outstation.devices.lines.line import Edge, Line
from outstation.errors import DeviceError, MissingDeviceError

_NS = 1_000_000_000


def edges(before: int, now: int) -> int:
    """Return how many edges came between two numbers of the kernel's (gpio.h, line_seqno: 32 bits, which go round)."""
    return (now - before) % 2**32


def pulses(many: int, level: bool) -> int:
    """Return how many of so many edges began a pulse; levels alternate, and the last edge led to `level`."""
    return (many + level) // 2


def steps(before: int, now: int, wrap: int | None) -> int:
    """Return by how much a number has grown that goes round at `wrap`, or begins at 0 when its device restarts.

    It has gone round if that would be less than half of a round. Else it has begun anew; but one that fell by less than
    half was set back, as by a program that starts with what it had kept: what it shows was counted before.
    """
    if now >= before:
        return now - before
    round_it = now + (wrap or 0) - before
    if wrap and round_it < wrap / 2:
        return round_it
    return now if now < before / 2 else 0


class Source(Protocol):
    """Pulses that somebody counts. count: since it was opened, as far as it was looked at."""

    count: int

    @abstractmethod
    def look(self, now_ns: int) -> tuple[int, int]:
        """Return the count, and when the last pulse was at the latest. Raises DeviceError."""

    @abstractmethod
    def close(self) -> None:
        """Let go of it."""


class CountedLine(Source):
    """The pulses of one line: counted in a thread of its own, since the kernel keeps 16 edges only."""

    def __init__(self, line: Line, how: Hashable) -> None:
        self.holders, self.how = 0, how
        self.failed: DeviceError | None = None
        self._line, self._end = line, os.eventfd(0, os.EFD_CLOEXEC)
        self.count, self._last_ns, self._seen = 0, 0, 0
        self._changed = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="pulses", daemon=True)
        self._thread.start()

    def look(self, now_ns: int) -> tuple[int, int]:
        if self.failed:
            raise DeviceError(self.failed.message, cure=self.failed.cure)
        with self._changed:
            return self.count, self._last_ns

    def close(self) -> None:
        os.eventfd_write(self._end, 1)
        self._thread.join()
        os.close(self._end)

    def _run(self) -> None:
        ready = select.poll()
        ready.register(self._line.fileno(), select.POLLIN)
        ready.register(self._end, select.POLLIN)
        try:
            while self._end not in dict(ready.poll()):
                self._take(self._line.edges())
        except DeviceError as error:
            self.failed = error
        self._line.close()

    def _take(self, seen: list[Edge]) -> None:
        with self._changed:
            for edge in seen:
                if new := pulses(edges(self._seen, edge.number), edge.level):
                    self.count, self._last_ns = self.count + new, edge.at_ns
                self._seen = edge.number


class CountedElsewhere(Source):
    """A number in a file: a counter of the kernel, or what another program writes."""

    def __init__(self, file: Path, wrap: int | None) -> None:
        self._file, self._wrap = file, wrap
        self.count, self._last_ns = 0, 0
        self._before = self._number()

    def look(self, now_ns: int) -> tuple[int, int]:
        now = self._number()
        if new := steps(self._before, now, self._wrap):
            self.count, self._last_ns = self.count + new, now_ns
        self._before = now
        return self.count, self._last_ns

    def close(self) -> None:
        """Nothing is held."""

    def _number(self) -> int:
        try:
            number = int(self._file.read_text().strip(), 0)
        except FileNotFoundError as error:
            raise MissingDeviceError(f"There is no file {self._file}.", cure="Set `file`.") from error
        except (OSError, ValueError) as error:
            raise DeviceError(f"{self._file} holds no whole number: {error}.") from error
        if not 0 <= number < (self._wrap or number + 1):
            raise DeviceError(f"{self._file} holds {number}.", cure=f"Set `wrap`: it is {self._wrap} now.")
        return number


class SharedLines:
    """Lines that several sensors count on: one is requested once, and let go of by the last."""

    def __init__(self) -> None:
        self._lines: dict[object, CountedLine] = {}
        self._changing = threading.Lock()

    def hold(self, key: object, how: Hashable, opened: Callable[[], Line]) -> CountedLine:
        """Return the line of that key, requested if there is none that works. how: the settings of its request.

        Raises DeviceError.
        """
        with self._changing:
            found = self._lines.get(key)
            if found is None or found.failed:
                found = self._lines[key] = CountedLine(opened(), how)
            if found.how != how:
                words = "Another sensor counts on this pin in another way."
                raise DeviceError(words, cure="Set the same `pull`, `active_low` and `debounce` for both.")
            found.holders += 1
            return found

    def let_go(self, key: object, line: CountedLine) -> None:
        """Say that one sensor less counts on it."""
        with self._changing:
            line.holders -= 1
            if line.holders:
                return
            line.close()
            if self._lines.get(key) is line:
                del self._lines[key]


class Rate:
    """How fast pulses come, a second.

    Between pulses it can only be lower than one that would come just now; `still` nanoseconds after the last it is 0.
    """

    def __init__(self, now_ns: int, still_ns: int, count: int) -> None:
        self._still_ns = still_ns
        self._count, self._since_ns, self._looked_ns = count, now_ns, now_ns
        self._rate = 0.0

    def at(self, now_ns: int, count: int, last_ns: int) -> float:
        """Return the rate now. count, last_ns: as a source says."""
        new, looked_ns = count - self._count, self._looked_ns
        self._count, self._looked_ns = count, now_ns
        if new:
            # After a rest nobody knows how long ago a pulse before the first one would have been.
            took_ns = last_ns - self._since_ns if self._rate else now_ns - looked_ns
            self._rate, self._since_ns = new * _NS / max(took_ns, 1), last_ns
        waited_ns = now_ns - self._since_ns
        if waited_ns >= self._still_ns:
            self._rate = 0.0
        elif self._rate * waited_ns > _NS:
            self._rate = _NS / waited_ns
        return self._rate
