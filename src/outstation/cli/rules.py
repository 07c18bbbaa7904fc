"""`explain`: why a rule of the running node fires, or does not, or did not."""

from __future__ import annotations

from pathlib import Path

import click

from outstation.cli.questions import printable
from outstation.cli.root import data_option, json_option, print_json, root


@root.command()
@click.argument("rule")
@click.option(
    "--at", metavar="TIME", help="A moment of the past, in local time, ISO 8601 or Unix time.  [default: now]"
)
@data_option
@json_option
def explain(rule: str, at: str | None, data: Path, *, as_json: bool) -> None:
    """Say why a rule fires, or does not: now, or at a moment of the past.

    Shows its condition with the values that it had, what holds it back, and who decides over its outputs.

    \b
    Examples:
      outstation explain ventilate
      outstation explain "heat the night" --at "2026-03-01 14:00"
    """
    from urllib.parse import quote

    from outstation.cli.control import ask, segment

    query = "" if at is None else f"?at={quote(at, safe='')}"
    answer = ask(data, "GET", f"/api/rules/{segment(rule)}/explain{query}")
    if as_json:
        print_json(answer)
        return
    for line in answer["text"]:
        click.echo(printable(line))
