"""The lines of GPIO chips: which are free, and who holds the others. Looks only; requests none."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from outstation.config import ActuatorTable
from outstation.devices.gpio import GpioOptions
from outstation.devices.lines.kernel import refused
from outstation.devices.lines.line import Wanted
from outstation.wire import RefusedError, kernel

HEADER = range(2, 28)
"""BCM numbers on the 40 pins of a Raspberry Pi; 0 and 1 are for the EEPROM of a board on top (HAT specification)."""

_TAKEN = {"i2c-1": (2, 3), "spidev0.0": (8, 9, 10, 11), "spidev0.1": (7,), "serial0": (14, 15)}
"""Pins of what is switched on, by its device: for the kernel these lines are free, and set to another function
(BCM2835 ARM Peripherals, 6.2: alternative functions; Raspberry Pi documentation, GPIO)."""


class Chip(msgspec.Struct, frozen=True):
    """A chip. held: lines that somebody has, and who."""

    path: Path
    label: str
    lines: int
    held: Mapping[int, str]

    @property
    def is_header(self) -> bool:
        """Whether it is the one behind the 40 pins of a Raspberry Pi."""
        return self.label in kernel.HEADER_LABELS


def look(path: Path) -> Chip | None:
    """Return a chip as it is now; None where it is none."""
    import gpiod  # noqa: PLC0415

    try:
        with gpiod.Chip(str(path)) as chip:
            info = chip.get_info()
            lines = [chip.get_line_info(number) for number in range(info.num_lines)]
    except (OSError, ValueError):
        return None
    held = {line.offset: line.consumer or "the kernel" for line in lines if line.used}
    return Chip(path, info.label, info.num_lines, held)


def about(table: ActuatorTable) -> tuple[str, str]:
    """Return what is known of an output without switching it, and what is wrong with it."""
    if table.driver != "gpio":
        return "not tried: that would switch it", ""
    options = GpioOptions.model_validate(table.options)
    if options.simulate:
        return "simulated", ""
    path = options.chip or kernel.header_chip(kernel.chips())
    if (refusal := _refusal(path, options.pin)) is not None:
        return "", str(refused(path, Wanted(options.pin, table.name, level=False), refusal))
    return f"pin {options.pin} of {path} is free", ""


def _refusal(path: str, pin: int) -> RefusedError | None:
    try:
        kernel.keeps_output(path, pin)  # raises where there is no such chip, no permission, or no such pin
    except RefusedError as refusal:
        return refusal
    chip = look(Path(path))
    holder = chip.held.get(pin) if chip else None
    return RefusedError("request", errno.EBUSY, holder) if holder else None


def taken(dev: Path) -> dict[int, str]:
    """Return the pins of a Raspberry Pi's header that have another function, and which."""
    return {pin: device for device, numbers in _TAKEN.items() if (dev / device).exists() for pin in numbers}


def free(chip: Chip, taken: Mapping[int, str]) -> list[int]:
    """Return the lines that nobody has."""
    return [pin for pin in (HEADER if chip.is_header else range(chip.lines)) if pin not in {*chip.held, *taken}]


def words(chip: Chip, taken: Mapping[int, str]) -> str:
    """Return a chip in words."""
    known = HEADER if chip.is_header else range(chip.lines)
    held = {pin: who for pin, who in {**taken, **chip.held}.items() if pin in known}
    by_holder = {who: [pin for pin in sorted(held) if held[pin] == who] for who in sorted({*held.values()})}
    parts = [f"{who} has {spans(pins)}" for who, pins in by_holder.items()]
    where = "the header's pins by BCM number" if chip.is_header else f"{chip.lines} lines of {chip.label}"
    return "; ".join([f"{where}: free are {spans(free(chip, taken)) or 'none'}", *parts])


def spans(numbers: Iterable[int]) -> str:
    """Return ascending numbers as people write them: 4-6, 12."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
