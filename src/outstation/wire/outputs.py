"""The small file of its own, DATA/outputs, from which every output can be made safe without the data file or a config.

One line an output, fields split by tabs: kind (gpio, simulated, pwm, driver), name, chip, pin, active low, safe level.
chip: a device such as /dev/gpiochip0, empty for the header's; for a simulated one its socket; for PWM its folder, and
the pin is its channel. Written by
`outstation run` before the first line is requested, replaced as a whole, never changed in between.
"""

from __future__ import annotations

import errno
import os

NAME = "outputs"

_KINDS = ("gpio", "simulated", "pwm", "driver")

_ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"))


class Output:
    """One output as the file has it. pin is -1 where a driver stands between this machine and the output."""

    __slots__ = ("active_low", "chip", "kind", "name", "pin", "safe")

    def __init__(self, kind: str, name: str, chip: str, pin: int, *, active_low: bool, safe: bool) -> None:
        self.kind, self.name, self.chip, self.pin = kind, name, chip, pin
        self.active_low, self.safe = active_low, safe

    @property
    def holder(self) -> str:
        """The name under which its line is held: the kernel keeps 31 bytes of it (GPIO_MAX_NAME_SIZE)."""
        return f"outstation {self.name}".encode()[:31].decode(errors="ignore")


def text(outputs: list[Output]) -> str:
    """Return what the file holds."""
    return "".join(map(_row, outputs))


def parsed(written: str) -> list[Output]:
    """Return the outputs of a file's text. Raises ValueError where it is not such a text."""
    *lines, cut_off = written.split("\n")
    if cut_off:
        raise ValueError("its last line is cut off")
    return [_output(line) for line in lines]


def write(path: str, outputs: list[Output]) -> None:
    """Replace the file in one step, on disk when this returns. Raises OSError."""
    draft = f"{path}.new"
    opened = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    try:
        whole = text(outputs).encode()
        if os.write(opened, whole) < len(whole):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(opened)
    finally:
        os.close(opened)
    os.replace(draft, path)  # noqa: PTH105 - pathlib would be half a megabyte more
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # noqa: PTH120
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read(path: str) -> list[Output]:
    """Return the outputs. Raises OSError; ValueError where it is not such a file."""
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - as above
        return parsed(file.read())


def read_from(descriptor: int) -> list[Output]:
    """Return the outputs of a file in memory. Raises OSError; ValueError where it is not such a file."""
    with open(os.dup(descriptor), encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
        file.seek(0)
        return parsed(file.read())


def _row(each: Output) -> str:
    fields = [each.kind, each.name, each.chip, str(each.pin), str(int(each.active_low)), str(int(each.safe))]
    return "\t".join(map(_escaped, fields)) + "\n"


def _output(line: str) -> Output:
    kind, name, chip, pin, active_low, safe = map(_plain, line.split("\t"))
    if kind not in _KINDS or {active_low, safe} - {"0", "1"}:
        raise ValueError("it is not what `outstation run` writes")
    return Output(kind, name, chip, int(pin), active_low=active_low == "1", safe=safe == "1")


def _escaped(field: str) -> str:
    for plain, escaped in _ESCAPES:
        field = field.replace(plain, escaped)
    return field


def _plain(field: str) -> str:
    parts = field.split("\\\\")
    return "\\".join(part.replace("\\t", "\t").replace("\\n", "\n") for part in parts)
