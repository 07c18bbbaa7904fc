"""PWM channels as the kernel shows them below /sys/class/pwm (Documentation/ABI/testing/sysfs-class-pwm).

A channel goes on as it is when its process has ended. Whoever has the descriptor of its request open has it: that
is a lock (flock(2)) on its file `duty_cycle`, as the kernel itself lets anybody write there.
"""

from __future__ import annotations

import errno
import fcntl
import os

from outstation.wire import RefusedError

FOLDER = "/sys/class/pwm"

FILES = (("period", "0"), ("duty_cycle", "0"), ("enable", "0"), ("polarity", "normal"))
"""What a channel has when it was never used."""

_PERIOD_NS = 1_000_000
"""Where none was ever set: to be on or off any will do."""


def request(chip: str, channel: int, *, level: float, active_low: bool) -> int:
    """Return the descriptor of a request; the channel is on for `level` of its period by then. Raises RefusedError."""
    if not os.path.isdir(_file(chip, channel)):  # noqa: PTH112 - pathlib would be half a megabyte more
        _export(chip, channel)
    try:
        held = os.open(_file(chip, channel, "duty_cycle"), os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise RefusedError("request", error.errno or 0) from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        drive(chip, channel, level=level, active_low=active_low)
    except OSError as error:
        os.close(held)
        if isinstance(error, BlockingIOError):
            raise RefusedError("request", errno.EBUSY, "another node") from None
        raise RefusedError("request", error.errno or 0) from None
    return held


def drive(chip: str, channel: int, *, level: float, active_low: bool, period_ns: int = 0) -> None:
    """Have it on for `level` of its period, which stays as it is unless one is given. Raises OSError."""
    if _read(chip, channel, "polarity") != "normal":  # can be changed while it is disabled only
        _write(chip, channel, "enable", 0)
        _write(chip, channel, "polarity", "normal")
    before = _period(chip, channel)
    period = period_ns or before or _PERIOD_NS
    duty = round(period * (1 - level if active_low else level))
    if period > before:  # at no time may the one be longer than the other
        _write(chip, channel, "period", period)
    _write(chip, channel, "duty_cycle", duty)
    if period < before:
        _write(chip, channel, "period", period)
    if _read(chip, channel, "enable") != "1":
        _write(chip, channel, "enable", 1)


def is_there(chip: str, channel: int) -> bool:
    """Tell whether the channel still can be driven."""
    return os.path.exists(_file(chip, channel, "duty_cycle"))  # noqa: PTH110 - as above


def _export(chip: str, channel: int) -> None:
    try:
        with open(f"{chip}/npwm", encoding="ascii") as file:  # noqa: PTH123 - as above
            channels = int(file.read())
        if channel >= channels:
            raise RefusedError("pin", errno.ENODEV, str(channels))
        _put(f"{chip}/export", channel)
    except OSError as error:
        raise RefusedError("chip", error.errno or 0, "the kernel") from None


def _file(chip: str, channel: int, name: str = "") -> str:
    return f"{chip}/pwm{channel}/{name}"


def _read(chip: str, channel: int, name: str) -> str:
    with open(_file(chip, channel, name), encoding="ascii") as file:  # noqa: PTH123 - as above
        return file.read().strip()


def _period(chip: str, channel: int) -> int:
    text = _read(chip, channel, "period")
    return int(text) if text.isdecimal() else 0  # a simulated one whose writer was killed has an empty file


def _write(chip: str, channel: int, name: str, value: int | str) -> None:
    _put(_file(chip, channel, name), value)


def _put(path: str, value: int | str) -> None:
    """Write as a shell's echo does. Raises OSError: the kernel's refusal comes with the write."""
    opened = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(opened, f"{value}\n".encode())
    finally:
        os.close(opened)
