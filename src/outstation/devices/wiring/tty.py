"""Serial ports, each with one thread that hears its lines and gives them to all who listen.

pyserial sets the port up; waiting and reading are done here, since its select(2) ends at 1,024 open files.
"""

from __future__ import annotations

import errno
import os
import re
import select
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from outstation.errors import DeviceError, MissingDeviceError, UnpluggedError, to_install

if TYPE_CHECKING:
    from serial import Serial

LINE_BYTES = 4_096
"""What has no end after so many bytes is no line: another baud rate, or no text at all."""

_END = re.compile(rb"[\r\n]+")
_SHOWN_AT_MOST = 80

Sieve = Callable[[str], object]
"""Returns what a listener wants of a line; None: nothing."""


class Settings(msgspec.Struct, frozen=True):
    """A port, and how it is spoken on: baud, and bits, parity and stop bits as in 8N1."""

    path: str
    baud: int
    framing: str


def join(settings: Settings) -> Port:
    """Return the port, opened if nobody of this process has it. Raises DeviceError, MissingDeviceError."""
    with _joining:
        port = _ports.get(settings.path)
        if port is None or port.has_ended:
            port = _ports[settings.path] = Port(settings)
        if port.settings != settings:
            cure = f"Set the same `baud` and `framing`: {port.settings.baud}, {port.settings.framing}."
            raise DeviceError(f"Another sensor uses {settings.path} in another way.", cure=cure)
        return port


_ports: dict[str, Port] = {}
_joining = threading.Lock()


class Listener:
    """Who wants something of each line: what a sieve finds. Holds the newest, until it is taken."""

    def __init__(self, sieve: Sieve) -> None:
        self.sieve = sieve
        self.found: object = None
        self.heard_at = time.monotonic()

    def hear(self, line: str) -> None:
        """Keep what is wanted of a line."""
        if (found := self.sieve(line)) is not None:
            self.found, self.heard_at = found, time.monotonic()

    def take(self) -> object:
        """Return what came last, once; None: nothing new."""
        found, self.found = self.found, None
        return found


