"""`backtest`: rules tried on what was measured, before they move anything."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from outstation.cli.root import data_option, json_option, print_json, root
from outstation.errors import OutstationError

if TYPE_CHECKING:
    from outstation.backtest.findings import Findings
    from outstation.backtest.trial import Feed, Trial

_MOMENT = "A time such as 2026-03-01 or 2026-03-01T12:00Z; UTC unless it says otherwise."


class Recording(NamedTuple):
    """What rules are tried on: its sensors, when it begins and ends, and how to read it."""

    names: list[str]
    bounds: Callable[[frozenset[str]], tuple[int, int] | None]
    feed: Feed
    remark: Callable[[], str]


@root.command()
@click.argument("rules", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--start", metavar="TIME", help=f"Try from here on. {_MOMENT}")
@click.option("--end", metavar="TIME", help="Try until before this time.")
@click.option("--rule", "only", metavar="NAME", multiple=True, help="Try this rule alone. May be repeated.")
@click.option("--against", metavar="OTHER.toml", type=click.Path(path_type=Path, dir_okay=False), help="Compare with.")
@click.option("--csv", "table", metavar="FILE", type=click.Path(path_type=Path), help="Try on a CSV file, or .csv.gz.")
@click.option("--time", "time_column", metavar="COLUMN", help="The column of times in it.  [default: the first]")
@click.option(
    "--sensor", "sensors", metavar="NAME[=COLUMN]", multiple=True, help="A sensor in it.  [default: each other column]"
)
@click.option("--where", metavar="COLUMN=TEXT", multiple=True, help="Only its rows with this text. May be repeated.")
@data_option
@json_option
def backtest(
    rules: Path,
    start: str | None,
    end: str | None,
    only: tuple[str, ...],
    against: Path | None,
    table: Path | None,
    time_column: str | None,
    sensors: tuple[str, ...],
    where: tuple[str, ...],
    data: Path,
    *,
    as_json: bool,
) -> None:
    """Try rules on what was measured.

    Says when each rule of RULES would have fired, for how long, and how often outputs would have switched.
    RULES is a config; its rules, settings and outputs count, drivers need not be there. What was measured is
    what the node has stored, running or not, or a CSV file.

    \b
    Examples:
      outstation backtest outstation.toml --start 2026-03-01
      outstation backtest new.toml --against outstation.toml --rule ventilate
      outstation backtest rules.toml --csv machine.csv --sensor temperature=value
      outstation backtest rules.toml --csv room.csv.gz --sensor air=temperature_c --where node=1
    """
