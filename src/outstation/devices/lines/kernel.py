"""Lines of a real chip: the kernel's character device, through gpiod (libgpiod 2).

gpiod is imported when a line is asked for: a node without pins pays nothing. Every way in
which a pin cannot be had becomes an error that names the pin, the reason and the cure.
"""

from __future__ import annotations

import datetime
import errno
import grp
import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

from outstation.devices.lines.line import CONSUMER_BYTES, Edge, Line, Wanted
from outstation.errors import DeviceError, MissingDeviceError

if TYPE_CHECKING:
    import gpiod

HEADER_LABELS = frozenset({"pinctrl-rp1", "pinctrl-bcm2711", "pinctrl-bcm2835"})
"""Labels of the chip behind a Raspberry Pi's 40 pins (drivers/pinctrl in the kernel): Pi 5, Pi 4, the others.

A Pi 5 has several chips, and which number the header's has depends on the kernel.
"""

FIRST_CHIP = Path("/dev/gpiochip0")

_MODEL = Path("/proc/device-tree/model")

_FAULTS = (OSError, ValueError, NotImplementedError)
"""What gpiod raises when the kernel refuses: EINVAL comes as a ValueError, EOPNOTSUPP as a NotImplementedError."""

_Fault = OSError | ValueError | NotImplementedError


def chips() -> list[Path]:
    """Return the GPIO chips of this machine, in the order of their numbers."""
    found = [path for path in Path("/dev").glob("gpiochip*") if path.name[8:].isdigit()]
    return sorted(found, key=lambda path: int(path.name[8:]))


def board() -> str:
    """Return what the device tree calls this machine; empty where there is none (a PC)."""
    try:
        return _MODEL.read_text(encoding="utf-8", errors="replace").rstrip("\0")
    except OSError:
        return ""


def open_line(chip: str | None, wanted: Wanted) -> KernelLine:
    """Request a line of `chip`, by default the header's. Raises DeviceError, MissingDeviceError."""
    try:
        import gpiod  # noqa: PLC0415
    except ImportError as error:
        raise MissingDeviceError(
            f"Pin {wanted.pin} needs the Python library gpiod: {error}.",
            cure="Install it with: pip install gpiod",
        ) from error
    path = Path(chip) if chip is not None else _header_chip()
    try:
        with gpiod.Chip(str(path)) as opened:
            return KernelLine(_request(opened, path, wanted), wanted.pin)
    except _FAULTS as error:
        raise _no_chip(path, wanted, error) from error


class KernelLine(Line):
    """A line request of the kernel."""

    def __init__(self, request: gpiod.LineRequest, pin: int) -> None:
        self._request, self._pin = request, pin

    def fileno(self) -> int:
        return self._request.fd

    def get(self) -> bool:
        try:
            return bool(self._request.get_value(self._pin).value)
        except _FAULTS as error:
            raise self._fault("read", error) from error

    def set(self, level: bool) -> None:
        from gpiod.line import Value  # noqa: PLC0415

        try:
            self._request.set_value(self._pin, Value.ACTIVE if level else Value.INACTIVE)
        except _FAULTS as error:
            raise self._fault("set", error) from error

    def edges(self) -> list[Edge]:
        try:
            events = self._request.read_edge_events()
        except _FAULTS as error:
            raise self._fault("watched", error) from error
        return [Edge(event.event_type is event.Type.RISING_EDGE, event.timestamp_ns) for event in events]

    def close(self) -> None:
        self._request.release()

    def _fault(self, done: str, error: _Fault) -> DeviceError:
        return DeviceError(f"Pin {self._pin} could not be {done}: {_why(error)[1]}.")


def _header_chip() -> Path:
    return next((path for path in chips() if _label(path) in HEADER_LABELS), FIRST_CHIP)


def _label(path: Path) -> str:
    import gpiod  # noqa: PLC0415

    try:
        with gpiod.Chip(str(path)) as chip:
            return chip.get_info().label
    except _FAULTS:
        return ""


def _request(chip: gpiod.Chip, path: Path, wanted: Wanted) -> gpiod.LineRequest:
    lines = chip.get_info().num_lines
    if wanted.pin >= lines:
        raise MissingDeviceError(f"There is no pin {wanted.pin} on {path}.", cure=f"Its pins are 0 to {lines - 1}.")
    holder = wanted.holder.encode()[:CONSUMER_BYTES].decode(errors="ignore")
    try:
        return chip.request_lines({wanted.pin: _settings(wanted)}, consumer=holder)
    except _FAULTS as error:
        raise _refused(chip, path, wanted, error) from error


def _settings(wanted: Wanted) -> gpiod.LineSettings:
    from gpiod import LineSettings  # noqa: PLC0415
    from gpiod.line import Bias, Direction, Edge, Value  # noqa: PLC0415

    pulls = {None: Bias.AS_IS, "up": Bias.PULL_UP, "down": Bias.PULL_DOWN, "none": Bias.DISABLED}
    if wanted.level is not None:
        return LineSettings(
            direction=Direction.OUTPUT,
            active_low=wanted.active_low,
            output_value=Value.ACTIVE if wanted.level else Value.INACTIVE,
        )
    return LineSettings(
        direction=Direction.INPUT,
        active_low=wanted.active_low,
        bias=pulls[wanted.pull],
        edge_detection=Edge.BOTH,
        debounce_period=datetime.timedelta(milliseconds=wanted.debounce),
    )


def _refused(chip: gpiod.Chip, path: Path, wanted: Wanted, error: _Fault) -> DeviceError:
    number, reason = _why(error)
    if number == errno.EBUSY:
        holder = chip.get_line_info(wanted.pin).consumer or "the kernel"
        return DeviceError(
            f'Pin {wanted.pin} on {path} is busy: "{holder}" holds it.',
            cure="End that program (or its overlay in config.txt), or use another pin; gpioinfo lists who holds which.",
        )
    if wanted.level is None and number in (errno.EINVAL, errno.ENOTSUP):
        return DeviceError(
            f"Pin {wanted.pin} on {path} was refused: {reason}.",
            cure="The chip may not know `pull`, `debounce` or edges; leave them out.",
        )
    return DeviceError(f"Pin {wanted.pin} on {path} was refused: {reason}.")


def _no_chip(path: Path, wanted: Wanted, error: _Fault) -> MissingDeviceError:
    number, reason = _why(error)
    if number in (errno.EACCES, errno.EPERM):
        group = _group(path)
        return MissingDeviceError(
            f"Pin {wanted.pin} cannot be opened: no permission for {path}.",
            cure=f"Add the user to group {group}: sudo usermod -aG {group} {_user()}, then log in again.",
        )
    if number == errno.ENOENT:
        there = ", ".join(map(str, chips()))
        return MissingDeviceError(
            f"Pin {wanted.pin} cannot be opened: there is no {path} on this machine.",
            cure=f"Its chips are {there}: set `chip`." if there else "For a try without hardware set simulate = true.",
        )
    return MissingDeviceError(
        f"Pin {wanted.pin} cannot be opened: {path}: {reason}.",
        cure="`chip` must name a GPIO chip such as /dev/gpiochip0.",
    )


def _why(error: _Fault) -> tuple[int, str]:
    """Return the number and the text of what the kernel refused with."""
    match error.args:
        case (int(number), str(reason), *_):
            return number, reason
    return 0, str(error)


def _group(path: Path) -> str:
    """Return the group that may use the chip: the device's, unless that is root's, which would give too much."""
    try:
        group = path.stat().st_gid
        return grp.getgrgid(group).gr_name if group else "gpio"
    except (OSError, KeyError):
        return "gpio"


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
