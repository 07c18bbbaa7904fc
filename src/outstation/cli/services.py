"""`service`: the node as a service of this machine."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from outstation.cli.root import json_option, print_json, root

if TYPE_CHECKING:
    from outstation.ops.places import Places
    from outstation.ops.site import Site


@root.group()
def service() -> None:
    """Have systemd start the node at boot, keep it running, and bring it up to date.

    \b
    Examples:
      sudo .venv/bin/outstation service install
      outstation service status
    """


@service.command()
@click.option("--config", type=click.Path(path_type=Path), help="Take this config along.  [default: ./outstation.toml]")
@click.option("--data", type=click.Path(path_type=Path), help="Take these data along.  [default: ./data]")
@click.option("--take-over/--fresh", default=None, help="Take config and data along, or do not, without asking.")
@click.option("--root", "image", type=click.Path(path_type=Path), default=Path("/"), help="Install into an image.")
def install(config: Path | None, data: Path | None, image: Path, *, take_over: bool | None) -> None:
    """Install this very program as a service: own user, own place, started at boot.

    Needs no network: what this environment has is copied to /opt/outstation. A config and data that are in place
    stay as they are. Once more mends what is broken, and brings a newer program in; what ran before runs on when the
    new one does not get well within a minute.

    \b
    Examples:
      sudo .venv/bin/outstation service install
      sudo .venv/bin/outstation service install --take-over --data ~/greenhouse/data
      sudo .venv/bin/outstation service install --root /mnt/image --fresh
    """
    from outstation.cli import installing

    site = _site(image)
    installing.install(site, installing.Asked(config, data, take_over))


@service.command()
@click.argument("wheel", type=click.Path(path_type=Path, dir_okay=False))
def upgrade(wheel: Path) -> None:
    """Bring in another version: beside the one that runs, then in its place; and back when it does not get well.

    The data are copied first, while the node runs. What the wheel needs besides comes from its folder or the network.
    systemd does the work: it goes on when this command is killed, and after a power cut. A node that was stopped stays
    stopped.

    \b
    Example:
      sudo outstation service upgrade outstation-0.2.0-py3-none-any.whl
    """
    from outstation.cli import installing

    installing.upgrade(_site(Path("/")), wheel)


@service.command()
def finish() -> None:
    """Bring an upgrade to its end that was begun: forward, or back. systemd calls this; a person hardly has to.

    \b
    Example:
      sudo outstation service finish
    """
    from outstation.ops import finishing

    finishing.finish(_site(Path("/")))


@service.command()
def uninstall() -> None:
    """Remove the service and its program. The config, the data and the copies of them stay.

    \b
    Example:
      sudo outstation service uninstall
    """
    from outstation.cli import installing

    installing.uninstall(_site(Path("/")))


@service.command()
@json_option
def status(*, as_json: bool) -> None:
    """Say what is installed, whether it runs, and whether it is well. Exits 1 when it is unhealthy.

    \b
    Examples:
      outstation service status
      outstation service status --json
    """
    from outstation.cli import installing

    found = installing.status(_places(Path("/")))
    if as_json:
        print_json(found)
    else:
        problems = found.pop("problems")
        for name, value in found.items():
            click.echo(f"{name.replace('_', ' ') + ':':<12}{value}")
        for problem in problems:
            click.echo(f"  {problem}")
    click.get_current_context().exit(1 if found["health"] == "unhealthy" else 0)


@service.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("-n", "--lines", type=click.IntRange(1), default=50, show_default=True, help="How many of the last.")
def logs(lines: int, *, follow: bool) -> None:
    """Show what the service wrote, from the journal of this machine.

    \b
    Examples:
      outstation service logs
      outstation service logs -f
    """
    from outstation.errors import OutstationError

    command = ["journalctl", "--unit=outstation", f"--lines={lines}", *(["--follow"] if follow else [])]
    sys.stdout.flush()
    try:
        os.execvp(command[0], command if sys.stdout.isatty() else [*command, "--no-pager"])  # noqa: S606
    except FileNotFoundError as error:
        raise OutstationError("There is no journalctl here.", cure="A machine with systemd has it.") from error


@service.command("print")
@click.option("--config", type=click.Path(path_type=Path), help="For this config.  [default: the installed one]")
def print_units(config: Path | None) -> None:
    """Print the systemd units as `install` writes them here, each line with its reason.

    \b
    Example:
      outstation service print
    """
    from outstation import __version__
    from outstation.config import Config, load
    from outstation.ops import service as units

    path = config or Path(units.CONFIG)
    loaded = load(path, strangers=False) if config or path.exists() else Config()
    for name, text in (units.units(loaded) | {"outstation-upgrade.service": units.finisher(__version__)}).items():
        click.echo(f"# /etc/systemd/system/{name}\n{text}", nl=False)


def _places(image: Path) -> Places:
    from outstation.ops.places import Places

    return Places(image.absolute(), live=image == Path("/"))


def _site(image: Path) -> Site:
    from outstation.cli.installing import Asking
    from outstation.ops.places import Systemd
    from outstation.ops.site import Site

    places = _places(image)
    systemd = Systemd()
    if places.live:
        systemd.refuse_missing()
    os.umask(0o022)  # what is installed is for everybody to read and run
    return Site(places, systemd, Asking(places.data), _say)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may go while it is at work, and nobody reads any more
        click.echo(text, err=True)
