"""A Debian 12 on a disk of its own, with systemd, a clone and wheels: made by debootstrap, and without a network.

Only root can: debootstrap makes devices and asks chroot. The wheelhouse is made here, by pip, of what the clone's
`scripts/install` needs; that one runs in a chroot, since the emulated machine takes four minutes for it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

from tests.qemu.packages import QEMU, MissingError

SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
PACKAGES = "systemd,systemd-sysv,dbus,udev,python3,python3-venv,linux-image-cloud-amd64,iproute2"
PYTHON = "3.11"
"""Debian 12's, for which wheels are fetched."""

_DISK_MB = 4_096
_PROJECT = Path(__file__).parents[2]

_RIG = """\
[Unit]
After=network.target
[Service]
Type=exec
ExecStart=/usr/bin/python3 /rig/story.py
StandardOutput=file:/dev/ttyS1
StandardError=inherit
[Install]
WantedBy=multi-user.target
"""

_DIES = """

def run(*_: object, **__: object) -> int:
    raise SystemExit("this version dies")
"""


def make(folder: Path, story: Path) -> tuple[Path, Path]:
    """Return a disk that tells a story at each boot, and the root that it was made of. Raises MissingError."""
    need_tools()
    root = folder / "root"
    _run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root), MIRROR)
    for name in ("rig", "srv/wheels", "srv/next", "home/pi"):
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(story, root / "rig" / "story.py")
    unit = root / "etc/systemd/system/rig.service"
    unit.write_text(_RIG)
    _run("systemctl", f"--root={root}", "enable", "rig.service")
    _fill(root, folder)
    disk = folder / "disk"
    with disk.open("wb") as opened:
        opened.truncate(_DISK_MB << 20)
    _run("mkfs.ext4", "-q", "-d", str(root), str(disk))
    return disk, root


def boot(disk: Path, root: Path, *, patience_s: float) -> str:
    """Boot until the machine is switched off, reboots included; return what the story printed."""
    printed, console = disk.with_name("printed"), disk.with_name("console")
    kernel, first = next((root / "boot").glob("vmlinuz-*")), next((root / "boot").glob("initrd.img-*"))
    words = [
        QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-nic", "none",
        "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "512",
        "-kernel", str(kernel), "-initrd", str(first), "-append", "root=/dev/vda rw console=ttyS0 quiet panic=-1",
        "-drive", f"file={disk},if=virtio,format=raw,cache=unsafe",
        "-serial", f"file:{console}", "-serial", f"file:{printed}",
    ]  # fmt: skip
    try:
        subprocess.run(words, check=True, capture_output=True, text=True, timeout=patience_s)
    except subprocess.TimeoutExpired:
        said = "\n".join(file.read_text(errors="replace") for file in (console, printed))
        raise AssertionError(f"the machine did not end within {patience_s:g} s:\n{said}") from None
    return printed.read_text()


def need_tools() -> None:
    """Install what is missing and may be. Raises MissingError."""
    wanted = {QEMU: "qemu-system-x86", "debootstrap": "debootstrap", "mkfs.ext4": "e2fsprogs", "systemctl": "systemd"}
    missing = [package for tool, package in wanted.items() if shutil.which(tool) is None]
    if os.geteuid() != 0 or os.uname().machine != "x86_64":
        raise MissingError("debootstrap needs root, and the machine is a PC: this test needs root on an x86-64 Debian.")
    if missing:
        _run("apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing)


def _fill(root: Path, folder: Path) -> None:
    """Put in a clone that is installed, the wheels that it was installed from, and versions to come."""
    clone = root / "home/pi/outstation"
    _copy_clone(clone)
    pip = [str(_PROJECT / ".venv/bin/python"), "-m", "pip", "--disable-pip-version-check"]
    only = ["--only-binary=:all:", f"--python-version={PYTHON}", "--constraint", str(_PROJECT / "requirements.lock")]
    needed = tomllib.loads((_PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    _run(*pip, "download", "-q", "-d", str(root / "srv/wheels"), *only, *needed, "hatchling", "editables")
    _run("chroot", str(root), "useradd", "-u", "1000", "-M", "pi")
    _run("chown", "-R", "1000:1000", str(root / "home/pi"))
    offline = ["PATH=/usr/bin:/bin", "HOME=/home/pi", "PIP_NO_INDEX=1", "PIP_FIND_LINKS=/srv/wheels"]
    inside = ["env", "-i", "-C", "/home/pi/outstation", *offline, "scripts/install"]
    _run("chroot", str(root), "runuser", "-u", "pi", "--", *inside)
    _next_versions(root / "srv/next", folder, pip)


def _next_versions(wheels: Path, folder: Path, pip: list[str]) -> None:
    """Make two versions that work, one that brings the data to a form of its own and dies, and one that is cut off."""
    for version in ("0.1.1", "0.1.2", "0.1.4"):
        source = folder / version
        _copy_clone(source)
        (source / "src/outstation/__init__.py").write_text(f'"""To come."""\n\n__version__ = "{version}"\n')
        if version == "0.1.2":
            (source / "src/outstation/store/migrations/0099_next.sql").write_text("CREATE TABLE next (x);\n")
            with (source / "src/outstation/app.py").open("a") as app:
                app.write(_DIES)
        _run(*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(wheels), str(source))
    whole = next(wheels.glob("outstation-0.1.1-*")).read_bytes()
    (wheels / "outstation-0.1.3-py3-none-any.whl").write_bytes(whole[: len(whole) // 2])


def _copy_clone(target: Path) -> None:
    """Copy what git knows, and the page's parts that a build has fetched."""
    told = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True, cwd=_PROJECT).stdout.decode()
    assets = [str(file.relative_to(_PROJECT)) for file in (_PROJECT / "src/outstation/web/assets").glob("*")]
    for name in filter(None, [*told.split("\0"), *assets]):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_PROJECT / name, target / name)


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise MissingError(f"{' '.join(command)} failed: {(done.stderr or done.stdout)[-2000:]}")
