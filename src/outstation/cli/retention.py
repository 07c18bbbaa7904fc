"""`retention`: how big the history is, how long it is, when it is full; and deleting what is over the limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from outstation.cli.root import config_option, data_option, json_option, print_json, root

_PATIENCE_S = 3_600.0
"""Years of readings are deleted in many short steps."""


@root.command()
@click.option(
    "--dry-run", is_flag=True, help="Say what would be deleted and why; delete nothing.  [default without --now]"
)
@click.option("--now", is_flag=True, help="Delete at once all that is over the limits, also more than a tenth of all.")
@config_option
@data_option
@json_option
def retention(config: Path | None, data: Path, *, dry_run: bool, now: bool, as_json: bool) -> None:
    """Show how much is kept, and what is deleted next.

    How many readings there are since when, their size and its cap, how fast it grows, and when it is full.
    Works on a running node, and on one that does not run; the config is read for the latter alone.

    \b
    Examples:
      outstation retention
      outstation retention --dry-run --now
      outstation retention --now --data /srv/outstation
    """
    from outstation.cli.control import NotRunningError, ask

    try:
        if now:
            answer = ask(data, "POST", "/api/retention", {"dry_run": dry_run}, patience=_PATIENCE_S)
        else:
            answer = ask(data, "GET", "/api/retention")
    except NotRunningError:
        answer = _stopped(config, data, now=now, dry_run=dry_run)
    if as_json:
        print_json(answer)
        return
    for line in _lines(answer):
        click.echo(line)


def _stopped(config: Path | None, data: Path, *, now: bool, dry_run: bool) -> Any:
    from outstation.cli import offline

    return offline.retention(data, offline.config_of(config), now=now, dry_run=dry_run)


def _lines(answer: dict[str, Any]) -> list[str]:
    from outstation.cli.questions import printable
    from outstation.engine.retaining import plan_in_words

    if "deleted" in answer:
        kept = [answer["kept"]] if answer["kept"] else []
        return [f"Deleted: {answer['deleted']:,} readings.", *kept, *answer["in_words"]]
    return [printable(line) for line in (*answer["in_words"], *plan_in_words(answer))]
