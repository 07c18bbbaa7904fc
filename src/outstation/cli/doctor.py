"""`doctor`: everything around a node that can be wrong, each with its cure."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from outstation.cli.root import config_option, data_option, json_option, print_json, root

if TYPE_CHECKING:
    from outstation.ops.doctor import Finding
    from outstation.ops.doctor_node import Ask, Place


_OF_THE_SERVICE = Path("/etc/outstation/environment")
"""Where the unit of the service has secrets from (ops/service.py)."""

_PATIENCE_S = 10.0
"""For a node that hangs: who calls the doctor waits already."""


@root.command()
@config_option
@data_option
@json_option
@click.option(
    "--through", "beyond", multiple=True, metavar="URL", help="Look at this proxy, https://NAME, too. May be repeated."
)
def doctor(config: Path | None, data: Path, beyond: tuple[str, ...], *, as_json: bool) -> None:
    """Look at everything a node needs, and say what is wrong and what to do.

    The machine, its pins, buses, clock, disk and power; config, data file and keys; the port, the uplinks, the proxy.
    A line each: ok, note (no fault, but good to know), MEND. It changes nothing, and works beside a running node and
    without a config. Exits 1 when there is something to mend.

    \b
    Examples:
      outstation doctor
      sudo outstation doctor --data /var/lib/outstation
      outstation doctor --json
      outstation doctor --through https://iot.example.com
    """
    findings = []
    for one in _findings(config, data, [_place(url) for url in beyond]):
        findings.append(one)
        if not as_json:
            click.echo(_line(one))
    if as_json:
        print_json(_document(findings))
    click.get_current_context().exit(1 if any(one.state == "mend" for one in findings) else 0)


def _place(url: str) -> Place:
    """Return where an address of people's leads."""
    try:
        parts = urlsplit(url)
        if parts.scheme == "https" and parts.hostname and parts.path in ("", "/"):
            return parts.hostname, parts.port or 443
    except ValueError:  # a port that is none
        pass
    raise click.BadParameter("expected an address such as https://iot.example.com", param_hint="--through")


def _findings(config: Path | None, data: Path, beyond: list[Place]) -> Iterator[Finding]:
    from outstation.config import find
    from outstation.errors import OutstationError
    from outstation.ops import doctor, doctor_node
    from outstation.ops.hardware import Roots

    _take_environment(_OF_THE_SERVICE)
    path = None
    try:
        path = find(config)
        loaded, said = doctor_node.config_of(path)
    except OutstationError as error:
        loaded, said = None, doctor.Finding("config", error.message, "mend", error.cure)
    tables = (*loaded.sensors, *loaded.actuators) if loaded else ()
    drivers = [table.driver for table in tables if not table.options.get("simulate")]
    yield from doctor.machine(Roots(), drivers)
    yield doctor.time_of(loaded.node.clock if loaded else "auto")
    yield from doctor.disk(data, Roots())
    yield said
    ask = _asking(data)
    yield doctor_node.running(data, ask)
    yield from doctor_node.node(data, loaded, path.parent if path else Path(), ask, beyond)


def _take_environment(file: Path) -> None:
    """Know the secrets that the service knows, if this user may: a config that names them is right."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        name, found, value = line.strip().partition("=")
        if found and not name.startswith(("#", ";")):  # systemd.exec(5), EnvironmentFile
            os.environ.setdefault(name.strip(), value.strip().strip("\"'"))


def _asking(data: Path) -> Ask | None:
    """Return how the running node is asked; None: none runs. One that may not be asked, or hangs, is asked once."""
    from outstation.cli.control import NotRunningError, ask
    from outstation.errors import OutstationError

    def asked(path: str, method: str = "GET") -> Any:
        return ask(data, method, path, patience=_PATIENCE_S)

    def refused(*_: str) -> Any:
        raise refusal

    try:
        asked("/api/traffic")
    except NotRunningError:
        return None
    except OutstationError as error:
        refusal = error
        return refused
    return asked


def _line(one: Finding) -> str:
    from outstation.cli.questions import printable

    word = "MEND" if one.state == "mend" else one.state
    return printable(f"{word:4}  {one.topic}: {one.text.rstrip('.')}. {one.cure}".rstrip())


def _document(findings: list[Finding]) -> dict[str, Any]:
    import msgspec

    well = all(one.state != "mend" for one in findings)
    return {"well": well, "findings": [msgspec.to_builtins(one) for one in findings]}
