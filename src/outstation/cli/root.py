"""The command `outstation` itself, and what all commands share: options, exit codes, one line a failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from outstation import __version__
from outstation.errors import OutstationError


class Group(click.Group):
    """A group of commands that turns what a person may mend into one clear message and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; print its failure, if it is one that a person can understand."""
        try:
            return super().invoke(ctx)
        except OutstationError as error:
            click.echo(str(error), err=True)
            ctx.exit(1)
        except PermissionError as error:
            click.echo(f"{error.filename} may not be used by this user. Try the same with sudo.", err=True)
            ctx.exit(1)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="outstation %(version)s")
def root() -> None:
    """Outstation: an edge-first IoT server.

    Reads sensors, keeps their readings, drives outputs, serves an API and a page.

    \b
    Examples:
      outstation demo                  a greenhouse to look at; needs no hardware
      outstation run                   this computer as a device, port 5000
      outstation init                  a first config, from what this machine has
      outstation check outstation.toml what is wrong with a config
    """


# What may not be read is said by the command, with the cure: `readable` would make it a mistake of the command line.
data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, readable=False),
    envvar="OUTSTATION_DATA",
    default=Path("data"),
    show_default="./data",
    show_envvar=True,
    help="The folder with the node's data.",
)

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, readable=False),
    help="The config file.  [default: OUTSTATION_CONFIG, ./outstation.toml, /etc/outstation/outstation.toml]",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

port_option = click.option("--port", type=click.IntRange(0, 65535), help="The port to listen on; 0: any free one.")


def print_json(value: object) -> None:
    """Print JSON as people and programs read it."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))
