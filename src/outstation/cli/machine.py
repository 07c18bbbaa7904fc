"""`scan` and `init`: what this machine has for sensors and outputs, and the first config that is made of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from outstation.cli.root import json_option, print_json, root
from outstation.errors import OutstationError

if TYPE_CHECKING:
    from outstation.ops.hardware import Family, Machine

_TO_TRY = "To try without hardware: outstation demo; or simulate = true in the table of a sensor or an output."


@root.command()
@click.option(
    "--bus", "buses", type=click.IntRange(0), multiple=True, help="Ask this I2C bus as well. May be repeated."
)
@json_option
def scan(buses: tuple[int, ...], *, as_json: bool) -> None:
    """List what this machine has for sensors and outputs, what is missing, and what to do.

    I2C buses that lead out of the machine are asked for the addresses that answer, as i2cdetect does: by a quick
    write, which carries no data, or where memory chips live by reading one byte. No pin is touched.

    \b
    Examples:
      outstation scan
      outstation scan --json
      outstation scan --bus 20
    """
    import msgspec

    machine = found_here(buses)
    if as_json:
        print_json(msgspec.to_builtins(machine))
        return
    for line in [*_there(machine), *missing(machine)]:
        click.echo(line)


@root.command()
@click.argument("file", type=click.Path(path_type=Path), default="outstation.toml")
def init(file: Path) -> None:
    """Write a commented config from what is found on this machine.

    What was found is read; what is typical stands in it as comments. A file that is there is never overwritten.
    FILE is outstation.toml when it is not given.

    \b
    Examples:
      outstation init
      outstation init /etc/outstation/outstation.toml
    """
    from outstation.ops import first_config

    machine = found_here(())
    _write(file, first_config.text(machine))
    click.echo(f"{file} is written, for {machine.board or 'this machine'}: {_counted(file)}.")
    for line in missing(machine):
        click.echo(line)
    named = "" if file == Path("outstation.toml") else f" {file}"
    click.echo(f"Next: look at it, then: outstation check{named} --hardware")


def found_here(buses: tuple[int, ...]) -> Machine:
    """Look at this machine."""
    from outstation.ops import hardware, i2c_addresses

    return hardware.look(hardware.Roots(), i2c_addresses.probe, i2c_addresses.living, buses=buses)


def missing(machine: Machine) -> Iterator[str]:
    """Return what is missing, each with what to do; and what is there with a trouble."""
    lacks = [lack for family in machine.families for lack in _lacks(family)]
    if lacks:
        yield "What is missing, and what to do if you need it:"
    for what, missing, cure in lacks:
        yield f"  {what}: {missing}"
        if cure:
            yield f"      {cure}"
    if lacks and not machine.board:
        yield _TO_TRY


def _lacks(family: Family) -> Iterator[tuple[str, str, str]]:
    yield from ((one.name, one.trouble, one.cure) for one in family.found if one.trouble)
    if family.missing:
        yield family.title, family.missing, family.cure


def _there(machine: Machine) -> Iterator[str]:
    from outstation.cli.questions import columns

    yield f"This machine: {machine.board or 'no board that says its name, such as a PC or a virtual machine'}"
    rows = [(family.title, one.name, one.what) for family in machine.families for one in family.found]
    if rows:
        yield from (f"  {line}" for line in columns(rows))
    yield from (f"{one.cure}" for family in machine.families for one in family.found if one.cure and not one.trouble)


def _write(file: Path, text: str) -> None:
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise OutstationError(
            f"{file} is there already, and stays as it is.", cure="Name another file: outstation init FILE"
        ) from None
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise OutstationError(
            f"{file} cannot be written: {reason}.", cure="Name another: outstation init FILE"
        ) from error


def _counted(file: Path) -> str:
    from outstation.config import load

    number = len(load(file).sensors)
    return f"{number} sensor{'' if number == 1 else 's'}"
