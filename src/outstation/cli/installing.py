"""What the commands of `service` do: ask a person, ask the node, and have ops/ do the rest."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

import outstation
from outstation.cli.control import ask
from outstation.config import Config, find, load
from outstation.errors import OutstationError
from outstation.ops import deploying, environment, first_config, plan, service, taking_over
from outstation.ops.places import FINISHER, SOCKET, UNIT, Places, Systemd, alone, write
from outstation.ops.site import STEADY_S, Site
from outstation.owner import Owner
from outstation.store import file
from outstation.store.keys import SCOPES
from outstation.web.hosts import addresses

_BACKUP_WITHIN_S = 24 * 3600.0
_ANSWERS_WITHIN_S = 5.0


class Asked(msgspec.Struct, frozen=True):
    """What a person asked for. take_over None: that one is to be asked."""

    config: Path | None = None
    data: Path | None = None
    take_over: bool | None = None


class Asking:
    """The node that runs on a data folder, asked by its control socket."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def trouble(self) -> str:
        """Return what keeps it from being well, in words; "" when nothing does."""
        try:
            found = ask(self._data, "GET", "/api/health", patience=_ANSWERS_WITHIN_S)
        except OutstationError as error:
            return str(error)
        if found["uptime_seconds"] < STEADY_S:
            return "It has only just begun."
        return "" if found["status"] != "unhealthy" else "It says that it is not: outstation status"

    def back_up(self, target: Path) -> None:
        """Have it copy its data to a file, which is replaced."""
        body = {"file": str(target), "replace": True}
        ask(self._data, "POST", "/api/backup", body, patience=_BACKUP_WITHIN_S)

    def first_key(self) -> str:
        """Return a new key with every scope; "" where there is one already."""
        if ask(self._data, "GET", "/api/keys")["keys"]:
            return ""
        made: str = ask(self._data, "POST", "/api/keys", {"name": "first", "scopes": list(SCOPES)})["key"]
        return made


def install(site: Site, asked: Asked) -> None:
    """Install the program that runs this."""
    with alone(site.places):
        deploying.finish_what_was_begun(site)
        _install(site, asked)


def _install(site: Site, asked: Asked) -> None:
    places = site.places
    environment.refuse_home(Path(sys.base_prefix))
    luggage = config_to_take(places, asked)
    data = data_to_take(places, asked)
    new = deploying.build(site, outstation.__version__, environment.make)
    try:
        if places.live:
            _make_user(site)
        _set_up(places, luggage)
        config = checked(site, new)
        refuse_home(config)
        _refuse_taken_port(site, config)
        if data is not None:
            site.say(f"Copying the data of {data} ...")
            taking_over.take_data(data, places)
    except BaseException:
        shutil.rmtree(new)
        raise
    deploying.deploy(site, new, config, anyway=True)
    _greet(site, config, data)


def upgrade(site: Site, wheel: Path) -> None:
    """Bring in another version."""
    places = site.places
    wheel = wheel.absolute()
    version = environment.version_of(wheel)
    if not places.version():
        raise OutstationError("Nothing is installed yet.", cure="First: sudo .venv/bin/outstation service install")
    with alone(places):
        deploying.finish_what_was_begun(site)
        _upgrade(site, wheel, version)


def _upgrade(site: Site, wheel: Path, version: str) -> None:
    places = site.places

    def make(folder: Path) -> None:
        environment.make(folder, program=False)
        environment.add_wheel(folder, wheel, site.say)

    before = places.version()
    new = deploying.build(site, version, make)
    try:
        config = checked(site, new)
    except BaseException:
        shutil.rmtree(new)
        raise
    click.echo(deploying.deploy(site, new, config, judge=before))


def uninstall(site: Site) -> None:
    """Remove the service and its program."""
    with alone(site.places):
        _uninstall(site)


def _uninstall(site: Site) -> None:
    places = site.places
    if places.unit(UNIT).exists():
        site.say("Stopping it ...")
        site.systemd.disable()
    units = [places.unit(name) for name in (UNIT, SOCKET, FINISHER)]
    for path in (*units, places.command, places.at("/etc/sysusers.d/outstation.conf")):
        path.unlink(missing_ok=True)
    site.systemd.reload()
    click.echo(f"The service is gone. The data stay: {service.DATA}, copies of them in {service.BACKUPS}.")
    click.echo("The config stays: /etc/outstation. The user outstation stays, since they are its own.")
    click.echo(
        f"To be rid of all: sudo rm -r {service.DATA} {service.BACKUPS} /etc/outstation; sudo userdel outstation"
    )
    shutil.rmtree(places.program, ignore_errors=True)  # last: what runs here may lie there


def status(places: Places) -> dict[str, Any]:
    """Return what is installed, whether it runs, and how it is."""
    if not places.version():
        raise OutstationError("Nothing is installed.", cure="sudo .venv/bin/outstation service install")
    asked = ("ActiveState", "SubState", "ActiveEnterTimestamp", "NRestarts", "MemoryCurrent", "UnitFileState")
    shown = Systemd().shown(*asked)
    memory = shown["MemoryCurrent"]
    try:
        found = ask(places.data, "GET", "/api/health", patience=_ANSWERS_WITHIN_S)
        health, problems = found["status"], found["problems"]
    except OutstationError as error:
        health, problems = "unhealthy", [str(error)]
    return {
        "version": places.version(),
        "upgrade": _last_upgrade(places),
        "state": f"{shown['ActiveState']} ({shown['SubState']})",
        "since": shown["ActiveEnterTimestamp"],
        "at_boot": shown["UnitFileState"],
        "restarts": shown["NRestarts"],
        "memory": f"{int(memory) / 1e6:.0f} MB" if memory.isdecimal() else "unknown",
        "health": health,
        "problems": problems,
        "config": service.CONFIG,
        "data": service.DATA,
    }


