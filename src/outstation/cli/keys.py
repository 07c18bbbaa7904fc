"""`keys`: who may read, send, control and administer.

A running node does it itself; of a node that does not run the file is opened here, under its lock.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from outstation.cli.questions import columns
from outstation.cli.root import data_option, json_option, print_json, root

SCOPES = ("read", "write", "control", "admin")


@root.group()
def keys() -> None:
    """List, create and revoke the keys of the API.

    Works on a running node, and on one that does not run.

    \b
    Examples:
      outstation keys list
      outstation keys create phone --scope read --scope control
      outstation keys revoke 4f1c22
    """


@keys.command("list")
@data_option
@json_option
def list_keys(data: Path, *, as_json: bool) -> None:
    """List the keys, without their secrets.

    \b
    Example:
      outstation keys list
    """
    from outstation.cli import offline

    answer = _asked(data, "GET", "/api/keys", None, lambda: offline.list_keys(data))
    if as_json:
        print_json(answer)
        return
    rows = [_row(key) for key in answer["keys"]]
    for line in columns([("ID", "NAME", "SCOPES", "DEVICE", "CREATED", ""), *rows]):
        click.echo(line)


def _fits(pattern: str, what: str) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    def check(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
        if text is not None and re.fullmatch(pattern, text) is None:
            raise click.BadParameter(f"expected {what}.")
        return text

    return check


@keys.command()
@click.argument("name", callback=_fits(r"[\w .@-]{1,64}", "at most 64 letters, digits, spaces and . @ - _"))
@click.option("--scope", "scopes", type=click.Choice(SCOPES), multiple=True, required=True, help="May be repeated.")
@click.option(
    "--device",
    callback=_fits(r"[a-z0-9][a-z0-9_-]{0,63}", "small letters, digits, - and _"),
    help="The one device that the key may send readings for.",
)
@data_option
@json_option
def create(name: str, scopes: tuple[str, ...], device: str | None, data: Path, *, as_json: bool) -> None:
    """Make a key and print it, this once.

    read: ask. write: send readings, of the device. control: move outputs. admin: everything, keys as well.

    \b
    Examples:
      outstation keys create phone --scope read --scope control
      outstation keys create porch --scope write --device porch
    """
    from outstation.cli import offline

    body = {"name": name, "scopes": list(scopes), "device": device}
    answer = _asked(data, "POST", "/api/keys", body, lambda: offline.create_key(data, name, scopes, device))
    if as_json:
        print_json(answer)
        return
    click.echo(f'Key {answer["id"]} "{answer["name"]}" may {", ".join(answer["scopes"])}. It is shown this once:')
    click.echo(answer["key"])


# An id may begin with a hyphen, and then any letter: it is not an option, nor is -h in it a cry for help.
@keys.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("id")
@data_option
@json_option
def revoke(id: str, data: Path, *, as_json: bool) -> None:  # noqa: A002  the word that the list has above it
    """Revoke a key: it is refused from the next request on.

    \b
    Example:
      outstation keys revoke 4f1c22
    """
    from outstation.cli import offline
    from outstation.cli.control import segment

    answer = _asked(data, "DELETE", f"/api/keys/{segment(id)}", None, lambda: offline.revoke_key(data, id))
    if as_json:
        print_json(answer)
        return
    click.echo(f"Key {id} is revoked.")


def _row(key: dict[str, Any]) -> tuple[str, ...]:
    revoked = f"revoked {key['revoked']}" if key["revoked"] else ""
    return key["id"], key["name"], ", ".join(key["scopes"]), key["device"] or "", key["created"], revoked


def _asked(data: Path, method: str, path: str, body: object, stopped: Callable[[], Any]) -> Any:
    """Ask the running node; where none runs, do the same on its file."""
    from outstation.cli.control import NotRunningError, ask

    try:
        return ask(data, method, path, body)
    except NotRunningError:
        return stopped()
