"""The output lines of the node: requested once, at their safe level, and never let go while this process lives.

Requested when a server first asks for one, or has ended without asking.
"""

from __future__ import annotations

import errno
import os

from outstation.wire import RefusedError, kernel, simulated
from outstation.wire.outputs import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket


_GONE = (errno.ENODEV, errno.EPIPE, errno.ECONNRESET)
"""What a request of a chip answers that was unplugged, real or simulated."""


class Pin:
    """One output line of this machine."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self._line: int | None = None
        self._chip: socket.socket | None = None

    def line(self) -> int:
        """Return the descriptor of the request, made now if there is none that works. Raises RefusedError."""
        if self._line is not None and self._works():
            return self._line
        self._forget()
        wanted, name = self.output, self.output.holder
        if wanted.kind == "simulated":
            self._chip = simulated.request_output(
                wanted.chip, wanted.pin, level=wanted.safe, active_low=wanted.active_low, holder=name
            )
            self._line = self._chip.fileno()
        else:
            chip = wanted.chip or kernel.header_chip(kernel.chips())
            self._line = kernel.request_output(
                chip, wanted.pin, level=wanted.safe, active_low=wanted.active_low, holder=name
            )
        return self._line

    def make_safe(self) -> str:
        """Drive the line to its safe level; return what went wrong, "" where nothing did.

        A server that never came as far as its outputs leaves them as those before it did: then it is requested now.
        """
        try:
            if self._line is None:
                self.line()
            self._set(self.output.safe)
        except RefusedError as refusal:
            return "" if self._is_absent(refusal) else os.strerror(refusal.number)
        except OSError as error:
            if error.errno in _GONE:
                self._forget()  # it may come back: then the line is requested anew
            return error.strerror or str(error)
        return ""

    def _set(self, level: bool) -> None:
        if self._chip is not None:
            simulated.ask(self._chip, "set", str(int(level)))
        elif self._line is not None:
            kernel.set_level(self._line, level)

    def _is_absent(self, refusal: RefusedError) -> bool:
        """A simulated chip that does not run drives nothing."""
        return self.output.kind == "simulated" and refusal.number in (errno.ENOENT, errno.ECONNREFUSED)

    def _works(self) -> bool:
        """A chip may have been unplugged and come back: then what was requested of it is dead."""
        try:
            if self._chip is not None:
                simulated.ask(self._chip, "get")
            elif self._line is not None:
                kernel.get(self._line)
        except (RefusedError, OSError):
            return False
        return True

    def _forget(self) -> None:
        if self._chip is not None:
            self._chip.close()
        elif self._line is not None:
            os.close(self._line)
        self._chip = self._line = None


class Pins:
    """All of them. Whatever one does, the others are made safe."""

    def __init__(self, outputs: list[Output]) -> None:
        self.others = [each.name for each in outputs if each.kind == "driver"]
        self._pins = {(each.kind, each.chip, each.pin): Pin(each) for each in outputs if each.kind != "driver"}

    def line(self, kind: str, chip: str, pin: int, *, active_low: bool) -> int:
        """Return the descriptor of a line that the start found in the config. Raises RefusedError."""
        found = self._pins.get((kind, chip, pin))
        if found is None or found.output.active_low != active_low:
            raise RefusedError("config", errno.EINVAL)
        return found.line()

    def make_safe(self) -> list[str]:
        """Drive all to their safe levels, at once; return the complaints."""
        failed = {pin.output.name: pin.make_safe() for pin in self._pins.values()}
        return [f"{name} may not be in its safe state: {why}" for name, why in failed.items() if why]
