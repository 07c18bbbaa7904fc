"""Puts a version of the program in the place of another, and goes back when the new one does not get well.

The law of this file: whatever can be wrong with the new version is looked for before the old one is stopped; and
whatever happens afterwards, what ran before runs again, on the data that it left.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from outstation.config import Config
from outstation.errors import NewerFileError, OutstationError
from outstation.ops import environment, service
from outstation.ops.places import SOCKET, UNIT, Change, Places, Systemd, give, give_to_node
from outstation.owner import Owner
from outstation.store import backup, file

HEALTHY_WITHIN_S = 60.0
STEADY_S = 5.0
"""A server that answers and dies at once begins again and again: well is one that has been up for as long."""

Build = Callable[[Path], None]
"""Makes an environment in a folder."""


class Node(Protocol):
    """The node that runs, asked from outside."""

    def trouble(self) -> str:
        """Return what keeps it from being well, in words; "" when nothing does."""

    def back_up(self, target: Path) -> None:
        """Have it copy its data to a file, which is replaced. Raises OutstationError."""


class Site(msgspec.Struct, frozen=True):
    """Where it is done, and by whom. say: prints a line. within_s: what a new version has to get well."""

    places: Places
    systemd: Systemd
    node: Node
    say: Callable[[str], None]
    within_s: float = HEALTHY_WITHIN_S


def build(site: Site, version: str, make: Build) -> Path:
    """Make a version beside those that there are; return its folder. Raises OutstationError: then nothing was left."""
    folder = _free(site.places.program / "versions", version)
    site.say(f"Making {folder} ...")
    with _words(folder):
        try:
            make(folder)
            environment.write_command(folder, Path("/") / folder.relative_to(site.places.root))
            _try_out(folder)
            os.sync()  # all of it is on the disk before a link leads there: the power may fail right afterwards
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return folder


def deploy(site: Site, new: Path, config: Config) -> None:
    """Have a version that was built run, in the place of the old one. Raises OutstationError: then the old one runs."""
    with _deaf_to_hangups():
        _deploy(site, new, config)


def _deploy(site: Site, new: Path, config: Config) -> None:
    places = site.places
    was_active, before = places.live and site.systemd.is_active(), places.version()
    try:
        refuse_newer_data(site, new)
        copy = _back_up(site)
    except BaseException:
        shutil.rmtree(new)
        if was_active and not site.systemd.is_active():
            site.systemd.start()
        raise
    change, version = Change(), _data_version(places)
    try:
        if was_active:
            site.systemd.stop()
        with _words(places.current):
            _keep_hand_made(site, change)
            _write(change, places, new, config)
        _begin(site)
    except BaseException as error:
        said = site.systemd.last_words() if places.live else ""
        left = _put_back(site, change, version, copy, run=was_active)
        if places.version() != new.name:  # where there was no way back, it is the only one
            shutil.rmtree(new, ignore_errors=True)
        if not isinstance(error, OutstationError | OSError):
            raise
        raise OutstationError(f"{new.name} was not taken: {error}\n{said}".rstrip(), cure=f"\n{left}") from error
    _clear(places, {new.name, before})


def refuse_newer_data(site: Site, program: Path) -> None:
    """Raise NewerFileError where the data are of a newer program than this one."""
    known, there = environment.knows_version(program), _data_version(site.places)
    if there > known:
        raise NewerFileError(
            f"{site.places.data / file.NAME} is of version {there}, and {program.name} knows {known}: "
            "it would not open it.",
            cure="Install the newer program again, or restore a backup of the older one's time. Nothing was changed.",
        )


def _free(versions: Path, version: str) -> Path:
    names = [version, *(f"{version}-{number}" for number in range(2, 1_000))]
    return next(versions / name for name in names if not (versions / name).exists())


def _try_out(folder: Path) -> None:
    python = str(folder / "bin" / "python")
    done = subprocess.run(
        [python, "-I", "-m", "outstation", "--version"], check=False, capture_output=True, text=True, cwd="/"
    )
    if done.returncode:
        said = " ".join(done.stderr.split()[-40:])
        raise OutstationError(f"The new program does not start: {said}", cure="Nothing that runs was touched.")


def _back_up(site: Site) -> Path | None:
    """Copy the data to where the newest copy before a change is; return that."""
    source = site.places.data / file.NAME
    if not source.exists():
        return None
    folder = site.places.at(service.BACKUPS)
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    give_to_node(folder, site.places)
    target = folder / "before-upgrade.db"
    site.say(f"Copying the data to {target} ...")
    if site.places.live and site.systemd.is_active():
        try:
            site.node.back_up(target)
        except OutstationError as error:
            trouble = site.node.trouble()
            if not trouble:
                raise
            # It may be what the new version is to cure: a server that ends again and again copies nothing.
            site.say(f"The node does not copy them: {error} It is stopped first, since it is not well: {trouble}")
            site.systemd.stop()
        else:
            return target
    with Owner(site.places.data):
        backup.back_up_stopped(site.places.data, target, replace=True)
    give_to_node(target, site.places)
    return target


def _keep_hand_made(site: Site, change: Change) -> None:
    """Give a unit that somebody has written by hand another name: systemd knows none that ends so."""
    path = site.places.unit(UNIT)
    text = path.read_text() if path.exists() else ""
    if text and not text.startswith(service.HEAD):
        kept = path.with_name(f"{UNIT}.before-install")
        change.write(kept, text, 0o644)
        site.say(f"{path} was not ours: it is kept as {kept}.")


def _write(change: Change, places: Places, new: Path, config: Config) -> None:
    wanted = service.wishes(config, service.existing_groups())
    for path, text in places.fixed_files().items():
        change.write(path, text, 0o755 if path == places.command else 0o644)
    change.write(places.unit(UNIT), service.unit(wanted), 0o644)
    if text := service.socket_unit(wanted):
        change.write(places.unit(SOCKET), text, 0o644)
    else:
        change.remove(places.unit(SOCKET))
    change.point(places.current, f"versions/{new.name}")


def _begin(site: Site) -> None:
    if not site.places.live:
        wants = _wants(site.places)
        wants.parent.mkdir(parents=True, exist_ok=True)
        wants.unlink(missing_ok=True)
        wants.symlink_to(f"/etc/systemd/system/{UNIT}")
        return
    site.systemd.make_user()
    _hand_over(site.places)
    site.systemd.reload()
    site.systemd.enable()
    site.say("Starting it ...")
    site.systemd.start()
    _wait(site)


def _wants(places: Places) -> Path:
    """Return the link by which systemd starts the node at boot."""
    return places.unit("multi-user.target.wants") / UNIT


def _hand_over(places: Places) -> None:
    """Give the node what is its own, and let it read its config."""
    if not places.is_here:
        return
    for folder in (places.data, places.at(service.BACKUPS)):
        if folder.exists():
            for path in (folder, *folder.iterdir()):
                give_to_node(path, places)
    for path in places.config.parent.rglob("*"):
        if path != places.at(service.SECRETS):
            give(path, "root", "outstation")


def _wait(site: Site) -> None:
    until = time.monotonic() + site.within_s
    while trouble := site.node.trouble():
        if time.monotonic() > until:
            raise OutstationError(f"The node was not well within {site.within_s:g} s: {trouble}")
        time.sleep(0.5)


def _go_back(site: Site, change: Change, version: int, copy: Path | None, *, run: bool) -> None:
    """Have everything as it was: the program, the units, and the data file if the new program has changed its form."""
    places = site.places
    if not places.live:
        change.undo()
        return
    with contextlib.suppress(OutstationError):
        site.systemd.stop()
    try:
        if copy is not None and _data_version(places) != version:
            _restore(places, copy, version)  # first: without it the old program would refuse to start
        change.undo()
    finally:
        if not places.version():
            _wants(places).unlink(missing_ok=True)
        site.systemd.reload()
        if run:
            site.systemd.start()


def _restore(places: Places, copy: Path, version: int) -> None:
    """Put the old file back: that which the new program kept before it changed it, else the copy from before."""
    kept = [path for path in places.data.glob(f"{file.NAME}.before-version-*") if _is_newer(path, copy)]
    source = next((path for path in kept if file.version(path) == version), copy)
    with Owner(places.data):
        backup.restore(source, places.data)
    for path in places.data.iterdir():
        give_to_node(path, places)


def _is_newer(path: Path, than: Path) -> bool:
    return path.stat().st_mtime >= than.stat().st_mtime


def _put_back(site: Site, change: Change, version: int, copy: Path | None, *, run: bool) -> str:
    """Go back, and return in words where that has led."""
    try:
        _go_back(site, change, version, copy, run=run)
        if not run:
            return "Everything is as it was: nothing runs, as before. All of its log: outstation service logs"
        _wait(site)
    except (OutstationError, OSError) as error:
        return f"What ran before does not run as it did: {error} Its log: outstation service logs; copy: {copy}"
    return f"Everything is as it was: {site.places.version()} runs again. All of its log: outstation service logs"


def _clear(places: Places, kept: Collection[str]) -> None:
    """Remove versions but the one that runs and the one before, and what is left of those that were never whole."""
    for old in (places.program / "versions").iterdir():
        if old.name not in kept:
            shutil.rmtree(old, ignore_errors=True)


def _data_version(places: Places) -> int:
    try:
        return file.version(places.data / file.NAME)
    except OSError:
        return 0


@contextlib.contextmanager
def _deaf_to_hangups() -> Iterator[None]:
    """Go on when the terminal goes: a network that fails must not leave a node that is stopped and not started."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@contextlib.contextmanager
def _words(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = os.strerror(error.errno or 0).lower()
        raise OutstationError(
            f"{error.filename or place} could not be written: {why}.", cure="Make room, or see to its rights."
        ) from error
