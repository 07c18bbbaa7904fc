"""`devices`: boards that report here, by ThingSpeak's dialect or as weather stations.

A running node does it itself; of a node that does not run the file is opened here, under its lock, and the config is
read for the boards that stand there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outstation.cli.questions import columns, printable
from outstation.cli.root import config_option, data_option, json_option, print_json, root

if TYPE_CHECKING:
    from outstation.config import Config

url_option = click.option("--url", help="How boards reach this node.  [default: by an address of this machine]")


@root.group()
def devices() -> None:
    """Let boards report here: add, list, remove, and a sheet for whoever wires them.

    What they send becomes sensors of theirs, as in porch/temperature. Works on a running node, and on one that does
    not run; the config is read for the latter alone.

    \b
    Examples:
      outstation devices add porch --fields temperature,humidity
      outstation devices add --from class.csv
      outstation devices list
      outstation devices sheet porch
    """


@devices.command()
@click.argument("name", required=False)
@click.option("--fields", help="Names of field 1, 2, ... up to 8, as in temperature,humidity.")
@click.option("--units", help='Their units in the same order, as in "°C,%".')
@click.option("--channel", type=click.IntRange(1, 2**31 - 1), help="The channel number that it has built in.")
@click.option("--write-key", help="The write key that it has built in.")
@click.option("--read-key", help="The read key that its readers have.")
@click.option("--public", is_flag=True, help="Anybody may read its channel.")
@click.option("--key", help="The key that it sends as a weather station; boards may share it.")
@click.option("--mac", help="Its hardware address, as in 6c:ef:7f:3b:9d:e8.")
@click.option("--expected", is_flag=True, help="Tell people when it is silent.")
@click.option("--expected-when", help='Only then, as in "weekday and between 08:00 and 16:00".')
@click.option("--group", help="Boards of one group that fall silent within a minute are one alert.")
@click.option("--from", "file", type=click.Path(path_type=Path), help="A CSV file with a row a board.")
@url_option
@config_option
@data_option
@json_option
def add(
    name: str | None,
    fields: str | None,
    file: Path | None,
    url: str | None,
    config: Path | None,
    data: Path,
    *,
    as_json: bool,
    **given: Any,
) -> None:
    """Let a board report here, or many.

    A number and keys that are not given are drawn, and printed. The columns of a CSV file are name, fields (with
    spaces between them) and any of units, channel, write_key, read_key, key, mac, public, expected, expected_when,
    group.

    \b
    Examples:
      outstation devices add porch --fields temperature,humidity
      outstation devices add porch --channel 254616 --write-key K --read-key K --public --fields temperature
      outstation devices add --from class.csv
    """
    from outstation.cli import offline, sheets
    from outstation.cli.board_list import boards_in

    if (name is None) == (file is None) or (name is not None and fields is None):
        raise click.UsageError("A board has a name and --fields; many boards stand in a file, named with --from.")
    common = {key: value for key, value in given.items() if value}
    if "units" in common:
        common["units"] = common["units"].split(",")
    if file is None:
        asked = [{"name": name, "fields": (fields or "").replace(",", " ").split(), **common}]
    else:
        asked = [{**common, **row} for row in boards_in(file, fields)]
    answer = _asked(data, config, "POST", "/api/devices", asked, lambda known: offline.add_devices(data, known, asked))
    if as_json:
        print_json(answer)
        return
    made = answer["devices"]
    if len(made) == 1:
        click.echo(sheets.sheet(made[0], sheets.base(url, answer["urls"])))
        return
    click.echo(f"{len(made)} boards may report here. A sheet for each: outstation devices sheet --all\n")
    rows = [(one["name"], str(one["channel"]), one["write_key"], one["mac"] or "") for one in made]
    _echo([("NAME", "CHANNEL", "WRITE KEY", "MAC"), *rows])


@devices.command("list")
@config_option
@data_option
@json_option
def list_devices(config: Path | None, data: Path, *, as_json: bool) -> None:
    """List the boards, when each was last heard, and who was refused in the last hour.

    \b
    Example:
      outstation devices list
    """
    answer = _listed(data, config)
    if as_json:
        print_json(answer)
        return
    heading = "NAME", "CHANNEL", "LAST HEARD", "ADDRESS", "REFUSED", ""
    _echo([heading, *(_row(one) for one in answer["devices"])])
    if answer["refusals"]:
        click.echo("\nRefused in the last hour:")
        _echo([("SENT", "ADDRESS", "TIMES", "LAST", "WHO"), *(_refusal(one) for one in answer["refusals"])])


@devices.command()
@click.argument("names", nargs=-1, metavar="NAME...")
@click.option("--all", "all_", is_flag=True, help="Of every board.")
@url_option
@config_option
@data_option
def sheet(names: tuple[str, ...], url: str | None, config: Path | None, data: Path, *, all_: bool) -> None:
    """Print a sheet for a board: its channel and keys, how to wire it, and programs that are ready to run.

    \b
    Examples:
      outstation devices sheet porch
      outstation devices sheet --all > class.txt
    """
    from outstation.cli import sheets

    if bool(names) is all_:
        raise click.UsageError("Name a board, or say --all.")
    if all_:
        listed = _listed(data, config)
        names = tuple(one["name"] for one in listed["devices"])
    boards = [_shown(data, config, name) for name in names]
    made = [sheets.sheet(one, sheets.base(url, one["urls"])) for one in boards]
    click.echo("\n\f".join(made))


@devices.command()
@click.argument("name")
@config_option
@data_option
@json_option
def remove(name: str, config: Path | None, data: Path, *, as_json: bool) -> None:
    """Let a board report here no more. Its history stays.

    \b
    Example:
      outstation devices remove porch
    """
    from outstation.cli import offline
    from outstation.cli.control import segment

    path = f"/api/devices/{segment(name)}"
    answer = _asked(data, config, "DELETE", path, None, lambda known: offline.remove_device(data, known, name))
    if as_json:
        print_json(answer)
        return
    click.echo(f"The board {name} may report here no more. Its history stays: outstation sensors list.")


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    remarks = [word for word in ("silent", "public") if one[word]]
    if one["configured"]:
        remarks.append("in the config")
    refused = str(one["refused"] or "")
    heard, address = one["last_heard"] or "never", one["address"] or ""
    return one["name"], str(one["channel"]), heard, address, refused, ", ".join(remarks)


def _refusal(one: dict[str, Any]) -> tuple[str, ...]:
    perhaps = one["perhaps"]
    who = one["device"] or (f"perhaps {', '.join(perhaps[:3])}{', ...' if len(perhaps) > 3 else ''}" if perhaps else "")
    return one["sent"], one["address"], str(one["count"]), one["last"], who


def _echo(rows: Iterable[tuple[str, ...]]) -> None:
    for line in columns(list(rows)):
        click.echo(printable(line))


def _listed(data: Path, config: Path | None) -> Any:
    from outstation.cli import offline

    return _asked(data, config, "GET", "/api/devices", None, lambda known: offline.list_devices(data, known))


def _shown(data: Path, config: Path | None, name: str) -> Any:
    from outstation.cli import offline
    from outstation.cli.control import segment

    path = f"/api/devices/{segment(name)}"
    return _asked(data, config, "GET", path, None, lambda known: offline.show_device(data, known, name))


def _asked(
    data: Path, config: Path | None, method: str, path: str, body: object, stopped: Callable[[Config], Any]
) -> Any:
    """Ask the running node; where none runs, do the same on its file, with its config."""
    from outstation.cli import offline
    from outstation.cli.control import NotRunningError, ask

    try:
        return ask(data, method, path, body)
    except NotRunningError:
        return stopped(offline.config_of(config))
