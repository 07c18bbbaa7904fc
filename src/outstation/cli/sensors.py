"""`sensors`: what has a history; renamed and deleted with it.

A running node does it itself; of a node that does not run the file is opened here, under its lock.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from outstation.cli.questions import columns, printable
from outstation.cli.root import data_option, json_option, print_json, root

_PATIENCE_S = 3600.0
"""Years of one sensor are deleted in some minutes: others are let in all the time."""


@root.group()
def sensors() -> None:
    """List, rename and delete sensors with their history.

    Works on a running node, and on one that does not run.

    \b
    Examples:
      outstation sensors list
      outstation sensors rename porch/temp porch/temperature
      outstation sensors delete attic/old
    """


@sensors.command("list")
@data_option
@json_option
def list_sensors(data: Path, *, as_json: bool) -> None:
    """List all sensors and outputs that have a history, also those that are no longer in the config.

    \b
    Example:
      outstation sensors list
    """
    from outstation import clock
    from outstation.store.renaming import newest
    from outstation.store.replay import opened

    with opened(data) as connection:
        found = newest(connection)
    documents = [{"name": name, "newest": None if at is None else clock.iso(at)} for name, at in found.items()]
    if as_json:
        print_json({"sensors": documents})
        return
    for line in columns([("NAME", "NEWEST"), *((one["name"] or "", one["newest"] or "") for one in documents)]):
        click.echo(line)


@sensors.command()
@click.argument("old")
@click.argument("new")
@data_option
@json_option
def rename(old: str, new: str, data: Path, *, as_json: bool) -> None:
    """Give a sensor and its history another name.

    A sensor of the config is renamed while the node does not run; then its name in the config must be changed as well.

    \b
    Example:
      outstation sensors rename porch/temp porch/temperature
    """
    from outstation.cli import offline

    stopped = partial(offline.rename_sensor, data, old, new)
    answer = _asked(data, "POST", "/api/sensors/rename", {"from": old, "to": new}, stopped)
    if as_json:
        print_json(answer)
        return
    click.echo(f"{old} is now {new}, with its history. Where the config or a board says {old}, change that as well.")


@sensors.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask before.")
@data_option
@json_option
def delete(name: str, data: Path, *, yes: bool, as_json: bool) -> None:
    """Delete a sensor with all of its history.

    What sends readings of that name later makes a new one, without history.

    \b
    Example:
      outstation sensors delete attic/old
    """
    from outstation.cli import offline

    if not yes:
        click.confirm(f"Delete all readings of {printable(name)}? They cannot be had back.", abort=True)
    answer = _asked(data, "DELETE", _path(name), None, partial(offline.delete_sensor, data, name))
    if as_json:
        print_json(answer)
        return
    click.echo(f"{name} is deleted, and its {answer['readings']:,} readings. What sends it later makes a new one.")


def _path(name: str) -> str:
    from outstation.cli.control import segment

    return "/api/sensors/" + "/".join(segment(part) for part in name.split("/", 1))


def _asked(data: Path, method: str, path: str, body: object, stopped: Callable[[], Any]) -> Any:
    """Ask the running node; where none runs, do the same on its file."""
    from outstation.cli.control import NotRunningError, ask

    try:
        return ask(data, method, path, body, patience=_PATIENCE_S)
    except NotRunningError:
        return stopped()
