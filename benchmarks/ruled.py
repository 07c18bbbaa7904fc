"""A config of so many rules with hysteresis, each over a sensor of its own, that claim simulated pins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

PINS = 20
"""Where there are more rules, several claim one pin."""

_FIELDS = 8
"""Of one device at most."""

_BOARD_KEY = "K7Q2ZP9XW4M1B8T"
"""Nobody sends with it: here devices only give the sensors their names."""


def sensors(rules: int) -> list[str]:
    """Return the names of the sensors of so many rules."""
    return [f"bench{number // _FIELDS}/s{number}" for number in range(rules)]


def write(file: Path, names: Sequence[str], *, above: float, below: float, rules: bool = True) -> None:
    """Write a config: on `above` one value, off `below` the other; or the same one without its rules."""
    lines = [*_devices(names), *_pins(min(PINS, len(names)))]
    if rules:
        lines += _rules(names, above, below)
    file.write_text("\n".join(lines), encoding="utf-8")


def _devices(names: Sequence[str]) -> Iterator[str]:
    for first in range(0, len(names), _FIELDS):
        device = first // _FIELDS
        fields = [name.partition("/")[2] for name in names[first : first + _FIELDS]]
        yield f'[[devices]]\nname = "bench{device}"\nchannel = {device + 1}'
        yield f'write_key = "{_BOARD_KEY}{device:03}"\nfields = {fields}'


def _pins(count: int) -> Iterator[str]:
    for pin in range(count):
        yield f'[[actuators]]\nname = "pin{pin}"\ndriver = "gpio"\npin = {pin}\nsimulate = true'


def _rules(names: Sequence[str], above: float, below: float) -> Iterator[str]:
    for number, name in enumerate(names):
        yield f'[[rules]]\nname = "r{number}"\nwhen = "{name} > {above:g}"\nuntil = "{name} < {below:g}"'
        yield f'claim = {{ pin{number % PINS} = "on" }}'
