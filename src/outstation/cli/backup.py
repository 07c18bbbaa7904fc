"""`backup` and `restore`: the data file copied to another disk, and put back.

A running node makes its own backup; of one that does not run the file is copied here, under its lock.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from outstation.cli.root import data_option, json_option, print_json, root

_PATIENCE_S = 24 * 3600.0
"""A slow stick takes an hour for some gigabytes; what is wrong with it, the node says sooner."""

_FILE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@root.command()
@_FILE
@click.option("--force", is_flag=True, help="Replace a backup of this name.")
@data_option
@json_option
def backup(file: Path, data: Path, *, force: bool, as_json: bool) -> None:
    """Copy all data of a node to a file, while it runs or not.

    Nothing is held up meanwhile. The copy is looked through before it has its name. Keys are in it, as hashes: it is
    for its owner alone. The config is not in it.

    \b
    Examples:
      outstation backup /mnt/usb/outstation/monday.db
      outstation backup --force ~/outstation.db
    """
    target = file.absolute()
    with _progress(target, data):
        made = _made(data, target, replace=force)
    if as_json:
        print_json(made)
        return
    readings = "" if made["readings"] is None else f"{made['readings']:,} readings, "
    click.echo(f"{made['file']}: {readings}{made['bytes'] / 1e6:,.1f} MB, made in {made['seconds']:.1f} s.")


@root.command()
@_FILE
@data_option
@json_option
def restore(file: Path, data: Path, *, as_json: bool) -> None:
    """Put a backup in the place of the data of a node that does not run.

    All of it is looked through first. What was there before is kept, under another name, and can be restored as well.

    \b
    Examples:
      outstation restore /mnt/usb/outstation/monday.db
      outstation restore monday.db --data /var/lib/outstation
    """
    from outstation import clock
    from outstation.cli.nodes import make_folder
    from outstation.owner import Owner
    from outstation.store.backup import restore as put_back

    make_folder(data)
    with Owner(data), _progress(data / "outstation.db", file):
        done = put_back(file, data)
    until = None if done.until is None else clock.iso(done.until)
    if as_json:
        print_json(
            {
                "file": done.file,
                "readings": done.readings,
                "until": until,
                "aside": done.aside or None,
                "damaged": done.damaged,
            }
        )
        return
    readings = "" if done.readings is None else f": {done.readings:,} readings"
    click.echo(f"{done.file} is restored{readings}{f', the newest of {until}' if until else ''}.")
    if done.damaged:
        click.echo(f"Parts of its history are damaged, and are left out; there are {len(done.damaged)}:")
        for words in done.damaged:
            click.echo(f"  {words}")
    if done.aside:
        click.echo(f"What was there before is {done.aside}. To have that back: outstation restore {done.aside}")


def _made(data: Path, target: Path, *, replace: bool) -> Any:
    from outstation.cli.control import NotRunningError, ask

    try:
        return ask(data, "POST", "/api/backup", {"file": str(target), "replace": replace}, patience=_PATIENCE_S)
    except NotRunningError:
        return _made_here(data, target, replace=replace)


def _made_here(data: Path, target: Path, *, replace: bool) -> Any:
    import msgspec

    from outstation.owner import Owner
    from outstation.store.backup import back_up_stopped

    with Owner(data):
        return msgspec.to_builtins(back_up_stopped(data, target, replace=replace))


@contextlib.contextmanager
def _progress(target: Path, source: Path) -> Iterator[None]:
    """Show on a terminal how much is copied. source: a file, or a folder with data."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    showing = threading.Thread(target=_show, args=(target, source, done), daemon=True)
    showing.start()
    try:
        yield
    finally:
        done.set()
        showing.join()


def _show(target: Path, source: Path, done: threading.Event) -> None:
    from outstation.store.copying import partial
    from outstation.store.file import NAME

    while not done.wait(0.5):
        with contextlib.suppress(OSError):  # what this user may not see is not shown
            whole = (source / NAME if source.is_dir() else source).stat().st_size
            copied = min(partial(target).stat().st_size / max(1, whole), 1.0)
            click.echo(f"\r{copied:4.0%} copied", nl=False, err=True)
    click.echo("\r\033[K", nl=False, err=True)
