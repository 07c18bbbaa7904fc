"""`service`: the node as a service of this machine."""

from __future__ import annotations

from pathlib import Path

import click

from outstation.cli.root import root


@root.group()
def service() -> None:
    """Let systemd start the node at boot.

    \b
    Example:
      outstation service print
    """


@service.command("print")
@click.option("--config", type=click.Path(path_type=Path), help="Name this config in the unit.")
def print_unit(config: Path | None) -> None:
    """Print a systemd unit; how to install it is said at its top.

    \b
    Examples:
      outstation service print
      outstation service print | sudo tee /etc/systemd/system/outstation.service
    """
    from outstation.ops import service as unit

    click.echo(unit.unit(unit.installed_program(), config=config), nl=False)
