"""`explain`: why a rule of the running node fires, or does not, or did not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from outstation.cli.questions import printable
from outstation.cli.root import data_option, json_option, print_json, root


@root.command()
@click.argument("name")
@click.option(
    "--at", metavar="TIME", help="A moment of the past, in local time, ISO 8601 or Unix time.  [default: now]"
)
@data_option
@json_option
def explain(name: str, at: str | None, data: Path, *, as_json: bool) -> None:
    """Say why a rule fires, or does not, now or at a moment of the past; or why an output is as it is.

    Of a rule: its condition with the values that it had, what holds it back, and who decides over its outputs. Of an
    output: who decides, and all that ask for something.

    \b
    Examples:
      outstation explain ventilate
      outstation explain "heat the night" --at "2026-03-01 14:00"
      outstation explain vent
    """
    from urllib.parse import quote

    from outstation.cli.control import ask, segment

    output = _output(name, data) if at is None else None
    query = "" if at is None else f"?at={quote(at, safe='')}"
    answer = output or ask(data, "GET", f"/api/rules/{segment(name)}/explain{query}")
    if as_json:
        print_json(answer)
        return
    for line in _why(output) if output else answer["text"]:
        click.echo(printable(line))


def _output(name: str, data: Path) -> dict[str, Any] | None:
    """Return the output of that name, unless a rule has it."""
    from outstation.cli.control import ask

    if any(rule["name"] == name for rule in ask(data, "GET", "/api/rules")["rules"]):
        return None
    outputs: list[dict[str, Any]] = ask(data, "GET", "/api/actuators")["actuators"]
    return next((output for output in outputs if output["name"] == name), None)


def _why(output: dict[str, Any]) -> Iterator[str]:
    since = f" since {output['since']}" if output["since"] else ""
    yield f"{output['name']} is {output['state']}{since}. What decides: {output['why']}."
    if pending := output["pending"]:
        when = f" until {pending['effective_at']}" if pending["effective_at"] else ""
        yield f"{pending['asked_by']} asks for {pending['state']}, and waits{when}."
    if output["claims"]:
        yield "What asks for it, the highest first:"
    for claim in output["claims"]:
        until = f", until {claim['until']}" if claim.get("until") else ""
        undecided = "; it cannot be decided now" if claim.get("decided") is False else ""
        who = f'rule "{claim["by"]}"' if claim["kind"] == "rule" else f"{claim['by']}, by hand"
        yield f"    {claim['state']}: {who}, since {claim['since']}{until}{undecided}"
    rules = [claim["by"] for claim in output["claims"] if claim["kind"] == "rule"]
    if rules:
        yield f'Why the rule fires: outstation explain "{rules[0]}"'
