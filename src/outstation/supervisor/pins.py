"""The output lines of the node: requested once, at their safe level, and never let go while this process lives.

Requested when a server first asks for one, or has ended without asking.
"""

from __future__ import annotations

import errno
import os

from outstation.wire import RefusedError, kernel, pwm, simulated
from outstation.wire.outputs import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket


_GONE = (errno.ENODEV, errno.EPIPE, errno.ECONNRESET)
"""What a request of a chip answers that was unplugged, real or simulated."""


class Pin:
    """One output line of this machine, or a channel of PWM."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self._line: int | None = None
        self._chip: socket.socket | None = None

    def line(self) -> int:
        """Return the descriptor of the request, made now if there is none that works. Raises RefusedError."""
        if self._line is not None and self._works():
            return self._line
        self.forget()
        wanted, name = self.output, self.output.holder
        if wanted.kind == "simulated":
            self._chip = simulated.request_output(
                wanted.chip, wanted.pin, level=wanted.safe, active_low=wanted.active_low, holder=name
            )
            self._line = self._chip.fileno()
        elif wanted.kind == "pwm":
            self._line = pwm.request(wanted.chip, wanted.pin, level=wanted.safe, active_low=wanted.active_low)
        else:
            chip = wanted.chip or kernel.header_chip(kernel.chips())
            self._line = kernel.request_output(
                chip, wanted.pin, level=wanted.safe, active_low=wanted.active_low, holder=name
            )
        return self._line

    def is_line_of(self, output: Output | None) -> bool:
        """Tell whether an output may have the request as it is; None may not. The holder's name stays the first one."""
        return output is not None and output.active_low == self.output.active_low

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
                self.forget()  # it may come back: then the line is requested anew
            return error.strerror or str(error)
        return ""

    def _set(self, level: bool) -> None:
        if self._chip is not None:
            simulated.ask(self._chip, "set", str(int(level)))
        elif self.output.kind == "pwm":
            pwm.drive(self.output.chip, self.output.pin, level=level, active_low=self.output.active_low)
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
            elif self.output.kind == "pwm":
                return pwm.is_there(self.output.chip, self.output.pin)
            elif self._line is not None:
                kernel.get(self._line)
        except (RefusedError, OSError):
            return False
        return True

    def forget(self) -> None:
        """Let go of the line; the next request is a new one."""
        if self._chip is not None:
            self._chip.close()
        elif self._line is not None:
            os.close(self._line)
        self._chip = self._line = None


class Pins:
    """All of them. Whatever one does, the others are made safe."""

    def __init__(self, outputs: list[Output]) -> None:
        self.outputs = outputs
        self._pins = {place: Pin(output) for place, output in self._places().items()}

    @property
    def others(self) -> list[str]:
        """The outputs that are no lines of this machine."""
        return [each.name for each in self.outputs if each.kind == "driver"]

    def adopt(self, outputs: list[Output]) -> list[str]:
        """Hold these from now on, at their safe levels; return the complaints.

        A line that stays is not let go of; one that is gone is driven to the level that was safe for it until now.
        """
        self.outputs, before = outputs, self._pins
        wanted = self._places()
        stay = {place: pin for place, pin in before.items() if pin.is_line_of(wanted.get(place))}
        gone = [pin for place, pin in before.items() if place not in stay]
        failed = _made_safe(gone)
        for pin in gone:
            pin.forget()
        self._pins = {place: stay.get(place) or Pin(output) for place, output in wanted.items()}
        for place, pin in self._pins.items():
            pin.output = wanted[place]
        return [*failed, *self.make_safe()]

    def line(self, kind: str, chip: str, pin: int, *, active_low: bool) -> int:
        """Return the descriptor of a line that the start found in the config. Raises RefusedError."""
        found = self._pins.get((kind, chip, pin))
        if found is None or found.output.active_low != active_low:
            raise RefusedError("config", errno.EINVAL)
        return found.line()

    def make_safe(self) -> list[str]:
        """Drive all to their safe levels, at once; return the complaints."""
        return _made_safe(list(self._pins.values()))

    def _places(self) -> dict[tuple[str, str, int], Output]:
        return {(each.kind, each.chip, each.pin): each for each in self.outputs if each.kind != "driver"}


def _made_safe(pins: list[Pin]) -> list[str]:
    failed = {pin.output.name: pin.make_safe() for pin in pins}
    return [f"{name} may not be in its safe state: {why}" for name, why in failed.items() if why]
