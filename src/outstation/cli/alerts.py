"""`alerts`: what the running node tells people, whether it reaches them, and that somebody has seen it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from outstation.cli.questions import columns, printable
from outstation.cli.root import data_option, json_option, print_json, root


@root.group()
def alerts() -> None:
    """List, acknowledge and try out the alerts of the running node.

    \b
    Examples:
      outstation alerts list
      outstation alerts acknowledge 12
      outstation alerts test
    """


@alerts.command("list")
@click.option("--state", type=click.Choice(("raised", "acknowledged", "cleared")), help="Those in this state alone.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many, at most.")
@data_option
@json_option
def list_alerts(state: str | None, limit: int, data: Path, *, as_json: bool) -> None:
    """List alerts, the newest first.

    \b
    Examples:
      outstation alerts list
      outstation alerts list --state raised
    """
    from outstation.cli.control import ask

    answer = ask(data, "GET", f"/api/alerts?limit={limit}{f'&state={state}' if state else ''}")
    if as_json:
        print_json(answer)
        return
    for line in columns([("ID", "SEVERITY", "STATE", "RAISED", "MESSAGE"), *map(_row, answer["alerts"])]):
        click.echo(line)


@alerts.command()
@click.argument("id", type=click.IntRange(1))
@data_option
@json_option
def acknowledge(id: int, data: Path, *, as_json: bool) -> None:  # noqa: A002  the word that the list has above it
    """Say that you have seen an alert: it is not repeated.

    \b
    Example:
      outstation alerts acknowledge 12
    """
    from outstation.cli.control import ask

    answer = ask(data, "POST", f"/api/alerts/{id}/acknowledge")
    if as_json:
        print_json(answer)
        return
    click.echo(f"Alert {id} is acknowledged.")


@alerts.command()
@click.argument("receiver", required=False)
@data_option
@json_option
def test(receiver: str | None, data: Path, *, as_json: bool) -> None:
    """Send a test message to a receiver of alerts, or to all; exits 1 when it does not reach one.

    \b
    Examples:
      outstation alerts test
      outstation alerts test phone
    """
    from outstation.cli.control import ask

    answer = ask(data, "POST", "/api/alerts/test", {"receiver": receiver})
    if as_json:
        print_json(answer)
    for one in answer["tested"] if not as_json else ():
        click.echo(printable(f"{one['receiver']}: {'reached' if one['reached'] else one['error']}"))
    click.get_current_context().exit(0 if all(one["reached"] for one in answer["tested"]) else 1)


def _row(alert: dict[str, Any]) -> tuple[str, ...]:
    by = f" by {alert['acknowledged_by']}" if alert["state"] == "acknowledged" else ""
    return str(alert["id"]), alert["severity"], alert["state"] + by, alert["raised_at"], alert["message"]
