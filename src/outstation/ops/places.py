"""Where an installed node has its files, and the systemd that starts it.

The law of this file: with another root than / nothing outside it is touched, and nothing is started.
"""

from __future__ import annotations

import contextlib
import fcntl
import grp
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

from outstation.errors import OutstationError
from outstation.ops import service
from outstation.store.copying import sync_folder

UNIT = "outstation.service"
SOCKET = "outstation.socket"

_COMMAND = f"""\
#!/bin/sh
# Outstation as it is installed: without --data or --config it asks the service's own.
export OUTSTATION_DATA="${{OUTSTATION_DATA-{service.DATA}}}"
exec {service.PROGRAM} "$@"
"""

_PATIENCE_S = 1_000
"""Longer than TimeoutStartSec of the unit."""


class Places(msgspec.Struct, frozen=True):
    """The files of an installed node below a root. live: whether systemd starts it here, and now."""

    root: Path = Path("/")
    live: bool = True

    def at(self, path: str) -> Path:
        """Return where a path of the installed node is for us."""
        return self.root / path.lstrip("/")

    @property
    def is_here(self) -> bool:
        """Whether it is this machine itself, which has the user that the node runs as."""
        return self.root == Path("/")

    @property
    def program(self) -> Path:
        """Return the folder of the installed versions."""
        return self.at("/opt/outstation")

    @property
    def current(self) -> Path:
        """Return the link to the version that counts."""
        return self.program / "current"

    @property
    def data(self) -> Path:
        """Return the node's data folder."""
        return self.at(service.DATA)

    @property
    def config(self) -> Path:
        """Return the node's config."""
        return self.at(service.CONFIG)

    def unit(self, name: str) -> Path:
        """Return where one of its units lies."""
        return self.at(f"/etc/systemd/system/{name}")

    def version(self) -> str:
        """Return the name of the version that counts; "" where none is installed."""
        return self.current.readlink().name if self.current.is_symlink() else ""

    def fixed_files(self) -> dict[Path, str]:
        """Return the files that no config changes."""
        return {self.at("/etc/sysusers.d/outstation.conf"): service.USERS, self.command: _COMMAND}

    @property
    def command(self) -> Path:
        """Return what people call."""
        return self.at("/usr/local/bin/outstation")


class Systemd:
    """The systemd of this machine."""

    def refuse_missing(self) -> None:
        """Raise OutstationError where systemd does not run, or where it obeys somebody else."""
        if not Path("/run/systemd/system").is_dir():
            raise OutstationError(
                "This machine was not started by systemd: nothing can be installed as its service.",
                cure="Start `outstation run` in another way; for an image of another machine: --root DIR.",
            )
        if os.geteuid() != 0:
            raise OutstationError("Only root may install a service.", cure="Try the same with sudo.")

    def make_user(self) -> None:
        """Make the user that the unit names. Raises OutstationError."""
        self._run("systemd-sysusers", "/etc/sysusers.d/outstation.conf")

    def is_active(self) -> bool:
        """Tell whether the node runs, or is about to."""
        return self.shown("ActiveState")["ActiveState"] in ("active", "activating", "reloading")

    def shown(self, *properties: str) -> dict[str, str]:
        """Return properties of the unit."""
        asked = [f"--property={each}" for each in properties]
        found = dict.fromkeys(properties, "")
        text = self._run("systemctl", "show", *asked, UNIT)
        return found | {name: value for name, _, value in (line.partition("=") for line in text.splitlines())}

    def reload(self) -> None:
        """Have it read the units anew."""
        self._run("systemctl", "daemon-reload")

    def enable(self) -> None:
        """Have the node started at each boot."""
        self._run("systemctl", "enable", "--quiet", UNIT)

    def disable(self) -> None:
        """Stop the node, for good."""
        self._run("systemctl", "disable", "--quiet", "--now", UNIT)

    def start(self) -> None:
        """Start the node, and wait until it says that it is ready. Raises OutstationError."""
        self._run("systemctl", "start", UNIT)

    def stop(self) -> None:
        """Stop the node and what listens for it."""
        sockets = [SOCKET] if Path(f"/etc/systemd/system/{SOCKET}").exists() else []
        self._run("systemctl", "stop", UNIT, *sockets)

    def last_words(self) -> str:
        """Return the last that the node wrote, for a message."""
        asked = ["journalctl", "--unit", UNIT, "--lines=5", "--output=cat", "--no-pager"]
        done = subprocess.run(asked, check=False, capture_output=True, text=True)
        return done.stdout.strip()

    def _run(self, *command: str) -> str:
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_PATIENCE_S)
        except FileNotFoundError:
            raise OutstationError(f"There is no {command[0]} here.", cure="Debian has it in systemd.") from None
        if done.returncode:
            said = " ".join(done.stderr.split())
            raise OutstationError(f"`{' '.join(command)}` failed: {said}", cure="Its log: outstation service logs")
        return done.stdout


_Before = tuple[bytes, int] | Path | None
"""What was at a path: a file with its rights, a link, nothing."""


class Change:
    """Files that are written, and can be given back as they were."""

    def __init__(self) -> None:
        self._before: dict[Path, _Before] = {}

    def write(self, path: Path, content: str | bytes, mode: int) -> None:
        """Put a text in a file, in one go. Raises OSError."""
        self._remember(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        _put(path, content.encode() if isinstance(content, str) else content, mode)

    def point(self, link: Path, target: str) -> None:
        """Have a link lead elsewhere, in one go."""
        self._remember(link)
        _link(link, target)

    def remove(self, path: Path) -> None:
        """Remove a file, if there is one."""
        self._remember(path)
        path.unlink(missing_ok=True)

    def undo(self) -> None:
        """Give back what was there, the last change first. What cannot be given back keeps no other: raises OSError."""
        failed: list[OSError] = []
        for path, before in reversed(self._before.items()):
            try:
                _give_back(path, before)
            except OSError as error:
                failed.append(error)
        if failed:
            raise failed[0]

    def _remember(self, path: Path) -> None:
        if path not in self._before:
            self._before[path] = _found(path)


@contextlib.contextmanager
def alone(places: Places) -> Iterator[None]:
    """Change what is installed. Raises OutstationError while another one does: it would remove what this one makes."""
    places.program.mkdir(parents=True, exist_ok=True)
    with (places.program / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutstationError(
                f"Another `outstation service` is at work in {places.program}.", cure="Try again when it has ended."
            ) from None
        yield


def give_to_node(path: Path, places: Places) -> None:
    """Make a file or folder the node's own; in an image systemd does it at the first start."""
    if places.is_here and os.geteuid() == 0:
        give(path, "outstation", "outstation")


def give(path: Path, user: str, group: str) -> None:
    """Give a file or folder, or a link itself: where it leads to is not for the node's user to say."""
    os.chown(path, pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid, follow_symlinks=False)


def _give_back(path: Path, before: _Before) -> None:
    if before is None:
        path.unlink(missing_ok=True)
    elif isinstance(before, Path):
        _link(path, str(before))
    elif _found(path) != before:  # what is as it was needs no room
        _put(path, *before)


def _found(path: Path) -> _Before:
    if path.is_symlink():
        return path.readlink()
    return (path.read_bytes(), path.stat().st_mode & 0o777) if path.exists() else None


def _put(path: Path, content: bytes, mode: int) -> None:
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    beside.rename(path)
    sync_folder(path.parent)


def _link(link: Path, target: str) -> None:
    beside = link.with_name(f".{link.name}.new")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    beside.rename(link)
    sync_folder(link.parent)
