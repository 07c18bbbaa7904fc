"""PWM outputs: lamps that dim, fans, pumps and servos, where the kernel has a PWM chip.

A channel goes on as it is when the program dies, which is what makes it dangerous: so the supervising process has
it, as it has a line, and drives it safe.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Annotated

from pydantic import Field

from outstation.core.readings import Level
from outstation.errors import DeviceError, MissingDeviceError
from outstation.plugins import ActuatorDriver, DriverOptions, Place
from outstation.wire import RefusedError
from outstation.wire import pwm as wire


class PwmOptions(DriverOptions):
    """`chip`: below /sys/class/pwm, or a path. frequency: in Hz. active_low: on is when the pin is low."""

    channel: Annotated[int, Field(ge=0, le=1023)]
    chip: str = "pwmchip0"
    frequency: Annotated[float, Field(ge=1, le=10_000_000)] = 1_000
    active_low: bool = False
    simulate: bool = False


def chip_of(options: PwmOptions, data: Path) -> Path:
    """Return the folder of the chip; a simulated one's is made, in the node's own folder."""
    if not options.simulate:
        return Path(wire.FOLDER) / options.chip
    chip = data / "pwm.sim" / Path(options.chip).name
    channel = chip / f"pwm{options.channel}"
    channel.mkdir(parents=True, exist_ok=True)
    for name, value in wire.FILES:
        if not (channel / name).exists():
            (channel / name).write_text(f"{value}\n")
    return chip


class PwmActuator(ActuatorDriver):
    """A channel: off, on, or on for a part of the time."""

    Options = PwmOptions
    options: PwmOptions
    dimmable = True

    def __init__(self, name: str, options: PwmOptions, place: Place) -> None:
        super().__init__(name, options, place)
        self.simulated = options.simulate
        self.bus = f"pwm:{options.chip}"
        self._chip = Path()
        self._request: int | None = None

    def open(self, level: Level) -> None:
        """Have the channel, at `level` from its first moment where nobody has it yet."""
        self.close()
        self._chip = chip_of(self.options, self.place.data)
        chip, channel, active_low = str(self._chip), self.options.channel, self.options.active_low
        try:
            if self.place.lines is None:
                self._request = wire.request(chip, channel, level=float(level), active_low=active_low)
            else:
                self._request = self.place.lines("pwm", chip, channel, active_low)
        except RefusedError as refusal:
            raise _refused(self._chip, channel, refusal) from refusal
        except OSError as error:
            raise DeviceError(f"{self._what} was not had from the supervising process: {error}.") from error
        self.set(level)

    def set(self, level: Level) -> None:
        """Have it on for `level` of the time."""
        if self._request is None:
            raise DeviceError(f"{self._what} is not open.")
        options = self.options
        try:
            wire.drive(
                str(self._chip),
                options.channel,
                level=float(level),
                active_low=options.active_low,
                period_ns=round(1e9 / options.frequency),
            )
        except (OSError, ValueError) as error:
            cure = "The chip may not know this `frequency`." if _is_refusal(error) else ""
            raise DeviceError(f"{self._what} could not be set: {error}.", cure=cure) from error

    def close(self) -> None:
        """Let go of it: it goes on as it is."""
        request, self._request = self._request, None
        if request is not None:
            os.close(request)

    @property
    def _what(self) -> str:
        return f"Channel {self.options.channel} of {self.options.chip}"


def _is_refusal(error: OSError | ValueError) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EINVAL


def _refused(chip: Path, channel: int, refusal: RefusedError) -> DeviceError:
    """Return in words why a channel cannot be had."""
    what = f"Channel {channel} of {chip}"
    if refusal.stage == "config":
        return DeviceError(
            f"{what} was not among the outputs when the node was started.",
            cure="The config has changed since: start the node again.",
        )
    if refusal.stage == "pin":
        return MissingDeviceError(f"{what} is not there.", cure=f"Its channels are 0 to {int(refusal.detail) - 1}.")
    if refusal.number == errno.EBUSY:
        return DeviceError(f"{what} is busy: {refusal.detail} has it.", cure="End that, or use another channel.")
    if refusal.number == errno.EACCES:
        return DeviceError(
            f"{what} cannot be used: no permission.",
            cure="Add the user to the group that owns the chip's files (on a Raspberry Pi gpio), then log in again.",
        )
    if refusal.number == errno.ENOENT:
        return _no_chip(chip, what)
    return DeviceError(f"{what} was refused: {os.strerror(refusal.number)}.")


def _no_chip(chip: Path, what: str) -> MissingDeviceError:
    others = ", ".join(sorted(path.name for path in chip.parent.glob("pwmchip*")))
    cure = (
        f"There are {others}: set `chip`."
        if others
        else "On a Raspberry Pi add dtoverlay=pwm-2chan to /boot/firmware/config.txt and restart it; for a try without "
        "hardware set simulate = true."
    )
    return MissingDeviceError(f"{what} is not there: this machine has no such chip.", cure=cure)
