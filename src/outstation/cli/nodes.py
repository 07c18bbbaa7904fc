"""`run` and `check`: the commands that turn a config into a node."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from outstation.cli.root import config_option, data_option, json_option, port_option, print_json, root
from outstation.errors import ConfigError, OutstationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outstation.config import Config
    from outstation.supervised import Supervision


@root.command()
@config_option
@data_option
@click.option("--host", help="The address to listen on.  [default: all interfaces]")
@port_option
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Speak TLS: the certificate with its chain, PEM.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="The certificate's key, PEM, without a password.")
def run(
    config: Path | None, data: Path, host: str | None, port: int | None, tls_cert: Path | None, tls_key: Path | None
) -> None:
    """Run a node until it is told to stop.

    Without a config it is the default device: an LED on GPIO17, a button on GPIO27, and this computer's
    temperature, load, memory and disk.

    \b
    Examples:
      outstation run
      outstation run --config greenhouse.toml --data /srv/outstation --port 8080
      outstation run --tls-cert certificate.pem --tls-key key.pem
    """
    from outstation import defaults, keeper
    from outstation.config import find, load
    from outstation.devices.gpio import has_header

    file = find(config)
    loaded = load(file, strangers=False) if file else defaults.device(simulate=not has_header())
    loaded = _with_tls(loaded, tls_cert, tls_key)
    make_folder(data)
    if kept := keeper.inherited():
        click.get_current_context().exit(keeper.keep(loaded, file.parent if file else Path(), *kept))
    from outstation.launch import join, supervise

    supervision = join(loaded) or supervise(loaded, data=data, host=host, port=port)
    click.get_current_context().exit(serve(supervision, loaded, file, ""))


def _with_tls(config: Config, certificate: Path | None, key: Path | None) -> Config:
    """Return a config with the certificate of the command line, if there is one."""
    if certificate is None and key is None:
        return config
    if certificate is None or key is None:
        raise click.UsageError("--tls-cert and --tls-key are needed together.")
    files = {"tls_cert": str(certificate.absolute()), "tls_key": str(key.absolute())}
    return config.model_copy(update={"web": config.web.model_copy(update=files)})


@root.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--hardware", is_flag=True, help="Read each sensor once, and look at each output without switching it.")
@data_option
@json_option
def check(file: Path | None, data: Path, *, hardware: bool, as_json: bool) -> None:
    """Say everything that is wrong with a config, and with the hardware that it names.

    FILE is found as `outstation run` finds it, when it is not given. Exits 1 when there is a mistake, or with
    --hardware a fault.

    \b
    Examples:
      outstation check
      outstation check greenhouse.toml --json
      outstation check --hardware
    """
    from outstation.cli.reading import lines, looked_at
    from outstation.config import find, load

    path = find(file)
    if path is None:
        raise OutstationError(
            "There is no config to check.", cure="Write one: outstation init. Name one: outstation check FILE."
        )
    try:
        config = load(path)
        mistakes = list(_unusable(config))
    except ConfigError as error:
        mistakes, config = error.mistakes, None
    rows, how = looked_at(path, data) if hardware and config is not None else ([], "")
    if as_json:
        found = {"hardware": rows} if hardware else {}
        print_json({"file": str(path), "valid": not mistakes, "mistakes": mistakes, **found})
    elif config is None or mistakes:
        click.echo("\n".join([*mistakes, f"{path}: {_count(len(mistakes), 'mistake')}."]), err=True)
    else:
        click.echo(f"{path} is right: {_told(config)}.")
        for line in [*lines(rows), *filter(None, [how])]:
            click.echo(line)
    click.get_current_context().exit(1 if mistakes or any(row["error"] for row in rows) else 0)


def _unusable(config: Config) -> Iterator[str]:
    """Tell what keeps a node from starting though each key is right."""
    from outstation.web.tls import Certificate, tls_files

    if files := tls_files(config):
        try:
            Certificate(files)
        except OutstationError as error:
            if not isinstance(error.__cause__, PermissionError):  # the node's user may have the right
                yield str(error)


def _told(config: Config) -> str:
    counted = {
        "sensor": config.sensors,
        "actuator": config.actuators,
        "device": config.devices,
        "rule": config.rules,
    }
    return ", ".join(_count(len(tables), noun) for noun, tables in counted.items())


def serve(supervision: Supervision, config: Config, file: Path | None, remark: str) -> int:
    """Run the server that this process is; return the exit status. Raises OutstationError."""
    from outstation import app

    try:
        return app.run(config, config_file=file, data=supervision.folder, remark=remark, supervision=supervision)
    except OutstationError:
        supervision.refuse()
        raise


def make_folder(data: Path) -> None:
    """Make the data folder if need be, closed to strangers: keys are in it. Raises OutstationError."""
    try:
        data.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise OutstationError(
            f"The data folder {data} cannot be made: {os.strerror(error.errno or 0).lower()}.",
            cure="Name another with --data or OUTSTATION_DATA.",
        ) from error


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
