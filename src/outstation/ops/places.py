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
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from outstation.errors import OutstationError
from outstation.ops import service
from outstation.store.copying import sync_folder

UNIT = "outstation.service"
SOCKET = "outstation.socket"
FINISHER = "outstation-upgrade.service"

_COMMAND = f"""\
#!/bin/sh
# Outstation as it is installed: without --data or --config it asks the service's own.
export OUTSTATION_DATA="${{OUTSTATION_DATA-{service.DATA}}}"
exec {service.PROGRAM} "$@"
"""

_SETTLES_S = 30.0
"""What a node that is ending has for it: TimeoutStopSec of the unit, and what comes after it."""


_OFTEN = 4
"""Restarts of the unit that brings an upgrade to its end: a power cut, a kill or two are none of its own."""


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

    def wants(self, name: str) -> Path:
        """Return the link by which systemd starts one of its units at boot."""
        return self.unit("multi-user.target.wants") / name

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
        """Tell whether the node runs, or is about to. One that ends is waited for: it may be about to begin anew."""
        until = time.monotonic() + _SETTLES_S
        while (state := self.shown("ActiveState")["ActiveState"]) == "deactivating" and time.monotonic() < until:
            time.sleep(0.5)
        return state in ("active", "activating", "reloading")

    def shown(self, *properties: str, unit: str = UNIT) -> dict[str, str]:
        """Return properties of the unit."""
        asked = [f"--property={each}" for each in properties]
        known = dict.fromkeys(properties, "")
        text = self._run("systemctl", "show", *asked, unit)
        return known | {name: value for name, _, value in (line.partition("=") for line in text.splitlines())}

    def invocation(self) -> str:
        """Return what is another one each time that the node was started: INVOCATION_ID of systemd.exec(5)."""
        return self.shown("InvocationID")["InvocationID"]

    def reload(self) -> None:
        """Have it read the units anew."""
        self._run("systemctl", "daemon-reload")

    def disable(self) -> None:
        """Stop the node, for good, and who would bring an upgrade to its end."""
        for unit in (FINISHER, UNIT):
            if Path(f"/etc/systemd/system/{unit}").exists():
                self._run("systemctl", "disable", "--quiet", "--now", unit)

    def begin_finisher(self) -> None:
        """Have an upgrade brought to its end, whatever becomes of who asks. Raises OutstationError."""
        self._run("systemctl", "start", "--no-block", FINISHER)

    def finisher_cannot(self) -> bool:
        """Tell whether an upgrade waits for a unit that was stopped, or that ends again and again."""
        shown = self.shown("ActiveState", "NRestarts", unit=FINISHER)
        return shown["ActiveState"] in ("inactive", "failed") or int(shown["NRestarts"] or 0) >= _OFTEN

    def start(self) -> None:
        """Start the node, and wait until it says that it is ready. Raises OutstationError."""
        self._run("systemctl", "start", UNIT)

    def restart(self) -> None:
        """Stop the node and start it, by one order: whoever gave it may die. Raises OutstationError as start does."""
        written = Path(f"/etc/systemd/system/{SOCKET}").exists()
        if not written and self.shown("ActiveState", unit=SOCKET)["ActiveState"] == "active":
            self._run("systemctl", "stop", SOCKET)  # of a config before; one that is written is PartOf= the node
        self._run("systemctl", "restart", UNIT)

    def stop(self) -> None:
        """Stop the node and what listens for it."""
        sockets = [SOCKET] if Path(f"/etc/systemd/system/{SOCKET}").exists() else []
        self._run("systemctl", "stop", UNIT, *sockets)

    def last_words(self) -> str:
        """Return the last that the node wrote, for a message."""
        asked = ["journalctl", "--unit", UNIT, "--lines=5", "--output=cat", "--no-pager"]
        done = subprocess.run(asked, check=False, capture_output=True, text=True, errors="replace")
        return done.stdout.strip()

    def _run(self, *command: str) -> str:
        """Run a command. None has a time: systemd ends what makes no progress, and a big file may take hours."""
        try:
            # A log may hold any bytes.
            done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
        except FileNotFoundError:
            raise OutstationError(f"There is no {command[0]} here.", cure="Debian has it in systemd.") from None
        if done.returncode:
            said = " ".join(done.stderr.split())
            raise OutstationError(f"`{' '.join(command)}` failed: {said}", cure="Its log: outstation service logs")
        return done.stdout


Content = tuple[bytes, int] | str | None
"""What is at a path: a file with its rights, a link with where it leads, nothing."""


def found(path: Path) -> Content:
    """Return what is at a path. Raises OSError."""
    if path.is_symlink():
        return str(path.readlink())
    return (path.read_bytes(), path.stat().st_mode & 0o777) if path.exists() else None


def put(path: Path, content: Content) -> None:
    """Have this at a path, in one go: whoever looks meanwhile sees either. Raises OSError."""
    if found(path) == content:  # what is as it was needs no room
        return
    if content is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        _link(path, content)
    else:
        _write(path, *content)


def write(path: Path, text: str | bytes, mode: int) -> None:
    """Put a text in a file, in one go. Raises OSError."""
    put(path, (text.encode() if isinstance(text, str) else text, mode))


def put_all(contents: Mapping[str, Content]) -> None:
    """Put all of these, in this order. What cannot be put keeps no other: raises OSError afterwards."""
    failed: list[OSError] = []
    for path, content in contents.items():
        try:
            put(Path(path), content)
        except OSError as error:
            failed.append(error)
    if failed:
        raise failed[0]


@contextlib.contextmanager
def alone(places: Places, lock: str = "lock") -> Iterator[None]:
    """Change what is installed. Raises OutstationError while another one does: it would remove what this one makes."""
    places.program.mkdir(parents=True, exist_ok=True)
    with (places.program / lock).open("w") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
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


def _write(path: Path, content: bytes, mode: int) -> None:
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
