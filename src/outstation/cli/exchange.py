"""`export` and `import`: readings out as CSV, and in."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outstation.cli.backtest import columns_option, moment, pairs
from outstation.cli.root import config_option, data_option, json_option, print_json, root

if TYPE_CHECKING:
    from outstation.cli.headings import Layout
    from outstation.cli.importing import Progress

_FILE = click.Path(path_type=Path, dir_okay=False)


@root.command()
@click.argument("file", type=_FILE, required=False)
@click.option(
    "--sensor", "sensors", metavar="NAME", multiple=True, help="This sensor. May be repeated.  [default: all]"
)
@click.option("--start", metavar="TIME", help="From here on. UTC, unless it says otherwise.")
@click.option("--end", metavar="TIME", help="Until before this time.")
@click.option("--long", "is_long", is_flag=True, help="A row a reading: timestamp,sensor,value,unit,quality.")
@data_option
def export(file: Path | None, sensors: tuple[str, ...], data: Path, *, is_long: bool, **asked: Any) -> None:
    """Write stored readings as CSV, to FILE or to standard output.

    A row an instant: timestamp, then a column a sensor. What was a bad reading is left empty; with --long it is there,
    with its quality. Works while the node runs and while it does not. A FILE that ends in .gz is compressed.

    \b
    Examples:
      outstation export all.csv.gz
      outstation export --sensor air_temperature --start 2026-03-01 > march.csv
      outstation export --long --sensor porch/temperature | head
    """
    from outstation.store import damaged
    from outstation.store.exporting import Wanted, text
    from outstation.store.replay import opened

    start, end = moment(asked["start"], "--start"), moment(asked["end"], "--end")
    wanted = Wanted(sensors, start, end, is_long, _units(data) if is_long else {})
    with opened(data) as connection:
        pieces = text(connection, wanted)
        first = next(pieces)  # what cannot be exported begins no file
        with _written(file, data) as write:
            write(first)
            for piece in pieces:
                write(piece)
        for words in damaged.left_out_of(connection):
            click.echo(f"A part of the history is damaged, and was left out: {words}.", err=True)


@root.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--format",
    "shape",
    type=click.Choice(["csv", "thingspeak"]),
    default="csv",
    show_default=True,
    help="What FILE is.",
)
@click.option("--channel", type=click.IntRange(min=1), help="Whose export it is, with --format thingspeak.")
@click.option("--device", metavar="NAME", help="The device of sensors that name none.")
@click.option("--time", "time", metavar="COLUMN", help="Its column of times.  [default: timestamp, or the first]")
@columns_option
@click.option("--timezone", "zone", metavar="ZONE", help="Of times without Z or an offset, such as Europe/Berlin.")
@click.option("--skip-bad", is_flag=True, help="Leave out what cannot be read, and say how much that was.")
@config_option
@data_option
@json_option
def import_(
    file: Path, config: Path | None, data: Path, *, shape: str, channel: int | None, as_json: bool, **asked: Any
) -> None:
    """Bring readings in from a CSV file, plain or .gz.

    A time column, then a column a sensor, as `outstation export` writes it; or its long format. Works on a running
    node, and on one that does not run. Readings that are there already stay as they are; one with another value is
    corrected. Nothing is decided on what is imported. An import that broke off goes on when it is called again.

    \b
    Examples:
      outstation import all.csv.gz
      outstation import garden.csv --device garden --timezone Europe/Berlin
      outstation import log.csv --time Date --sensor porch/temperature="Temp (C)"
      outstation import feeds.csv --format thingspeak --channel 254616
    """
    if (shape == "thingspeak") is (channel is None):
        raise click.UsageError("An export of ThingSpeak needs both: --format thingspeak --channel N.")
    if not file.is_file():
        raise click.BadParameter(
            f"{file} is no file. What comes through a pipe has to be one first.", param_hint="FILE"
        )
    layout = _layout(asked)
    if channel is not None:
        _import_channel(file, data, config, channel, layout, as_json=as_json)
        return
    done = _imported(file, data, layout)
    if as_json:
        names = ("rows", "stored", "duplicates", "corrected", "skipped")
        print_json({name: getattr(done, name) for name in names} | {"sensors": sorted(done.sensors)})
    else:
        click.echo(_in_words(done))


def _import_channel(
    file: Path, data: Path, config: Path | None, channel: int, layout: Layout, *, as_json: bool
) -> None:
    from outstation.cli.channel_export import bring_in

    done = bring_in(file, data, config, channel, layout.zone)
    if as_json:
        print_json(done)
        return
    click.echo(f"Imported {done['entries']:,} entries of channel {channel}: they are {done['device']}'s.")


def _imported(file: Path, data: Path, layout: Layout) -> Progress:
    import asyncio

    from outstation.cli import importing
    from outstation.cli.control import NotRunningError, ask
    from outstation.cli.tables import Table

    asked = (layout.time, dict(layout.sensors), layout.device, str(layout.zone))
    notes, table = importing.Notes(data, file, asked), Table(file, layout)

    async def through_file() -> Progress:
        with importing.into_file(data) as sink, _progress(file) as show:
            return await importing.carry(table, notes, sink, show)

    async def through_node() -> Progress:
        with _progress(file) as show:
            return await importing.carry(table, notes, importing.into_node(data), show)

    try:
        ask(data, "GET", "/api/settings")
    except NotRunningError:
        return asyncio.run(through_file())
    return asyncio.run(through_node())


def _layout(asked: dict[str, Any]) -> Layout:
    import re
    import zoneinfo

    from outstation import clock
    from outstation.cli.headings import FOREVER, Layout
    from outstation.config.values import DEVICE_NAME
    from outstation.core.sensors import MAX_AHEAD

    device, zone = asked["device"], None
    if device is not None and not re.fullmatch(DEVICE_NAME, device):
        raise click.BadParameter(f"expected small letters, digits, - and _; found {device!r}.", param_hint="--device")
    try:
        zone = zoneinfo.ZoneInfo(asked["zone"]) if asked["zone"] else None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        sentence = f"expected a zone such as Europe/Berlin or UTC, found {asked['zone']!r}."
        raise click.BadParameter(sentence, param_hint="--timezone") from None
    is_trusted = clock.trust() is clock.Trust.SYNCHRONISED
    latest = clock.at() + MAX_AHEAD if is_trusted else FOREVER
    return Layout(asked["time"], pairs(asked["columns"], "--sensor"), device, zone, latest, asked["skip_bad"])


def _in_words(done: Progress) -> str:
    found = f"{_many(done.stored, 'new reading')} of {_many(len(done.sensors), 'sensor')}"
    rest = (
        (done.duplicates, "here already"),
        (done.corrected, "corrected"),
        (done.skipped, "left out: what could not be read"),
    )
    said = "".join(f"; {count:,} {'was' if count == 1 else 'were'} {words}" for count, words in rest if count)
    return f"Imported {found}, from {_many(done.rows, 'row')}{said}."


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _units(data: Path) -> dict[str, str]:
    """Return the units as the running node has them: the data file knows none."""
    from outstation.cli.control import ask
    from outstation.errors import OutstationError

    try:
        found = ask(data, "GET", "/api/sensors")["sensors"]
    except OutstationError:
        return {}
    return {sensor["name"]: sensor.get("unit") or "" for sensor in found}


@contextmanager
def _written(file: Path | None, data: Path) -> Iterator[Callable[[str], object]]:
    """Lend what writes text to a file, which gets its name when it is whole, or to standard output.

    What a link names is written, and not the link; what is no file (a pipe, /dev/null) stays what it is.
    """
    if file is None:
        with _to_standard_output():
            yield lambda piece: sys.stdout.buffer.write(piece.encode())
            sys.stdout.buffer.flush()
        return
    import gzip

    from outstation.errors import OutstationError

    is_special = file.exists() and not file.is_file()
    target = file if is_special else file.resolve()
    begun = file if is_special else target.with_name(f".{target.name}.partial")
    try:
        _refuse(target, data)
        if not is_special:
            begun.unlink(missing_ok=True)  # what a kill left; or, in a folder of all, somebody's link
        with (
            gzip.open(begun, "wt" if is_special else "xt", encoding="utf-8")
            if file.suffix == ".gz"
            else begun.open("w" if is_special else "x", encoding="utf-8") as opened
        ):
            yield opened.write
        if not is_special:
            begun.replace(target)
    except OSError as error:
        raise OutstationError(f"{file} cannot be written: {error.strerror or error}.") from error
    finally:
        if not is_special:
            with suppress(OSError):  # as it could not be written
                begun.unlink()


@contextmanager
def _to_standard_output() -> Iterator[None]:
    from outstation.errors import OutstationError

    try:
        yield
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # head(1) has seen enough
            raise OutstationError(f"Standard output cannot be written: {error.strerror}.") from error


def _refuse(target: Path, data: Path) -> None:
    """Refuse to put a table in the place of data: a slip of the hand would cost all of a history."""
    from outstation.errors import RefusedError
    from outstation.store.file import is_data_file

    if target.parent == data.resolve():
        raise RefusedError("The data folder is the node's own.", cure="Name a file in another folder.")
    if target.is_file() and is_data_file(target):
        raise RefusedError(f"{target} is a data file, or a backup of one: it is not replaced.", cure="Name another.")


@contextmanager
def _progress(file: Path) -> Iterator[Callable[[int], None]]:
    """Lend what shows a person how far it has got; in a pipe it shows nobody."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    size = file.stat().st_size
    with click.progressbar(length=size, label=file.name, file=sys.stderr) as bar:
        yield lambda at: bar.update(at - bar.pos)
