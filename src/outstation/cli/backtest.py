"""`backtest`: rules tried on what was measured, before they move anything."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outstation.cli.root import data_option, json_option, print_json, root

if TYPE_CHECKING:
    from outstation.backtest.recording import Recording
    from outstation.backtest.trial import Trial

_FILE = click.Path(path_type=Path, dir_okay=False)
_SHOW_EVERY_S = 0.2

columns_option = click.option(
    "--sensor",
    "columns",
    metavar="NAME=COLUMN",
    multiple=True,
    help="A sensor, and its column. May be repeated.  [default: each other column, by its name]",
)


@root.command()
@click.argument("rules", type=_FILE)
@click.option("--start", metavar="TIME", help="Try from here on. UTC, unless it says otherwise.")
@click.option("--end", metavar="TIME", help="Try until before this time.")
@click.option("--rule", "only", metavar="NAME", multiple=True, help="Try this rule only. May be repeated.")
@click.option("--against", metavar="OTHER.toml", type=_FILE, help="Another version of the rules, to compare with.")
@click.option("--csv", "table", metavar="FILE", type=_FILE, help="Try on a CSV file, plain or .gz.")
@click.option("--time", "time_column", metavar="COLUMN", help="Its column of times.  [default: the first]")
@columns_option
@click.option("--where", metavar="COLUMN=TEXT", multiple=True, help="Only rows with this text. May be repeated.")
@data_option
@json_option
def backtest(rules: Path, against: Path | None, data: Path, *, as_json: bool, **asked: Any) -> None:
    """Try rules on what was measured.

    Says when each rule in RULES would have fired and for how long, and how often outputs would have switched.
    RULES is a config, or only the rules, settings and outputs of one. What was measured is what the node in
    the data folder has stored, while it runs or not; or a CSV file.

    \b
    Examples:
      outstation backtest outstation.toml --start 2026-03-01
      outstation backtest new.toml --against outstation.toml --rule ventilate
      outstation backtest rules.toml --csv machine.csv --sensor temperature=value
      outstation backtest rules.toml --csv room.csv.gz --sensor air=temperature_c --where node=1
    """
    from outstation.backtest import words
    from outstation.backtest.findings import document

    start, end = moment(asked["start"], "--start"), moment(asked["end"], "--end")
    if start is not None and end is not None and start >= end:
        raise click.BadParameter("expected a time after --start.", param_hint="--end")
    files = [rules] if against is None else [rules, against]
    with _recording(data, asked) as recording:
        trials = [_trial(file, recording, asked["only"]) for file in files]
        _refuse_unknown(asked["only"], trials)
        if start is None:
            start = min(trial.begin(recording, end) for trial in trials)
        found = [trial.run(recording, start, end, _progress()) for trial in trials]
    if recording.left_out:
        click.echo(words.of_rows(recording.left_out), err=True)
    names = [str(file) for file in files]
    if as_json:
        print_json(
            {name: document(one) for name, one in zip(names, found, strict=True)} if against else document(found[0])
        )
        return
    lines = words.of_two(names, found, trials[0].zone) if against else words.of_one(found[0], trials[0].zone)
    for line in lines:
        click.echo(line)


def _trial(file: Path, recording: Recording, only: tuple[str, ...]) -> Trial:
    from outstation.backtest.trial import Trial
    from outstation.config import load_rules

    return Trial(load_rules(file, recording.names), only, recording.names)


def _refuse_unknown(only: tuple[str, ...], trials: list[Trial]) -> None:
    known = sorted({name for trial in trials for name in trial.rules})
    for name in only:
        if name not in known:
            raise click.BadParameter(
                f"there is no rule {name!r}; rules: {', '.join(known) or 'none'}.", param_hint="--rule"
            )


def _recording(data: Path, asked: dict[str, Any]) -> AbstractContextManager[Recording]:
    from outstation.backtest.recording import stored
    from outstation.backtest.table import Layout, Table

    layout = Layout(asked["time_column"], pairs(asked["columns"], "--sensor"), pairs(asked["where"], "--where"))
    if asked["table"] is not None:
        return contextlib.nullcontext(Table(asked["table"], layout))
    if layout != Layout():
        raise click.UsageError("--time, --sensor and --where are for a CSV file: name it with --csv.")
    return stored(data)


def pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    """Return the names and the texts of NAME=TEXT. Raises BadParameter."""
    found = dict(text.partition("=")[::2] for text in texts)
    for name, text in found.items():
        if not name or not text:
            raise click.BadParameter(f"expected NAME=VALUE, found {name or text!r}.", param_hint=option)
    return found


def moment(text: str | None, option: str) -> int | None:
    """Return a time that an option names. Raises BadParameter."""
    from outstation.backtest import table

    try:
        return None if text is None else table.moment(text)
    except (ValueError, OverflowError):
        sentence = f"expected a time such as 2026-03-01 or 2026-03-01T12:00Z, found {text!r}."
        raise click.BadParameter(sentence, param_hint=option) from None


def _progress() -> Callable[[int], None]:
    """Return what tells a person how far it has got; in a pipe it tells nobody."""
    if not sys.stderr.isatty():
        return lambda _: None
    from outstation import clock

    shown = time.monotonic()

    def show(at: int) -> None:
        nonlocal shown
        if time.monotonic() - shown > _SHOW_EVERY_S:
            shown = time.monotonic()
            click.echo(f"\r{clock.iso(at)[:10]}\r", err=True, nl=False)

    return show
