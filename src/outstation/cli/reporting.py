"""`nodes`: who may report to this one.

A running node does it itself; of a node that does not run the file is opened here, under its lock.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from outstation.cli.questions import columns
from outstation.cli.root import data_option, json_option, print_json, root

url_option = click.option("--url", help="How the node reaches this hub.  [default: by an address of this machine]")


@root.group()
def nodes() -> None:
    """Let other nodes report here: add, list, renew, remove.

    What they send becomes sensors of theirs, as in greenhouse-1/air. Works on a running node, and on one that does
    not run.

    \b
    Examples:
      outstation nodes add greenhouse-1
      outstation nodes list
    """


@nodes.command()
@click.argument("name")
@url_option
@data_option
@json_option
def add(name: str, url: str | None, data: Path, *, as_json: bool) -> None:
    """Let a node report here, and print what its config needs.

    \b
    Example:
      outstation nodes add greenhouse-1 --url https://hub.example.com
    """
    from outstation.cli import offline

    answer = _asked(data, "POST", "/api/nodes", {"name": name}, lambda: offline.add_node(data, name))
    _print(answer, url, as_json=as_json)


@nodes.command()
@click.argument("name")
@url_option
@data_option
@json_option
def renew(name: str, url: str | None, data: Path, *, as_json: bool) -> None:
    """Give a node a new key: the old one was lost, or is on a copied card.

    The old key is refused from the next request on, and the node sends all that it has once more.

    \b
    Example:
      outstation nodes renew greenhouse-1
    """
    from outstation.cli import offline
    from outstation.cli.control import segment

    path = f"/api/nodes/{segment(name)}/renew"
    _print(_asked(data, "POST", path, {}, lambda: offline.renew_node(data, name)), url, as_json=as_json)


@nodes.command()
@click.argument("name")
@data_option
@json_option
def remove(name: str, data: Path, *, as_json: bool) -> None:
    """Let a node report here no more. Its history stays.

    \b
    Example:
      outstation nodes remove greenhouse-1
    """
    from outstation.cli import offline
    from outstation.cli.control import segment

    path = f"/api/nodes/{segment(name)}"
    answer = _asked(data, "DELETE", path, None, lambda: offline.remove_node(data, name))
    if as_json:
        print_json(answer)
        return
    click.echo(f"The node {name} may report here no more. Its history stays: outstation sensors list.")


@nodes.command("list")
@data_option
@json_option
def list_nodes(data: Path, *, as_json: bool) -> None:
    """List the nodes that may report here, and how each does.

    \b
    Example:
      outstation nodes list
    """
    from outstation.cli import offline

    answer = _asked(data, "GET", "/api/nodes", None, lambda: offline.list_nodes(data))
    if as_json:
        print_json(answer)
        return
    heading = "NAME", "LAST SEEN", "VERSION", "CLOCK", "WAITING", "PARKED", "LOST", ""
    for line in columns([heading, *(_row(one) for one in answer["nodes"])]):
        click.echo(line)


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    counts = (str(one[key]) for key in ("waiting", "parked", "lost"))
    remark = "cloned" if one["cloned"] else "silent" if one["silent"] else ""
    return one["name"], one["last_seen"] or "never", one["version"] or "", one["clock"] or "", *counts, remark


def _print(answer: dict[str, Any], url: str | None, *, as_json: bool) -> None:
    url = url or next(iter(answer["urls"]), "http://ADDRESS-OF-THIS-HUB:5000")
    if as_json:
        print_json({"name": answer["name"], "key": answer["key"], "url": url})
        return
    click.echo(f"This goes into the config of {answer['name']}, as it is. Its key is shown this once:\n")
    click.echo(f'[[uplinks]]\nname = "hub"\nkind = "outstation"\nurl = "{url}"\nkey = "{answer["key"]}"')


def _asked(data: Path, method: str, path: str, body: object, stopped: Any) -> Any:
    """Ask the running node; where none runs, do the same on its file."""
    from outstation.cli.control import NotRunningError, ask

    try:
        return ask(data, method, path, body)
    except NotRunningError:
        return stopped()
