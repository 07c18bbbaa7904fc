"""A PC that QEMU emulates, without a network and with our files to read."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.qemu import acpi, initramfs
from tests.qemu.packages import QEMU

MEMORY_MB = 512
"""A Raspberry Pi Zero 2 W's."""

_PROJECT = Path(__file__).parents[2]


def tell(folder: Path, root: Path, module: str, *, patience_s: float) -> str:
    """Boot, run one of our modules, and return what it printed."""
    command = ["/bin/sh", "-c", f"cd {_PROJECT} && exec {sys.executable} -B -m {module}"]
    printed = run(folder, root, command, patience_s=patience_s)
    print(printed)
    return printed


def run(folder: Path, root: Path, command: Sequence[str], *, patience_s: float) -> str:
    """Boot the kernel in `root`, run the command as root, and return what it printed once the machine is off.

    The emulation is QEMU's own (TCG): it needs no right to /dev/kvm, and is the same everywhere.
    """
    printed, console, archive = folder / "printed", folder / "console", folder / "initramfs"
    initramfs.write(archive, root, f"{shlex.join(command)} >/dev/ttyS1 2>&1")
    kernel = next(file for file in root.glob("**/vmlinuz*"))
    words = [
        QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-nic", "none",
        "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", str(MEMORY_MB),
        "-kernel", str(kernel), "-initrd", str(archive), "-append", "console=ttyS0 panic=-1 quiet",
        "-acpitable", f"sig=SSDT,rev=2,data={acpi.write_ssdt(folder / 'ssdt')}",
        "-serial", f"file:{console}", "-serial", f"file:{printed}",
        "-virtfs", f"local,path=/,mount_tag={initramfs.HOST},security_model=none,readonly=on,multidevs=remap",
    ]  # fmt: skip
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=patience_s, cwd=folder)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"the machine did not end within {patience_s:g} s:\n{_seen(console, printed)}") from None
    assert done.returncode == 0, done.stderr + _seen(console, printed)
    return printed.read_text().replace("\r\n", os.linesep)


def _seen(console: Path, printed: Path) -> str:
    return "\n".join(file.read_text(errors="replace") for file in (console, printed) if file.exists())
