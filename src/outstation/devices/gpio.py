"""Digital lines: buttons, contacts and motion detectors in; LEDs and relays out.

Never simulated unless `simulate = true`: a pin that cannot be had is a fault with its reason
and its cure, not a pin that seems to work.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from outstation.config import parse_duration
from outstation.core.readings import Level, Millis, Value
from outstation.devices.lines import kernel, simulated
from outstation.devices.lines.line import Line, Pull, Wanted
from outstation.errors import DeviceError
from outstation.plugins import ActuatorDriver, DriverOptions, Lines, Place, Report, WatchingDriver
from outstation.wire import RefusedError

BOUNCE = "10ms"
"""Most push buttons bounce for less than 6.2 ms (J. Ganssle, "A Guide to Debouncing": 16 of 18 that he measured)."""


LONGEST_DEBOUNCE: Millis = 10_000
"""Longer than any contact bounces: whoever asks for more wants a rule that waits."""


def has_chip() -> bool:
    """Return whether this machine has a GPIO chip at all, usable or not."""
    return bool(kernel.chips())


def has_header() -> bool:
    """Return whether this is a Raspberry Pi, whose pins 17 and 27 lead to its header.

    Elsewhere the same numbers may be anything: a laptop's chip has a line 17 that drives its own hardware.
    """
    return has_chip() and kernel.board().startswith("Raspberry Pi")


def line_of(options: GpioOptions, data: Path) -> tuple[str, str]:
    """Return the kind and the chip of a line as the file of outputs names them."""
    if options.simulate:
        return "simulated", str(simulated_chip(data, options.chip))
    return "gpio", options.chip or ""


def simulated_chip(data: Path, chip: str | None) -> Path:
    """Return the socket of the simulated stand-in for `chip`, in the node's own folder."""
    return data / f"{Path(chip or kernel.FIRST_CHIP).name}.sim"


class GpioOptions(DriverOptions):
    """The keys of every digital line. `chip`: by default the one behind the header."""

    pin: Annotated[int, Field(ge=0, le=1023)]
    chip: str | None = None
    active_low: bool = False
    simulate: bool = False


def _parse_debounce(text: object) -> Millis:
    if text in ("0s", "0ms"):
        return 0
    if (found := parse_duration(text)) > LONGEST_DEBOUNCE:
        raise ValueError('expected a duration of at most "10s"')
    return found


Debounce = Annotated[Millis, BeforeValidator(_parse_debounce)]
"""How long a contact must rest before it counts, such as "10ms"; "0s" for none."""


class GpioSensorOptions(GpioOptions):
    """The keys of an input. `pull`: the chip's own resistor, by default left as it is."""

    pull: Pull | None = None
    debounce: Debounce = parse_duration(BOUNCE)


class GpioSensor(WatchingDriver):
    """A digital input: true while active."""

    Options = GpioSensorOptions
    options: GpioSensorOptions

    def __init__(self, name: str, options: GpioSensorOptions, place: Place) -> None:
        super().__init__(name, options, place)
        self.simulated = options.simulate
        self.bus = f"gpio-in:{options.chip or 'header'}"
        self._line: Line | None = None
        self._end: int | None = None
        self._watching = threading.Lock()

    def open(self) -> None:
        """Request the line and its edges."""
        self.close()
        wanted = Wanted(
            pin=self.options.pin,
            holder=f"outstation {self.name}",
            active_low=self.options.active_low,
            pull=self.options.pull,
            debounce=self.options.debounce,
        )
        self._line = open_line(self.options.chip, self.place, wanted, simulate=self.options.simulate)
        self._end = os.eventfd(0, os.EFD_CLOEXEC)

    def read(self) -> Value:
        """Return whether the line is active."""
        return _held(self._line, self.options.pin).get()

    def watch(self, report: Report) -> None:
        """Report each edge with the kernel's time, until close()."""
        with self._watching:
            line, end = self._line, self._end
            if line is None or end is None:
                return
            ready = select.poll()
            ready.register(line.fileno(), select.POLLIN)
            ready.register(end, select.POLLIN)
            while end not in (found := dict(ready.poll())):
                if line.fileno() in found:
                    for edge in line.edges():
                        report(edge.level, edge.at_ns)

    def close(self) -> None:
        """End the watch, then let the line go: not before, since the number of a closed descriptor is used again."""
        line, self._line = self._line, None
        if line is None or self._end is None:
            return
        os.eventfd_write(self._end, 1)
        with self._watching:
            line.close()
            os.close(self._end)
            self._end = None

    def fileno(self) -> int:
        """Return the descriptor of the line request."""
        return _held(self._line, self.options.pin).fileno()

    def simulate(self, value: Value | None) -> None:
        """Move the pin of the simulated chip so that the sensor reads `value`."""
        if not self.simulated:
            super().simulate(value)
        with simulated.SimulatedChip(simulated_chip(self.place.data, self.options.chip)) as chip:
            if value is None:
                chip.let_go(self.options.pin)
            elif bool(value) != self.options.active_low:
                chip.drive_high(self.options.pin)
            else:
                chip.drive_low(self.options.pin)


