"""`outputs`: the safe states, without a node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from outstation.cli.root import data_option, json_option, print_json, root
from outstation.errors import OutstationError

if TYPE_CHECKING:
    from outstation.wire.outputs import Output


@root.command()
@click.option("--safe", is_flag=True, help="Drive each output to its safe state, and let go of it.")
@data_option
@json_option
def outputs(data: Path, *, safe: bool, as_json: bool) -> None:
    """Make the outputs safe while no node runs.

    Needs neither the config nor the data file: the last `outstation run` on these data wrote down which lines there
    are. Says of each whether the chip keeps its level now that nobody holds the line. Exits 1 if one is not safe.

    \b
    Examples:
      outstation outputs --safe
      outstation outputs --safe --data /var/lib/outstation --json
    """
    import msgspec

    from outstation.ops.outputs import GOOD, make_safe

    if not safe:
        raise click.UsageError("Say what to do with them: --safe")
    outcomes = [make_safe(each) for each in _known(data)]
    if as_json:
        print_json({"outputs": msgspec.to_builtins(outcomes)})
    else:
        for each in outcomes:
            click.echo(f"{each.actuator} ({each.safe} is safe): {each.result}: {each.detail}.")
        if not outcomes:
            click.echo("There are no outputs.")
    click.get_current_context().exit(0 if all(each.result in GOOD for each in outcomes) else 1)


def _known(data: Path) -> list[Output]:
    from outstation.wire import outputs as file

    try:
        return file.read(str(data / file.NAME))
    except FileNotFoundError:
        raise OutstationError(
            f"No outputs are known in {data}: no node has run on these data.", cure="Name another folder with --data."
        ) from None
    except (OSError, ValueError) as error:
        raise OutstationError(
            f"{data / file.NAME} cannot be read: {error}.", cure="Start the node once: it writes the file anew."
        ) from error
