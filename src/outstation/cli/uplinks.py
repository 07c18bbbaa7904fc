"""`traffic` and `uplinks`: what the running node sends elsewhere, what waits, what it costs; and sending it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from outstation.cli.questions import columns, printable
from outstation.cli.root import data_option, json_option, print_json, root

_UNITS = ("B", "kB", "MB", "GB", "TB")


@root.command()
@data_option
@json_option
def traffic(data: Path, *, as_json: bool) -> None:
    """Show what the running node sends elsewhere costs: requests, and bytes of HTTP, heads and bodies.

    ONE BY ONE is what one request of JSON for each reading would have cost, to the same address with the same key.
    LIVE is what live values have cost beside the rest.

    \b
    Examples:
      outstation traffic
      outstation traffic --json
    """
    answer = _asked(data)
    if as_json:
        print_json(answer)
        return
    head = ("UPLINK", "KIND", "REQUESTS", "SENT", "RECEIVED", "LIVE", "READINGS", "ONE BY ONE", "SHARE")
    _print(head, [_traffic_row(name, one) for name, one in answer["uplinks"].items()])


@root.group()
def uplinks() -> None:
    """Show where the running node sends its summaries and alerts, and send again what was refused.

    \b
    Examples:
      outstation uplinks list
      outstation uplinks resend hub
    """


@uplinks.command("list")
@data_option
@json_option
def list_uplinks(data: Path, *, as_json: bool) -> None:
    """List the uplinks: what waits for each, what it refused, and why the last try failed.

    \b
    Example:
      outstation uplinks list
    """
    answer = _asked(data)
    if as_json:
        print_json(answer)
        return
    head = ("UPLINK", "KIND", "WAITING", "ALERTS", "REFUSED", "LOST", "LAST WELL", "LAST ERROR")
    _print(head, [_row(name, one) for name, one in answer["uplinks"].items()])


@uplinks.command()
@click.argument("name")
@data_option
@json_option
def resend(name: str, data: Path, *, as_json: bool) -> None:
    """Send again what an uplink refused: when the other side has been mended.

    \b
    Example:
      outstation uplinks resend hub
    """
    from urllib.parse import quote

    from outstation.cli.control import ask

    answer = ask(data, "POST", f"/api/uplinks/{quote(name, safe='')}/resend")
    if as_json:
        print_json(answer)
        return
    click.echo(f"{answer['again']:,} summaries are sent to {printable(name)} again.")


def _asked(data: Path) -> Any:
    from outstation.cli.control import ask

    return ask(data, "GET", "/api/traffic")


def _print(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    if not rows:
        click.echo("Nothing is sent elsewhere: there is no [[uplinks]] table in the config.")
    for line in columns([head, *rows]) if rows else ():
        click.echo(line)


def _row(name: str, one: dict[str, Any]) -> tuple[str, ...]:
    counts = (f"{one[key]:,}" for key in ("waiting", "alerts_waiting", "refused", "lost"))
    return name, one["kind"], *counts, one["last_ok"] or "not yet", one["last_error"] or ""


def _traffic_row(name: str, one: dict[str, Any]) -> tuple[str, ...]:
    share = "" if one["share"] is None else f"{one['share']:.3%}"
    sizes = (_size(one[key]) for key in ("bytes_sent", "bytes_received", "bytes_live"))
    readings = f"{one['readings']:,}"
    return name, one["kind"], f"{one['requests']:,}", *sizes, readings, _size(one["bytes_one_by_one"]), share


def _size(count: int) -> str:
    steps = min((len(str(count)) - 1) // 3, len(_UNITS) - 1)
    return f"{count / 1000**steps:.{1 if steps else 0}f} {_UNITS[steps]}"
