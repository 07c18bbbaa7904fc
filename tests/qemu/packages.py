"""What the machine is made of: QEMU, and from Debian's packages a kernel and busybox.

The kernel is not installed here: apt fetches it with a state of its own, checks its signatures,
and dpkg-deb unpacks it into a folder of the test's.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

QEMU = "qemu-system-x86_64"

SUITE = "trixie-backports"
"""The oldest suite of Debian with a kernel that has gpio-sim: its 7.3.4-1~bpo13+1 says CONFIG_GPIO_SIM=m.

The kernels of Debian 12 (6.1.192-2; backports 6.12.95-1~bpo12+1) and 13 (6.12.117-1) say "is not set".
"""

KERNEL = "linux-image-amd64"

_SOURCES = f"""
Types: deb
URIs: http://deb.debian.org/debian
Suites: trixie {SUITE}
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""

_PARTS = re.compile(r"linux-(?:image|binary|modules|base)-[0-9]\S*|busybox-static")
"""The packages, among all that the kernel's depends on, whose files are needed."""

_SETTINGS = """
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Etc::sourcelist "{folder}/debian.sources";
Dir::Etc::sourceparts "/dev/null";
APT::Default-Release "{suite}";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Sandbox::User "root";
"""


class MissingError(Exception):
    """Something that this machine lacks, with what to install."""


def need_qemu() -> None:
    """Install QEMU where it is missing and we may. Raises MissingError."""
    if platform.machine() != "x86_64":
        raise MissingError("The machine runs the programs of this one, and is a PC: this test needs an x86-64 Debian.")
    if shutil.which(QEMU):
        return
    command = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", "qemu-system-x86"]
    if os.geteuid() != 0:
        raise MissingError(f"There is no {QEMU} here, and only root may install it: sudo {' '.join(command)}")
    _run(command)


def fetch(folder: Path) -> Path:
    """Fetch the packages into `folder` and return the root they were unpacked into. Raises MissingError."""
    for each in ("state/lists/partial", "cache/archives/partial", "debs", "root"):
        (folder / each).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "debian.sources").write_text(_SOURCES)
    (folder / "apt.conf").write_text(_SETTINGS.format(folder=folder, suite=SUITE))
    _run(["apt-get", "update", "-qq", "-o", "APT::Update::Error-Mode=any"], folder)
    _run(["apt-get", "download", "-qq", *_parts(folder)], folder)
    for package in (folder / "debs").glob("*.deb"):
        _run(["dpkg-deb", "-x", str(package), str(folder / "root")])
    return folder / "root"


def _parts(folder: Path) -> list[str]:
    """Return what the kernel of SUITE consists of: since 7.2 its image, modules and config are packages each."""
    only = [f"--no-{kind}" for kind in "recommends suggests conflicts breaks replaces enhances".split()]
    # A name that apt-cache shows indented is a kind of dependency; those that begin a line are packages.
    found = _run(["apt-cache", "depends", "--recurse", *only, KERNEL, "busybox-static"], folder)
    return [line for line in found.splitlines() if _PARTS.fullmatch(line)]


def _run(command: list[str], folder: Path | None = None) -> str:
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive", LC_ALL="C")
    if folder is not None:
        environment["APT_CONFIG"] = str(folder / "apt.conf")
    try:
        done = subprocess.run(
            command, cwd=folder and folder / "debs", env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise MissingError(f"There is no {command[0]} here: this test needs Debian.") from None
    if done.returncode:
        raise MissingError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout
