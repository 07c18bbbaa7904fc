"""What a bus refuses with, in words that name the bus, the chip, the reason and the cure."""

from __future__ import annotations

import errno
import os

from outstation.devices.wiring.i2c import NOBODY
from outstation.errors import DeviceError, MissingDeviceError, UnpluggedError

_STUCK = frozenset({errno.ETIMEDOUT, errno.EAGAIN})
"""The bus is not let go, or somebody else won it (Linux: Documentation/i2c/fault-codes.rst)."""


def unopened(bus: str, error: OSError, *, enable: str, others: list[str], key: str) -> MissingDeviceError:
    """Return why a bus cannot be had. enable: how a bus is enabled. others: buses that are there, for `key`."""
    if error.errno in (errno.EACCES, errno.EPERM):
        group = bus.removeprefix("/dev/")[:3]
        return MissingDeviceError(
            f"No permission for {bus}.",
            cure=f"Add the user to group {group}: sudo usermod -aG {group} $USER, then log in again.",
        )
    if error.errno != errno.ENOENT:
        return MissingDeviceError(f"{bus} cannot be opened: {_said(error)}.")
    if others:
        return MissingDeviceError(f"There is no {bus}.", cure=f"There are {', '.join(others)}: set {key}.")
    return MissingDeviceError(f"There is no {bus}: the bus is not enabled.", cure=f"{enable} Or set simulate = true.")


def silent(chip: str, where: str, others: list[int]) -> UnpluggedError:
    """Return that nobody answers. others: where somebody does, and the chip could be."""
    if others:
        cure = f"Somebody does at 0x{others[0]:02x}, where it can also be: set address = 0x{others[0]:02x}."
    else:
        cure = "Look at its wiring, its power and its address; `outstation scan` lists who answers."
    return UnpluggedError(f"Nobody answers at {where}, where the {chip} should be.", cure=cure)


def refused(chip: str, where: str, error: OSError) -> DeviceError:
    """Return why a transfer failed."""
    there = f"The {chip} at {where}"
    if error.errno in NOBODY:
        return DeviceError(
            f"{there} does not answer ({_said(error)}).", cure="Look at its wiring: a wire may be loose."
        )
    if error.errno in _STUCK:
        return DeviceError(
            f"{there} cannot be asked: the bus is stuck ({_said(error)}).",
            cure="A line is held low: look for a short and for missing pull-up resistors; switch the chips off and on.",
        )
    if error.errno == errno.EBUSY:
        return MissingDeviceError(
            f"{there} is in the hands of one of the kernel's own drivers.",
            cure="Remove its dtoverlay from config.txt and reboot, or read it where that driver puts it.",
        )
    return DeviceError(f"{there} could not be asked: {_said(error)}.")


def _said(error: OSError) -> str:
    """Return the kernel's words and the number's name."""
    if error.errno is None:
        return str(error)
    return f"{error.strerror or os.strerror(error.errno)}, {errno.errorcode.get(error.errno, error.errno)}"