def _last_upgrade(places: Places) -> str:
    """Return how the last one ended, or that there is one under way."""
    try:
        begun = plan.unfinished(places)
    except OutstationError as error:
        return f"{error.message} {error.cure}"
    if begun is not None:
        look = "What it does: journalctl -u outstation-upgrade; if nothing: sudo outstation service finish"
        return f"to {begun.new}, begun {begun.begun}, is under way. {look}"
    done = plan.last(places)
    if done is None:
        return "none yet"
    return done.words.partition("\n")[0] if done.taken else done.words.replace("\n", "\n" + 12 * " ")


def checked(site: Site, program: Path) -> Config:
    """Return the installed config, once a new program has found it right. Raises OutstationError."""
    places = site.places
    command = [str(program / "bin" / "python"), "-I", "-m", "outstation", "check", str(places.config)]
    secrets = taking_over.read_secrets(places)
    known = {**os.environ, **secrets}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=known, cwd=places.config.parent)
    if done.returncode:
        raise OutstationError(
            f"{program.name} refuses the config:\n{done.stderr.strip()}",
            cure=f"Mend it (secrets go into {service.SECRETS}), and try again. Nothing that runs was touched.",
        )
    os.environ.update(secrets)
    return load(places.config, strangers=False)


def config_to_take(places: Places, asked: Asked) -> taking_over.Luggage | None:
    """Return what goes along with the caller's config; None: the installed one stays, or a first one is made."""
    if places.config.exists() or asked.take_over is False:
        if asked.config and places.config.exists():
            raise OutstationError(f"{places.config} is there already, and stays as it is.", cure="Edit that one.")
        return None
    found = asked.config or find()
    if found is None or not _agreed(asked, f"Take along the config {found.absolute()}?"):
        return None
    load(found)  # says all that is wrong with it, before anything is done
    return taking_over.packed(found, os.environ)


def data_to_take(places: Places, asked: Asked) -> Path | None:
    """Return the folder of the caller's data; None: what is installed goes on with its own, or with none."""
    if (places.data / file.NAME).exists() or asked.take_over is False:
        if asked.data and (places.data / file.NAME).exists():
            raise OutstationError(f"{places.data} has data already.", cure="To put others there: outstation restore.")
        if not places.version() and (Path("data") / file.NAME).exists():  # as after an install that was not taken
            click.echo(f"{places.data} has data: they are used, and not those in {Path('data').absolute()}.", err=True)
        return None
    source = asked.data or Path("data")
    if not (source / file.NAME).exists():
        if asked.data:
            raise OutstationError(f"There are no data in {source}.", cure="Name another folder with --data.")
        return None
    if not _agreed(asked, f"Take along the data in {source.absolute()}? They are copied."):
        return None
    with Owner(source):  # refuses while a node runs there
        taking_over.refuse_small_disk(source, places)
    return source


def _agreed(asked: Asked, question: str) -> bool:
    if asked.take_over is not None:
        return asked.take_over
    if not sys.stdin.isatty():
        raise OutstationError(
            f"{question} There is nobody to answer.",
            cure="Say so beforehand: --take-over or --fresh. Nothing was done.",
        )
    return click.confirm(question, default=True, err=True)


def _make_user(site: Site) -> None:
    for path, text in site.places.fixed_files().items():
        if path != site.places.command:
            write(path, text, 0o644)
    site.systemd.make_user()


def _set_up(places: Places, luggage: taking_over.Luggage | None) -> None:
    """See that there is a config, and a place for secrets."""
    if luggage is not None:
        taking_over.take_config(luggage, places)
    elif not places.config.exists():
        from outstation.cli.machine import found_here

        write(places.config, first_config.text(found_here(())), 0o640)
    taking_over.add_secrets({}, places)
    places.data.mkdir(mode=0o750, parents=True, exist_ok=True)


def refuse_home(config: Config) -> None:
    """Raise OutstationError where backups would go to where a service sees nothing: there would be none."""
    folder = config.backup.folder
    if folder and service.in_home(Path(folder)):
        raise OutstationError(
            f"[backup] folder is {folder}, which a service would not see.",
            cure=f"Choose another one, such as {service.BACKUPS} or one below /mnt, in {service.CONFIG}.",
        )


def _refuse_taken_port(site: Site, config: Config) -> None:
    """Raise OutstationError where somebody else has the port: found before anything is stopped."""
    if not site.places.live or site.systemd.is_active():
        return
    from outstation.web.listen import open_boards, open_port

    open_port(config.web.host, config.web.port, setting="[web] port").close()
    if boards := open_boards(config.web.dialect_listen):
        boards.close()


def _greet(site: Site, config: Config, data: Path | None) -> None:
    places = site.places
    if not places.live:
        click.echo(f"Installed into {places.root}: it begins when that machine starts.")
        return
    port = config.web.port
    click.echo(f"Outstation is running, and will at each boot: http://{socket.gethostname()}:{port}/")
    reachable = [each for each in addresses() if not each.startswith(("127.", "fe80:")) and each != "::1"]
    for each in reachable[:3]:
        click.echo(f"  from elsewhere: http://{f'[{each}]' if ':' in each else each}:{port}/")
    if key := Asking(places.data).first_key():
        click.echo(f"Your key, shown this once: {key}")
    click.echo(f"Config: {service.CONFIG}; data: {service.DATA}; secrets: {service.SECRETS}")
    if data is not None:
        click.echo(f"The data in {data.absolute()} were copied, and are no longer used.")
    click.echo("Next: outstation service status; outstation service logs -f")