class Port:
    """An open port. Ends when its last listener has left, or when it is unplugged."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._serial = _opened(settings)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self._listeners: list[Listener] = []
        self._changed = threading.Condition()
        self._ended: DeviceError | None = None
        self._buffer = bytearray()
        self._in_line = self._was_in_line = False
        self._last = ""
        self._has_spoken = False
        threading.Thread(target=self._run, name=f"hear {settings.path}", daemon=True).start()

    @property
    def has_ended(self) -> bool:
        """Whether nothing will come from it any more."""
        return self._ended is not None

    def listen(self, sieve: Sieve) -> Listener:
        """Keep from now on the newest of what the sieve finds."""
        listener = Listener(sieve)
        with self._changed:
            self._listeners.append(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """Listen no more. The last one to leave closes the port."""
        with _joining, self._changed:
            self._listeners.remove(listener)
            if not self._listeners and self._ended is None:
                self._ended = DeviceError(f"{self.settings.path} is not open.")
                os.eventfd_write(self._wake, 1)
            self._changed.wait_for(lambda: bool(self._listeners) or not self._serial.is_open, 1.0)

    def newest(self, listener: Listener, patience: float) -> object:
        """Return what came last and was not had yet, at most `patience` seconds old, or wait. Raises DeviceError."""
        with self._changed:
            while True:
                left = listener.heard_at + patience - time.monotonic()
                if self._ended is not None:
                    raise self._ended
                if left < 0:
                    raise self._silence(patience)
                if (found := listener.take()) is not None:
                    return found
                self._changed.wait(left + 0.001)

    def _run(self) -> None:
        """Hear until there is nobody to hear for, or nothing to hear from."""
        try:
            while (part := self._part()) is not None:
                self._take(part)
        except OSError as error:
            self._ended = DeviceError(
                f"{self.settings.path} was lost: {_reason(error)}.", cure="Is it still plugged in?"
            )
        finally:
            with self._changed:
                self._ended = self._ended or DeviceError(f"{self.settings.path} is heard no more.")
                self._serial.close()
                os.close(self._wake)
                self._changed.notify_all()

    def _part(self) -> bytes | None:
        """Return what has come; None: nobody listens. Raises OSError."""
        waiting = select.poll()
        for descriptor in (self._serial.fileno(), self._wake):
            waiting.register(descriptor, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _ in waiting.poll()]
            if self._wake in ready:
                return None
            try:
                if part := os.read(self._serial.fileno(), LINE_BYTES):
                    return part
            except BlockingIOError:
                continue
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def _take(self, part: bytes) -> None:
        """Add to the line that is under way, and give whole ones to all who listen."""
        self._buffer += part
        *lines, rest = _END.split(bytes(self._buffer))
        self._buffer[:] = rest
        # What stands before the first end may be half a line; a number of which the first digit was lost looks right.
        whole = lines if self._in_line else lines[1:]
        self._in_line = self._in_line or bool(lines)
        if len(rest) > LINE_BYTES:
            self._buffer.clear()
            self._in_line = False
        with self._changed:
            self._has_spoken = True
            self._wait_for_a_whole_line()
            for line in filter(None, whole):
                self._last = line.decode(errors="replace")
                for listener in self._listeners:
                    listener.hear(self._last)
            self._changed.notify_all()

    def _wait_for_a_whole_line(self) -> None:
        """Count patience anew, once: of the first line half may have come before, and the next may be a minute off."""
        if self._in_line and not self._was_in_line:
            self._was_in_line = True
            for listener in self._listeners:
                listener.heard_at = time.monotonic()

    def _silence(self, patience: float) -> DeviceError:
        path = self.settings.path
        if self._last:
            shown = f"{self._last[:_SHOWN_AT_MOST]!r}"
            cure = "Mend `pattern`; or where such lines are rare, a longer `timeout`."
            return DeviceError(
                f"No line that fits came on {path} in {patience:g} s; the last one is {shown}.", cure=cure
            )
        if self._has_spoken:
            cure = f"Is `baud` right, {self.settings.baud}?"
            return DeviceError(f"Bytes came on {path}, but no whole line in {patience:g} s.", cure=cure)
        cure = "Look at its power and wiring (TX to RX); where it speaks seldom, set a longer `timeout`."
        return UnpluggedError(f"Nothing came on {path} in {patience:g} s.", cure=cure)


def _opened(settings: Settings) -> Serial:
    try:
        import serial  # noqa: PLC0415
    except ImportError as error:
        raise MissingDeviceError(
            f"{settings.path} needs the Python library pyserial: {error}.", cure=to_install("pyserial")
        ) from error
    bits, parity, stops = tuple(settings.framing)
    try:
        return serial.Serial(
            settings.path,
            settings.baud,
            bytesize=int(bits),
            parity=parity,
            stopbits=int(stops),
            timeout=0,
            exclusive=True,
        )
    except (OSError, ValueError) as error:
        raise _refused(settings.path, error) from error


def _refused(path: str, error: OSError | ValueError) -> MissingDeviceError:
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        cure = "Plug it in; `outstation scan` lists the ports, by names that stay the same."
        return UnpluggedError(f"There is no {path} on this machine.", cure=cure)
    if number in (errno.EACCES, errno.EPERM):
        cure = "Add the user to its group: sudo usermod -aG dialout USER, then log in again."
        # Also in the moment between its appearance and udev's rules.
        return UnpluggedError(f"No permission for {path}.", cure=cure)
    if number in (errno.EBUSY, errno.EAGAIN):
        cure = f"End it: `fuser {path}` names it; a running node is one."
        return UnpluggedError(f"{path} is busy: another program has it.", cure=cure)
    return MissingDeviceError(f"{path} cannot be opened: {_reason(error)}.", cure="`port` must name a serial port.")


def _reason(error: OSError | ValueError) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number).lower() if number else str(error)
