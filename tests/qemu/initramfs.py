"""The first files of the machine: busybox, the kernel's modules, and a script that takes over from the kernel.

The archive is cpio's "newc" format (cpio(5); Documentation/driver-api/early-userspace/buffer-format.rst).
"""

from __future__ import annotations

import lzma
import re
import stat
from collections.abc import Iterator
from pathlib import Path

MODULES = {
    "9p": "",
    "9pnet_virtio": "",
    "configfs": "",
    "gpio-sim": "",
    "i2c-dev": "",
    "i2c-stub": "chip_addr=0x18",
    "pwm-lpss-platform": "",
}
"""What the kernel has no built-in of, or may have none of, and what each is told when it is loaded."""

HOST = "host"
"""The mount tag of the share through which the machine sees our files, to read only."""

_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")
"""A module's own word on what must be loaded before it, in its .modinfo section."""

_INIT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in /modules/*; do insmod $module $(cat /told/${{module##*/}}) || echo "cannot load $module"; done
mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=524288 {tag} /host
mount -t proc proc /host/proc
mount -t sysfs sysfs /host/sys
mount -t configfs configfs /host/sys/kernel/config
mount -t devtmpfs dev /host/dev
mount -t tmpfs tmpfs /host/run
ip link set lo up
chroot /host /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/run TMPDIR=/run {command}
poweroff -f
"""


def write(path: Path, root: Path, command: str) -> None:
    """Write the archive to `path`. root: where Debian's packages were unpacked; command: what to run before the end."""
    with path.open("wb") as archive:
        for number, (name, mode, content) in enumerate(_files(root, command), 1):
            archive.write(_entry(number, name, mode, content))
        archive.write(_entry(0, "TRAILER!!!", 0, b""))


def _files(root: Path, command: str) -> Iterator[tuple[str, int, bytes]]:
    for folder in ("bin", "dev", "host", "modules", "proc", "told"):
        yield folder, stat.S_IFDIR | 0o755, b""
    yield "init", stat.S_IFREG | 0o755, _INIT.format(tag=HOST, command=command).encode()
    yield "bin/busybox", stat.S_IFREG | 0o755, next(root.glob("**/bin/busybox")).read_bytes()
    told = {name.replace("-", "_"): words for name, words in MODULES.items()}
    # The shell's * is in alphabetical order: the numbers are the order in which they can be loaded.
    for number, (name, content) in enumerate(_modules(root).items()):
        yield f"modules/{number:02}-{name}", stat.S_IFREG | 0o644, content
        yield f"told/{number:02}-{name}", stat.S_IFREG | 0o644, told.get(name, "").encode()


def _modules(root: Path) -> dict[str, bytes]:
    """Return the modules, each after those that it needs; one that is not there is built in."""
    files = {_name(file): file for file in root.glob("**/kernel/**/*.ko*")}
    found: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in found or name not in files:
            return
        content = _content(files[name])
        if depends := _DEPENDS.search(content):
            for each in filter(None, depends[1].decode().split(",")):
                add(each.replace("-", "_"))
        found[name] = content

    for name in MODULES:
        add(name.replace("-", "_"))
    return found


def _name(file: Path) -> str:
    """Return a module's name, in which - and _ are the same."""
    return file.name.partition(".")[0].replace("-", "_")


def _content(file: Path) -> bytes:
    return lzma.decompress(file.read_bytes()) if file.suffix == ".xz" else file.read_bytes()


def _entry(number: int, name: str, mode: int, content: bytes) -> bytes:
    named = name.encode() + b"\0"
    # Inode, mode, uid, gid, links, mtime, size, device and its minor, the file's own pair, name's length, checksum.
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(named), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + named
    return _padded(head) + _padded(content)


def _padded(part: bytes) -> bytes:
    return part + b"\0" * (-len(part) % 4)
