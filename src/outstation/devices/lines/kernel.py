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
from outstation.errors import DeviceError, MissingDeviceError, to_install
from outstation.wire import RefusedError
from outstation.wire import kernel as wire

if TYPE_CHECKING:
    import gpiod

FIRST_CHIP = Path(wire.FIRST_CHIP)

_MODEL = Path("/proc/device-tree/model")

_FAULTS = (OSError, ValueError, NotImplementedError)
"""What gpiod raises when the kernel refuses: EINVAL comes as a ValueError, EOPNOTSUPP as a NotImplementedError."""

_Fault = OSError | ValueError | NotImplementedError


def chips() -> list[Path]:
    """Return the GPIO chips of this machine, in the order of their numbers."""
    return [Path(path) for path in wire.chips()]


def board() -> str:
    """Return what the device tree calls this machine; empty where there is none (a PC)."""
    try:
        return _MODEL.read_text(encoding="utf-8", errors="replace").rstrip("\0")
    except OSError:
        return ""


def open_line(chip: str | None, wanted: Wanted, *, events: int | None = None) -> KernelLine:
    """Request a line of `chip`, by default the header's. Raises DeviceError, MissingDeviceError.

    events: edges that the kernel keeps for a slow reader; 16 unless told otherwise.
    """
    try:
        import gpiod  # noqa: PLC0415
    except ImportError as error:
        raise MissingDeviceError(
            f"Pin {wanted.pin} needs the Python library gpiod: {error}.",
            cure=to_install("gpiod"),
        ) from error
    path = Path(chip) if chip is not None else _header_chip()
    try:
        with gpiod.Chip(str(path)) as opened:
            return KernelLine(_request(opened, path, wanted, events), wanted.pin)
    except _FAULTS as error:
        raise _no_chip(path, wanted, *_why(error)) from error


def shared(request: int) -> SharedLine:
    """Return this process's share of an output line that another one holds."""
    return SharedLine(request)


def refused(chip: str, wanted: Wanted, refusal: RefusedError) -> DeviceError:
    """Return in words why a line cannot be had."""
    path = Path(chip) if chip else _header_chip()
    if refusal.stage == "chip":
        return _no_chip(path, wanted, refusal.number, os.strerror(refusal.number))
    if refusal.stage == "pin":
        return _no_pin(path, wanted, int(refusal.detail))
    if refusal.number == errno.EBUSY:
        return _busy(path, wanted, refusal.detail)
    return DeviceError(f"Pin {wanted.pin} on {path} was refused: {os.strerror(refusal.number)}.")


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

    def listen(self, wanted: Wanted) -> None:
        """Drive it no longer: from now on it is an input. Raises DeviceError."""
        try:
            self._request.reconfigure_lines({self._pin: _settings(wanted)})
        except _FAULTS as error:
            raise self._fault("let go of", error) from error

    def edges(self) -> list[Edge]:
        try:
            events = self._request.read_edge_events()
        except _FAULTS as error:
            raise self._fault("watched", error) from error
        return [
            Edge(event.event_type is event.Type.RISING_EDGE, event.timestamp_ns, event.line_seqno) for event in events
        ]

    def close(self) -> None:
        self._request.release()

    def _fault(self, done: str, error: _Fault) -> DeviceError:
        return DeviceError(f"Pin {self._pin} could not be {done}: {_why(error)[1]}.")


class SharedLine(Line):
    """An output line by a descriptor of its request: the supervisor and the server set the same line."""

    def __init__(self, request: int) -> None:
        self._request: int | None = request

    def fileno(self) -> int:
        if self._request is None:
            raise DeviceError("The line was let go.")
        return self._request

    def get(self) -> bool:
        try:
            return wire.get(self.fileno())
        except OSError as error:
            raise DeviceError(f"The pin could not be read: {error.strerror}.") from error

    def set(self, level: bool) -> None:
        try:
            wire.set_level(self.fileno(), level)
        except OSError as error:
            raise DeviceError(f"The pin could not be set: {error.strerror}.") from error

    def edges(self) -> list[Edge]:
        return []

    def close(self) -> None:
        request, self._request = self._request, None
        if request is not None:
            os.close(request)


def _header_chip() -> Path:
    return Path(wire.header_chip([str(path) for path in chips()]))


def _request(chip: gpiod.Chip, path: Path, wanted: Wanted, events: int | None) -> gpiod.LineRequest:
    lines = chip.get_info().num_lines
    if wanted.pin >= lines:
        raise _no_pin(path, wanted, lines)
    holder = wanted.holder.encode()[:CONSUMER_BYTES].decode(errors="ignore")
    try:
        return chip.request_lines({wanted.pin: _settings(wanted)}, consumer=holder, event_buffer_size=events)
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
        return _busy(path, wanted, chip.get_line_info(wanted.pin).consumer or "the kernel")
    if wanted.level is None and number in (errno.EINVAL, errno.ENOTSUP):
        return DeviceError(
            f"Pin {wanted.pin} on {path} was refused: {reason}.",
            cure="The chip may not know `pull`, `debounce` or edges; leave them out.",
        )
    return DeviceError(f"Pin {wanted.pin} on {path} was refused: {reason}.")


def _busy(path: Path, wanted: Wanted, holder: str) -> DeviceError:
    return DeviceError(
        f'Pin {wanted.pin} on {path} is busy: "{holder}" holds it.',
        cure="End that program (or its overlay in config.txt), or use another pin; gpioinfo lists who holds which.",
    )


def _no_pin(path: Path, wanted: Wanted, lines: int) -> MissingDeviceError:
    return MissingDeviceError(f"There is no pin {wanted.pin} on {path}.", cure=f"Its pins are 0 to {lines - 1}.")


def _no_chip(path: Path, wanted: Wanted, number: int, reason: str) -> MissingDeviceError:
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