class GpioActuator(ActuatorDriver):
    """A digital output: an LED, a relay."""

    Options = GpioOptions
    options: GpioOptions

    def __init__(self, name: str, options: GpioOptions, place: Place) -> None:
        super().__init__(name, options, place)
        self.simulated = options.simulate
        # The header's own pins are a register away; a chip that is named may be an expander behind a slow bus.
        self.immediate = options.simulate or options.chip is None
        self.bus = f"gpio-out:{options.chip or 'header'}"
        self._line: Line | None = None

    def open(self, level: Level) -> None:
        """Request the line, driven to `level` from its first moment."""
        self.close()
        wanted = Wanted(
            pin=self.options.pin,
            holder=f"outstation {self.name}",
            level=bool(level),
            active_low=self.options.active_low,
        )
        if self.place.lines is None:
            self._line = open_line(self.options.chip, self.place, wanted, simulate=self.options.simulate)
        else:
            self._line = _shared(self.options, self.place.data, wanted, self.place.lines)
            self._line.set(bool(level))

    def set(self, level: Level) -> None:
        """Drive the line."""
        _held(self._line, self.options.pin).set(bool(level))

    def close(self) -> None:
        """Let the line go: what it does then is the chip's matter."""
        line, self._line = self._line, None
        with contextlib.suppress(DeviceError):
            if line is not None:
                line.close()

    def fileno(self) -> int:
        """Return the descriptor of the line request: whoever shares it keeps the line."""
        return _held(self._line, self.options.pin).fileno()


def open_line(chip: str | None, place: Place, wanted: Wanted, *, simulate: bool) -> Line:
    """Request a line of a chip, by default of the header's, or of its simulated stand-in. Raises DeviceError."""
    if simulate:
        return simulated.open_line(simulated_chip(place.data, chip), wanted)
    return kernel.open_line(chip, wanted)


def _shared(options: GpioOptions, data: Path, wanted: Wanted, lines: Lines) -> Line:
    """Return this process's share of a line that another one holds."""
    kind, chip = line_of(options, data)
    if options.simulate:
        simulated.be_there(Path(chip))
    try:
        request = lines(kind, chip, wanted.pin, wanted.active_low)
    except RefusedError as refusal:
        if refusal.stage == "config":
            raise DeviceError(
                f"Pin {wanted.pin} was not among the outputs when the node was started.",
                cure="The config has changed since: start the node again.",
            ) from refusal
        raise (simulated if options.simulate else kernel).refused(chip, wanted, refusal) from refusal
    except OSError as error:
        raise DeviceError(f"Pin {wanted.pin} was not had from the supervising process: {error}.") from error
    return simulated.shared(request) if options.simulate else kernel.shared(request)


def _held(line: Line | None, pin: int) -> Line:
    if line is None:
        raise DeviceError(f"Pin {pin} is not open.")
    return line
